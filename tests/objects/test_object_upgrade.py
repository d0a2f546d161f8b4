"""Classes that have changed since their objects were stored: fields added, removed, retyped; __p_upgrade__."""

import dataclasses
import textwrap
import threading

import pytest
from object_support import run

import pmemobj
from pmemobj import ClassNotFoundError, PersistentObject, StaleObjectError, UpgradeError

OPEN = """
    import sys, pmemobj, things
    pool = pmemobj.open(sys.argv[1], max_size=16 << 20)
"""

FIRST = """
    import pmemobj
    @pmemobj.persistent
    class Thing:
        name: str
        size: int = 1
        old: float = 0.5
"""

SECOND = """
    import pmemobj
    from dataclasses import field
    @pmemobj.persistent(slots=True)
    class Thing:
        added: str = "a default"
        size: str = "one"
        name: str = ""
        tags: list = field(default_factory=list)
        _v_cache: dict = field(default_factory=dict, repr=False)
"""

THIRD = """
    import pmemobj
    @pmemobj.persistent
    class Thing:
        name: str
        size: str = "one"
        __p_version__ = 2
        def __p_upgrade__(self, old_version):
            print("upgrading", self.name, "from", old_version)
            self.size = f"{self.size} metres"
            del self.old
    class Moved(Thing):
        __p_aliases__ = ("things:Other",)
"""


def test_programs_with_other_definitions(tmp_path, pool_path):
    def define(source):
        (tmp_path / "things.py").write_text(textwrap.dedent(source))

    define(FIRST)
    run(
        tmp_path,
        OPEN + "    pool.root = [pool.new(things.Thing, 'a', 5), pool.new(things.Thing, 'b')]",
        pool_path,
    )
    define(SECOND)
    program = """
    a, b = pool.root
    print(a, b.added, vars(a))
    try:
        a.old = 1.5
    except AttributeError:
        print("no field:", a.old)
    a.tags.append("tag")
    a._v_cache["x"] = 1
    try:
        a.size = 6
    except TypeError as error:
        print(error)
    b.tags.append("of b")
    print(a.tags, a._v_cache, vars(b)["tags"])
    del b.tags
    print(b.tags, vars(b)["tags"], pool.check().ok)
    """
    assert run(tmp_path, OPEN + program, pool_path).splitlines() == [
        "Thing(added='a default', size=5, name='a', tags=PersistentList([])) a default "
        "{'name': 'a', 'size': 5, 'old': 0.5}",
        "no field: 0.5",
        "Thing.size must be str, not int",
        "PersistentList(['tag']) {'x': 1} PersistentList(['of b'])",
        "PersistentList([]) PersistentList([]) True",
    ]
    define(THIRD)
    program = """
    print(pool.root[0].size, pool.new(things.Thing, "new").size)
    pool.root.append(pool.new(things.Thing, "c"))
    """
    assert run(tmp_path, OPEN + program, pool_path).splitlines() == [
        "upgrading a from 0",
        "5 metres one",
    ]
    program = (
        "    print([o.size for o in pool.root], [hasattr(o, 'old') for o in pool.root], vars(pool.root[2]))"
    )
    assert run(tmp_path, OPEN + program, pool_path).splitlines() == [
        "upgrading b from 0",
        "['5 metres', '1 metres', 'one'] [False, False, False] {'name': 'c', 'size': 'one'}",
    ]
    define(FIRST)  # an older program
    program = """
    try:
        pool.root[0].name
    except pmemobj.UpgradeError as error:
        print(error)
    """
    assert "was stored by version 2 of the class, which has version 0" in run(
        tmp_path, OPEN + program, pool_path
    )
    with pmemobj.open(pool_path) as pool:  # no class at all
        thing = pool.root[0]
        assert vars(thing)["size"] == "5 metres" and thing.size == "5 metres"
        with pytest.raises(ClassNotFoundError):
            thing.size = "6 metres"
        assert pool.check().ok


# --- in one process: `become` replaces the class under its name, and lets go of the objects


class Item(PersistentObject):
    pass


upgrades = []


def upgraded(self, old_version):
    upgrades.append(old_version)
    self.value = [self.value, old_version]


def failing(self, old_version):
    upgrades.append(old_version)
    self.value = "never to be seen"
    self.more = ["a text that needs a block"]
    raise KeyError("why")


@pytest.fixture
def become(monkeypatch):
    import test_object_upgrade as this

    def define(version, upgrade=upgraded, **body):
        body |= {"__module__": __name__, "__p_version__": version, "__p_upgrade__": upgrade}
        made = type("Item", (PersistentObject,), body)
        monkeypatch.setattr(this, "Item", made)
        upgrades.clear()
        return made

    return define


@pytest.fixture
def stored(pool, reopen, become):
    """A pool, open anew, whose root has three Items of version 0 with the values 0, 1, 2."""
    pool.root = [pool.new(Item) for _ in range(3)]
    for i, o in enumerate(pool.root):
        o.value = i
    del o
    return reopen(pool)


