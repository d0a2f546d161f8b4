"""@persistent: what a dataclass can do, in a pool."""

import abc
import copy
import dataclasses
import functools
import os
import subprocess
import sys
import textwrap
from dataclasses import KW_ONLY, InitVar, dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import pytest

import pmemobj
from pmemobj import PersistentDict, PersistentList, PersistentObject, persistent

T = TypeVar("T")
ROOT = Path(pmemobj.__file__).parents[1]


@persistent
class Point:
    x: int
    y: int = 0


@persistent(order=True)
class Version:
    major: int
    minor: int = 0
    note: str = field(default="", compare=False, repr=False)


@persistent
class Basket:
    owner: str
    items: list[str] = field(default_factory=list)
    prices: dict[str, float] = field(default_factory=dict)
    total: float = field(init=False, default=0.0)
    scale: InitVar[float] = 1.0
    made: ClassVar[int] = 0

    def __post_init__(self, scale):
        self.total = sum(self.prices.values()) * scale
        type(self).made += 1


@persistent(kw_only=True, slots=True)
class Settings:
    name: str
    depth: int = 3


@persistent
class Shape:
    name: str
    _: KW_ONLY
    colour: str = "red"

    def describe(self):
        return f"{self.colour} {self.name}"


@persistent
class Circle(Shape):
    radius: float = 1.0

    def describe(self):
        return f"{super().describe()} of {self.radius}"


@persistent(eq=False)
class Identity:
    value: int = 0


@persistent(repr=False, init=False, match_args=False)
class Bare:
    value: int

    def __init__(self):
        self.value = 7


@persistent
@dataclass(order=True)
class Decorated:
    a: int
    b: list = field(default_factory=list)

    def own_class(self):
        return __class__


@persistent
@dataclass(slots=True)
class Slotted:
    a: int = 5
    b: str = "b"


@persistent
@dataclass(repr=False)
class Silent:
    a: int = 5


@persistent
class Declared(PersistentObject):
    a: int
    _v_cache: dict = field(default_factory=dict)

    def _v__init__(self):
        self._v_ready = True


@persistent
class Node(Generic[T]):
    value: T
    following: "Node[T] | None" = None


@persistent
class Area(abc.ABC):
    side: int

    @abc.abstractmethod
    def area(self): ...


@persistent
class Square(Area):
    def area(self):
        return self.side**2


def through(function):
    """Without functools.wraps: the function is in a closure only."""

    def call(*args):
        return function(*args)

    return call


class Base:
    @property
    def kind(self):
        return "base"

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.registered = True


@persistent
class InProperty(Base):
    @property
    def kind(self):
        return f"{super().kind}, {__class__.__name__}"


@persistent
class InClassMethod(Base):
    @classmethod
    def kind(cls):
        return __class__


@persistent
class InStaticMethod(Base):
    @staticmethod
    def kind():
        return __class__


@persistent
class InClosure(Base):
    @through
    def kind(self):
        return __class__


@persistent
class InCache(Base):
    @classmethod
    @functools.cache
    def kind(cls):
        return __class__


def test_fields_and_defaults(pool, reopen):
    p = pool.root = pool.new(Point, 1)
    assert (p.x, p.y) == (1, 0) and repr(p) == "Point(x=1, y=0)"
    assert pool.new(Point, y=2, x=1) == pool.new(Point, 1, 2) != p
    for wrong in ((), (1, 2, 3)):
        with pytest.raises(TypeError):
            pool.new(Point, *wrong)
    with pytest.raises(TypeError, match=r"Point\.y must be int, not str"):
        pool.new(Point, 1, "2")
    with pytest.raises(TypeError, match=r"Point\.x must be int"):
        p.x = "1"
    assert [f.name for f in dataclasses.fields(p)] == ["x", "y"] == list(Point.__match_args__)
    p = reopen(pool).root
    assert type(p) is Point and issubclass(Point, PersistentObject) and dataclasses.is_dataclass(p)
    assert vars(p) == {"x": 1, "y": 0}
    match p:
        case Point(x=0):
            raise AssertionError
        case Point(1, y):
            assert y == 0
    assert Point.__module__ == __name__ and Point.__qualname__ == "Point"


