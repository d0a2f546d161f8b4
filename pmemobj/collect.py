"""pool.gc(): the report of a collection, and its steps."""

from typing import Any, NamedTuple

from pmemobj import _core
from pmemobj._core import Pool

__all__ = ["Collected", "collect"]


class Collected(NamedTuple):
    """What a call of pool.gc() has done.

    objects: destroyed; bytes: that were given back; classes: how many objects of each class, by its name: that of a
    container, or "module.qualname"; finished: False if there is more to do, for the next call with max_seconds.
    """

    objects: int
    bytes: int
    classes: dict[str, int]
    finished: bool


def collect(pool: Pool, max_seconds: float | None) -> Collected:
    """See pool.gc()."""
    if max_seconds is not None and not 0 <= max_seconds <= 1e9:
        raise ValueError(f"max_seconds must be None or a number of seconds from 0 on, not {max_seconds!r}")
    objects, size, found, finished = _core.collect_garbage(pool, -1.0 if max_seconds is None else max_seconds)
    registry: Any = pool.registry
    classes: dict[str, int] = {}
    for kind, count in found.items():
        name = kind if isinstance(kind, str) else registry.class_name(pool, kind)
        classes[name] = classes.get(name, 0) + count
    return Collected(objects, size, dict(sorted(classes.items())), finished)
