"""PersistentObject: attributes as those of any Python object, kept."""

import abc
import copy
import dataclasses
import gc
import sys
import weakref
from typing import Generic, TypeVar

import pytest

import pmemobj
from pmemobj import PersistentDict, PersistentList, PersistentObject, StaleObjectError


class Point(PersistentObject):
    """With everything that a class may have."""

    dimensions = 2
    unit: str = "cm"

    def __init__(self, x, y=0):
        self.x = x
        self.y = y
        self._v_made = True

    def length2(self):
        return self.x * self.x + self.y * self.y

    @property
    def both(self):
        return (self.x, self.y)

    @both.setter
    def both(self, value):
        self.x, self.y = value

    @both.deleter
    def both(self):
        del self.x, self.y

    @staticmethod
    def static(a):
        return a + 1

    @classmethod
    def create(cls, pool):
        return pool.new(cls, 3, 4)


class Child(Point):
    def __init__(self, x):
        super().__init__(x, y=10)
        self.name = "child"


class Empty(PersistentObject):
    pass


class Fallback(PersistentObject):
    def __getattr__(self, name):
        if name.startswith("no_"):
            raise AttributeError(name)
        return f"fallback {name}"


class Guarded(PersistentObject):
    def __setattr__(self, name, value):
        super().__setattr__(name, value if name == "n" else str(value))

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        return found + 1000 if name == "n" else found

    def __delattr__(self, name):
        super().__delattr__("real_" + name)


class Volatile(PersistentObject):
    runs = 0

    def __init__(self):
        self.at_init = self._v_x

    def _v__init__(self):
        type(self).runs += 1
        self._v_x = ["volatile"]


class Picky(PersistentObject):
    def __init__(self, fail):
        self.a = [1, 2, "a string that needs a block"]
        self._p_mm.new(PersistentList, ["dropped"])
        if fail:
            raise fail


class Equal(PersistentObject):
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Equal) and self.value == other.value

    def __hash__(self):
        return hash(self.value)


class New(PersistentObject):
    def __new__(cls, *args, wrong=None):
        return wrong or super().__new__(cls)

    def __init__(self, *args, wrong=None):
        self.args = args


class Unfinished(PersistentObject):
    def _v__init__(self):
        if not self.ready:
            raise RuntimeError("not yet")
        self._v_done = True

    ready = True


class Shape(PersistentObject, metaclass=abc.ABCMeta):
    @abc.abstractmethod
    def area(self): ...


class Square(Shape):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side * self.side


T = TypeVar("T")


class Box(PersistentObject, Generic[T]):
    def __init__(self, content: T):
        self.content = content


@dataclasses.dataclass
class Record(PersistentObject):
    a: int
    b: str = "default"


VALUES = [
    1,
    -1,
    2.5,
    "s",
    "a longer string",
    None,
    True,
    b"bytes" * 9,
    (1, (2, "x" * 20)),
    frozenset({1}),
    10**50,
    ...,
]


def test_attributes_survive(pool, reopen):
    point = pool.root = pool.new(Point, 1, y="a string that needs a block")
    assert (point.x, point.y, point._v_made) == (1, "a string that needs a block", True)
    point.later = [1, {"a": point}]
    point = reopen(pool).root
    assert type(point) is Point
    assert (point.x, point.y) == (1, "a string that needs a block")
    assert point.later[1]["a"] is point
    assert not hasattr(point, "_v_made")


def test_every_kind_of_value_in_both_directions(pool, reopen):
    o = pool.root = pool.new(Empty)
    for old in VALUES:
        for new in VALUES:
            o.value = old
            assert o.value == old and type(o.value) is type(old)
            o.value = new
            assert o.value == new and type(o.value) is type(new)
            o._check()
    for i, value in enumerate(VALUES):
        setattr(o, f"v{i}", value)
    pool._check_references()
    o = reopen(pool).root
    for i, value in enumerate(VALUES):
        assert getattr(o, f"v{i}") == value


def test_class_attributes_are_defaults(pool):
    point = pool.new(Point, 1)
    assert (point.dimensions, point.unit) == (2, "cm")
    point.dimensions += 1
    assert (point.dimensions, Point.dimensions) == (3, 2)
    del point.dimensions
    assert point.dimensions == 2


