"""Keys and values of the cases: the same objects for builtin and ours, made once for each size."""

import functools

KINDS = ("small int", "float", "6-character str", "30-character str", "100-character str")


@functools.lru_cache(4)
def keys(entries: int) -> list[str]:
    """Keys of 13 characters."""
    return [f"key-{i:09d}" for i in range(entries)]


@functools.lru_cache(4)
def equal_keys(entries: int) -> list[str]:
    """Equal to keys(), and other objects: what a program has that reads its keys from somewhere."""
    return [f"key-{i:09d}" for i in range(entries)]


@functools.lru_cache(4)
def new_keys(entries: int) -> list[str]:
    """None of keys()."""
    return [f"new-{i:09d}" for i in range(entries)]


@functools.lru_cache(4)
def short_keys(entries: int) -> list[str]:
    """Keys of 6 characters (8 from ten million on)."""
    return [f"{i:06x}" for i in range(entries)]


def values(kind: str, entries: int) -> list:
    """So many values, all different, except for long strings, of which there are 1000."""
    if kind == "small int":
        return list(range(entries))
    if kind == "float":
        return [i * 0.5 for i in range(entries)]
    if kind == "6-character str":
        return short_keys(entries)[:]
    length = int(kind.split("-")[0])
    some = [f"{i:0{length}d}" for i in range(1000)]
    return (some * (entries // 1000 + 1))[:entries]


def one(kind: str):
    """One value, for cases that store the same everywhere."""
    return values(kind, 8)[5]