def test_order_and_equality(pool):
    versions = [pool.new(Version, a, b, str(a)) for a, b in ((2, 0), (1, 5), (1, 2))]
    assert [v.minor for v in sorted(versions)] == [2, 5, 0]
    assert versions[0] > versions[1] >= pool.new(Version, 1, 5, "no part of it") == versions[1]
    assert repr(versions[2]) == "Version(major=1, minor=2)"
    assert pool.new(Point, 1) != pool.new(Version, 1) and pool.new(Point, 1) != (1, 0)
    with pytest.raises(TypeError, match="not supported"):
        _ = pool.new(Point, 1) < pool.new(Point, 2)
    for use in (hash, lambda p: {p}, lambda p: pool.new(PersistentDict, {p: 1})):
        with pytest.raises(TypeError):
            use(pool.new(Point, 1))
    a, b = pool.new(Identity), pool.new(Identity)
    assert a != b and {a: 1}[a] == 1
    pool.root = {a: "a", b: "b"}
    assert pool.root[a] == "a" and "value=0" in repr(a)


def test_factories_post_init_and_class_variables(pool, reopen):
    made = Basket.made
    first = pool.new(Basket, "Ada", prices={"nut": 2, "bolt": 3.0}, scale=2)
    second = pool.root = pool.new(Basket, "Bob")
    assert (first.total, second.total, Basket.made) == (10.0, 0.0, made + 2)
    first.items.append("nut")
    assert type(first.items) is PersistentList and first.items == ["nut"] and second.items == []
    assert "scale" not in vars(first) and "made" not in vars(first) and type(first.prices["nut"]) is int
    with pytest.raises(TypeError, match="unexpected keyword argument 'total'"):
        pool.new(Basket, "Eve", total=5)
    assert (
        repr(second) == "Basket(owner='Bob', items=PersistentList([]), prices=PersistentDict({}), total=0.0)"
    )
    del second
    assert reopen(pool).root.owner == "Bob" and Basket.made == made + 2


def test_keyword_only_and_slots(pool):
    o = pool.new(Settings, name="n")
    assert (o.name, o.depth) == ("n", 3)
    with pytest.raises(TypeError):
        pool.new(Settings, "n")
    with pytest.raises(AttributeError, match=r"Settings has no field 'other'.*: name, depth"):
        o.other = 1
    with pytest.raises(TypeError):
        pool.new(Shape, "square", "blue")
    assert pool.new(Shape, "square", colour="blue").describe() == "blue square"


def test_inheritance_and_super(pool, reopen):
    o = pool.root = pool.new(Circle, "disc", 2, colour="green")
    assert o.describe() == "green disc of 2.0" and isinstance(o, Shape)
    assert [f.name for f in dataclasses.fields(o)] == ["name", "colour", "radius"]
    assert Circle.__mro__.count(PersistentObject) == 1
    assert reopen(pool).root.describe() == "green disc of 2.0"


def test_classes_that_were_something_before(pool, reopen):
    a, b = pool.new(Decorated, 1, [2]), pool.new(Decorated, 1)
    assert a > b and a.own_class() is Decorated and b.b == []
    o = pool.new(Slotted)
    o.a, o.more = 6, 7
    assert vars(o) == {"a": 6, "b": "b", "more": 7} and pool.new(Slotted) == pool.new(Slotted, 5)
    del o.a
    assert o.a == 5 and repr(pool.new(Silent)).startswith("<")
    d = pool.new(Declared, 1)
    d._v_cache["x"] = 1
    assert d._v_ready and vars(d) == {"a": 1}
    bare = pool.new(Bare)
    assert bare.value == 7 and repr(bare).startswith("<") and not hasattr(Bare, "__match_args__")
    square = pool.new(Square, 3)
    assert square.area() == 9
    with pytest.raises(TypeError, match="abstract"):
        pool.new(Area, 3)
    node = pool.root = pool.new(Node[int], 1, pool.new(Node, "two"))
    assert type(node) is Node and node.following.value == "two"
    assert reopen(pool).root.following.value == "two"


