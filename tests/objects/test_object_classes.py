"""The type table: which classes can be stored, and how they are found again."""

import importlib
import sys
import textwrap

import pytest
from object_support import run

import pmemobj
from pmemobj import ClassNotFoundError, PersistentObject, PersistentPlaceholder


class Outer:
    class Inner(PersistentObject):
        def __init__(self):
            self.x = 1


class Slotted(PersistentObject):
    __slots__ = ("x",)


class VolatileSlots(PersistentObject):
    __slots__ = ("_v_x",)


class EmptySlots(PersistentObject):
    __slots__ = ()


class Replaced(PersistentObject):
    pass


@pytest.fixture
def module(tmp_path, monkeypatch):
    """module(source) writes the module `persistent_things`, not imported yet."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "persistent_things.py"

    def write(source):
        path.write_text(textwrap.dedent(source))
        sys.modules.pop("persistent_things", None)

    yield write
    sys.modules.pop("persistent_things", None)


THING = """
    import pmemobj
    class Thing(pmemobj.PersistentObject):
        def __init__(self, n=1):
            self.n = n
"""

STORE = """
    import sys, pmemobj, persistent_things
    with pmemobj.open(sys.argv[1], max_size=16 << 20) as pool:
        thing = pool.new(persistent_things.Thing)
        pool.root = {"thing": thing, "tuple": ((thing, 1), frozenset({thing})), "key": {(thing, 1): 5}, "list": [thing]}