def test_methods_and_properties(pool, reopen):
    point = pool.root = Point.create(pool)
    assert point.length2() == 25 and point.static(1) == 2 and point.both == (3, 4)
    point.both = (6, 8)
    point = reopen(pool).root
    assert (point.x, point.y, point.length2()) == (6, 8, 100)
    del point.both
    assert vars(point) == {}


class WithMethods(PersistentObject):
    hook: object = len  # declared, so objects may have one of their own

    def save(self):
        return "its own"

    def declared(self):
        return "the class's"

    @classmethod
    def make(cls):
        return "of the class"


WithMethods.__annotations__["declared"] = object


def test_methods_go_before_what_is_stored(pool, reopen):
    """Or a pool could say what a program calls."""
    o = pool.root = pool.new(WithMethods)
    for name in ("save", "make", "__deepcopy__", "__reduce_ex__", "__anything__"):
        with pytest.raises(
            AttributeError, match=f"{name!r} cannot be an attribute of a persistent WithMethods"
        ):
            setattr(o, name, len)
    o.hook = o.declared = max
    assert o.hook is o.declared is max and vars(o) == {"hook": max, "declared": max}
    o = reopen(pool).root
    assert o.hook is o.declared is max and o.save() == "its own"
    o.later = len
    WithMethods.later = lambda self: "a method"
    try:
        assert o.later() == "a method" and vars(o)["later"] is len
        with pytest.raises(AttributeError, match="has a method of that name"):
            o.later = 5
        del o.later
        assert "later" not in vars(o) and o.later() == "a method"
    finally:
        del WithMethods.later


def test_a_property_that_appears_later_goes_first(pool):
    class_attribute = "later_property"
    o = pool.new(Point, 1)
    setattr(o, class_attribute, "stored")
    assert o.later_property == "stored"
    Point.later_property = property(lambda self: "property")
    try:
        assert o.later_property == "property"
        with pytest.raises(AttributeError):
            o.later_property = 1
        with pytest.raises(AttributeError):
            del o.later_property
    finally:
        del Point.later_property
    assert o.later_property == "stored"
    Point.later_property = "not a data descriptor"
    try:
        assert o.later_property == "stored"
    finally:
        del Point.later_property


def test_inheritance(pool, reopen):
    child = pool.root = pool.new(Child, 5)
    assert (child.x, child.y, child.name, child.length2()) == (5, 10, "child", 125)
    child = reopen(pool).root
    assert type(child) is Child and isinstance(child, Point)
    assert (child.x, child.y, child.name) == (5, 10, "child")


def test_metaclasses_generics_and_dataclasses(pool, reopen):
    with pytest.raises(TypeError, match="abstract"):
        pool.new(Shape)
    pool.root = [pool.new(Square, 3), pool.new(Box[int], 5), pool.new(Record, 1), pool.new(Record, a=1)]
    square, box, record, equal = reopen(pool).root
    assert isinstance(square, Shape) and square.area() == 9
    assert type(box) is Box and box.content == 5
    assert record == equal and record.b == "default" and repr(record) == "Record(a=1, b='default')"


def test_missing_attributes(pool):
    o = pool.new(Empty)
    for use in (lambda: o.nothing, lambda: delattr(o, "nothing"), lambda: o._v_nothing):
        with pytest.raises(AttributeError, match=r"'Empty' object has no attribute '.*nothing'"):
            use()
    assert not hasattr(o, "nothing")
    o.there = 1
    del o.there
    with pytest.raises(AttributeError, match="'Empty' object has no attribute 'there'"):
        _ = o.there
    with pytest.raises(AttributeError):
        del o.there
    with pytest.raises(AttributeError):
        del o.__str__
    assert getattr(o, "nothing", 5) == 5


def test_names_that_are_not_interned(pool):
    o = pool.new(Empty)
    setattr(o, "".join(["at", "tribute"]), 1)
    assert o.attribute == 1
    setattr(o, "".join(["at", "tribute"]), 2)
    assert getattr(o, "".join(["attri", "bute"])) == 2
    delattr(o, "".join(["attribu", "te"]))
    assert not hasattr(o, "attribute")

    class Name(str):
        pass

    setattr(o, Name("odd name"), 3)
    assert vars(o) == {"odd name": 3} and type(next(iter(vars(o)))) is str
    assert getattr(o, Name("odd name")) == 3
    setattr(o, "ünï \U0001f600", 4)
    assert getattr(o, "ünï \U0001f600") == 4
    for wrong in (1, None, b"x"):
        with pytest.raises(TypeError, match="attribute name must be string"):
            getattr(o, wrong)
        with pytest.raises(TypeError, match="attribute name must be string"):
            setattr(o, wrong, 1)