def test_once_for_each_object(stored, become, pool_path):
    cls = become(3)
    first = stored.root[0]
    assert upgrades == [] and type(first) is cls
    assert first.value == [0, 0] and upgrades == [0]
    assert first.value == [0, 0] and stored.root[0] is first and vars(first) == {"value": [0, 0]}
    del first
    assert [o.value for o in stored.root] == [[0, 0], [1, 0], [2, 0]] and upgrades == [0, 0, 0]
    new = stored.new(cls)
    new.value = "new"
    stored.root.append(new)
    del new
    stored.close()
    with pmemobj.open(pool_path) as pool:
        assert [o.value for o in pool.root] == [[0, 0], [1, 0], [2, 0], "new"] and upgrades == [0] * 3
        assert pool.check().ok and pool._check_references()
    become(4)
    with pmemobj.open(pool_path) as pool:
        assert pool.root[0].value == [[0, 0], 3] and pool.root[3].value == ["new", 3]
        assert upgrades == [3, 3]


@pytest.mark.parametrize(
    "use",
    [
        lambda o: o.value,
        lambda o: setattr(o, "other", 1),
        lambda o: delattr(o, "value"),
        vars,
        lambda o: o.method(),
        lambda o: hasattr(o, "nothing"),
        lambda o: o._v_volatile,
    ],
)
def test_every_use_is_the_first(stored, become, use):
    become(1, method=lambda self: self.value, _v_volatile=1)
    use(stored.root[0])
    assert upgrades == [0] and stored.root[0].__p_version__ == 1


def test_what_is_no_use(stored, become):
    become(1)
    o = stored.root[0]
    stored.root.append(o)
    assert o in stored.root and type(o) is o.__class__ and repr(o) and stored.check().ok and upgrades == []


def test_aborts(stored, become):
    """The object is an old one again, and upgraded when it is used again."""
    become(1)
    o, times = stored.root[0], 0
    for how in ("abort", "savepoint", "released", "both"):
        with stored.transaction() as tx:
            if how == "abort":
                assert o.value == [0, 0]
            if how in ("savepoint", "released", "both"):
                with stored.transaction() as inner:
                    assert o.value == [0, 0]
                    if how == "both":
                        inner.abort()
            times += 1
            if how == "savepoint":
                stored.begin()
                stored.abort()
            tx.abort()
        assert upgrades == [0] * times
    with pytest.raises(ZeroDivisionError), stored.transaction():
        assert o.value == [0, 0]
        raise ZeroDivisionError
    assert o.value == [0, 0] and upgrades == [0] * (times + 2)
    assert o.value == [0, 0] and upgrades == [0] * (times + 2)
    with stored.transaction() as tx:  # of a new object
        undone = stored.new(type(o))
        undone.value = stored.root[1].value
        tx.abort()
    with pytest.raises(StaleObjectError):
        _ = undone.value
    assert stored.root[1].value == [1, 0] and stored._check_references()


def test_failures(stored, become, pool_path):
    become(2, failing)
    o = stored.root[0]
    for count in (1, 2):
        with pytest.raises(
            UpgradeError, match=r"Item could not be upgraded from version 0 to 2.*KeyError: 'why'"
        ) as info:
            _ = o.value
        assert type(info.value.__cause__) is KeyError and upgrades == [0] * count
    with pytest.raises(UpgradeError):
        hasattr(o, "value")
    with stored.transaction():
        stored.root.append("kept")
        with pytest.raises(UpgradeError):
            o.value = 5
    assert stored.root[3] == "kept" and stored._check_references()

    def interrupted(self, old_version):
        raise KeyboardInterrupt

    type(o).__p_upgrade__ = interrupted
    with pytest.raises(KeyboardInterrupt):
        _ = o.value

    def closing(self, old_version):
        self._p_mm.commit()

    type(o).__p_upgrade__ = closing
    with pytest.raises(pmemobj.TransactionError):
        _ = o.value
    type(o).__p_upgrade__ = upgraded
    assert o.value == [0, 0]
    type(stored.root[1]).__p_upgrade__ = lambda self, old_version: self._p_mm.close()
    with pytest.raises(pmemobj.PmemobjError):
        _ = stored.root[1].value
    if not stored.closed:
        stored.close()
    with pmemobj.open(pool_path) as pool:
        type(pool.root[0]).__p_upgrade__ = upgraded
        assert [x.value for x in list(pool.root)[:3]] == [[0, 0], [1, 0], [2, 0]]


