"""pool.persist_via_pickle(): nominated immutable types are stored as pickles, and nothing else is unpickled."""

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import os
import pathlib
import pickle
import zoneinfo

import pytest

import pmemobj
from pmemobj import ClassNotFoundError


class Color(enum.Enum):
    RED = 1
    GREEN = "g"


class Flags(enum.Flag):
    A = 1
    B = 2


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass(frozen=True)
class Money:
    amount: int
    currency: str


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: int


class Outer:
    class Inner(str):
        pass


class Holder(pmemobj.PersistentObject):
    pass


class Dangerous:
    """Its pickle calls another function than its class."""

    def __reduce__(self):
        return os.getcwd, ()


class InAPool:
    """Stands for a container of the pool in a list of values that is made before there is one."""

    held = None

    def __reduce__(self):
        return list, (self.held,)


class Needs:
    """Its pickle needs another class."""

    def __init__(self, other):
        self.other = other


class Changed:
    def __reduce__(self):
        return int, (5,)


class Unpicklable:
    def __reduce__(self):
        raise pickle.PicklingError("never")


ZONE = zoneinfo.ZoneInfo("UTC")


@dataclasses.dataclass(frozen=True)
class Late:
    """Pickled first, registered later; in no other test, since a registration stays."""

    number: int


VALUES = [
    decimal.Decimal("1.10"), fractions.Fraction(1, 3), datetime.date(2020, 2, 29),
    datetime.datetime(2020, 2, 29, 1, 2, 3, 4), datetime.timedelta(1, 2, 3), Color.RED, Color.GREEN, Flags.A | Flags.B,
    Point(1, "two"), Money(5, "EUR"), Slotted(3), Outer.Inner("text"), pathlib.PurePosixPath("/a/b"), range(3),
    datetime.timezone(datetime.timedelta(hours=1)), ZONE, datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    datetime.datetime(2020, 1, 1, tzinfo=ZONE),
]  # fmt: skip
TYPES = sorted({type(value) for value in VALUES}, key=str)


def test_values_of_the_library(pool, reopen):
    pool.persist_via_pickle(*TYPES)
    pool.root = VALUES
    pool.root.append((1, (VALUES[0], {"a": VALUES[1]})))
    pool = reopen(pool)
    pool.persist_via_pickle(*TYPES)
    loaded = list(pool.root)
    assert loaded[:-1] == VALUES and [type(v) for v in loaded[:-1]] == [type(v) for v in VALUES]
    assert loaded[-1][1][0] == VALUES[0] and loaded[-1][1][1]["a"] == VALUES[1]
    pool._check_references()
    pool.root = None
    del loaded
    assert pool._allocated()[0] == 0


def test_as_attributes(pool, reopen):
    pool.persist_via_pickle(Money)
    o = pool.root = pool.new(Holder)
    o.price = Money(1, "EUR")
    pool = reopen(pool)
    with pytest.raises(ClassNotFoundError, match="persist_via_pickle"):
        _ = pool.root.price
    pool.persist_via_pickle(Money)
    assert pool.root.price == Money(1, "EUR")


def test_not_nominated(pool):
    pool.persist_via_pickle(Money)
    with pytest.raises(TypeError, match=r"Inner cannot be stored.*\(at value\[1\]\)"):
        pool.root = [Money(1, "EUR"), Outer.Inner("text")]


def test_only_exact_types(pool):
    class Sub(Money):
        pass

    pool.persist_via_pickle(Money)
    with pytest.raises(TypeError, match="cannot be stored"):
        pool.root = Sub(1, "EUR")


def test_nominations_are_per_handle(pool, reopen, tmp_path):
    pool.persist_via_pickle(Outer.Inner)
    pool.root = {"d": Outer.Inner("1"), "t": (Outer.Inner("2"),), "n": 1}
    pool = reopen(pool)
    for key in "dt":
        with pytest.raises(ClassNotFoundError, match=r"Outer\.Inner .*persist_via_pickle\(Outer\.Inner\)"):
            _ = pool.root[key]
    with pytest.raises(TypeError, match="cannot be stored"):
        pool.root["x"] = Outer.Inner("1")
    assert pool.root["n"] == 1 and list(pool.root) == ["d", "t", "n"]
    pool.persist_via_pickle(Outer.Inner)
    assert pool.root["d"] == "1"
    with pmemobj.open(tmp_path / "other.pool", max_size=16 << 20) as other, pytest.raises(TypeError):
        other.root = Outer.Inner("1")


@pytest.mark.parametrize(
    "cls", [list, dict, set, bytearray, collections.deque, collections.OrderedDict, collections.Counter]
)
def test_mutable_types_are_refused(pool, cls):
    with pytest.raises(TypeError, match="mutable"):
        pool.persist_via_pickle(Outer.Inner, cls)
    with pytest.raises(TypeError, match="cannot be stored"):
        pool.root = Outer.Inner("text")  # none of them was nominated


