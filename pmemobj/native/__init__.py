"""Values that are neither builtin nor a user's registered type: those of the standard library, NumPy's scalars, and of
users' enumerations, named tuples and frozen dataclasses.

Each kind has a codec.  Its name is on media (DO NOT CHANGE), `encode` gives a payload of simpler values, `decode` the
value, and `stable_key` what a key is hashed by: equal for equal values of whatever type, in every process.

Nothing here imports a module that a pool names, or calls what it names: see names.py.
"""

import importlib
import reprlib
import weakref
from typing import Any

from pmemobj import errors
from pmemobj._values import Codec, set_native

__all__ = ["HOMES"]

#: Name of a codec -> the module of this package that has it.  A name of at most 7 characters needs no block.
HOMES = {
    "decimal": "numbers",
    "fract": "numbers",
    "date": "times",
    "time": "times",
    "dt": "times",
    "delta": "times",
    "tz": "times",
    "zone": "times",
    "uuid": "identifiers",
    "path": "identifiers",
    "ip": "identifiers",
    "range": "ranges",
    "slice": "ranges",
    "type": "classes",
    "func": "classes",
    "enum": "classes",
    "named": "classes",
    "frozen": "classes",
    "numpy": "numpy_scalars",
}

#: First part of the name of a type's module -> the modules to ask.
_OWNERS = {
    "decimal": "numbers",
    "_pydecimal": "numbers",
    "fractions": "numbers",
    "datetime": "times",
    "zoneinfo": "times",
    "uuid": "identifiers",
    "pathlib": "identifiers",
    "ipaddress": "identifiers",
    "numpy": "numpy_scalars",
}

_by_name: dict[str, Codec] = {}
_by_type: weakref.WeakKeyDictionary[type, Codec | None] = weakref.WeakKeyDictionary()


def _module(name: str) -> Any:
    return importlib.import_module(f"pmemobj.native.{name}")


def codec_of_type(cls: type) -> Codec | None:
    """Asked once for each type that nobody has registered."""
    if cls not in _by_type:
        _by_type[cls] = _look_for(cls)
    return _by_type[cls]


def _look_for(cls: type) -> Codec | None:
    owner = _OWNERS.get(cls.__module__.partition(".")[0])
    for name in (owner, "ranges", "classes"):
        if name is not None:
            codec: Codec | None = _module(name).codec_of(cls)
            if codec is not None:
                return codec
    return None


def codec_of_name(name: str) -> Codec | None:
    if name not in HOMES:
        return None
    if name not in _by_name:
        codec: Codec = _module(HOMES[name]).BY_NAME[name]
        _by_name[name] = Codec(name, codec.encode, _guarded(name, codec.decode), False, codec.stable_key)
    return _by_name[name]


def _guarded(name: str, decode: Any) -> Any:
    """What lies in a pool may be anything, so decoders meet payloads that no encoder has made."""

    def decoded(payload: object) -> Any:
        try:
            return decode(payload)
        except (TypeError, ValueError, ArithmeticError, AttributeError, IndexError, KeyError) as error:
            if isinstance(error, errors.PmemobjError):
                raise
            raise errors.PoolDamagedError(
                f"a stored value of the kind {name!r} cannot be made of {reprlib.repr(payload)}: {error}"
            ) from error

    return decoded


set_native(codec_of_type, codec_of_name)
