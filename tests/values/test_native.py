"""Values of the standard library, NumPy's scalars, and users' enumerations, named tuples and frozen dataclasses."""

import dataclasses
import datetime as dt
import decimal
import enum
import itertools
import os
import subprocess
import sys
from collections import namedtuple
from decimal import Decimal
from fractions import Fraction

import native_values as n
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pmemobj
from pmemobj import _values

VALUES = n.VALUES + [value for value in n.NO_KEYS if not (isinstance(value, Decimal) and value.is_snan())]


def test_every_value_in_every_place(pool, reopen):
    before = pool._allocated()[0]
    pool.root = {"list": VALUES, "dict": dict(enumerate(VALUES)), "tuple": tuple(VALUES)}

    def check(root):
        for i, value in enumerate(VALUES):
            assert n.same(root["list"][i], value) and n.same(root["dict"][i], value), repr(value)
            assert n.same(root["tuple"][i], value), repr(value)

    check(pool.root)
    root = reopen(pool).root
    check(root)
    pool = root._p_mm
    assert pool.check().ok
    del root
    pool.root = None
    assert pool._allocated()[0] == before


def test_every_value_as_a_key(pool):
    for key in n.VALUES:
        pool.root = {"dict": {key: "found"}, "set": {key}}
        assert pool.root["dict"][key] == "found" and key in pool.root["set"], repr(key)
        pool.root["set"].remove(key)
        assert pool.root["dict"].pop(key) == "found" and not pool.root["dict"]


@pytest.mark.parametrize("group", n.EQUAL, ids=lambda group: repr(group[0])[:30])
def test_equal_keys_are_one_key(pool, group):
    assert len(dict.fromkeys(group)) == 1
    for first, second in itertools.permutations(group, 2):
        pool.root = {}
        table = pool.root
        table[first] = "first"
        assert second in table and table[second] == "first", (first, second)
        table[second] = "second"
        table.update({second: "third", "another": 1})
        assert table == {first: "third", "another": 1} and n.same(next(iter(table)), first)
        assert table.setdefault(second, 5) == "third"
        pool.root = {first}
        pool.root.add(second)
        pool.root |= {second, "another"}
        assert pool.root == {second, "another"} and len(pool.root & {second}) == 1
        pool.root = [first]
        assert pool.root.index(second) == 0 and second in pool.root and pool.root.count(second) == 1


def test_keys_that_only_hash_alike(pool):
    """Found inside an operation, where nothing can be compared by Python: the operation begins anew."""
    modulus = sys.hash_info.modulus
    alike = {Decimal(modulus + 1): "decimal", 1: "int", Fraction(2 * modulus + 1): "fraction"}
    assert len({hash(key) for key in alike}) == 1
    pool.root = {}
    for key, value in alike.items():
        pool.root[key] = value
    assert pool.root == alike
    pool.root = {Decimal(modulus + 1): "decimal"}
    pool.root.update({1: "int", "b": 2})
    pool.root.update(alike)
    assert pool.root == alike | {"b": 2}
    pool.root._check()
    assert pool.new(pmemobj.PersistentDict, alike) == alike
    assert pool.new(pmemobj.PersistentSet, alike) == set(alike)


def test_an_abort_takes_them_back(pool):
    pool.root = {Decimal(1): [dt.date(2020, 1, 1)]}
    before = pool._allocated()
    with pytest.raises(KeyError), pool.transaction():
        pool.root[1] = n.Money(Decimal(5))
        pool.root[n.Color.RED] = n.Point(1, 2)
        pool.root[Decimal(1)] = dt.timedelta(1)
        with pytest.raises(ZeroDivisionError), pool.transaction():
            del pool.root[Fraction(1)]
            raise ZeroDivisionError
        assert pool.root == {1: dt.timedelta(1), n.Color.RED: (1, 2)}
        raise KeyError
    assert pool.root == {1: [dt.date(2020, 1, 1)]} and pool.check().ok
    pool.gc()
    assert pool._allocated()[0] == before[0]


OTHER_PROCESS = """
import sys, pmemobj
sys.path.insert(0, sys.argv[2])
import native_values as n
with pmemobj.open(sys.argv[1]) as pool:
    root = pool.root
    for i, value in enumerate(n.VALUES):
        assert n.same(root["values"][i], value) or "uuid1" in repr(n.uuid.uuid1), value
    for i, group in enumerate(n.EQUAL):
        for key in group:
            assert root["keys"][key] == i, key
    for key, i in zip([v for v in n.VALUES if not isinstance(v, n.uuid.UUID)], root["numbers"]):
        assert root["all"][key] == i, key
    assert pool.check().ok
    print(hash("a string"))
"""


