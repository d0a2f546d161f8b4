"""Typed fields: what the annotations of a PersistentObject class let in, under every way of setting and undoing."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import functools
import operator
import typing
from collections import abc
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, NewType, Optional, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from object_support import scalars

import pmemobj
from pmemobj import PersistentDict, PersistentList, PersistentObject

if typing.TYPE_CHECKING:
    from nowhere import Missing

N = TypeVar("N", int, str)
B = TypeVar("B", bound=bytes)
T = TypeVar("T")
Meters = NewType("Meters", float)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Shaped(typing.Protocol):
    shape: int


class Options(typing.TypedDict):
    x: int


class Plain:
    limit: int


class Other(PersistentObject):
    pass


class Typed(PersistentObject):
    number: int
    real: float = 2.5
    flag: bool
    text: str = "default"
    raw: bytes
    maybe: Optional[int] = None  # noqa: UP045
    either: int | str
    nothing: None
    imaginary: complex
    anything: Any
    other: Other
    same: Self
    later: Later
    items: list[int]
    table: PersistentDict
    sequence: abc.Sequence
    mode: Literal["r", "w", 1]
    level: Level
    day: datetime.date
    length: Meters
    noted: Annotated[int, "of something"]
    fixed: Final[int] = 7
    constrained: N
    bound: B
    free: T
    shaped: Shaped
    options: Options
    pair: tuple[int, int]
    called: abc.Callable
    buffer: bytearray
    missing: Missing
    shared: ClassVar[list] = []
    init: dataclasses.InitVar[int] = 5
    _v_volatile: int


class Later(PersistentObject):
    pass


class Child(Typed):
    extra: int
    number: str


class Closed(PersistentObject, slots=True):
    x: int
    y: int = 0

    @property
    def double(self):
        return 2 * self.x

    @double.setter
    def double(self, value):
        self.x = value // 2

    def method(self):
        return self.x


class ClosedChild(Closed):
    z: int


class OpenChild(Closed, slots=False):
    pass


class Box(PersistentObject, Generic[T]):
    content: T
    count: int = 0


class Mixed(Plain, PersistentObject):
    own: int


class Ten(PersistentObject):
    first: int
    second: str
    third: float

    def __init__(self):
        self.third, self.untyped, self.first = 1.5, "untyped", 1


def objects(pool):
    return {"other": pool.new(Other), "same": pool.new(Child), "later": pool.new(Later)}


#: field -> values that it takes, values that it refuses
FIELDS = {
    "number": ([0, -(1 << 80), True, Level.HIGH], [1.0, "1", None, b"1", (1,), [1]]),
    "real": ([0.5, float("inf")], ["1", None, 1j, Decimal(1)]),
    "flag": ([True, False], [0, 1, None, "True"]),
    "text": (["", "a text that needs a block", "\U0001f600"], [b"", 1, None, ["a"]]),
    "raw": ([b"", b"bytes" * 9], ["", 1, None]),
    "maybe": ([None, 5], [1.5, "x"]),
    "either": ([5, "five", "a text that needs a block"], [None, 1.5, b"x"]),
    "nothing": ([None], [0, "", False]),
    "imaginary": ([1 + 2j], ["1", None]),
    "anything": ([1, None, "x", (1, 2), 1.5, datetime.date(2020, 1, 2)], []),
    "items": ([[], [1, "of any type"]], [(1,), {1: 1}, None, "x"]),
    "table": ([{}, {1: {2: 3}}, collections.OrderedDict(a=1)], [[], None]),
    "sequence": ([[1], (1, 2), "text"], [{1}, 5]),
    "mode": (["r", "w", 1], ["x", True, 1.0, None]),
    "level": ([Level.LOW], [1, "LOW"]),
    "day": ([datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3)], ["2020-01-02", 5]),
    "length": ([1.5], ["1", None]),
    "noted": ([3], ["3"]),
    "fixed": ([8], ["8"]),
    "constrained": ([1, "x"], [1.5, None]),
    "bound": ([b"x"], ["x"]),
    "free": ([1, "x", None], []),
    "shaped": ([1, "what only a type checker can tell"], []),
    "options": ([{"x": 1}], [[1], None]),
    "pair": ([(1, 2), (1, 2, 3)], [[1, 2], 1]),
    "called": ([len], [1]),
    "buffer": ([bytearray(b"abc"), bytearray()], [b"abc", [1]]),
    "other": ([], [1, None, "x"]),
    "same": ([], [1]),
    "later": ([], [1]),
}


def stored(value):
    return value._p_mm.to_python(value) if isinstance(value, pmemobj._core.Persistent) else value


@pytest.mark.parametrize("name", FIELDS)
def test_what_a_field_takes(pool, reopen, name):
    takes, refuses = FIELDS[name]
    o = pool.root = pool.new(Typed)
    for value in [*takes, *reversed(takes)]:  # from every kind to another; twice, so that the fast way is met
        for _ in range(2):
            setattr(o, name, value)
            assert stored(getattr(o, name)) == value
            assert type(stored(getattr(o, name))) in (type(value), dict)
        for wrong in refuses:
            with pytest.raises(TypeError, match=rf"Typed\.{name} must be .*, not {type(wrong).__name__}$"):
                setattr(o, name, wrong)
            assert stored(getattr(o, name)) == value
    assert pool.check().ok and pool._check_references()
    if takes:
        assert stored(getattr(reopen(pool).root, name)) == takes[0]


def test_references(pool):
    o, made = pool.new(Typed), objects(pool)
    for name, value in made.items():
        setattr(o, name, value)
        assert getattr(o, name) is value
        with pytest.raises(TypeError, match=rf"Typed\.{name} must be \w+, not PersistentList"):
            setattr(o, name, pool.new(PersistentList))
    o.items = o.sequence = pool.new(PersistentList, [1])
    o.items.append(2)
    assert o.sequence == [1, 2]


class Both(PersistentObject):
    plain: np.ndarray
    typed: npt.NDArray[np.float64] | None
    ours: pmemobj.PersistentArray
    raw: bytearray
    ours_raw: pmemobj.PersistentByteArray
    items: list
    ours_items: PersistentList
    queue: collections.deque
    ours_queue: pmemobj.PersistentDeque


def test_plain_and_persistent_take_each_other(pool, reopen):
    o = pool.root = pool.new(Both)
    values = {
        ("plain", "typed", "ours"): np.arange(3.0),
        ("raw", "ours_raw"): bytearray(b"abc"),
        ("items", "ours_items"): [1, 2],
        ("queue", "ours_queue"): collections.deque([1, 2], 3),
    }
    for names, value in values.items():
        persistent = pool.new(PersistentList)
        persistent.append(value)
        for name in names:
            setattr(o, name, value)
            made = getattr(o, name)
            assert type(made) is type(persistent[0]) and list(made) == list(value)
            setattr(o, name, persistent[0])
            assert getattr(o, name) is persistent[0]
            for wrong in (
                (1, 2),
                np.float64(1),
                "ab",
                {1: 2},
                *[x for ns, x in values.items() if ns != names],
            ):
                with pytest.raises(TypeError, match=rf"Both\.{name} must be"):
                    setattr(o, name, wrong)
    with pytest.raises(TypeError, match=r"Both\.plain must be"):
        o.plain = np.arange(3).view(np.recarray)[:0].tolist()
    del o, made, persistent
    assert reopen(pool).root.typed.tolist() == [0, 1, 2]


def test_an_int_is_a_float_where_a_float_is_declared(pool):
    o = pool.new(Typed)
    for value in (3, True, Level.HIGH, 1 << 80):
        for _ in range(2):
            o.real = value
            assert type(o.real) is float and o.real == value
    o.length, o.imaginary = 3, 2
    assert type(o.length) is float and type(o.imaginary) is complex
    with pytest.raises(OverflowError, match=r"Typed\.real must be float: int too large"):
        o.real = 1 << 5000
    assert o.real == 1 << 80


def test_defaults(pool):
    o = pool.new(Typed)
    assert (o.real, o.text, o.maybe, o.fixed, o.init) == (2.5, "default", None, 7, 5) and vars(o) == {}
    with pytest.raises(AttributeError, match="number"):
        _ = o.number
    o.text = "own"
    del o.text
    assert o.text == "default"


def test_a_default_that_all_would_share_is_refused():
    for default in ([], {}, set(), collections.deque(), bytearray(), collections.Counter(), np.zeros(2)):
        kind = type(default).__name__
        body = {"__annotations__": {"x": Any, "_v_x": Any, "c": ClassVar[Any]}, "_v_x": default, "c": default}
        type("Good", (PersistentObject,), dict(body))
        with pytest.raises(
            TypeError, match=rf"Bad\.x is a {kind}, which all objects would share.*default_factory"
        ):
            type("Bad", (PersistentObject,), body | {"x": default})


def test_what_is_no_field_takes_anything(pool):
    o = pool.new(Typed)
    o.unannotated = "anything"
    o.shared = o.init = "stored"
    o._v_volatile = object()
    assert vars(o) == {"unannotated": "anything", "shared": "stored", "init": "stored"}


def test_what_cannot_be_evaluated(pool):
    o = pool.new(Typed)
    for _ in range(2):
        with pytest.raises(
            TypeError, match=r"Typed\.missing is declared as 'Missing', which .*NameError.*Any"
        ):
            o.missing = 1
    globals()["Missing"] = int
    try:
        o.missing = 1
        with pytest.raises(TypeError, match=r"must be Missing, not str"):
            o.missing = "x"
    finally:
        del globals()["Missing"]


def test_inheritance(pool):
    o = pool.new(Child)
    o.number, o.extra, o.real = "a text here", 5, 1
    for name, wrong in {"number": 1, "extra": "x", "real": "x"}.items():
        with pytest.raises(TypeError, match=rf"Child\.{name}"):
            setattr(o, name, wrong)
    o = pool.new(Box[int])
    o.content = "only a type checker knows T"
    with pytest.raises(TypeError, match=r"Box\.count must be int"):
        o.count = "x"
    o = pool.new(Mixed)
    o.limit = o.own = 3
    with pytest.raises(TypeError, match=r"Mixed\.limit must be int"):
        o.limit = "3"


def test_slots(pool, reopen):
    o = pool.root = pool.new(Closed)
    o.x, o.y = 1, 2
    o.double = 10
    o._v_anything = object()
    assert (o.x, o.double, o.method()) == (5, 10, 5)
    for name in ("z", "method", "_z", "__z"):
        with pytest.raises(AttributeError, match=rf"Closed has no field '{name}'.*slots=True.*: x, y$"):
            setattr(o, name, 1)
    child = pool.new(ClosedChild)
    child.x = child.z = 1
    with pytest.raises(AttributeError, match=r"ClosedChild has no field 'w'.*: x, y, z$"):
        child.w = 1
    other = pool.new(OpenChild)
    other.w = 1
    assert vars(other) == {"w": 1}
    o = reopen(pool).root
    with pytest.raises(AttributeError, match="no field 'z'"):
        o.z = 1
    assert vars(o) == {"x": 5, "y": 2}


def test_slots_of_a_class_whose_objects_have_more(pool, reopen):
    """What is no field any more can be read and deleted, not set."""
    import test_object_fields as this

    old = this.Ten
    pool.root = pool.new(Ten)
    body = {"__module__": __name__, "__annotations__": {"first": int}}
    this.Ten = type("Ten", (PersistentObject,), body, slots=True)
    try:
        o = reopen(pool).root
        for _ in range(3):
            o.first += 1
            with pytest.raises(AttributeError, match=r"Ten has no field 'third'.*: first$"):
                o.third = 2.5
        assert o.third == 1.5
        del o.third
        assert vars(o) == {"first": 4, "untyped": "untyped"}
    finally:
        this.Ten = old


def test_fields_have_their_places_in_the_order_of_declaration(pool):
    o = pool.new(Ten)
    assert list(vars(o).items()) == [("first", 1), ("third", 1.5), ("untyped", "untyped")]
    o.second = "2"
    assert list(vars(o)) == ["first", "second", "third", "untyped"]


def test_aborts_and_savepoints(pool, reopen):
    with pytest.raises(KeyError), pool.transaction():  # with the class's record
        undone = pool.new(Ten)
        undone.first = 5
        raise KeyError
    o = pool.root = pool.new(Ten)
    with pytest.raises(TypeError), pool.transaction():
        o.first = 2
        o.first = "no"
    assert o.first == 1
    with pool.transaction():
        o.first, o.second = 2, "a text that needs a block"
        with pytest.raises(TypeError), pool.transaction():
            o.third = 3
            o.second = 4
        assert (o.first, o.second, o.third) == (2, "a text that needs a block", 1.5)
    o = reopen(pool).root
    assert (o.first, o.second, o.third, o.untyped) == (2, "a text that needs a block", 1.5, "untyped")
    assert pool.closed and o._p_mm.check().ok


def test_a_class_that_has_a_record_already(pool, reopen):
    """Its fields are found by their names, wherever the record has them."""
    import test_object_fields as this

    old = this.Ten
    o = pool.root = pool.new(Ten)
    this.Ten = type(
        "Ten",
        (PersistentObject,),
        {"__module__": __name__, "__annotations__": {"new": int, "third": str, "first": int}, "new": 9},
    )
    try:
        del o
        pool = reopen(pool)
        o = pool.root
        assert (o.new, o.third, o.first) == (9, 1.5, 1)  # retyped: what is there stays readable
        with pytest.raises(TypeError, match=r"Ten\.third must be str, not float"):
            o.third = 1.5
        o.third, o.new = "three", 1
        o.second = 5  # no field any more
        assert vars(o) == {"first": 1, "second": 5, "third": "three", "untyped": "untyped", "new": 1}
    finally:
        this.Ten = old


def test_checks_that_run_user_code(pool):
    """__instancecheck__ may do anything to the pool."""
    acts = []

    class Meta(type):
        def __instancecheck__(cls, value):
            acts.pop()()
            return True

    class Hint(metaclass=Meta):
        pass

    hints = {"__module__": __name__, "__annotations__": {"x": Hint}}
    global Checked
    Checked = type("Checked", (PersistentObject,), hints)
    o = pool.root = pool.new(Checked)
    acts.append(lambda: setattr(pool, "root", o))
    o.x = 1
    acts.append(lambda: setattr(o, "other", 5))
    o.x = "a text that needs a block"
    assert vars(o) == {"x": "a text that needs a block", "other": 5}

    def fail():
        raise KeyError("mine")

    acts.append(fail)
    with pytest.raises(KeyError, match="mine"):
        o.x = 2
    with pool.transaction() as tx:
        undone = pool.new(Checked)
        acts.append(tx.abort)
        undone.x = 1
    with pytest.raises(pmemobj.StaleObjectError):
        _ = undone.x
    pool._check_references()
    acts.append(pool.close)
    with pytest.raises(pmemobj.PoolClosedError):
        o.x = 3


def test_repair_and_compact_keep_what_is_stored(pool, tmp_path):
    import test_object_fields as this

    old = this.Ten
    pool.root = pool.new(Ten)
    this.Ten = type(
        "Ten", (PersistentObject,), {"__module__": __name__, "__annotations__": {"first": str}}, slots=True
    )
    try:
        pool.compact(tmp_path / "compacted")
        pool.close()
        assert pmemobj.repair(pool.path, tmp_path / "repaired").ok
        for name in ("compacted", "repaired"):
            with pmemobj.open(tmp_path / name) as copy:
                assert vars(copy.root) == {"first": 1, "third": 1.5, "untyped": "untyped"}
                assert type(copy.root) is this.Ten
    finally:
        this.Ten = old


HINTS = {
    int: int,
    float: float,
    bool: bool,
    str: str,
    bytes: bytes,
    type(None): None,
    complex: complex,
    list: list,
}


@given(
    hint=st.lists(st.sampled_from(list(HINTS)), min_size=1, max_size=4, unique=True),
    values=st.lists(st.one_of(scalars, st.lists(st.integers(), max_size=2)), min_size=1, max_size=8),
)
def test_unions_take_what_isinstance_says(pool, hint, values):
    global Drawn
    body = {
        "__module__": __name__,
        "__annotations__": {
            "x": functools.reduce(operator.or_, (HINTS[kind] for kind in hint), typing.Never)
        },
    }
    Drawn = type("Drawn", (PersistentObject,), body)
    o, model = pool.new(Drawn), "unset"
    for value in values * 2:
        number = (isinstance(value, int) and float in hint) or (
            isinstance(value, int | float) and complex in hint
        )
        if isinstance(value, tuple(hint)):
            o.x = model = value
        elif number:
            o.x = value
            model = float(value) if isinstance(value, int) and float in hint else complex(value)
        else:
            with pytest.raises(TypeError, match=r"Drawn\.x must be"):
                o.x = value
        found = pool.to_python(getattr(o, "x", "unset"))
        assert found == model and type(found) is type(model)
