"""The types of datetime, and zoneinfo.ZoneInfo by its key.

A point in time is one int, the microseconds since the year 1 of its own clock, as long as it has neither a time zone
nor a fold; else a tuple of that, the fold and the time zone.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

from pmemobj import errors
from pmemobj._values import Codec

__all__ = ["BY_NAME", "codec_of"]

_US = dt.timedelta(microseconds=1)


def _clock(value: dt.datetime | dt.time) -> int:
    """Microseconds since midnight."""
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _count(value: dt.datetime | dt.time) -> int:
    days = value.toordinal() - 1 if isinstance(value, dt.datetime) else 0
    return days * 86_400_000_000 + _clock(value)


def _encode(value: dt.datetime | dt.time) -> object:
    if value.tzinfo is None and not value.fold:
        return _count(value)
    return _count(value), value.fold, value.tzinfo


def _datetime(payload: Any) -> dt.datetime:
    count, fold, zone = payload if isinstance(payload, tuple) else (payload, 0, None)
    return (dt.datetime.min + dt.timedelta(microseconds=count)).replace(fold=fold, tzinfo=zone)


def _time(payload: Any) -> dt.time:
    count, fold, zone = payload if isinstance(payload, tuple) else (payload, 0, None)
    return (dt.datetime.min + dt.timedelta(microseconds=count)).time().replace(fold=fold, tzinfo=zone)


def _key(name: str) -> Callable[[Any], tuple[object, ...]]:
    """Aware values that are the same instant are equal; the fold counts for neither kind."""

    def key(value: dt.datetime | dt.time) -> tuple[object, ...]:
        value = value.replace(fold=0)
        offset = value.utcoffset()
        if offset is None:
            return name, _count(value)
        return f"{name}+", _count(value) - offset // _US

    return key


def _encode_timezone(value: dt.timezone) -> object:
    offset, name = value.utcoffset(None), value.tzname(None)
    if name == str(dt.timezone(offset)):
        return _microseconds(offset)
    return _microseconds(offset), name


def _timezone(payload: Any) -> dt.timezone:
    if isinstance(payload, tuple):
        return dt.timezone(_delta(payload[0]), payload[1])
    return dt.timezone(_delta(payload))


def _encode_zone(value: Any) -> str:
    if value.key is None:
        raise TypeError("a ZoneInfo made from a file has no key, so it could not be found again")
    return str(value.key)


def _zone(key: str) -> object:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise errors.ClassNotFoundError(
            f"the time zone {key!r} is not known here; install the system's tzdata, or the package tzdata"
        ) from error


def _delta(count: int) -> dt.timedelta:
    # A float on the way would round; so would microseconds alone on some versions, for large ones.
    days, rest = divmod(count, 86_400_000_000)
    return dt.timedelta(days, 0, rest)


def _microseconds(value: dt.timedelta) -> int:
    return value // _US


BY_NAME = {
    "date": Codec("date", dt.date.toordinal, dt.date.fromordinal),
    "time": Codec("time", _encode, _time, stable_key=_key("time")),
    "dt": Codec("dt", _encode, _datetime, stable_key=_key("dt")),
    "delta": Codec("delta", _microseconds, _delta),
    "tz": Codec(
        "tz", _encode_timezone, _timezone, stable_key=lambda zone: ("tz", _microseconds(zone.utcoffset(None)))
    ),
    "zone": Codec("zone", _encode_zone, _zone),
}

_TYPES = {
    dt.date: "date", dt.time: "time", dt.datetime: "dt", dt.timedelta: "delta", dt.timezone: "tz",
}  # fmt: skip


def codec_of(cls: type) -> Codec | None:
    if (cls.__module__, cls.__qualname__) == ("zoneinfo", "ZoneInfo"):
        return BY_NAME["zone"]
    name = _TYPES.get(cls)
    return BY_NAME[name] if name is not None else None
