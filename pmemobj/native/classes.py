"""What is stored with the name of a class: enumeration members, named tuples and frozen dataclasses, and classes and
functions themselves."""

import dataclasses
import enum
import functools
import types
from numbers import Number
from typing import Any

from pmemobj import errors
from pmemobj._values import Codec
from pmemobj.native.names import find, name_of
from pmemobj.native.numbers import number_key

__all__ = ["BY_NAME", "codec_of"]


def _class(name: str, kind: str, is_kind: Any) -> Any:
    cls = find(name)
    if not isinstance(cls, type) or not is_kind(cls):
        raise errors.ClassNotFoundError(
            f"{name.replace(':', '.')} is no {kind} any more, but values of it are stored"
        )
    return cls


def _refuse_key(cls: type) -> TypeError:
    return TypeError(
        f"a {cls.__module__}.{cls.__qualname__} cannot be a key: its own __eq__ or __hash__ may give another hash in "
        "another process; use pmemobj.register() with a stable_key"
    )


# --- enumerations


def _is_enum(cls: type) -> bool:
    return isinstance(cls, enum.EnumMeta)


def _encode_member(member: enum.Enum) -> tuple[str, object]:
    """A flag by its value, because combinations have no name of their own."""
    return name_of(type(member)), member.value if isinstance(member, enum.Flag) else member.name


def _member(payload: tuple[str, Any]) -> object:
    cls = _class(payload[0], "enumeration", _is_enum)
    if issubclass(cls, enum.Flag):
        return cls(payload[1])
    found = cls.__members__.get(payload[1])
    if found is None:
        raise errors.ClassNotFoundError(
            f"{payload[0].replace(':', '.')} has no member {payload[1]!r}, which is stored"
        )
    return found


def _member_key(member: enum.Enum) -> object:
    """A member with the hash of its mixed-in type is equal to the plain value."""
    cls: Any = type(member)
    if cls.__hash__ in (enum.Enum.__hash__, enum.Flag.__hash__):
        return "enum", *_encode_member(member)
    if isinstance(member, str) and cls.__hash__ is str.__hash__:
        return str.__str__(member)
    if isinstance(member, bytes) and cls.__hash__ is bytes.__hash__:
        return bytes(memoryview(member))
    if isinstance(member, Number) and cls.__hash__ in (int.__hash__, float.__hash__, complex.__hash__):
        return number_key(member)
    raise _refuse_key(cls)


# --- named tuples


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and type(getattr(cls, "_fields", None)) is tuple and hasattr(cls, "_make")


def _encode_named(value: Any) -> tuple[object, ...]:
    if getattr(value, "__dict__", None):
        raise TypeError(
            f"this {type(value).__name__} has attributes besides its fields, which would be lost: {sorted(vars(value))}"
        )
    return name_of(type(value)), *tuple.__iter__(value)


def _named(payload: tuple[Any, ...]) -> object:
    cls = _class(payload[0], "named tuple", _is_named_tuple)
    items, names = payload[1:], cls._fields
    defaults = getattr(cls, "_field_defaults", {})
    for name in names[len(items) :]:
        if name not in defaults:
            raise errors.ClassNotFoundError(
                f"{payload[0].replace(':', '.')} has a field {name!r} that a stored value has not; give it a default"
            )
        items += (defaults[name],)
    if len(items) > len(names):
        raise errors.ClassNotFoundError(
            f"{payload[0].replace(':', '.')} has {len(names)} fields, a stored value {len(items)}"
        )
    return tuple.__new__(cls, items)


def _named_key(value: Any) -> tuple[object, ...]:
    cls: Any = type(value)
    if cls.__hash__ is not tuple.__hash__ or cls.__eq__ is not tuple.__eq__:
        raise _refuse_key(cls)
    return tuple(tuple.__iter__(value))


# --- frozen dataclasses


def _instance_maker(cls: Any) -> Any:
    return cls.__new__


def _is_frozen(cls: type) -> bool:
    parameters = cls.__dict__.get("__dataclass_params__")
    return parameters is not None and parameters.frozen and _instance_maker(cls) is object.__new__


def _encode_frozen(value: Any) -> tuple[object, ...]:
    """All that it has, as pickle would take it: names as one text, then the values."""
    cls = type(value)
    names = [field.name for field in dataclasses.fields(value)]
    items = {name: getattr(value, name) for name in names if hasattr(value, name)}
    for name, item in getattr(value, "__dict__", {}).items():
        if not isinstance(getattr(cls, name, None), functools.cached_property):
            items.setdefault(name, item)
    return name_of(cls), ",".join(items), *items.values()


def _frozen(payload: tuple[Any, ...]) -> object:
    """Made as pickle makes it, without __init__ or __post_init__.  Fields that the class has not any more are left
    out, and what has the name of something in the class: a method cannot be replaced by a pool.  Fields that are new
    have their defaults."""
    cls = _class(payload[0], "frozen dataclass", _is_frozen)
    value = object.__new__(cls)
    items = dict(zip(payload[1].split(","), payload[2:], strict=True)) if payload[1] else {}
    for field in dataclasses.fields(cls):
        if field.name in items:
            item = items.pop(field.name)
        elif field.default is not dataclasses.MISSING:
            item = field.default
        elif field.default_factory is not dataclasses.MISSING:
            item = field.default_factory()
        elif not field.init:
            continue
        else:
            raise errors.ClassNotFoundError(
                f"{payload[0].replace(':', '.')} has a field {field.name!r} that a stored value has not; "
                "give it a default"
            )
        object.__setattr__(value, field.name, item)
    extra = getattr(value, "__dict__", None)
    if extra is not None:
        extra.update(
            {key: item for key, item in items.items() if not key.startswith("__") and not hasattr(cls, key)}
        )
    return value


def _is_generated(method: object) -> bool:
    """Made by dataclass(), from a text."""
    return isinstance(method, types.FunctionType) and method.__code__.co_filename == "<string>"


def _frozen_key(value: Any) -> tuple[object, ...]:
    cls = type(value)
    if not _is_generated(cls.__hash__) or not _is_generated(cls.__eq__):
        raise _refuse_key(cls)
    fields = dataclasses.fields(value)
    hashed = [field.name for field in fields if (field.compare if field.hash is None else field.hash)]
    return "frozen", name_of(cls), *(getattr(value, name) for name in hashed)


# --- classes and functions


def _named_thing(name: str) -> Any:
    found = find(name)
    if not isinstance(found, (type, types.FunctionType, types.BuiltinFunctionType)):
        raise errors.ClassNotFoundError(
            f"{name.replace(':', '.')} is neither a class nor a function any more"
        )
    return found


BY_NAME = {
    "enum": Codec("enum", _encode_member, _member, stable_key=_member_key),
    "named": Codec("named", _encode_named, _named, stable_key=_named_key),
    "frozen": Codec("frozen", _encode_frozen, _frozen, stable_key=_frozen_key),
    "type": Codec("type", name_of, _named_thing),
    "func": Codec("func", name_of, _named_thing),
}


def codec_of(cls: type) -> Codec | None:
    if issubclass(cls, type):
        return BY_NAME["type"]
    if cls is types.FunctionType or cls is types.BuiltinFunctionType:
        return BY_NAME["func"]
    if _is_enum(cls):
        return BY_NAME["enum"]
    if _is_named_tuple(cls):
        return BY_NAME["named"]
    if _is_frozen(cls):
        return BY_NAME["frozen"]
    return None
