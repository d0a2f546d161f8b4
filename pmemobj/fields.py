"""Typed fields: what the annotations of a PersistentObject class say about its attributes.

1. The annotations of a class and of its bases are looked at once, before its first object is made or changed; that may
   run user code (a text is evaluated), so it happens before any operation.
2. A value is accepted where a type checker would accept it, as far as a look at the value itself can tell: the
   items of containers are not looked at.
3. Reading checks nothing: what was stored stays readable, whatever the class says now.
"""

import collections
import dataclasses
import inspect
import sys
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

from pmemobj._array import PersistentArray
from pmemobj._bytearray import PersistentByteArray
from pmemobj._deque import PersistentDeque
from pmemobj._dict import PersistentDict
from pmemobj._dict_kinds import PersistentCounter, PersistentDefaultDict, PersistentOrderedDict
from pmemobj._frozenset import PersistentFrozenSet
from pmemobj._list import PersistentList
from pmemobj._set import PersistentSet
from pmemobj._tuple import PersistentTuple

__all__ = ["Declared", "check_defaults", "declared", "known"]

#: Attributes whose names begin so are kept in the Python object only.
VOLATILE = ("_v_", "_p_")

#: What the fast way of an assignment tells apart (PM_KIND_* in _engine/objects/names.h).
KINDS: dict[type, int] = {int: 1, float: 2, bool: 4, str: 8, bytes: 16, types.NoneType: 32}

#: A plain container that is stored becomes a persistent one, so where one is declared the other may be assigned.
PERSISTENT: dict[type, type] = {
    bytearray: PersistentByteArray,
    list: PersistentList,
    dict: PersistentDict,
    set: PersistentSet,
    tuple: PersistentTuple,
    frozenset: PersistentFrozenSet,
    collections.deque: PersistentDeque,
    collections.defaultdict: PersistentDefaultDict,
    collections.Counter: PersistentCounter,
    collections.OrderedDict: PersistentOrderedDict,
}
IMMUTABLE = {tuple, frozenset}
PLAIN: dict[type, type] = {
    persistent: plain for plain, persistent in PERSISTENT.items() if plain not in IMMUTABLE
}

#: A default of such a type would be shared by all objects, and changes to it would be lost.
MUTABLE = tuple(set(PERSISTENT) - IMMUTABLE)


def is_array_class(cls: type) -> bool:
    """Is it NumPy's ndarray?  NumPy is imported where arrays are used, and not by us."""
    return cls.__module__ == "numpy" and cls.__qualname__ == "ndarray"


_WRAPPERS = (typing.Annotated, typing.Final)
_NO_FIELDS = (typing.ClassVar, dataclasses.InitVar, dataclasses.KW_ONLY)


class Accepted:
    """The values that a type hint allows."""

    def __init__(self, owner: type, hint: Any) -> None:
        self.owner = owner
        self.anything = False
        self.types: tuple[type, ...] = ()
        self.literals: tuple[object, ...] = ()
        self.add(hint)

    def add(self, hint: Any) -> None:
        origin = typing.get_origin(hint)
        if hint is None:
            self.types += (types.NoneType,)
        elif origin in (typing.Union, types.UnionType):
            for part in typing.get_args(hint):
                self.add(part)
        elif origin in _WRAPPERS:
            self.add(typing.get_args(hint)[0])
        elif origin is typing.Literal:
            self.literals += typing.get_args(hint)
        elif isinstance(hint, typing.TypeVar):
            for part in hint.__constraints__ or (Any if hint.__bound__ is None else hint.__bound__,):
                self.add(part)
        elif hint is typing.Self:
            self.types += (self.owner,)
        elif hint is typing.LiteralString:
            self.types += (str,)
        elif hint in (typing.Never, typing.NoReturn):
            pass
        elif isinstance(hint, typing.NewType):
            self.add(hint.__supertype__)
        elif type(hint).__name__ == "TypeAliasType":  # of Python 3.12
            self.add(hint.__value__)
        else:
            self.add_class(origin or hint)

    def add_class(self, cls: Any) -> None:
        if typing.is_typeddict(cls):
            cls = dict
        unchecked_protocol = getattr(cls, "_is_protocol", False) and not getattr(
            cls, "_is_runtime_protocol", False
        )
        if cls in (object, Any) or not isinstance(cls, type) or unchecked_protocol:
            self.anything = True  # as with whatever else only a type checker can tell
        else:
            self.types += (cls,)
            if cls in PERSISTENT:
                self.types += (PERSISTENT[cls],)
            elif cls in PLAIN:
                self.types += (PLAIN[cls],)
            elif is_array_class(cls):
                self.types += (PersistentArray,)

    def kinds(self) -> int:
        """Those of KINDS of which every value is allowed."""
        try:
            return sum(kind for cls, kind in KINDS.items() if self.anything or issubclass(cls, self.types))
        except TypeError:  # a protocol that only isinstance() can be asked for
            return 0

    def fitted(self, value: Any) -> Any:
        """The value as it is to be stored, or NotImplemented.  An int is a float where no int is wanted."""
        if self.anything or isinstance(value, self.types):
            return value
        if PersistentArray in self.types and is_array_class(type(value)):
            return value
        for literal in self.literals:
            if type(literal) is type(value) and literal == value:
                return value
        if isinstance(value, int) and float in self.types:
            return float(value)
        if isinstance(value, (int, float)) and complex in self.types:
            return complex(value)
        return NotImplemented