def test_many_attributes(pool, reopen):
    o = pool.root = pool.new(Empty)
    few = pool.new(Empty)
    o.few = few
    for i in range(600):
        setattr(o, f"name{i}", i)
    assert [getattr(o, f"name{i}") for i in range(600)] == list(range(600))
    few.name599 = "last"
    few.name0 = "first"
    assert vars(few) == {"name0": "first", "name599": "last"}
    pool._check_references()
    o = reopen(pool).root
    assert [getattr(o, f"name{i}") for i in range(600)] == list(range(600))
    assert vars(o.few) == {"name0": "first", "name599": "last"}


def test_volatile_attributes_take_anything(pool, reopen):
    o = pool.root = pool.new(Empty)
    o._v_lock = object()
    o._p_cache = lambda: 5
    assert o._p_cache() == 5
    del o._v_lock
    assert not hasattr(o, "_v_lock")
    assert vars(o) == {}
    assert "_p_cache" in dir(o)
    with pytest.raises(AttributeError):
        o._p_mm = None
    assert o._p_mm is pool
    assert not hasattr(reopen(pool).root, "_p_cache")


def test_vars_is_a_copy_that_refuses_changes(pool):
    o = pool.new(Point, 1, 2)
    attributes = vars(o)
    assert attributes == {"x": 1, "y": 2} == o.__dict__ and isinstance(attributes, dict)
    assert copy.copy(attributes) == {"x": 1, "y": 2}
    for change in (
        lambda: attributes.update(x=5),
        lambda: attributes.__setitem__("x", 5),
        lambda: attributes.pop("x"),
        lambda: attributes.clear(),
        lambda: attributes.setdefault("z", 5),
        lambda: attributes.__ior__({"x": 5}),
        lambda: setattr(o, "__dict__", {}),
        lambda: delattr(o, "__dict__"),
    ):
        with pytest.raises(TypeError):
            change()
    assert vars(o) == {"x": 1, "y": 2}


def test_dir(pool):
    o = pool.new(Point, 1)
    o.extra = 1
    assert {"x", "y", "extra", "length2", "both", "_v_made", "_p_mm"} <= set(dir(o))
    assert "pool" not in dir(o)
    o.pool = "its own"
    assert o.pool == "its own"


def test_getattr_fallback(pool, reopen):
    o = pool.root = pool.new(Fallback)
    assert o.anything == "fallback anything"
    o.anything = 1
    assert o.anything == 1
    assert not hasattr(o, "no_such")
    o = reopen(pool).root
    assert (o.anything, o.other) == (1, "fallback other")
    assert pool is not None
    d = o._p_mm.new(PersistentDict)
    d[o] = 1  # nobody asks the object itself for its hash
    assert d[o] == 1


def test_overridden_access(pool, reopen):
    o = pool.root = pool.new(Guarded)
    o.n = 1
    o.other = 5
    o.real_x = 1
    assert (o.n, o.other) == (1001, "5")
    del o.x
    assert not hasattr(o, "real_x")
    assert reopen(pool).root.n == 1001


def test_the_class_cannot_be_changed(pool):
    o = pool.new(Empty)
    with pytest.raises(TypeError, match="__class__"):
        o.__class__ = Point
    assert o.__class__ is Empty


def test_repr(pool, reopen):
    o = pool.root = pool.new(Empty)
    assert repr(o).startswith(f"<{__name__}.Empty object at 0x")
    assert str(pool.path) in repr(o)
    reopen(pool)
    assert repr(o) == f"<{__name__}.Empty object, stale, or its pool is closed>"
    assert "not in a pool" in repr(Empty.__new__(Empty))


