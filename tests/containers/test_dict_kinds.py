"""Defaultdicts, counters and ordered dicts where they are not as a dict: factories, aborts, failures, copies."""

import operator
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict
from contextlib import nullcontext

import pytest
from list_support import in_use

import pmemobj
from pmemobj import PersistentCounter, PersistentDefaultDict, PersistentList, PersistentOrderedDict

TEXT = "a long string, in a block"


def make_row():
    return [TEXT]


def failing():
    yield "a"
    raise ZeroDivisionError


KINDS = {
    "defaultdict": lambda: defaultdict(list, {i: str(i) * 9 for i in range(20)}),
    "Counter": lambda: Counter({i: i for i in range(20)}),
    "OrderedDict": lambda: OrderedDict((i, str(i) * 9) for i in range(20)),
}
CHANGES = {
    "defaultdict": {
        "missing": lambda d: d["new"].append(TEXT),
        "factory": lambda d: setattr(d, "default_factory", make_row),
        "no factory": lambda d: setattr(d, "default_factory", None),
        "put": lambda d: d.__setitem__(TEXT, TEXT),
        "clear": lambda d: d.clear(),
    },
    "Counter": {
        "update": lambda c: c.update([TEXT, 1, 1, 2]),
        "update mapping": lambda c: c.update({1: 5}, new=2),
        "subtract": lambda c: c.subtract({TEXT: 2, 3: 1}),
        "+=": lambda c: c.__iadd__(Counter(range(300))),
        "-=": lambda c: c.__isub__(Counter({3: 3, 5: 1})),
        "|=": lambda c: c.__ior__(Counter({TEXT: 3})),
        "&=": lambda c: c.__iand__(Counter({4: 3})),
        "delete": lambda c: c.__delitem__(4),
    },
    "OrderedDict": {
        "to end": lambda d: d.move_to_end(3),
        "to front": lambda d: d.move_to_end(3, last=False),
        "many": lambda d: [d.move_to_end(i, last=i % 3 > 0) for i in list(d) * 30],
        "first": lambda d: [d.popitem(last=False) for _ in range(15)],
        "last": lambda d: [d.popitem() for _ in range(15)],
        "a queue": lambda d: [d.update({i: TEXT}) or d.popitem(False) for i in range(100, 300)],
    },
}
CASES = [(kind, name) for kind, changes in CHANGES.items() for name in changes]


def content(d):
    return type(d), list(d._p_mm.to_python(d).items()), getattr(d, "default_factory", None)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_undone(pool, reopen, kind, name):
    pool.root = KINDS[kind]()
    d, model = pool.root, KINDS[kind]()
    before, used = content(d), in_use(pool)
    with pool.transaction() as tx:
        CHANGES[kind][name](d)
        assert content(d) != before
        d._check()
        with pool.transaction() as inner:
            d.clear()
            d[TEXT] = 1
            inner.abort()
        tx.abort()
    assert content(d) == before
    assert in_use(pool) == used
    d._check()
    CHANGES[kind][name](d)
    CHANGES[kind][name](model)
    assert pool.to_python(d) == model and list(d) == list(model)
    expected = content(d)
    del d
    pool = reopen(pool)
    assert content(pool.root) == expected
    pool.root._check()
    assert pool.check().ok
    pool._check_references()
    pool.compact(pool.path + ".compact")
    with pmemobj.open(pool.path + ".compact", sync="manual") as other:
        assert content(other.root) == expected and other.check().ok