@pytest.mark.parametrize(
    "cls", [int, str, tuple, frozenset, type(None), pmemobj.PersistentList, Holder, 5, "Money"]
)
def test_what_cannot_be_nominated(pool, cls):
    with pytest.raises(TypeError):
        pool.persist_via_pickle(cls)


def test_local_classes_are_refused(pool):
    class Local:
        pass

    with pytest.raises(TypeError, match="inside a function"):
        pool.persist_via_pickle(Local)


@pytest.mark.parametrize(
    "value, message",
    [
        (Dangerous(), r"getcwd, which this pool has not nominated"),
        (Needs(Money(1, "EUR")), r"Money, which this pool has not nominated"),
        (Needs(os.getcwd), r"getcwd, which"),
        (Needs(eval), r"eval, which"),
        (Needs(getattr), r"getattr, which"),
        (Changed(), "comes back as a int"),
        (Unpicklable(), "never"),
        (Needs(lambda: 5), "cannot be stored as a pickle"),
        (Needs(InAPool()), "it holds a PersistentList, which lives in a pool"),
    ],
)
def test_what_could_not_be_loaded_is_not_stored(pool, value, message):
    pool.persist_via_pickle(Dangerous, Needs, Changed, Unpicklable)
    pool.root = "before"
    InAPool.held = pool.new(pmemobj.PersistentList)
    before = pool._allocated()
    with pytest.raises(TypeError, match=message):
        pool.root = [1, value]
    assert pool.root == "before" and pool._allocated() == before


def test_what_the_values_need_is_nominated_too(pool, reopen):
    pool.persist_via_pickle(Needs, Money)
    pool.root = Needs((1, [2, {3}], Money(1, "EUR")))
    pool = reopen(pool)
    pool.persist_via_pickle(Needs)
    with pytest.raises(ClassNotFoundError, match=r"needs test_pickle\.Money.*nominate"):
        _ = pool.root
    pool.persist_via_pickle(Needs, Money)
    assert pool.root.other == (1, [2, {3}], Money(1, "EUR"))


CALLED = []


def attack(*args):
    CALLED.append(args)


class Attack:
    """A pickle that calls something at load, smuggled past the check at store."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


ATTACKS = [
    Attack(attack, 1),
    Attack(eval, "test_pickle.CALLED.append(1)"),
    Attack(exec, "1"),
    Attack(getattr, Money, "__init__"),
    Attack(getattr, Money, "__class__"),
    Attack(getattr, int, "from_bytes"),
    Attack(getattr, attack, "__globals__"),
    Attack(__import__, "os"),
    Attack(os.system, "true"),
    Attack(type, "X", (), {}),
]


@pytest.mark.parametrize("number", range(len(ATTACKS)))
def test_a_hostile_pickle(pool, number, monkeypatch):
    pool.persist_via_pickle(Money)
    data = pickle.dumps(ATTACKS[number], 5)
    monkeypatch.setattr(pmemobj.pickling, "dumps", lambda value, nominated: data)
    pool.root = [Money(1, "EUR"), (Money(1, "EUR"),)]
    for read in (lambda: pool.root[0], lambda: pool.root[1], lambda: pool.to_python(pool.root)):
        with pytest.raises(ClassNotFoundError, match="cannot be loaded"):
            read()
    assert not CALLED


def test_pickled_values_are_no_keys(pool):
    pool.persist_via_pickle(Money)
    pool.root = {}
    with pytest.raises(TypeError, match="cannot be a key"):
        pool.root[Money(1, "EUR")] = 1
    with pytest.raises(TypeError, match="cannot be a key"):
        pool.root[1, Money(1, "EUR")] = 1
    with pytest.raises(TypeError, match="cannot be a key"):
        pool.root = {Money(1, "EUR")}


def test_registered_goes_before_pickled(pool, reopen):
    """Direct support added later: old values are still loaded from their pickles."""
    pool.persist_via_pickle(Late)
    pool.root = [Late(1)]
    pmemobj.register(Late, lambda late: late.number, Late)
    pool.root.append(Late(2))
    assert list(pool.root) == [Late(1), Late(2)]
    pool = reopen(pool)
    assert pool.root[1] == Late(2)
    with pytest.raises(ClassNotFoundError):
        _ = pool.root[0]


def test_undone(pool):
    pool.persist_via_pickle(Money)
    pool.root = [Money(1, "EUR")]
    before = pool._allocated()
    with pool.transaction() as tx:
        pool.root[0] = Money(2, "EUR")
        pool.root.append(Money(3, "EUR"))
        tx.abort()
    assert list(pool.root) == [Money(1, "EUR")] and pool._allocated() == before