def test_identity_hash_and_weakrefs(pool):
    a, b = pool.new(Empty), pool.new(Empty)
    assert a == a and a != b and hash(a) == hash(a)
    pool.root = [a, b, a]
    assert pool.root[0] is pool.root[2] is a
    assert a in pool.root and pool.root.index(b) == 1
    seen = weakref.ref(a)
    del a
    assert seen() is None
    assert type(pool.root[0]) is Empty


def test_as_keys(pool, reopen):
    a, b = pool.new(Empty), pool.new(Empty)
    pool.root = {"list": [a, b], "dict": {a: 1, (b, "b"): 2}, "set": {a, b}}
    root = reopen(pool).root
    a, b = root["list"]
    assert root["dict"][a] == 1 and root["dict"][b, "b"] == 2 and b not in root["dict"]
    assert root["set"] == {a, b}
    with pytest.raises(TypeError, match="cannot be a key"):
        root["dict"][root._p_mm.new(Equal, 1)] = 1
    root._p_mm._check_references()


def test_own_equality(pool):
    assert pool.new(Equal, 1) == pool.new(Equal, 1) != pool.new(Equal, 2)


def test_direct_instances_of_the_base(pool, reopen):
    o = pool.root = pool.new(PersistentObject)
    o.x = 1
    o = reopen(pool).root
    assert type(o) is PersistentObject and o.x == 1
    with pytest.raises(TypeError):
        o._p_mm.new(PersistentObject, 1)


def test_only_the_pool_makes_objects():
    with pytest.raises(TypeError, match=r"pool\.new"):
        Empty()
    with pytest.raises(TypeError, match=r"pool\.new"):
        Point(1)


def test_an_unbound_object_is_refused(pool):
    o = Empty.__new__(Empty)
    with pytest.raises(TypeError, match=r"pool\.new"):
        o.x = 1
    with pytest.raises(AttributeError):
        _ = o.x
    with pytest.raises(TypeError, match=r"pool\.new"):
        pool.root = [o]
    o._v_x = 1
    assert o._v_x == 1 and pool.root is None


def test_new(pool):
    assert pool.new(New, 1, 2).args == (1, 2)
    for wrong in (5, pool.new(New)):
        with pytest.raises(TypeError, match="__new__"):
            pool.new(New, wrong=wrong)


def test_init_that_returns_something(pool):
    class_init = Empty.__init__
    Empty.__init__ = lambda self: 5
    try:
        with pytest.raises(TypeError, match="should return None"):
            pool.new(Empty)
    finally:
        del Empty.__init__
    assert Empty.__init__ is class_init


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
@pytest.mark.parametrize("inside", [False, True])
def test_a_failing_init_leaves_nothing_behind(pool, error, inside):
    pool.new(Picky, None)
    before = pool._allocated(), pool._limbo()
    caught = []
    original = Picky.__setattr__
    Picky.__setattr__ = lambda self, name, value: (caught.append(self), original(self, name, value))[1]
    try:
        if inside:
            with pool.transaction(), pytest.raises(type(error)):
                pool.new(Picky, error)
        else:
            with pytest.raises(type(error)):
                pool.new(Picky, error)
    finally:
        del Picky.__setattr__
    error.__traceback__ = None
    assert (pool._allocated(), pool._limbo()) == before
    with pytest.raises(StaleObjectError):
        _ = caught[0].a
    with pytest.raises(StaleObjectError):
        caught[0].a = 1
    with pytest.raises(StaleObjectError):
        pool.root = caught[0]
    pool._check_references()


def test_v_init_runs_before_init_and_at_each_load(pool, reopen):
    Volatile.runs = 0
    o = pool.root = pool.new(Volatile)
    assert Volatile.runs == 1 and o.at_init == ["volatile"]
    assert pool.root._v_x is o._v_x and Volatile.runs == 1
    del o
    pool.root.at_init.append("more")  # a new proxy
    assert Volatile.runs == 2
    again = reopen(pool)
    o = again.root
    assert repr(o) and isinstance(o, Volatile) and Volatile.runs == 2  # no use yet
    assert o._v_x == ["volatile"]
    assert Volatile.runs == 3
    o.y = 1
    assert Volatile.runs == 3
    del o
    again.root.y = 2
    assert Volatile.runs == 4


