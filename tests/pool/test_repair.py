"""pmemobj.repair(): what can be read of a damaged pool is saved, what cannot is named, and the damaged one stays."""

import os
import struct
from collections import Counter, OrderedDict, defaultdict, deque

import pytest

import pmemobj
from pmemobj import _core
from tests.malformed.bases import CHILDREN, VALUES
from tests.pool.test_check_file import KILLED, SIZE, everything, put


class Thing(pmemobj.PersistentObject):
    def __init__(self, number):
        self.number = number
        self.made = True


def get(path, at):
    with open(path, "rb") as file:
        file.seek(at)
        return struct.unpack("<Q", file.read(8))[0]


def contents(pool):
    shared = pool.new(pmemobj.PersistentList, ["shared"])
    cycle = pool.new(pmemobj.PersistentList)
    cycle.append(cycle)
    thing = pool.new(Thing, 5)
    thing.friend = shared
    return {
        "list": [1, "a text of its own", [2], (3, "a text in a tuple")],
        "set": {1, "two", ("three", 3)},
        "tuple": pool.new(pmemobj.PersistentTuple, (1, shared)),
        "frozenset": pool.new(pmemobj.PersistentFrozenSet, [1, "two", ("three", 3)]),
        "thing": thing,
        "shared": [shared, shared],
        "cycle": cycle,
        "table": {i: str(i) * 5 for i in range(100)},
    }


@pytest.fixture
def made(pool_path):
    path = os.fspath(pool_path)
    with pmemobj.create(path, SIZE, sync="manual") as pool:
        pool.root = contents(pool)
    return path


def offsets(path, *functions):
    with pmemobj.open(path, "r") as pool:
        return [_core.object_at(function(pool.root)) for function in functions]


def repaired(path):
    """The result, and the new pool's root as builtins; the old pool is what it was."""
    before = everything(path)
    result = pmemobj.repair(path, path + ".new")
    assert everything(path) == before
    assert sorted(os.listdir(os.path.dirname(path))) == sorted(
        os.path.basename(name) for name in (*before, path + ".new")
    )
    with pmemobj.open(path + ".new") as pool:
        assert pool.check().ok
        return result, pool.to_python(pool.root)


def test_a_sound_pool_is_saved_whole(made):
    told = []
    result = pmemobj.repair(made, made + ".new", told.append)
    assert result.ok, result
    assert result.lost == []
    with pmemobj.open(made, "r") as old, pmemobj.open(made + ".new") as new:
        assert new.uuid != old.uuid
        assert new.check().ok
        root = new.root
        assert list(root) == list(old.root)
        for key in ("list", "set", "tuple", "table"):
            assert root[key] == old.to_python(old.root[key])
        assert root["shared"][0] is root["shared"][1]
        assert root["tuple"][1] is root["shared"][0]
        assert root["cycle"][0] is root["cycle"]
        assert type(root["thing"]) is Thing
        assert vars(root["thing"]) == {"number": 5, "made": True, "friend": root["shared"][0]}


def test_an_item_is_lost(made):
    (items,) = offsets(made, lambda root: root["list"])
    cells = get(made, items + 48)
    put(made, cells + 8, "<Q", 1 << 48 | 1 << 47)
    result, root = repaired(made)
    assert not result.ok
    assert [line.split(":")[0] for line in result.lost] == ["root['list'][1]"]
    assert root["list"] == [1, None, [2], (3, "a text in a tuple")]
    assert len(root["table"]) == 100
    assert any("root['list'][1]" in line for line in result.report.findings)
    assert "lost: root['list'][1]" in str(result)


def test_an_object_is_lost(made):
    (items,) = offsets(made, lambda root: root["list"])
    put(made, items + 48, "<Q", 8)
    result, root = repaired(made)
    assert {line.split(":")[0] for line in result.lost} == {f"root['list'][{i}]" for i in range(4)}
    assert root["list"] == [None] * 4
    assert root["set"] == {1, "two", ("three", 3)}


