"""pool.why(): the shortest way from the root to an object."""

import collections
import random

import pytest

import pmemobj
from pmemobj import PersistentDict, PersistentList, PersistentObject


class Named(PersistentObject):
    pass


def test_paths_through_everything(pool):
    target = pool.new(PersistentList)
    pool.root = {"a": [0, [0, target]]}
    root = pool.root
    assert str(pool.why(root)) == "root" and pool.why(root).steps == ()
    path = pool.why(target)
    assert path.text == str(path) == "root['a'][1][1]"
    assert [step for _, step in path.steps] == ["['a']", "[1]", "[1]"]
    assert [holder for holder, _ in path.steps] == [root, root["a"], root["a"][1]]
    assert path.steps[0][0] is root
    for make, text in {
        lambda: {1.5: target}: "root[1.5]",
        lambda: [target]: "root[0]",
        lambda: [(1, (target, 2))]: "root[0][1][0]",
        lambda: collections.deque([1, target]): "root[1]",
        lambda: collections.OrderedDict(x=target): "root['x']",
        lambda: pool.new(pmemobj.PersistentTuple, [1, 2, target]): "root[2]",
        lambda: pool.new(pmemobj.PersistentSortedDict, {1: 5, 2: target}): "root[#1]",
    }.items():
        pool.root = make()
        assert str(pool.why(target)) == text
    pool.root = named = pool.new(Named)
    pool.root.name = {"k": (target,)}
    assert str(pool.why(target)) == "root.name['k'][0]"
    pool.root = pool.new(pmemobj.PersistentFrozenSet, [named])
    assert str(pool.why(target)) == "root member #0.name['k'][0]"
    pool.root = {named}
    assert str(pool.why(target)) == "root member #0.name['k'][0]"
    pool.root = {named: 1}
    assert str(pool.why(target)) == "root key #0.name['k'][0]"
    assert pool.check().ok


def test_the_shortest(pool):
    target = pool.new(PersistentDict)
    pool.root = {"long": [[[[target]]]], "short": [target], "longer": [[[[[target]]]]]}
    assert str(pool.why(target)) == "root['short'][0]"
    del pool.root["short"]
    assert str(pool.why(target)) == "root['long'][0][0][0][0]"


def test_nothing_leads_there(pool, tmp_path):
    target = pool.new(PersistentList, [[1]])
    target.append(target)
    pool.root = [1]
    assert pool.why(target) is None and pool.why(target[0]) is None
    with pool.transaction() as tx:
        pool.root = target
        assert str(pool.why(target[0])) == "root[0]"
        tx.abort()
    assert pool.why(target) is None
    for wrong in (1, [1], None, PersistentList):
        with pytest.raises(TypeError, match="takes a persistent object"):
            pool.why(wrong)
    with pmemobj.open(tmp_path / "other", max_size=8 << 20) as other, pytest.raises(pmemobj.CrossPoolError):
        other.why(target)
    with pool.transaction() as tx:
        undone = pool.new(PersistentList)
        tx.abort()
    with pytest.raises(pmemobj.StaleObjectError):
        pool.why(undone)
    pool.close()
    with pytest.raises(pmemobj.PoolClosedError):
        pool.why(target)


@pytest.mark.journal_engine("snapshots")
def test_in_a_snapshot(pool):
    pool.root = {"a": [[1]]}
    with pmemobj.open(pool.path, "r") as snapshot:
        assert str(snapshot.why(snapshot.root["a"][0])) == "root['a'][0]"


def test_random_graphs(pool):
    """Each path leads to its object, and is as short as a search finds one."""
    chance = random.Random(3)
    for _ in range(10):
        nodes = [pool.new(PersistentList) for _ in range(40)]
        pool.root = nodes[0]
        distance = {0: 0}
        edges = [(chance.randrange(40), chance.randrange(40)) for _ in range(60)]
        for a, b in edges:
            nodes[a].append(nodes[b])
        todo = collections.deque([0])
        while todo:
            at = todo.popleft()
            for a, b in edges:
                if a == at and b not in distance:
                    distance[b] = distance[a] + 1
                    todo.append(b)
        for i, node in enumerate(nodes):
            path = pool.why(node)
            assert (path is not None) == (i in distance)
            if path is not None:
                assert eval(path.text, {"root": pool.root}) is node and len(path.steps) == distance[i]
