"""Any value that a pool can hold, nested to depth 5, in any container; stored, and compared in another process.

python -m tests.values.universe POOL EXPECTED       compares what the pool holds with the pickle of what it must hold
"""

import contextlib
import datetime as dt
import math
import os
import pickle
import random
import subprocess
import sys
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from fractions import Fraction
from ipaddress import ip_address
from pathlib import Path, PurePosixPath

import hypothesis
import numpy as np
from hypothesis import strategies as st

import pmemobj
from tests.values.native_values import Color, Mask, Money, Named, Slotted, Word

ROOT = Path(__file__).resolve().parents[2]
ZONES = [None, dt.UTC, dt.timezone(dt.timedelta(hours=3))]
ZONES += [zoneinfo.ZoneInfo(name) for name in ("Europe/Berlin", "America/St_Johns", "UTC")]


class Sorted:
    """Stands for a sorted container, which has no builtin counterpart: of a dict or a set with keys of one kind."""

    def __init__(self, items: dict | set) -> None:
        self.items = items

    def place(self, inside: Callable[[object], object], pool: pmemobj.PersistentObjectPool) -> object:
        if isinstance(self.items, set):
            return pool.new(pmemobj.PersistentSortedSet, self.items)
        return pool.new(
            pmemobj.PersistentSortedDict, [(key, inside(item)) for key, item in self.items.items()]
        )

    def plain(self, inside: Callable[[object], object]) -> object:
        if isinstance(self.items, set):
            return self.items
        return {key: inside(self.items[key]) for key in sorted(self.items)}


KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.sampled_from(ZONES)),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Color, *Word, *Mask, Mask.LOW | Mask.HIGH, ..., NotImplemented, int, len, uuid.UUID]),
    st.builds(Named, st.text(max_size=9), st.integers()),
    st.builds(Money, st.decimals(allow_nan=False), st.text(max_size=9)),
    st.builds(Slotted, st.integers(), st.none() | st.builds(Money, st.decimals(allow_nan=False))),
    st.integers(-128, 127).map(np.int8),
    st.integers(0, 2**64 - 1).map(np.uint64),
    st.floats(allow_nan=False).map(np.float64),
    st.floats(allow_nan=False, width=32).map(np.float32),
    st.booleans().map(np.bool_),
    st.text(max_size=9).map(lambda text: np.str_(text.rstrip("\0"))),
    st.binary(max_size=9).map(lambda data: np.bytes_(data.rstrip(b"\0"))),
    st.builds(range, st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 9)),
    st.ip_addresses(),
    st.just(PurePosixPath("a/b")),
    st.just(ip_address("::1")),
    st.just(Fraction(1, 3)),
)
INSTANTS = st.datetimes().map(lambda when: np.datetime64(when, "us"))
ARRAYS = st.builds(
    lambda numbers, dtype, rows: np.array(numbers).astype(dtype).reshape(rows, -1 if numbers else 0),
    st.lists(st.integers(0, 99), max_size=6).map(lambda numbers: numbers + numbers),
    st.sampled_from(
        ["i1", "<f8", "u2", "?", "c16", "U3", "S2", "M8[s]", "m8[ms]", [("a", "i2"), ("b", "f4", (2,))]]
    ),
    st.sampled_from([1, 2]),
)
LEAVES = st.one_of(
    KEYS,
    st.floats(),
    st.builds(slice, st.integers(), st.none()),
    INSTANTS,
    ARRAYS,
    st.binary(max_size=40).map(bytearray),
)
#: One kind each, in an order.
ORDERED = [
    st.integers(),
    st.text(max_size=9),
    st.floats(allow_nan=False),
    st.dates(),
    st.decimals(allow_nan=False),
]


