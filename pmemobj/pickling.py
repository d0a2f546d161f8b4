"""Values of types that a pool has nominated, stored as pickles; see pool.persist_via_pickle().

A pickle is a program.  So only what was nominated for this pool handle, and a few harmless builtins that reduce
functions commonly name, may be called by it; anything else ends the load.
"""

import io
import pickle
from collections.abc import Collection, Mapping, MutableMapping, MutableSequence, MutableSet
from typing import Any

from pmemobj import errors
from pmemobj._core import Persistent

#: Never changed, so that equal values have equal pickles whatever wrote them; readable by Python 3.8 and later.
PROTOCOL = 5

#: What any pickle may name: constructors of plain data, and copyreg's ways to make an instance of a class.
HARMLESS = {
    "builtins": {
        "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range",
        "set", "slice", "str", "tuple",
    },
    "copyreg": {"_reconstructor", "__newobj__", "__newobj_ex__"},
}  # fmt: skip


def check_type(cls: object, builtin: Collection[object]) -> None:
    """Raises TypeError for what cannot be nominated."""
    if not isinstance(cls, type):
        raise TypeError(f"persist_via_pickle() takes types, not a {type(cls).__name__}")
    if issubclass(cls, (bytearray, MutableSequence, MutableMapping, MutableSet)):
        raise TypeError(
            f"{cls.__name__} is mutable: a pickle is a copy, so changes would be lost; "
            "store a list, dict or set, or make the class a PersistentObject"
        )
    if cls in builtin or issubclass(cls, Persistent):
        raise TypeError(f"{cls.__name__} is stored by pmemobj itself, not as a pickle")
    if "<locals>" in cls.__qualname__:
        raise TypeError(f"{cls.__qualname__} is defined inside a function, so it could not be found again")


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: object) -> Any:
        """What lives in a pool would be stored as a copy, which no longer follows it."""
        if isinstance(obj, Persistent):
            raise TypeError(f"it holds a {type(obj).__name__}, which lives in a pool")
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, nominated: Mapping[str, type]) -> None:
        super().__init__(io.BytesIO(data))
        self.nominated = nominated
        self.unused_getattr = False

    def load(self) -> Any:
        value = super().load()
        if self.unused_getattr:
            raise pickle.UnpicklingError("it holds builtins.getattr, which this pool has not nominated")
        return value

    def find_class(self, module: str, name: str) -> Any:
        cls = self.nominated.get(f"{module}:{name}")
        if cls is not None:
            return cls
        if name in HARMLESS.get(module, ()):
            return super().find_class(module, name)
        if (module, name) == ("builtins", "getattr"):
            self.unused_getattr = True
            return self.member
        raise pickle.UnpicklingError(f"it needs {module}.{name}, which this pool has not nominated")

    def member(self, cls: object, name: object) -> Any:
        """Instead of getattr: members of nominated enumerations, and their alternative constructors."""
        self.unused_getattr = False
        if isinstance(cls, type) and cls in self.nominated.values() and isinstance(name, str):
            found = getattr(cls, name)
            if type(found) is cls or getattr(found, "__self__", None) is cls:
                return found
        raise pickle.UnpicklingError(f"it needs the attribute {name!r} of {cls!r}")


def loads(data: bytes, nominated: Mapping[str, type]) -> Any:
    """The value, if it needs nothing but nominated types and harmless builtins; else ClassNotFoundError."""
    try:
        return _Unpickler(data, nominated).load()
    except pickle.UnpicklingError as error:
        raise errors.ClassNotFoundError(
            f"a stored pickle cannot be loaded: {error}; nominate it with pool.persist_via_pickle()"
        ) from None


def dumps(value: object, nominated: Mapping[str, type]) -> bytes:
    """The pickle, which has been loaded once, so that what is stored can be read.  Raises TypeError."""
    cls = type(value)
    what = f"a {cls.__module__}.{cls.__qualname__} cannot be stored as a pickle"
    try:
        out = io.BytesIO()
        _Pickler(out, PROTOCOL).dump(value)
        data = out.getvalue()
        again = _Unpickler(data, nominated).load()
    except (pickle.PickleError, AttributeError, TypeError) as error:
        raise TypeError(f"{what}: {error}") from error
    if type(again) is not cls:
        raise TypeError(f"{what}: it comes back as a {type(again).__name__}")
    return data
