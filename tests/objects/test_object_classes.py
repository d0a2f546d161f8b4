"""The type table: which classes can be stored, and how they are found again."""

import os
import subprocess
import sys
import textwrap

import pytest

import pmemobj
from pmemobj import ClassNotFoundError, PersistentObject


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


def run(directory, program, *args, code=0):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, args)],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": ":".join([str(directory), *sys.path]), "PYTHONHASHSEED": "random"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


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


def test_imported_when_loaded(pool_path, module, tmp_path):
    module(THING)
    run(tmp_path, STORE, pool_path)
    with pmemobj.open(pool_path) as pool:
        assert "persistent_things" not in sys.modules
        thing = pool.root["thing"]
        import persistent_things

        assert type(thing) is persistent_things.Thing and thing.n == 1
        (again, _), (other,) = pool.root["tuple"]
        assert again is other is thing is pool.root["list"][0]
        assert pool.root["key"][thing, 1] == 5


@pytest.mark.parametrize("first", ["tuple", "key", "list"])
def test_imported_when_loaded_inside_a_value(pool_path, module, tmp_path, first):
    module(THING)
    run(tmp_path, STORE, pool_path)
    with pmemobj.open(pool_path) as pool:
        value = pmemobj.PersistentObjectPool.to_python(pool, pool.root[first])
        thing = pool.root["thing"]
        assert (
            value
            == {"tuple": ((thing, 1), frozenset({thing})), "key": {(thing, 1): 5}, "list": [thing]}[first]
        )
        assert type(thing).__name__ == "Thing" and thing.n == 1
        pool._check_references()


def test_module_is_gone(pool_path, module, tmp_path):
    module(THING)
    run(tmp_path, STORE, pool_path)
    (tmp_path / "persistent_things.py").unlink()
    with pmemobj.open(pool_path) as pool:
        for key in ("thing", "tuple"):
            with pytest.raises(ClassNotFoundError, match=r"persistent_things\.Thing .*No module named"):
                _ = pool.root[key]
        assert list(pool.root) == ["thing", "tuple", "key", "list"]
        module(THING)
        assert pool.root["thing"].n == 1  # once the module is back
        pool._check_references()


def test_class_is_gone(pool_path, module, tmp_path):
    module(THING)
    run(tmp_path, STORE, pool_path)
    with pmemobj.open(pool_path) as pool:
        for source, message in [
            ("Other = 1", "has no 'Thing'"),
            ("Thing = 1", "not a subclass"),
            ("class Thing: pass", "not a subclass"),
        ]:
            module(source)
            with pytest.raises(ClassNotFoundError, match=message):
                _ = pool.root["thing"]
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
    with pmemobj.open(pool_path) as pool, pytest.raises(ClassNotFoundError, match="run that program"):
        _ = pool.root


def test_an_import_that_uses_the_pool(pool_path, module, tmp_path):
    """The import is user code: here it reads the same object, drops it, and makes garbage of everything."""
    module(THING)
    run(tmp_path, STORE, pool_path)
    for action in (
        "first = pool.root['thing']",
        "pool.root.clear(); pool.root['x'] = ['y' * 100] * 100",
        "pool.root = None; [pool.new(pmemobj.PersistentList, [1] * 50) for i in range(100)]",
        "pool.close()",
        "pool.begin(); pool.root = None; pool.abort()",
    ):
        module(THING)
        with pmemobj.open(pool_path) as pool:
            sys.persistent_test_pool = pool
            with open(tmp_path / "persistent_things.py", "a") as file:
                file.write(f"\nimport sys\npool = sys.persistent_test_pool\n{action}\n")
            with (
                pool.transaction() if "close" not in action else pytest.raises(pmemobj.PoolClosedError) as tx
            ):
                thing = pool.root["tuple"][0][0]
                if action.startswith("first"):
                    assert sys.modules["persistent_things"].first is thing
                assert thing.n == 1 and type(thing).__name__ == "Thing"
                if not pool.closed:
                    tx.abort()
            if not pool.closed:
                pool._check_references()
    del sys.persistent_test_pool


def test_an_import_that_drops_the_object_outside_a_transaction(pool_path, module, tmp_path):
    module(THING)
    run(tmp_path, STORE, pool_path)
    with pmemobj.open(pool_path) as pool:
        sys.persistent_test_pool = pool
        with open(tmp_path / "persistent_things.py", "a") as file:
            file.write("\nimport sys\nsys.persistent_test_pool.root = None\n")
        thing = pool.root["tuple"][1]
        (thing,) = thing
        assert thing.n == 1
        pool._check_references()
        del thing
        assert pool._limbo() == 0
        pool._check_references()
    del sys.persistent_test_pool


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
