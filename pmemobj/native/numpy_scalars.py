"""NumPy's scalars: the dtype and the bytes.  As keys, numbers and texts are equal to Python's."""

from typing import Any

import numpy as np

from pmemobj._values import Codec
from pmemobj.native.numbers import number_key

__all__ = ["BY_NAME", "codec_of"]


def _plain(description: Any) -> Any:
    """The lists of a structured dtype's description as tuples, which come back as they were."""
    if isinstance(description, (list, tuple)):
        return tuple(_plain(item) for item in description)
    return description


def _listed(description: Any, outermost: bool = True) -> Any:
    """The other way round: (name, format) or (name, format, shape), where a format is a str or nested fields."""
    if not isinstance(description, tuple):
        return description
    fields = []
    for field in description:
        name, form, *shape = field
        fields.append((name, _listed(form, False), *shape))
    return fields


def _encode(value: np.generic) -> tuple[object, bytes]:
    dtype = value.dtype
    if dtype.hasobject:
        raise TypeError("a NumPy scalar with Python objects in it cannot be stored")
    return _plain(np.lib.format.dtype_to_descr(dtype)), value.tobytes()


def _decode(payload: tuple[Any, bytes]) -> Any:
    dtype = np.lib.format.descr_to_dtype(_listed(payload[0]))
    if dtype.itemsize == 0:
        return dtype.type()
    return np.frombuffer(payload[1], dtype=dtype, count=1)[0]


_UNITS = {
    "W": 604_800 * 10**18, "D": 86_400 * 10**18, "h": 3600 * 10**18, "m": 60 * 10**18, "s": 10**18, "ms": 10**15,
    "us": 10**12, "ns": 10**9, "ps": 10**6, "fs": 1000, "as": 1,
}  # fmt: skip


def _time_key(value: Any) -> tuple[object, ...]:
    """The same instant or span in whatever unit, in attoseconds.  Months have no length."""
    kind = value.dtype.kind
    if np.isnat(value):
        return "numpy", kind
    unit, count = np.datetime_data(value.dtype)
    if unit in ("Y", "M"):
        if kind == "m":
            return "numpy", kind, "M", int(value.view(np.int64)) * count * (12 if unit == "Y" else 1)
        value, unit, count = value.astype("M8[D]"), "D", 1
    number = int(value.view(np.int64)) * count
    if unit == "generic":
        return "numpy", kind, number
    return "numpy", kind, number * _UNITS[unit]


def _key(value: Any) -> object:
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return _time_key(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.number):
        return number_key(value)
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.bytes_):
        return bytes(value)
    raise TypeError(f"a {type(value).__name__} cannot be a key; use its item()")


BY_NAME = {"numpy": Codec("numpy", _encode, _decode, stable_key=_key)}


def codec_of(cls: type) -> Codec | None:
    return BY_NAME["numpy"] if issubclass(cls, np.generic) and cls is not np.object_ else None
