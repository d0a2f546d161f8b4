"""Any value that a pool can hold, nested to depth 5, in any container; stored, and compared in another process.

python -m tests.values.universe POOL EXPECTED       compares what the pool holds with the pickle of what it must hold
"""

import datetime as dt
import math
import os
import pickle
import subprocess
import sys
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from fractions import Fraction
from ipaddress import ip_address
from pathlib import Path, PurePosixPath

import hypothesis
from hypothesis import strategies as st

import pmemobj
from tests.values.native_values import Color, Mask, Named, Word

ROOT = Path(__file__).resolve().parents[2]

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
    st.datetimes(timezones=st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=3))])),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([*Color, *Word, *Mask, Mask.LOW | Mask.HIGH, ..., NotImplemented, int, len, uuid.UUID]),
    st.builds(Named, st.text(max_size=9), st.integers()),
    st.builds(range, st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 9)),
    st.ip_addresses(),
    st.just(PurePosixPath("a/b")),
    st.just(ip_address("::1")),
    st.just(Fraction(1, 3)),
)
LEAVES = KEYS | st.floats() | st.builds(slice, st.integers(), st.none())


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
    return a == b


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


def examples(count: int, *, seed: int | None = None) -> list[object]:
    """So many values, drawn by hypothesis: always the same ones, or those of a seed."""
    found: list[object] = []

    @hypothesis.settings(
        max_examples=count,
        derandomize=seed is None,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(VALUES)
    def draw(value: object) -> None:
        found.append(value)

    (draw if seed is None else hypothesis.seed(seed)(draw))()
    return found


def survive(values: list[object], directory: Path) -> None:
    """Stores them, and lets a process with another hash seed look."""
    path, expected = directory / "universe.pool", directory / "expected"
    with pmemobj.open(path, "x", max_size=256 << 20, sync="manual") as pool:
        pool.root = []
        pool.root.extend(values)
    expected.write_bytes(pickle.dumps(values))
    environment = os.environ | {"PYTHONHASHSEED": str(len(values) % 1000 + 1), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.values.universe", str(path), str(expected)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    path.unlink()
    assert done.stdout.strip() == str(len(values)), done.stdout + done.stderr


if __name__ == "__main__":
    print(compare(*sys.argv[1:]))