def test_other_processes_find_the_same(pool, pool_path):
    keys = [value for value in n.VALUES if not isinstance(value, n.uuid.UUID)]
    table = {key: i for i, key in enumerate(keys)}
    pool.root = {
        "values": [value if not isinstance(value, n.uuid.UUID) else None for value in n.VALUES],
        "keys": {group[i % len(group)]: i for i, group in enumerate(n.EQUAL)},
        "all": table,
        "numbers": [table[key] for key in keys],
    }
    pool.close()
    hashes = set()
    for seed in ("1", "77"):
        done = subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, str(pool_path), os.path.dirname(__file__)],
            env=os.environ | {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        hashes.add(done.stdout)
    assert len(hashes) > 1  # so str hashes did differ


# --- any value


zones = st.sampled_from([None, dt.UTC, n.zoneinfo.ZoneInfo("America/New_York")])
atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
    st.decimals(allow_nan=False), st.fractions(), st.dates(), st.times(timezones=zones), st.timedeltas(), st.uuids(),
    st.datetimes(timezones=zones), st.ip_addresses(), st.sampled_from([*n.Color, *n.Level, *n.Word, n.Right(3)]),
    st.builds(range, st.integers(), st.integers(), st.integers(1)), st.integers(-128, 127).map(np.int8),
    st.floats(allow_nan=False, width=32).map(np.float32), st.sampled_from([int, n.Money, len, n.function]),
)  # fmt: skip
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.builds(n.Point, inner, inner),
        st.builds(n.Slotted, inner, inner),
    ),
    max_leaves=8,
)


def comparable(value):
    try:
        return value == value and hash(value) is not None
    except (TypeError, decimal.InvalidOperation, OverflowError):
        return False


@given(value=values)
def test_any_value(pool, value):
    pool.root = [value, {"key": value}, (value, (value,))]
    assert n.same(pool.root[0], value) and n.same(pool.root[1]["key"], value)
    assert n.same(pool.root[2], (value, (value,)))


@given(keys=st.lists(values.filter(comparable), max_size=8))
def test_any_keys(pool, keys):
    try:
        expected = {key: i for i, key in enumerate(keys)}
    except TypeError:  # Decimal and NumPy integers cannot be compared
        return
    pool.root = {}
    for i, key in enumerate(keys):
        pool.root[key] = i
    assert list(map(repr, pool.root)) == list(map(repr, expected)) and pool.root == expected
    pool.root = expected
    assert all(pool.root[key] == expected[key] for key in keys)


# --- what cannot be stored, or not found again


def local_classes():
    class Local(enum.Enum):
        A = 1

    @dataclasses.dataclass(frozen=True)
    class Frozen:
        a: int

    return [Local.A, Frozen(1), Local, namedtuple("Elsewhere", "a")(1)]


@dataclasses.dataclass
class Mutable:
    a: int


def with_attribute():
    child = n.Child(1, 2)
    child.note = "lost"
    return child


class Zone(dt.tzinfo):
    pass