"""


def test_nested_class(pool, reopen):
    pool.root = pool.new(Outer.Inner)
    assert type(reopen(pool).root) is Outer.Inner


def test_local_class_is_refused(pool):
    class Local(PersistentObject):
        pass

    before = pool._allocated()
    with pytest.raises(TypeError, match="defined inside a function"):
        pool.new(Local)
    assert pool._allocated() == before


def test_class_that_cannot_be_found_is_refused(pool):
    hidden = type("Hidden", (PersistentObject,), {"__module__": __name__})
    with pytest.raises(TypeError, match="no attribute 'Hidden'"):
        pool.new(hidden)
    impostor = type("Replaced", (PersistentObject,), {"__module__": __name__})
    with pytest.raises(TypeError, match="another class now"):
        pool.new(impostor)
    nowhere = type("Nowhere", (PersistentObject,), {"__module__": "no.such.module"})
    with pytest.raises(TypeError, match=r"no\.such\.module"):
        pool.new(nowhere)


def test_slots(pool):
    with pytest.raises(TypeError, match="__slots__"):
        pool.new(Slotted)
    o = pool.new(VolatileSlots)
    o._v_x, o.y = object(), 1
    assert vars(o) == {"y": 1}
    o = pool.new(EmptySlots)
    o.x = 1
    assert o.x == 1


def test_not_a_persistent_class(pool):
    for wrong in (int, object, Outer, 5):
        with pytest.raises(TypeError, match=r"pool\.new"):
            pool.new(wrong)


def test_read_before_the_import(pool_path, module, tmp_path):
    """Nothing is imported because a pool names it: the object is read, as a placeholder."""
    module(THING)
    run(tmp_path, STORE, pool_path)
    with pmemobj.open(pool_path) as pool:
        thing = pool.root["thing"]
        assert "persistent_things" not in sys.modules
        assert type(thing) is PersistentPlaceholder and thing.n == 1 and vars(thing) == {"n": 1}
        assert repr(thing) == "<placeholder of a persistent_things.Thing, with the attributes n>"
        (again, _), (other,) = pool.root["tuple"]
        assert again is other is thing is pool.root["list"][0] and pool.root["key"][thing, 1] == 5
        pool.root["list"].append(thing)
        pool.root["set"] = {thing}
        assert thing in pool.root["set"] and pool.to_python(pool.root["list"]) == [thing, thing]
        with pytest.raises(ClassNotFoundError, match="import persistent_things before reading it"):
            thing.n = 2
        with pytest.raises(ClassNotFoundError, match="import persistent_things"):
            del thing.n
        with pytest.raises(AttributeError, match=r"no stored attribute 'grow'.*import persistent_things"):
            thing.grow()
        with pytest.raises(TypeError, match="never made"):
            pool.new(PersistentPlaceholder)
        thing._check()
        assert pool.check().ok

        import persistent_things

        with pytest.raises(ClassNotFoundError, match="let go of this object and read it again"):
            thing.n = 2
        del again, other, thing
        thing = pool.root["thing"]
        assert type(thing) is persistent_things.Thing and pool.root["list"][1] is thing
        thing.n = 2
        assert thing.n == 2
        pool._check_references()
    assert repr(thing).endswith("or its pool is closed>")


@pytest.mark.parametrize("first", ["tuple", "key", "list"])
def test_read_inside_a_value(pool_path, module, tmp_path, first):
    module(THING)
    run(tmp_path, STORE, pool_path)
    with pmemobj.open(pool_path) as pool:
        value = pool.to_python(pool.root[first])
        thing = pool.root["thing"]
        values = {"tuple": ((thing, 1), frozenset({thing})), "key": {(thing, 1): 5}, "list": [thing]}
        assert value == values[first]
        pool._check_references()


def test_placeholders_go_back_to_their_objects(pool_path, module, tmp_path):
    """What only a placeholder keeps is destroyed with it, and an abort makes it stale."""
    module(THING)
    run(tmp_path, STORE, pool_path)
    with pmemobj.open(pool_path) as pool:
        thing = pool.root["thing"]
        with pytest.raises(KeyError), pool.transaction():
            pool.root["more"] = thing
            raise KeyError
        pool.root = None
        assert thing.n == 1 and pool._limbo() == 1
        del thing
        assert pool._limbo() == 0
    with pytest.raises(pmemobj.PoolClosedError):
        _ = pool.root


def test_class_is_gone(pool_path, module, tmp_path):
    module(THING)
    run(tmp_path, STORE, pool_path)
    with pmemobj.open(pool_path) as pool:
        for source in ("Other = 1", "Thing = 1", "class Thing: pass", "class Thing(int): pass"):
            module(source)
            importlib.import_module("persistent_things")
            thing = pool.root["thing"]
            assert thing.n == 1
            with pytest.raises(ClassNotFoundError, match="has no such subclass of PersistentObject"):
                thing.n = 2
            del thing
        del pool.root["thing"]
        pool.root = None
        assert pool._limbo() == 0


def test_main_program(pool_path, tmp_path):
    program = """
        import sys, pmemobj
        class Mine(pmemobj.PersistentObject):
            pass
        with pmemobj.open(sys.argv[1], max_size=16 << 20) as pool:
            if pool.root is None:
                pool.root = pool.new(Mine)
                pool.root.n = 0
            pool.root.n += 1
            print(type(pool.root), pool.root.n)
    """
    assert "__main__.Mine'> 1" in run(tmp_path, program, pool_path)
    assert "__main__.Mine'> 2" in run(tmp_path, program, pool_path)
    with pmemobj.open(pool_path) as pool:
        assert pool.root.n == 2
        with pytest.raises(ClassNotFoundError, match="move the class into a module"):
            pool.root.n = 3


# --- other names


class Moved(PersistentObject):
    __p_aliases__ = ("persistent_things:Old",)

    def double(self):
        return 2 * self.n


def test_a_class_that_has_moved(pool_path, module, tmp_path, reopen):
    module(THING.replace("Thing", "Old"))
    run(tmp_path, STORE.replace("Thing", "Old"), pool_path)
    pool = pmemobj.open(pool_path)
    thing = pool.root["thing"]
    assert type(thing) is Moved and thing.double() == 2
    other = pool.new(Moved)
    other.n = 7
    pool.root["list"].append(other)
    del thing, other
    pool = reopen(pool)
    assert [o.double() for o in pool.root["list"]] == [2, 14]
    assert pool._check_references() and pool.check().ok


@pytest.mark.parametrize("names", ["a:B", ("a.B",), (5,), ["a:B"]], ids=repr)
def test_wrong_aliases(names):
    with pytest.raises(TypeError, match=r"__p_aliases__|'module:qualname'"):
        type("Wrong", (PersistentObject,), {"__p_aliases__": names})


def test_rename_class(pool, reopen):
    pool.root = [pool.new(Replaced)]
    pool.root[0].n = 5
    with pytest.raises(KeyError, match=r"no class 'a:B' has objects.*Replaced"):
        pool.rename_class("a:B", "c:D")
    with pytest.raises(TypeError, match="'module:qualname'"):
        pool.rename_class("a.B", "c:D")
    with pytest.raises(pmemobj.TransactionError), pool.transaction():
        pool.rename_class(f"{__name__}:Replaced", f"{__name__}:EmptySlots")
    pool.rename_class(f"{__name__}:Replaced", f"{__name__}:EmptySlots")
    assert type(pool.root[0]) is EmptySlots and pool.root[0].n == 5
    pool.root.append(pool.new(Replaced))
    with pytest.raises(ValueError, match="record of its own"):
        pool.rename_class(f"{__name__}:Replaced", f"{__name__}:EmptySlots")
    pool = reopen(pool)
    assert [type(o) for o in pool.root] == [EmptySlots, Replaced] and pool.root[0].n == 5
    pool.rename_class(f"{__name__}:Replaced", "nowhere:Gone")
    assert repr(pool.root[1]) == "<placeholder of a nowhere.Gone, with the attributes none>"
    assert pool._check_references() and pool.check().ok


def test_a_class_defined_anew(pool, reopen):
    import test_object_classes as this

    old, first = Replaced, pool.new(Replaced)
    first.x = 1
    this.Replaced = type("Replaced", (PersistentObject,), {"__module__": __name__, "y": 2})
    try:
        second = pool.new(this.Replaced)
        second.x = 10
        assert type(second) is this.Replaced and (second.x, second.y) == (10, 2)
        assert first.x == 1 and not hasattr(first, "y")
        for _ in range(3):
            first.x += 1
            second.x += 1
            second.z = first.z = 5
        assert (vars(first), vars(second)) == ({"x": 4, "z": 5}, {"x": 13, "z": 5})
        pool.root = [first, second]
        del first, second
        pool = reopen(pool)
        assert [type(o) for o in pool.root] == [this.Replaced] * 2
    finally:
        this.Replaced = old


def test_the_type_table_is_small(pool):
    """One record for a class, whatever the number of objects."""
    pool.root = [pool.new(Outer.Inner) for _ in range(100)]
    assert pool._check_references() == 2 + 1 + 100  # table and record, list, objects


def test_types_table_survives_gc(pool, reopen):
    pool.new(Outer.Inner)
    assert pool.gc().objects == 0
    pool.root = pool.new(Outer.Inner)
    assert reopen(pool).root.x == 1
