"""Every kind of value comes back as it was, with its own type, from every place it can be stored in."""

import math
import os
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pmemobj
from pmemobj import PersistentObject

INTS = [
    0,
    1,
    -1,
    2**61,
    2**62 - 1,
    2**62,
    -(2**62),
    -(2**62) - 1,
    2**63,
    2**64,
    -(2**64),
    10**100,
    -(10**99),
    1 << 999,
]
FLOATS = [
    0.0, -0.0, 1.0, -1.5, math.pi, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2.0**-255, 2.0**-256, 2.0**256,
    2.0**255, 1e-300, -1e300,
]  # fmt: skip
STRINGS = [
    "", "a", "abcdefg", "abcdefgh", "a\0b", "\0" * 7, "\0" * 9, "é", "ÿ" * 9, "\u0100", "mixed é \u20ac", "\ud800",
    "x\udfff\ud800", "\U0001f600", "a\U0010ffff" * 5, "long" * 20_000, "\x7f" * 7, "\x80",
]  # fmt: skip
BYTES = [b"", b"a", b"abcdefg", b"abcdefgh", b"\0" * 7, b"\xff" * 7, bytes(range(256)), b"long" * 20_000]
OTHERS = [None, True, False, ..., NotImplemented, 1 + 2j, complex(-0.0, math.inf), complex(math.nan, 0.0)]
ATOMS = INTS + FLOATS + STRINGS + BYTES + OTHERS
TUPLES = [
    (), (1,), ((),), (((((1,),),),),), tuple(range(300)), ("a", (b"b", ("a string that needs a block",) * 3)),
    frozenset(), frozenset({1, "a", None}), frozenset({frozenset({(1, 2)}), frozenset()}), (frozenset({()}), ()),
    ("x" * 10_000,) * 3,
]  # fmt: skip


class Holder(PersistentObject):
    pass


def same(a, b):
    """Equal, of the same types throughout, floats bit for bit."""
    if type(a) is not type(b):
        return False
    if type(a) is float:
        return struct.pack("d", a) == struct.pack("d", b)
    if type(a) is complex:
        return same(a.real, b.real) and same(a.imag, b.imag)
    if type(a) is tuple:
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("values", [ATOMS, TUPLES], ids=["atoms", "tuples"])
def test_every_value_in_every_place(pool, reopen, values):
    root = pool.root = pool.new(Holder)
    empty = pool._allocated()
    root.list = values
    root.dict = dict(enumerate(values))
    root.nested = tuple(values)
    for i, value in enumerate(values):
        setattr(root, f"v{i}", value)

    def check(root):
        assert same(tuple(root.list), tuple(values)) and same(root.nested, tuple(values))
        for i, value in enumerate(values):
            assert same(getattr(root, f"v{i}"), value), repr(value)[:80]
            assert same(root.dict[i], value)

    check(root)
    del root
    root = reopen(pool).root
    check(root)
    pool = root._p_mm
    pool._check_references()
    for name in vars(root):
        setattr(root, name, None)
    del root
    pool.root = None
    assert pool._allocated()[0] <= empty[0] + 40_000  # the names of the attributes


@pytest.mark.parametrize("values", [ATOMS, TUPLES], ids=["atoms", "tuples"])
def test_every_value_as_a_key(pool, reopen, values):
    keys = {key: i for i, key in enumerate(values)}
    pool.root = {"dict": keys, "set": set(keys)}
    for again in (False, True):
        root = reopen(pool).root if again else pool.root
        assert len(root["dict"]) == len(root["set"]) == len(keys)
        for key, i in keys.items():
            if key == key:  # a NaN is found by identity only
                assert root["dict"][key] == i and key in root["set"]
    root["dict"]._check()
    root["set"]._check()


def test_every_value_as_the_root(pool):
    before = pool._allocated()[0]
    for value in ATOMS + TUPLES:
        pool.root = value
        assert same(pool.root, value)
    pool.root = None
    assert pool._allocated()[0] == before


def test_nan_bits(pool):
    nans = [
        struct.unpack("d", struct.pack("Q", bits))[0]
        for bits in (0x7FF8 << 48, 0xFFF8 << 48, (0x7FF8 << 48) + 5)
    ]
    pool.root = nans
    assert [struct.pack("d", x) for x in pool.root] == [struct.pack("d", x) for x in nans]


atoms = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.binary(max_size=20)
    | st.text(st.characters(), max_size=20)
)  # fmt: skip
deep = st.recursive(atoms, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=12)


@given(value=deep)
def test_any_value(pool, value):
    pool.root = value
    assert same(pool.root, value)
    pool.root = [value, (value, value)]
    assert same(pool.root[0], value) and same(pool.root[1], (value, value))


def test_deep_nesting(pool):
    value = ()
    for _ in range(300):
        value = (value,)
    pool.root = value
    assert pool.root == value
    for make in (lambda v: (v,), lambda v: [v], lambda v: {"a": v}):
        value = 1
        for _ in range(100_000):
            value = make(value)
        with pytest.raises(RecursionError):
            pool.root = value
        while value != 1:  # its own destruction, one step at a time
            value = value["a"] if type(value) is dict else value[0]
    assert type(pool.root) is tuple


OTHER_PROCESS = """
import sys, pmemobj
sys.path.insert(0, sys.argv[2])
import test_every_value as t
with pmemobj.open(sys.argv[1]) as pool:
    root = pool.root
    assert t.same(tuple(root["values"]), tuple(t.ATOMS + t.TUPLES))
    expected = {key: i for i, key in enumerate(reversed(t.ATOMS + t.TUPLES))}
    for key in t.ATOMS + t.TUPLES:
        if key == key:
            assert root["keys"][key] == expected[key]
            assert key in root["set"] and (key, "in a tuple") in root["set"]
    root["keys"]["added by " + sys.argv[3]] = 1
    root["keys"]._check()
    root["set"]._check()
    print(hash("a string"))
"""


def test_other_processes_find_the_same_keys(pool, pool_path):
    """PYTHONHASHSEED does not matter."""
    values = ATOMS + TUPLES
    pool.root = {
        "values": values,
        "keys": {key: i for i, key in enumerate(reversed(values))},
        "set": {*values, *((key, "in a tuple") for key in values)},
    }
    pool.close()
    hashes = set()
    for seed in ("1", "77", "random"):
        done = subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, str(pool_path), __file__.rpartition("/")[0], seed],
            env=os.environ | {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        hashes.add(done.stdout)
    assert len(hashes) > 1  # so str hashes did differ
    with pmemobj.open(pool_path) as pool:
        assert [key for key in pool.root["keys"] if type(key) is str and "added" in key] == [
            "added by 1", "added by 77", "added by random",
        ]  # fmt: skip