def test_an_upgrade_may_use_its_object_and_others(pool, reopen, become):
    """And what refers to it, in a ring."""
    pool.root = [pool.new(Item) for _ in range(3)]
    for i, o in enumerate(pool.root):
        o.value, o.next = i, pool.root[i - 1]
    del o

    def all_around(self, old_version):
        upgrades.append(self.value)
        self.sum = self.value + self.next.value
        self.both = self.next

    become(1, all_around)
    stored = reopen(pool)
    assert stored.root[0].sum == 2 and sorted(upgrades) == [0, 1, 2]
    assert [o.sum for o in stored.root] == [2, 1, 3] and len(upgrades) == 3


def test_a_full_pool(tmp_path, become):
    with pmemobj.open(tmp_path / "small", max_size=pmemobj.MIN_POOL_SIZE, sync="manual") as pool:
        pool.root = [pool.new(Item), []]
        pool.root[0].value = 1
        with pytest.raises(pmemobj.PoolFullError):
            while True:
                pool.root[1].append("x" * 4000)
        with pytest.raises(pmemobj.PoolFullError):
            while True:
                pool.root[1].append("x" * 10)
    become(1, lambda self, old: setattr(self, "value", "y" * 100_000))
    with pmemobj.open(tmp_path / "small", sync="manual") as pool:
        with pytest.raises(pmemobj.PoolFullError):
            _ = pool.root[0].value
        pool.root[1].clear()
        assert pool.root[0].value == "y" * 100_000 and pool.check().ok


def test_the_version_cannot_be_set(stored, become):
    with pytest.raises(TypeError, match="__p_version__ of Item must be an int from 0"):
        become("2")
    for wrong in (-1, 1 << 31, True, None):
        with pytest.raises(TypeError, match="__p_version__"):
            become(wrong)
    become(2)
    o = stored.root[0]
    for name in ("__p_version__", "<version>"):
        with pytest.raises(TypeError, match="cannot be assigned"):
            setattr(o, name, 5)
        with pytest.raises(TypeError, match="cannot be deleted"):
            delattr(o, name)
    assert o.__p_version__ == 2 and "<version>" not in vars(o) and o.value == [0, 0]


def test_copies_keep_the_version(stored, become, tmp_path):
    """Of an upgraded object and of one that is old."""
    become(5)
    assert stored.root[0].value == [0, 0]
    stored.compact(tmp_path / "compacted")
    stored.backup(tmp_path / "backup")
    stored.close()
    assert pmemobj.repair(stored.path, tmp_path / "repaired").ok
    for name in ("compacted", "backup", "repaired"):
        upgrades.clear()
        with pmemobj.open(tmp_path / name) as pool:
            assert [o.value for o in pool.root] == [[0, 0], [1, 0], [2, 0]] and upgrades == [0, 0], name


@pytest.mark.journal_engine("snapshots")
def test_snapshots_show_what_is_stored(stored, become):
    cls = become(1)
    cls.__dataclass_fields__ = {"later": dataclasses.field(default_factory=list)}
    with pmemobj.open(stored.path, "r") as snapshot:
        o, other = snapshot.root[0], snapshot.root[1]
        assert (o.value, vars(o), o.later, upgrades) == (0, {"value": 0}, [], [])
        assert o.later is not o.later and type(o.later) is list
        with pytest.raises(pmemobj.ReadOnlyPoolError):
            o.value = 1
        assert stored.root[0].value == [0, 0] and upgrades == [0]
        stored.root[0].later.append("x")
        snapshot.refresh()
        assert (o.value, other.value, o.later, upgrades) == ([0, 0], 1, ["x"], [0])


def test_a_damaged_version(stored, become):
    cls = become(1)
    o = stored.root[0]
    assert o.value == [0, 0]
    pmemobj._object.set_unchecked(o, "<version>", "text")
    del o
    assert type(stored.root[0]) is cls
    with pytest.raises(UpgradeError, match="version -1"):
        _ = stored.root[0].value


def test_threads(stored, become):
    """Nobody sees an object between its two versions."""
    inside, go_on, seen = threading.Event(), threading.Event(), []

    def slow(self, old_version):
        upgrades.append(old_version)
        inside.set()
        assert go_on.wait(30)
        self.value = "upgraded"

    become(1, slow)
    o = stored.root[0]
    first = threading.Thread(target=lambda: seen.append(o.value))
    first.start()
    assert inside.wait(30)
    others = [threading.Thread(target=lambda: seen.append(stored.root[0].value)) for _ in range(3)]
    for thread in others:
        thread.start()
    go_on.set()
    for thread in [first, *others]:
        thread.join(30)
    assert seen == ["upgraded"] * 4 and upgrades == [0]


def test_volatile_attributes_come_after_the_upgrade(stored, become):
    def begin(self):
        self._v_seen = self.value

    become(1, _v__init__=begin)
    o = stored.root[0]
    assert o._v_seen == [0, 0]
    with stored.transaction() as tx:
        other = stored.root[1]
        assert other._v_seen == [1, 0]
        tx.abort()
    assert other._v_seen == [1, 0] and upgrades == [0, 0, 0]