FAILURES = [
    ("Counter", ZeroDivisionError, lambda c: c.update(failing())),
    ("Counter", TypeError, lambda c: c.update({1: TEXT})),
    ("Counter", TypeError, lambda c: c.update({1: 1, "new": object()})),
    ("Counter", TypeError, lambda c: c.subtract({2: 1, 1: TEXT})),
    ("Counter", NotImplementedError, lambda c: c.fromkeys("ab")),
    ("OrderedDict", KeyError, lambda d: d.move_to_end("not there")),
    ("OrderedDict", KeyError, lambda d: d.pop("not there")),
    ("OrderedDict", TypeError, lambda d: d.move_to_end([])),
    ("defaultdict", TypeError, lambda d: setattr(d, "default_factory", lambda: 1)),
    ("defaultdict", TypeError, lambda d: setattr(d, "default_factory", 5)),
    ("defaultdict", TypeError, lambda d: d[[]]),
]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("kind", "error", "change"), FAILURES)
def test_failure_changes_nothing(pool, kind, error, change, inside):
    pool.root = KINDS[kind]()
    before, used = content(pool.root), in_use(pool)
    with pool.transaction() if inside else nullcontext(), pytest.raises(error):
        change(pool.root)
    assert content(pool.root) == before and in_use(pool) == used


def test_plain_ones_become_ours_and_plain_again(pool, reopen):
    ordered = OrderedDict(a=1, b=[2])
    ordered.move_to_end("a")
    pool.root = {"o": ordered, "c": Counter("abba"), "d": defaultdict(make_row, x=1), "again": [ordered]}
    root = reopen(pool).root
    assert [type(root[k]) for k in "ocd"] == [PersistentOrderedDict, PersistentCounter, PersistentDefaultDict]
    assert list(root["o"]) == ["b", "a"] and root["again"][0] is root["o"]
    assert type(root["d"]["new"]) is PersistentList and root["d"]["new"] == [TEXT]
    plain = root._p_mm.to_python(root)
    assert [type(plain[k]) for k in "ocd"] == [OrderedDict, Counter, defaultdict]
    assert plain["d"].default_factory is make_row
    assert type(root["o"].copy()) is OrderedDict and type(root["c"].copy()) is Counter
    assert type(root["d"] | {}) is type({} | root["d"]) is defaultdict
    cycle = OrderedDict()
    cycle["self"] = cycle
    root["o"] = cycle
    assert root["o"]["self"] is root["o"]
    assert root["o"] != OrderedDict(a=1) and Counter("ab") == root._p_mm.new(PersistentCounter, "ba")


def test_order_matters_between_ordered_dicts(pool):
    d = pool.new(PersistentOrderedDict, [("a", 1), ("b", 2)])
    assert d == {"b": 2, "a": 1} and d == OrderedDict(a=1, b=2)
    assert d != OrderedDict(b=2, a=1) and d != pool.new(PersistentOrderedDict, [("b", 2), ("a", 1)])


class Meddler(str):
    """A key of a builtin dict that changes ours when it is compared for the n-th time."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        self.left[0] -= 1
        if self.left[0] == 0:
            self.change()
        return str.__eq__(self, other)


MEDDLING = {
    "clear": lambda ours: ours.clear(),
    "delete": lambda ours: ours.pop("b", None),
    "other order": lambda ours: (ours.move_to_end("a"), ours.move_to_end("b")),
    "same size": lambda ours: (ours.pop("a", None), ours.update(z=0)),
}


def test_closed_while_its_order_is_compared(pool_path):
    """Or just before."""
    refused = 0
    for moment in range(1, 8):
        with pmemobj.open(f"{pool_path}{moment}", max_size=8 << 20, sync="manual") as pool:
            pool.root = OrderedDict(a=1, b=2, c=3)
            ours, other = pool.root, OrderedDict((Meddler(key), n) for n, key in enumerate("abc", 1))
            Meddler.left, Meddler.change = [moment], lambda self, pool=pool: pool.close()
            try:
                assert ours == other
            except pmemobj.PoolClosedError:
                refused += 1
    assert refused >= 3


@pytest.mark.parametrize("change", MEDDLING.values(), ids=MEDDLING.keys())
def test_changed_while_its_order_is_compared(pool, change):
    outcomes = set()
    for moment in range(1, 8):
        pool.root = OrderedDict(a=1, b=2, c=3)
        ours, other = pool.root, OrderedDict()
        for key, value in pool.root.items():
            other[Meddler(key)] = value
        Meddler.left, Meddler.change = [moment], lambda self, ours=ours: change(ours)
        try:
            outcomes.add(ours == other)
        except RuntimeError as error:
            assert "mutated during iteration" in str(error) or "changed" in str(error)
            outcomes.add("mutated" if "mutated" in str(error) else "changed")
    assert {True, "mutated"} <= outcomes, outcomes


def test_taking_from_the_front_looks_at_each_entry_once(pool):
    d = pool.new(PersistentOrderedDict, ((i, i) for i in range(30_000)))
    assert [d.popitem(last=False)[0] for _ in range(29_000)] == list(range(29_000))
    d._check()
    d.move_to_end(29_500, last=False)
    assert d.popitem(last=False) == (29_500, 29_500) and len(d) == 999
    assert pool.check().ok


def test_a_factory_that_only_the_pool_names_is_not_called(pool_path):
    with pmemobj.open(pool_path, max_size=32 << 20) as pool:
        pool.root = {"mine": defaultdict(make_row), "list": defaultdict(list), "none": defaultdict(None, a=1)}
    program = f"""
