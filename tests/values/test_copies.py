"""Plain containers are stored as copies: cycles and shared references are kept, errors name the path."""

import collections

import pytest

import pmemobj
from pmemobj import PersistentDict, PersistentList, PersistentObject, PersistentSet


class Holder(PersistentObject):
    pass


class Unsupported:
    def __repr__(self):
        return "<unsupported>"


U = Unsupported()


def test_shared_references(pool, reopen):
    shared = [1]
    pool.root = {"a": shared, "b": [shared, (shared, {"c": shared})], "d": {1: {2: shared}}}
    root = reopen(pool).root
    a = root["a"]
    assert root["b"][0] is a and root["b"][1][0] is a and root["b"][1][1]["c"] is a and root["d"][1][2] is a
    a.append(2)
    assert root["d"][1][2] == [1, 2]
    assert shared == [1]  # the original is not the stored one
    root._p_mm._check_references()


def test_cycles(pool, reopen):
    items: list = [1]
    items.append(items)
    table = {"items": items, "tuple": (items,)}
    table["self"] = table
    pool.root = table
    root = reopen(pool).root
    assert root["self"] is root and root["items"][1] is root["items"] and root["tuple"][0] is root["items"]
    pool = root._p_mm
    pool._check_references()
    pool.root = None
    del root
    assert pool.gc().objects == 2
    assert pool._check_references() == 0


def test_types_of_the_copies(pool):
    pool.root = [[], {}, set(), (), frozenset(), [{1}]]
    assert [type(item) for item in pool.root] == [
        PersistentList, PersistentDict, PersistentSet, tuple, frozenset, PersistentList,
    ]  # fmt: skip


def test_existing_objects_are_not_copied(pool):
    inner = pool.new(PersistentList, [1])
    pool.root = [inner, (inner,), {"a": inner}]
    assert pool.root[0] is inner is pool.root[1][0] is pool.root[2]["a"]


PATHS = [
    (U, ""),
    ([1, U], "[1]"),
    ({"a": U}, "['a']"),
    ({"a": [0, {"b": (1, 2, U)}]}, "['a'][1]['b'][2]"),
    ({U: 1}, " key <unsupported>"),
    ({"x": {(1, U): 1}}, "['x'] key (1, <unsupported>)[1]"),
    ((U,), "[0]"),
    ([[[U]]], "[0][0][0]"),
    ([collections.OrderedDict(a=U)], "[0]['a']"),
    ([collections.UserDict()], "[0]"),
    ({"a": memoryview(b"")}, "['a']"),
]


@pytest.mark.parametrize("value, path", PATHS)
def test_errors_name_the_path_and_change_nothing(pool, value, path):
    holder = pool.new(Holder)
    holder.x = 1
    pool.root = {"holder": holder, "list": [1], "dict": {1: 1}}
    root, before = pool.root, pool._allocated()
    stores = [
        lambda: setattr(pool, "root", value), lambda: setattr(holder, "x", value), lambda: setattr(holder, "y", value),
        lambda: root["list"].append(value), lambda: root["list"].__setitem__(0, value),
        lambda: root["dict"].__setitem__(1, value), lambda: root["dict"].__setitem__(2, value),
    ]  # fmt: skip
    for store in stores:
        with pytest.raises(TypeError) as caught:
            store()
        message = str(caught.value)
        assert "cannot be stored in a pool" in message
        assert message.endswith(f"(at value{path})") if path else "at value" not in message
    assert vars(holder) == {"x": 1} and root["list"] == [1] and root["dict"] == {1: 1}
    assert pool._allocated() == before
    pool._check_references()


def test_subclasses_of_builtins_are_refused(pool):
    class Int(int):
        pass

    for value in (
        Int(1),
        type("D", (collections.OrderedDict,), {})(),
        type("C", (collections.Counter,), {})(),
        type("S", (str,), {})("s"),
    ):
        with pytest.raises(TypeError, match="subclass of"):
            pool.root = value


def test_unhashable_keys(pool):
    pool.root = {}
    with pytest.raises(TypeError, match="unhashable"):
        pool.root[[1]] = 1
    with pytest.raises(TypeError, match="unhashable"):
        pool.root[pool.new(PersistentList)] = 1


def test_a_store_costs_what_it_takes(pool):
    before = pool._allocated()
    value = {"a": [1, "a string that needs a block", {2, (3, b"another" * 10)}], "b": {"c": 10**50}}
    for _ in range(3):
        pool.root = value
        pool.root = [value, value]
    assert pool._check_references() == 1 + 4  # value is shared
    pool.root = None
    assert pool._allocated()[0] == before[0]


# --- to_python


def test_to_python(pool):
    value = {
        "list": [1, [2, (3, [4])]], "set": {1, (2, 3)}, "dict": {(1, "k"): {"n": None}}, "tuple": ([1], frozenset({2})),
    }  # fmt: skip
    pool.root = value
    copy = pool.to_python(pool.root)
    assert copy == value

    def plain(obj):
        assert type(obj) in (dict, list, set, tuple, frozenset, int, str, type(None))
        if isinstance(obj, dict):
            obj = [*obj, *obj.values()]
        if not isinstance(obj, (int, str, type(None))):
            for item in obj:
                plain(item)

    plain(copy)
    copy["list"].append("changed")
    assert pool.root["list"] == value["list"]
    for atom in (1, "s", None, (1, 2)):
        assert pool.to_python(atom) == atom


def test_to_python_keeps_cycles_and_sharing(pool):
    shared: list = [1]
    shared.append((shared, {"self": shared}))
    pool.root = {"a": shared, "b": shared}
    copy = pool.to_python(pool.root)
    assert copy["a"] is copy["b"] and copy["a"][1][0] is copy["a"] and copy["a"][1][1]["self"] is copy["a"]
    pool.root["c"] = pool.new(pmemobj.PersistentTuple, [pool.root, 2])
    copy = pool.to_python(pool.root)
    assert copy["c"] == (copy, 2) and copy["c"][0] is copy and type(copy["c"]) is tuple


def test_to_python_of_deep_structures(pool):
    pool.root = bottom = pool.new(PersistentList)
    for _ in range(5000):
        bottom.append([])
        bottom = bottom[0]
    copy, depth = pool.to_python(pool.root), 0
    while copy:
        copy, depth = copy[0], depth + 1
    assert depth == 5000


def test_to_python_leaves_objects(pool):
    holder = pool.new(Holder)
    holder.x = [1]
    pool.root = [holder, {"h": (holder,)}]
    copy = pool.to_python(pool.root)
    assert copy[0] is holder is copy[1]["h"][0] and type(copy) is list


def test_to_python_of_plain_containers_with_persistent_ones_inside(pool):
    inner = pool.new(PersistentDict, {"a": [1]})
    copy = pool.to_python([inner, {1: inner}])
    assert copy == [{"a": [1]}, {1: {"a": [1]}}] and type(copy[0]) is dict and copy[0] is copy[1][1]