def test_an_index_is_not_needed(made):
    (table,) = offsets(made, lambda root: root["table"])
    put(made, table + 72, "<Q", 8)
    result, root = repaired(made)
    assert result.lost == []
    assert not result.report.ok
    assert root["table"] == {i: str(i) * 5 for i in range(100)}


def test_a_value_and_an_attribute_are_lost(made):
    table, thing = offsets(made, lambda root: root["table"], lambda root: root["thing"])
    put(made, get(made, table + 56) + 24 * 7 + 16, "<Q", 16)
    put(made, get(made, thing + 40), "<Q", 31 << 3 | 4)
    result, root = repaired(made)
    lost = sorted(line.split(":")[0] for line in result.lost)
    assert "root['table'][7]" in lost
    assert "root['thing'].number" in lost
    assert 7 not in root["table"]
    assert len(root["table"]) == 99


@pytest.mark.journal_engine("what only the journal has is missing")
def test_without_the_journal(made):
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", KILLED, made], check=False)
    put(made + "-journal", 0, "<Q", 0)
    put(made + "-journal", 4096, "<Q", 0)
    with pytest.raises(pmemobj.JournalError):
        pmemobj.open(made)
    result, root = repaired(made)
    assert result.lost[0].startswith("journal: ")
    assert root["set"] == {1, "two", ("three", 3)}
    assert "c" not in root


def test_refused(made, tmp_path):
    with pytest.raises(FileExistsError):
        pmemobj.repair(made, made)
    (tmp_path / "text").write_text("no pool")
    with pytest.raises(pmemobj.PoolFormatError):
        pmemobj.repair(tmp_path / "text", tmp_path / "new")
    with pytest.raises(FileNotFoundError):
        pmemobj.repair(tmp_path / "none", tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["test.pool", "text"]


def test_progress_that_raises(made, tmp_path):
    with pmemobj.open(made, sync="manual") as pool:
        pool.root["many"] = [[] for _ in range(1500)]

    def progress(objects):
        raise KeyboardInterrupt

    before = os.listdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        pmemobj.repair(made, made + ".new", progress)
    assert os.listdir(tmp_path) == before


def kinds(pool):
    return {
        "sorted": pool.new(pmemobj.PersistentSortedDict, {f"key {i:03}": i for i in range(150)}),
        "by case": pool.new(pmemobj.PersistentSortedSet, ["b", "A", "c"], key=str.lower),
        "deque": deque([1, 2], 5),
        "default": defaultdict(list, {1: [2]}),
        "counter": Counter("abca"),
        "ordered": OrderedDict(b=1, a=2),
    }


def test_every_kind_of_container(pool_path):
    """Those that are sorted ended a repair with AttributeError; a default dict lost its factory."""
    path = os.fspath(pool_path)
    with pmemobj.create(path, SIZE, sync="manual") as pool:
        pool.root = kinds(pool)
        expected = pool.to_python(pool.root)
    result, root = repaired(path)
    assert result.ok, result
    assert root == expected
    assert [type(value) for value in root.values()] == [type(value) for value in expected.values()]
    assert root["default"].default_factory is list
    assert list(root["sorted"]) == list(expected["sorted"])
    assert root["deque"].maxlen == 5
    with pmemobj.open(path + ".new") as pool:
        assert list(pool.root["by case"]) == ["A", "b", "c"]
        assert pool.root["by case"].key is str.lower


def test_an_entry_of_a_sorted_dict_is_lost(pool_path):
    path = os.fspath(pool_path)
    with pmemobj.create(path, SIZE, sync="manual") as pool:
        pool.root = kinds(pool)
    (tree,) = offsets(path, lambda root: root["sorted"])
    leaf = get(path, get(path, tree + 48) + CHILDREN)
    put(path, leaf + VALUES, "<Q", 16)
    result, root = repaired(path)
    assert [line.split(":")[0] for line in result.lost] == ["root['sorted']", "root['sorted']['key 000']"]
    assert root["sorted"] == {f"key {i:03}": i for i in range(1, 150)}