class Field:
    """An annotated attribute of a class."""

    def __init__(self, owner: type, name: str, hint: object) -> None:
        self.owner, self.name, self.hint = owner, name, hint
        self.accepted: Accepted | None = None
        self.is_field = True
        self.evaluate()

    def evaluate(self) -> str | None:
        """What is wrong with the annotation.  It is tried again: a class may be defined later."""
        try:
            holder = type("_", (), {"__annotations__": {self.name: self.hint}})
            names = vars(sys.modules[self.owner.__module__])
            hint = typing.get_type_hints(holder, names, dict(vars(self.owner)), include_extras=True)[
                self.name
            ]
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        origin = typing.get_origin(hint) or hint
        self.is_field = origin not in _NO_FIELDS and not isinstance(hint, dataclasses.InitVar)
        if self.is_field:
            self.accepted = Accepted(self.owner, hint)
        return None

    def kinds(self) -> int:
        """Which values need no look at this field."""
        return self.accepted.kinds() if self.accepted is not None else 0

    def text(self) -> str:
        return self.hint if isinstance(self.hint, str) else inspect.formatannotation(self.hint)

    def fit(self, cls: type, value: object) -> object:
        """The value as it is to be stored in an object of `cls`, or TypeError."""
        where = f"{cls.__qualname__}.{self.name}"
        if self.accepted is None:
            wrong = self.evaluate()
            if self.accepted is None:
                raise TypeError(
                    f"{where} is declared as {self.text()!r}, which cannot be evaluated ({wrong}): import what it "
                    "names when the program runs, or declare the field as Any"
                )
        try:
            fitted = self.accepted.fitted(value)
        except OverflowError as error:
            raise OverflowError(f"{where} must be {self.text()}: {error}") from None
        if fitted is NotImplemented and value is not NotImplemented:
            raise TypeError(f"{where} must be {self.text()}, not {type(value).__qualname__}")
        return fitted


class Declared:
    """The fields of a class, those of its bases first, in the order of their declaration."""

    def __init__(self, cls: type) -> None:
        #: Are other attributes refused?
        self.closed: bool = bool(getattr(cls, "__p_slots__", False))
        found: dict[str, Field] = {}
        for base in reversed(cls.__mro__):
            for name, hint in inspect.get_annotations(base).items():
                if not name.startswith(VOLATILE):
                    found[name] = Field(base, name, hint)
        self.fields = {name: field for name, field in found.items() if field.is_field}
        #: What makes the default of a field that an object has not; of dataclasses, whose class has no such attribute.
        self.factories: dict[str, Callable[[], object]] = {
            name: field.default_factory
            for name, field in getattr(cls, "__dataclass_fields__", {}).items()
            if field.default_factory is not dataclasses.MISSING
        }

    def names(self, cls: type) -> list[str]:
        """Of the fields that are stored: a property of the class stands before one of its name."""
        return [
            name
            for name in self.fields
            if not inspect.isdatadescriptor(inspect.getattr_static(cls, name, None))
        ]

    def fit(self, cls: type, name: str, value: object) -> object:
        """The value as it is to be stored under the name; TypeError, or AttributeError where there is no such field."""
        field = self.fields.get(name)
        if field is not None:
            return field.fit(cls, value)
        if self.closed:
            names = ", ".join(self.fields) or "none"
            raise AttributeError(
                f"{cls.__qualname__} has no field {name!r}, and takes no others (slots=True); its fields: {names}",
                name=name,
            )
        return value

    def kinds(self, name: str) -> int:
        """Which values may be stored under the name without a look at it; -1: any."""
        field = self.fields.get(name)
        if field is not None:
            return -1 if field.accepted is not None and field.accepted.anything else field.kinds()
        return 0 if self.closed else -1


_declared: weakref.WeakKeyDictionary[type, Declared] = weakref.WeakKeyDictionary()


def known(cls: type) -> Declared | None:
    """What declared() has found, or None: it has not been asked yet.  Runs no user code."""
    return _declared.get(cls)


def declared(cls: type) -> Declared:
    """What the class declares.  May run user code."""
    found = _declared.get(cls)
    if found is None:
        _declared[cls] = found = Declared(cls)
    return found


def check_defaults(cls: type) -> None:
    """Raises TypeError for a field of this class whose default all objects would share."""
    for name, hint in inspect.get_annotations(cls).items():
        default = cls.__dict__.get(name)
        is_array = is_array_class(type(default))
        if (
            (isinstance(default, MUTABLE) or is_array)
            and not name.startswith(VOLATILE)
            and "ClassVar" not in str(hint)
        ):
            raise TypeError(
                f"the default of {cls.__qualname__}.{name} is a {type(default).__name__}, which all objects would "
                "share and which is not stored: set it in __init__, or use @pmemobj.persistent and "
                f"field(default_factory={'lambda: ...' if is_array else type(default).__name__})"
            )