@pytest.mark.parametrize(
    ("value", "message"),
    [
        *((value, "could not be found again") for value in local_classes()),
        (lambda: 1, "could not be found again"),
        ([].append, "method"),
        (Mutable(1), "cannot be stored"),
        (with_attribute(), "'note'"),
        (dt.datetime(2020, 1, 1, tzinfo=Zone()), "Zone cannot be stored"),
        (np.array([(1, None)], dtype=[("a", "i4"), ("b", "O")])[0], "Python objects"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_stored(pool, value, message):
    pool.root = before = ["before"]
    with pytest.raises(TypeError, match=message):
        pool.root.append(value)
    assert pool.root == before and pool.check().ok


@pytest.mark.parametrize("key", [n.OwnHash(1), n.NamedOwnHash("a")], ids=lambda k: type(k).__name__)
def test_own_hashes_are_no_keys(pool, key):
    pool.root = {}
    with pytest.raises(TypeError, match="cannot be a key"):
        pool.root[key] = 1
    assert key not in pool.root and pool.root.get(key) is None
    pool.root["value"] = key
    assert pool.root["value"] == key


def test_a_stable_key_makes_them_keys(pool):
    pmemobj.register(n.OwnHash, lambda v: v.a, n.OwnHash, "own hash", stable_key=lambda v: v.a % 7)
    try:
        pool.root = {n.OwnHash(1): "one", n.OwnHash(8): "eight", n.OwnHash(2): "two"}
        assert pool.root[n.OwnHash(8)] == "eight" and pool.root[n.OwnHash(1)] == "one" and len(pool.root) == 3
        assert n.OwnHash(15) not in pool.root
    finally:
        pmemobj.register(n.OwnHash, lambda v: v.a, n.OwnHash, "own hash")
    with pytest.raises(TypeError, match="callable"):
        pmemobj.register(n.OwnHash, lambda v: v.a, n.OwnHash, stable_key=5)
    with pytest.raises(ValueError, match="pmemobj's own"):
        pmemobj.register(n.OwnHash, lambda v: v.a, n.OwnHash, "enum")


def test_classes_that_have_changed(pool, monkeypatch):
    pool.root = [n.Color.RED, n.Named("a", 1), n.Money(Decimal(1)), n.Point(1, 2), len]
    color, named, money, point, _ = (lambda i=i: pool.root[i] for i in range(5))

    monkeypatch.setattr(n, "Color", enum.Enum("Color", "BLUE", module=n.__name__))
    with pytest.raises(pmemobj.ClassNotFoundError, match="no member 'RED'"):
        color()
    monkeypatch.setattr(n, "Named", namedtuple("Named", "name size more", defaults=[9]))
    assert named() == ("a", 1, 9) and type(named()) is n.Named
    monkeypatch.setattr(n, "Named", namedtuple("Named", "name size more"))
    with pytest.raises(pmemobj.ClassNotFoundError, match="give it a default"):
        named()
    monkeypatch.setattr(n, "Named", namedtuple("Named", "name"))
    with pytest.raises(pmemobj.ClassNotFoundError, match="1 fields, a stored value 2"):
        named()

    def fields(*names, **defaults):
        made = [(name, object) for name in names]
        made += [(name, object, dataclasses.field(default=value)) for name, value in defaults.items()]
        return dataclasses.make_dataclass("Money", made, frozen=True)

    monkeypatch.setattr(n, "Money", fields("currency", note="new"))
    assert vars(money()) == {"currency": "EUR", "note": "new", "amount": Decimal(1)}
    monkeypatch.setattr(n, "Money", fields("amount", "missing"))
    with pytest.raises(pmemobj.ClassNotFoundError, match="'missing'"):
        money()
    monkeypatch.setattr(n, "Money", Mutable)
    with pytest.raises(pmemobj.ClassNotFoundError, match="no frozen dataclass any more"):
        money()
    monkeypatch.delattr(n, "Point")
    with pytest.raises(pmemobj.ClassNotFoundError, match="has no Point"):
        point()
    assert pool.check().ok


def test_no_module_is_imported_for_a_pool(pool, pool_path):
    pool.root = n.Color.RED
    pool.close()
    program = (
        "import sys, pmemobj\n"
        "with pmemobj.open(sys.argv[1]) as pool:\n"
        "    try: pool.root\n"
        "    except pmemobj.ClassNotFoundError as error: print(error)\n"
        "    assert 'native_values' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(pool_path)],
        env=os.environ | {"PYTHONPATH": ":".join([os.path.dirname(__file__), *sys.path])},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "import native_values before reading it" in done.stdout


@dataclasses.dataclass(frozen=True)
class Saved:
    number: int

    def save(self):
        return "its own"


def test_a_pool_replaces_no_method_of_a_frozen_dataclass(pool):
    value = Saved(1)
    for name in ("save", "__deepcopy__", "note"):
        object.__setattr__(value, name, len)
    pool.root = value
    assert vars(pool.root) == {"number": 1, "note": len} and pool.root.save() == "its own"
    assert pool.root == Saved(1)


class Crafted:
    def __init__(self, payload):
        self.payload = payload


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("enum", ("os:system", "A")),
        ("enum", ("native_values:Color", ("__class__",))),
        ("named", ("subprocess:Popen", ("true",))),
        ("named", ("native_values:Level", 1)),
        ("frozen", ("os:_Environ", "a", 1)),
        ("frozen", ("native_values:Money", "__class__", int)),
        ("frozen", ("native_values:Money", "a,b,c", 1)),
        ("type", "os:environ"),
        ("type", ("os", "system")),
        ("func", "native_values:VALUES"),
        ("func", "no such module:name"),
        ("func", ""),
        ("func", "native_values:Money.__init__.__globals__"),
        ("decimal", ("a",)),
        ("decimal", "not a number"),
        ("dt", 10**30),
        ("dt", (0, 5, "no zone")),
        ("path", (77, "a")),
        ("zone", "../../../etc/passwd"),
        ("numpy", ("O", b"12345678")),
        ("numpy", ("<f8", b"")),
        ("range", (1, 2, 0)),
        ("uuid", b"too short"),
    ],
)
def test_crafted_values_run_nothing(pool, name, payload):
    """As a pool from somebody else may hold them."""
    _values.add_codec(Crafted, _values.Codec(name, lambda crafted: crafted.payload, None))
    native = pmemobj.native.codec_of_name(name)
    try:
        pool.root = [Crafted(payload)]
        _values.add_codec(Crafted, native)  # reading finds the codec of this name
        with pytest.raises(pmemobj.PmemobjError):
            pool.root[0]
        assert pool.check().ok
        pool.root = None
    finally:
        _values.add_codec(Crafted, _values.Codec("crafted", lambda crafted: crafted.payload, None))
