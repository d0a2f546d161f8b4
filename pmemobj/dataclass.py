"""@persistent: dataclasses whose objects live in a pool."""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pmemobj._object import PersistentObject

__all__ = ["persistent", "replace"]

T = TypeVar("T")

#: What may stand in the body of a class and has functions inside.
_HOLD_FUNCTIONS = (
    types.FunctionType,
    property,
    classmethod,
    staticmethod,
    functools.cached_property,
    functools.partialmethod,
    type(functools.lru_cache(repr)),
)


@typing.overload
def persistent(cls: type[T], /) -> type[T]: ...
@typing.overload
def persistent(
    *,
    init: bool = ...,
    repr: bool = ...,
    eq: bool = ...,
    order: bool = ...,
    match_args: bool = ...,
    kw_only: bool = ...,
    slots: bool = ...,
) -> Callable[[type[T]], type[T]]: ...
@typing.dataclass_transform(field_specifiers=(dataclasses.field, dataclasses.Field))
def persistent(cls: Any = None, /, *, slots: bool = False, **options: bool) -> Any:
    """Makes a class one whose objects live in a pool, with the methods that ``dataclasses.dataclass`` gives it.

    ``@persistent`` or ``@persistent(order=True, ...)`` stands before a class with annotated fields; objects are made
    with ``pool.new(Class, ...)``.  ``field()``, ``default_factory``, ``__post_init__``, ``InitVar``, ``ClassVar``,
    ``KW_ONLY`` and inheritance are those of dataclasses.  A class that is none of PersistentObject's is made anew with
    it as its last base; so it may be a dataclass already, but no frozen one: its objects are values.

    init, repr, eq, order, match_args, kw_only: as of ``dataclasses.dataclass``.  With `eq`, its default, objects are
        equal when their fields are, and cannot be members of sets or keys; with ``eq=False`` they are what they are.
    slots: attributes that are no fields are refused, as by ``class Name(PersistentObject, slots=True)``.

    Making an object is atomic, with all that `__init__`, `__post_init__` and factories do; each assignment to a field
    is atomic by itself.  Raises TypeError for what is no class or a frozen dataclass, and what ``dataclass`` raises.
    """
    if unknown := options.keys() - {"init", "repr", "eq", "order", "match_args", "kw_only"}:
        raise TypeError(f"persistent() has no option {', '.join(sorted(unknown))}")
    if cls is None:
        return lambda cls: _made(cls, slots, options)
    if not isinstance(cls, type):
        raise TypeError(f"@persistent stands before a class, not {cls!r}")
    return _made(cls, slots, options)


def _made(cls: Any, slots: bool, options: dict[str, bool]) -> Any:
    parameters = cls.__dict__.get("__dataclass_params__")
    if parameters is not None and parameters.frozen:
        raise TypeError(
            f"{cls.__qualname__} is a frozen dataclass: its objects never change, and are stored as values, without "
            "@persistent"
        )
    if parameters is not None and options:
        raise TypeError(f"{cls.__qualname__} is a dataclass already: give these options to @dataclass")
    if not issubclass(cls, PersistentObject):
        cls = _recreated(cls)
    if slots:
        cls.__p_slots__ = True
    if parameters is None:
        cls = dataclasses.dataclass(**options)(cls)
    cls.__replace__ = replace  # for copy.replace() of Python 3.13
    return cls


def _recreated(cls: type) -> type:
    """The same class, but a PersistentObject."""
    body = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__")}
    slots = body.pop("__slots__", ())
    for name in (slots,) if isinstance(slots, str) else slots:
        if isinstance(body.get(name), types.MemberDescriptorType):
            del body[name]
    for name, field in body.get("__dataclass_fields__", {}).items():
        if field.default is not dataclasses.MISSING:  # @dataclass(slots=True) has taken it away
            body.setdefault(name, field.default)
    bases = *(base for base in cls.__bases__ if base is not object), PersistentObject
    made = type(cls)(cls.__name__, bases, body)
    for value in body.values():
        for cell in _cells(value, set()):
            if cell.cell_contents is cls:  # what super() and __class__ in its methods refer to
                cell.cell_contents = made
    return made


def _cells(value: Any, seen: set[int]) -> Iterator[types.CellType]:
    """The cells of the functions in a member of a class: of methods, properties, decorated ones."""
    if id(value) in seen or not isinstance(value, _HOLD_FUNCTIONS):
        return
    seen.add(id(value))
    if isinstance(value, types.FunctionType):
        for cell in value.__closure__ or ():
            try:
                inside = cell.cell_contents
            except ValueError:  # it is empty
                continue
            yield cell
            yield from _cells(inside, seen)
    for name in ("fget", "fset", "fdel", "__func__", "__wrapped__", "func"):
        yield from _cells(getattr(value, name, None), seen)


def replace(obj: T, /, **changes: Any) -> T:
    """A new object in the pool of `obj`, with its fields but for those given: ``dataclasses.replace`` for @persistent.

    The values of the other fields are shared, not copied.  Atomic; an abort undoes it.  Raises TypeError if `obj` is no
    object of a @persistent class, or a name is no field, and ValueError for a field that ``__init__`` does not take.
    """
    given: Any = obj
    if not isinstance(obj, PersistentObject) or not hasattr(type(obj), "__dataclass_fields__"):
        raise TypeError(f"replace() takes an object of a @persistent class, not a {type(obj).__name__}")
    for field in dataclasses.fields(given):
        if not field.init:
            if field.name in changes:
                raise ValueError(
                    f"field {field.name} is declared with init=False, so it cannot be given to replace()"
                )
        elif field.name not in changes:
            changes[field.name] = getattr(given, field.name)
    pool: Any = given._p_mm
    made: T = pool.new(type(obj), **changes)
    return made