def test_a_failing_v_init_runs_again_at_the_next_use(pool, reopen):
    o = pool.root = pool.new(Unfinished)
    o.ready = False
    o = reopen(pool).root
    for use in (lambda: o._v_done, lambda: setattr(o, "ready", True), lambda: delattr(o, "ready")):
        with pytest.raises(RuntimeError, match="not yet"):
            use()
    Unfinished._v__init__ = lambda self: setattr(self, "_v_done", 5)
    assert o._v_done == 5 and o.ready is False


def test_failing_stores_change_nothing(pool):
    o = pool.new(Point, 1, "a string that needs a block")
    before = pool._allocated()
    for value in (object(), [1, object()], (1, [object()])):
        with pytest.raises(TypeError, match="cannot be stored"):
            o.y = value
        with pytest.raises(TypeError, match="cannot be stored"):
            o.z = value
    assert vars(o) == {"x": 1, "y": "a string that needs a block"}
    assert pool._allocated() == before


def test_collected_with_a_cycle_through_a_volatile_attribute(pool):
    o = pool.new(Point, 1)
    o._v_self = o
    o.kept = "a string that needs a block"
    seen = weakref.ref(o)
    del o
    gc.collect()
    assert seen() is None
    assert pool._limbo() == 0
    pool._check_references()


def test_not_copied_or_pickled(pool):
    o = pool.new(Empty)
    for refused in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="to_python"):
            refused(o)


def test_closed(pool, reopen):
    o = pool.root = pool.new(Volatile)
    o.x = 1
    again = reopen(pool)
    unready = again.root
    again.close()
    for stale in (o, unready):
        for use in (
            lambda s: s.x,
            lambda s: s.never,
            lambda s: setattr(s, "x", 1),
            lambda s: setattr(s, "x", "a long string"),
            lambda s: delattr(s, "x"),
            vars,
            lambda s: hasattr(s, "never"),
            lambda s: s._p_mm,
        ):
            with pytest.raises(pmemobj.PoolClosedError):
                use(stale)
    assert isinstance(unready, Volatile) and hash(unready) == hash(unready)
    assert o._v_x == ["volatile"]


def test_other_pool(pool, tmp_path):
    with pmemobj.open(tmp_path / "other.pool", max_size=16 << 20) as other:
        o, foreign = pool.new(Empty), other.new(Empty)
        with pytest.raises(pmemobj.CrossPoolError):
            o.x = foreign
        with pytest.raises(pmemobj.CrossPoolError):
            o.x = [foreign]
        assert vars(o) == {}


def test_read_only(pool, pool_path):
    pool.root = pool.new(Point, 1)
    pool.close()
    with pmemobj.open(pool_path, "r") as pool:
        point = pool.root
        assert (point.x, point.length2()) == (1, 1)
        for use in (
            lambda: setattr(point, "x", 2),
            lambda: setattr(point, "new", 2),
            lambda: delattr(point, "x"),
            lambda: pool.new(Empty),
            pool.gc,
        ):
            with pytest.raises(pmemobj.ReadOnlyPoolError):
                use()
        assert vars(point) == {"x": 1, "y": 0}


def test_nothing_leaks(pool):
    o = pool.root = pool.new(Point, 1, 2)
    pool.new(Child, 1)
    for name in "abcdefghijklm":
        setattr(o, name, None)
    before = pool._allocated()
    for _ in range(3):
        for name in "abcdefghijklm":
            setattr(o, name, [1, {"a": "a string that needs a block"}])
            setattr(o, name, pool.new(Child, "another string with a block"))
        for name in "abcdefghijklm":
            setattr(o, name, None)
    assert pool._allocated() == before
    pool.root = None
    del o
    assert pool._limbo() == 0
    pool._check_references()


def test_the_reference_counts_of_python_objects(pool):
    o = pool.new(Point, 1)
    value = ["a list"]
    counted = [value, "length2", "dimensions", Point, o]

    def counts():
        gc.collect()
        return [sys.getrefcount(each) for each in counted]

    before = counts()
    for _ in range(1000):
        o.x = 5
        o.x = value
        _ = o.x, o.length2, o.dimensions
        with pytest.raises(AttributeError):
            _ = o.nothing
    # pytest holds and lets go of some, but a count that goes wrong does so each time
    assert all(abs(a - b) < 500 for a, b in zip(before, counts(), strict=True))