@pytest.mark.parametrize("cls", [InProperty, InClassMethod, InStaticMethod, InClosure, InCache])
def test_the_class_of_methods_is_the_persistent_one(pool, cls):
    """super() and __class__ refer to it, wherever in the body they are."""
    o = pool.new(cls)
    found = o.kind if isinstance(o.kind, str) else o.kind()
    assert found in (cls, "base, InProperty") and cls.registered
    assert cls.__mro__[1:3] == (Base, PersistentObject)


def test_replace(pool):
    o = pool.new(Version, 1, 2, "note")
    other = pmemobj.replace(o, minor=5)
    assert (other.major, other.minor, other.note) == (1, 5, "note") and other is not o and o.minor == 2
    assert other._p_mm is pool and Version.__replace__(o, major=4) > other
    basket = pool.new(Basket, "Ada", ["nut"])
    copied = pmemobj.replace(basket, owner="Bob")
    assert copied.items is basket.items
    with pytest.raises(ValueError, match="total is declared with init=False"):
        pmemobj.replace(basket, total=1)
    for wrong, changes in ((o, {"nothing": 1}), (5, {}), (pool.new(PersistentList), {}), (Version, {})):
        with pytest.raises(TypeError):
            pmemobj.replace(wrong, **changes)
    with pytest.raises(TypeError, match=r"pool\.new\(Version, \.\.\.\).*pmemobj\.replace"):
        dataclasses.replace(o, minor=5)
    if sys.version_info >= (3, 13):
        assert copy.replace(o, minor=5) == other
    pool.close()
    with pytest.raises(pmemobj.PoolClosedError):
        pmemobj.replace(o)


def test_made_without_a_pool():
    for make in (lambda: Point(1), lambda: Basket("Ada"), lambda: Declared(a=1)):
        with pytest.raises(TypeError, match=r"live in a pool: use pool\.new\((Point|Basket|Declared), "):
            make()


def test_a_failure_or_an_abort_leaves_nothing(pool):
    class_with_post = Basket
    pool.root = pool.new(class_with_post, "Ada")
    objects = pool._check_references()
    with pytest.raises(TypeError):
        pool.new(Basket, "Ada", prices={"nut": "no number"})
    assert pool._check_references() == objects
    with pool.transaction() as tx:
        undone = pool.new(Basket, "Eve", ["a text that needs a block"])
        with pytest.raises(TypeError):
            pool.new(Basket, 5)
        assert undone.items == ["a text that needs a block"]
        tx.abort()
    with pytest.raises(pmemobj.StaleObjectError):
        _ = undone.owner
    assert pool._check_references() == objects and pool.check().ok


def test_what_is_refused():
    @dataclass(frozen=True)
    class Frozen:
        x: int = 0

    with pytest.raises(TypeError, match=r"Frozen is a frozen dataclass.*stored as values"):
        persistent(Frozen)
    with pytest.raises(TypeError, match="no option frozen, unsafe_hash"):
        persistent(frozen=True, unsafe_hash=True)
    with pytest.raises(TypeError, match="give these options to @dataclass"):
        persistent(order=True)(dataclass(type("Again", (), {"__annotations__": {"x": int}})))
    with pytest.raises(TypeError, match="before a class"):
        persistent(5)
    with pytest.raises(TypeError, match="all objects would share"):
        persistent(type("Mutable", (), {"__annotations__": {"x": list}, "x": []}))


def test_type_checkers_see_dataclasses(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            import pmemobj
            from dataclasses import field

            @pmemobj.persistent(order=True)
            class Point:
                x: int
                y: list[int] = field(default_factory=list)

            @pmemobj.persistent
            class Line:
                a: Point

            def use(pool: pmemobj.PersistentObjectPool) -> int:
                p = pool.new(Point, 1)
                assert Point(1) < Point(2, [3])
                pmemobj.replace(p, x=2).y.append(1)
                Point("no")
                Line()
                p.x = "no"
                return p.nothing
        """)
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-incremental",
        "--hide-error-context",
        str(program),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT)},
    )
    lines = [line.split(": ", 1)[1] for line in done.stdout.splitlines()[:-1]]
    assert [line.split("[")[-1] for line in lines] == [
        "arg-type]",
        "call-arg]",
        "assignment]",
        "no-any-return]",
        "attr-defined]",
    ], lines