def one_deeper(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    pairs = st.dictionaries(KEYS, inner, max_size=4)
    return st.one_of(
        inner,
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(deque),
        pairs,
        pairs.map(OrderedDict),
        pairs.map(lambda d: defaultdict(list, d)),
        st.dictionaries(KEYS, st.integers(), max_size=4).map(Counter),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
        *(st.dictionaries(keys, inner, max_size=4).map(Sorted) for keys in ORDERED[:2]),
        *(st.sets(keys, max_size=4).map(Sorted) for keys in ORDERED),
    )


VALUES = LEAVES
for _ in range(5):
    VALUES = one_deeper(VALUES)


def same(a: object, b: object) -> bool:
    """Equal, and of equal types all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (a != a and b != b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dt.datetime):
        return a == b and repr((a.tzinfo, a.fold)) == repr((b.tzinfo, b.fold))
    if isinstance(a, dict):
        return len(a) == len(b) and all(map(same, a.items(), b.items()))
    if isinstance(a, (list, tuple, deque)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (set, frozenset)):
        kinds = (
            {(type(item).__name__, repr(item)) for item in s if not isinstance(item, frozenset)}
            for s in (a, b)
        )
        return a == b and next(kinds) == next(kinds)
    return bool(a == b)


def exchanged(value: object, how: Callable[[Sorted], object]) -> object:
    """The value with something else in place of each Sorted."""

    def inside(item: object) -> object:
        return exchanged(item, how)

    cls = type(value)
    if cls is Sorted:
        return how(value)
    if cls is list or cls is tuple or cls is deque:
        made = map(inside, value)
        return deque(made, value.maxlen) if cls is deque else cls(made)
    if cls is dict or cls is OrderedDict:
        return cls((key, inside(item)) for key, item in value.items())
    if cls is defaultdict:
        return defaultdict(value.default_factory, ((key, inside(item)) for key, item in value.items()))
    return value


def placed(value: object, pool: pmemobj.PersistentObjectPool) -> object:
    return exchanged(value, lambda o: o.place(lambda item: placed(item, pool), pool))


def plain(value: object) -> object:
    return exchanged(value, lambda o: o.plain(plain))


def compare(path: str, expected: str) -> int:
    """How many values there are, all as they must be."""
    values = pickle.loads(Path(expected).read_bytes())
    with pmemobj.open(path, sync="manual") as pool:
        assert len(pool.root) == len(values)
        for i, value in enumerate(values):
            found = pool.to_python(pool.root[i])
            assert same(found, value), f"{found!r} instead of {value!r}"
        assert pool.check().ok
    return len(values)


def examples(count: int, *, seed: int | None = None, of: st.SearchStrategy[object] = VALUES) -> list[object]:
    """So many values, drawn by hypothesis: always the same ones, or those of a seed."""
    found: list[object] = []

    @hypothesis.settings(
        max_examples=count,
        derandomize=seed is None,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(of)
    def draw(value: object) -> None:
        found.append(value)

    (draw if seed is None else hypothesis.seed(seed)(draw))()
    return found


def combined(count: int, seed: int) -> list[object]:
    """So many values, put together at random, to depth 5, of what hypothesis has drawn: a hundred times cheaper."""
    rng = random.Random(seed)
    keys, leaves = examples(400, seed=seed, of=KEYS), examples(400, seed=seed, of=LEAVES)
    orders = [examples(60, seed=seed, of=order) for order in ORDERED]

    def some(items: list) -> list:
        return rng.choices(items, k=rng.randrange(5))

    def items(depth: int) -> list:
        return [value(depth - 1) for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))]

    def pairs(depth: int, keys: list) -> dict:
        return dict(zip(rng.choices(keys, k=3), items(depth), strict=False))

    kinds: list[Callable[[int], object]] = [
        items,
        lambda depth: tuple(items(depth)),
        lambda depth: deque(items(depth), rng.choice((None, None, 2))),
        lambda depth: pairs(depth, keys),
        lambda depth: OrderedDict(pairs(depth, keys)),
        lambda depth: defaultdict(list, pairs(depth, keys)),
        lambda depth: Sorted(pairs(depth, rng.choice(orders))),
        lambda depth: Sorted(set(some(rng.choice(orders)))),
        lambda depth: Counter(some(keys)),
        lambda depth: set(some(keys)),
        lambda depth: frozenset(some(keys)),
        lambda depth: rng.choice(leaves),
    ]

    def value(depth: int) -> object:
        while depth:
            # Not all keys of one hash can be compared: no builtin takes these.
            with contextlib.suppress(TypeError):
                return rng.choice(kinds)(depth)
        return rng.choice(leaves)

    return [value(rng.randrange(6)) for _ in range(count)]


def survive(values: list[object], directory: Path) -> None:
    """Stores them, and lets a process with another hash seed look."""
    path, expected = directory / "universe.pool", directory / "expected"
    with pmemobj.open(path, "x", max_size=256 << 20, sync="manual") as pool:
        pool.root = []
        for start in range(0, len(values), 1000):
            pool.root.extend([placed(value, pool) for value in values[start : start + 1000]])
    expected.write_bytes(pickle.dumps([plain(value) for value in values]))
    environment = os.environ | {"PYTHONHASHSEED": str(len(values) % 1000 + 1), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.values.universe", str(path), str(expected)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    path.unlink()
    assert done.stdout.strip() == str(len(values)), done.stdout + done.stderr


if __name__ == "__main__":
    print(compare(*sys.argv[1:]))
