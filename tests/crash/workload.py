"""Numbered operations that do the same to a persistent root and to a model of builtin containers."""

from contextlib import nullcontext
from random import Random


class _Undone(Exception):
    pass


def new_state():
    return {"list": [], "dict": {}, "set": set(), "nested": {}, "done": 0}


def value(rng):
    """Immediate values, blocks of several sizes, nested immutable and mutable values."""
    return rng.choice(
        [
            lambda: rng.randrange(-1000, 1000),
            lambda: rng.getrandbits(rng.choice([40, 62, 64, 200])),
            lambda: rng.random() * 10.0 ** rng.randrange(-300, 300),
            lambda: "x" * rng.choice([0, 3, 7, 8, 13, 100, 1000, 5000]),
            lambda: "é€😀"[rng.randrange(3)] * rng.randrange(20),
            lambda: bytes(rng.randrange(40)),
            lambda: None,
            lambda: (rng.random(), "tuple" * rng.randrange(5), (1,)),
            lambda: frozenset(range(rng.randrange(5))),
            lambda: [rng.random(), ["deep" * 4], {"k" * 9: 1}],
            lambda: {"inner" * rng.randrange(1, 4): list(range(rng.randrange(4)))},
        ]
    )()


def key(rng):
    return (
        rng.choice(["k%d", "a longer key %d"]) % rng.randrange(300)
        if rng.random() < 0.8
        else rng.randrange(300)
    )


def list_operation(items, rng):
    choice = rng.randrange(11)
    at = rng.randrange(len(items) + 1)
    if choice < 4 or not items:
        items.append(value(rng))
    elif choice == 4:
        items.insert(at, value(rng))
    elif choice == 5:
        items[at % len(items)] = value(rng)
    elif choice == 6:
        del items[at % len(items)]
    elif choice == 7:
        items.extend([value(rng) for _ in range(rng.randrange(40))])
    elif choice == 8:
        items[at:] = [value(rng) for _ in range(rng.randrange(5))]
    elif choice == 9:
        items.sort(key=lambda item: len(item) if hasattr(item, "__len__") else 0)
    elif len(items) > 300:
        items.clear()
    else:
        items.reverse()


def dict_operation(mapping, rng):
    choice = rng.randrange(10)
    if choice < 5:
        mapping[key(rng)] = value(rng)
    elif choice < 7:
        mapping.pop(key(rng), None)
    elif choice == 7:
        mapping.update({key(rng): value(rng) for _ in range(rng.randrange(30))})
    elif choice == 8 and mapping:
        mapping.popitem()
    elif len(mapping) > 250:
        mapping.clear()
    else:
        mapping.setdefault(key(rng), value(rng))


def set_operation(members, rng):
    choice = rng.randrange(6)
    if choice < 3:
        members.add(key(rng))
    elif choice == 3:
        members.discard(key(rng))
    elif choice == 4:
        members.update([key(rng) for _ in range(20)])
    else:
        members -= {key(rng) for _ in range(20)}


def single(root, rng):
    """One operation, atomic by itself."""
    choice = rng.randrange(8)
    if choice < 3:
        list_operation(root["list"], rng)
    elif choice < 6:
        dict_operation(root["dict"], rng)
    elif choice == 6:
        set_operation(root["set"], rng)
    else:
        root["nested"][key(rng)] = [value(rng) for _ in range(rng.randrange(6))]


def undone(root, rng, transaction):
    """A savepoint that is undone."""
    try:
        with transaction():
            for _ in range(3):
                single(root, rng)
            raise _Undone
    except _Undone:
        pass


def several(root, rng, transaction):
    """A transaction of several operations, perhaps with an undone savepoint in it."""
    with transaction():
        for _ in range(rng.randrange(1, 8)):
            single(root, rng)
        if rng.random() < 0.5:
            # The model cannot undo: what it would undo happens to a state that is thrown away.
            undone(new_state() if transaction is nullcontext else root, rng, transaction)
        root["done"] += 1


def apply(root, number, seed, transaction=nullcontext):
    """Operation `number`.  Each draws from a generator of its own, so that it does not depend on how many
    numbers another one drew."""
    rng = Random(seed * 1_000_003 + number)
    if rng.random() < 0.7:
        single(root, rng)
    else:
        several(root, rng, transaction)