import sys, pmemobj
sys.path.insert(0, {str(__file__).rpartition("/")[0]!r})
with pmemobj.open({str(pool_path)!r}) as pool:
    assert pool.root["list"]["k"] == [] and pool.root["none"]["a"] == 1
    for use in (lambda d: d["k"], lambda d: d.default_factory):
        try:
            use(pool.root["mine"])
            raise SystemExit("called")
        except pmemobj.ClassNotFoundError as error:
            assert "import test_dict_kinds" in str(error), error
    assert "<not found>" in repr(pool.root["mine"]) and pool.check().ok
    import test_dict_kinds
    try:
        pool.root["mine"]["k"]
        raise SystemExit("called")
    except pmemobj.ClassNotFoundError as error:
        assert "register_factory" in str(error), error
    pmemobj.register_factory(test_dict_kinds.make_row)
    assert pool.root["mine"]["k"] == [test_dict_kinds.TEXT]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_register_factory_as_decorator():
    assert pmemobj.register_factory(make_row) is make_row
    for wrong in (5, "list", object().__str__):
        with pytest.raises(TypeError):
            pmemobj.register_factory(wrong)


class Repeated:
    """A factory that is an object of a registered type."""

    def __init__(self, text):
        self.text = text

    def __call__(self):
        return self.text * 2

    def __eq__(self, other):
        return isinstance(other, Repeated) and self.text == other.text

    def __hash__(self):
        return hash(self.text)


def test_a_factory_of_a_registered_type(pool, reopen):
    with pytest.raises(TypeError, match="a Repeated has none"):
        pool.new(PersistentDefaultDict, Repeated("a"))
    with pytest.raises(TypeError, match="a Repeated has none"):
        pmemobj.register_factory(Repeated("a"))
    pmemobj.register(Repeated, operator.attrgetter("text"), Repeated)
    pool.root = pool.new(PersistentDefaultDict, Repeated("ab"))
    with pmemobj.open(str(pool.path) + " b", max_size=32 << 20, sync="manual") as other:
        other.root = pool.to_python(pool.root)  # its factory is trusted as well
        assert other.root["k"] == "abab"
    pool = reopen(pool)
    assert pool.root["k"] == "abab" and pool.root.default_factory == Repeated("ab")
    assert pmemobj.register_factory(Repeated("c")) == Repeated("c")


def test_a_factory_may_change_its_dict(pool):
    global changed
    changed = d = pool.new(PersistentDefaultDict, change, a=1)
    assert d["x"] == "made" and dict(d.items()) == {"x": "made"}
    d.default_factory = close
    with pytest.raises(pmemobj.PoolClosedError):
        d["y"]


def change():
    changed.clear()
    changed["x"] = "meanwhile"
    return "made"


def close():
    changed._p_mm.close()
