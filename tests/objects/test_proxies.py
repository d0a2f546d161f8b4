"""The Python objects that stand for stored ones: made and given back all the time, from memory that is used again."""

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import pmemobj
from pmemobj import (
    PersistentArray,
    PersistentByteArray,
    PersistentDeque,
    PersistentDict,
    PersistentFrozenSet,
    PersistentList,
    PersistentObject,
    PersistentSet,
    PersistentTuple,
)

MANY = 300  # more than are kept


class Plain(PersistentObject):
    pass


class Slotted(PersistentObject):
    __slots__ = ("_v_note",)


class Finalized(PersistentObject):
    ended = 0

    def __del__(self):
        type(self).ended += 1


class Ready(PersistentObject):
    def _v__init__(self):
        self._v_ready = True


class OwnList(PersistentList):
    pass


def stored(pool):
    """Three of each type, in the root."""
    pool.root = [
        [make(pool) for _ in range(3)]
        for make in (
            lambda pool: [1, 2],
            lambda pool: {"a": 1},
            lambda pool: {1, 2},
            lambda pool: pool.new(PersistentTuple, (1, 2)),
            lambda pool: pool.new(PersistentFrozenSet, (1, 2)),
            lambda pool: pool.new(PersistentDeque, (1, 2)),
            lambda pool: bytearray(b"12"),
            lambda pool: np.arange(2),
            *(
                lambda pool, cls=cls: pool.new(cls)
                for cls in (PersistentObject, Plain, Slotted, Finalized, Ready)
            ),
        )
    ]
    return pool.root


CLASSES = [
    PersistentList,
    PersistentDict,
    PersistentSet,
    PersistentTuple,
    PersistentFrozenSet,
    PersistentDeque,
    PersistentByteArray,
    PersistentArray,
    PersistentObject,
    Plain,
    Slotted,
    Finalized,
    Ready,
]


def test_memory_changes_its_type(pool):
    root = stored(pool)
    for _ in range(5):
        for group, cls in zip(root, CLASSES, strict=True):
            kept = list(group)
            assert [type(item) for item in kept] == [cls] * 3
            assert [item is again for item, again in zip(kept, group, strict=True)] == [True] * 3
            if cls is Ready:
                assert kept[0]._v_ready
            if issubclass(cls, PersistentObject):
                assert vars(kept[0]) == {}
                kept[1]._v_note = "volatile"
        del kept
        for group in root[4:]:
            assert not any(hasattr(item, "_v_note") for item in group)


def test_many_at_once(pool):
    pool.root = [[i] for i in range(MANY)]
    for _ in range(3):
        kept = list(pool.root)
        assert [row[0] for row in kept] == list(range(MANY))
        assert [row is again for row, again in zip(kept, pool.root, strict=True)] == [True] * MANY
        del kept


def test_reference_counts(pool):
    root = stored(pool)
    before = [sys.getrefcount(cls) for cls in CLASSES], sys.getrefcount(pool)
    for _ in range(MANY):
        for group in root:
            for item in group:
                repr(item)
    kept = [list(group) for group in root]
    del kept, group, item
    assert ([sys.getrefcount(cls) for cls in CLASSES], sys.getrefcount(pool)) == before


def test_weak_references_end(pool):
    for group in stored(pool):
        calls = []
        reference = weakref.ref(group[0], calls.append)
        assert reference() is None
        assert calls == [reference]
        item = group[1]
        reference = weakref.ref(item)
        assert reference() is item
        assert weakref.getweakrefcount(group[2]) == 0


def test_weakref_callback_asks_for_the_object(pool):
    for group, cls in zip(stored(pool), CLASSES, strict=True):
        found = []
        item = group[0]
        reference = weakref.ref(item, lambda _, group=group, found=found: found.append(group[0]))
        del item
        assert [type(o) for o in found] == [cls]
        assert reference() is None
        assert found[0] is group[0]


def test_finalizer_of_each_object(pool):
    pool.root = [pool.new(Finalized) for _ in range(5)]
    before = Finalized.ended
    for i in range(MANY):
        assert type(pool.root[i % 5]) is Finalized
    assert Finalized.ended == before + MANY


zombies = []


class Zombie(PersistentObject):
    def __del__(self):
        zombies.append(self)


def test_finalized_memory_is_not_used_again(pool):
    """A resurrected object whose class has lost its __del__: the collector's mark must not reach the next one."""
    pool.root = [pool.new(Zombie), pool.new(Finalized)]
    zombies.clear()
    assert type(pool.root[0]) is Zombie
    assert len(zombies) == 1
    finalizer = Zombie.__del__
    del Zombie.__del__
    try:
        zombies.clear()
        before = Finalized.ended
        assert type(pool.root[1]) is Finalized
        assert Finalized.ended == before + 1
    finally:
        Zombie.__del__ = finalizer
        zombies.clear()


def test_proxies_are_seen_by_the_collector(pool):
    for group in stored(pool):
        item = group[0]
        assert gc.is_tracked(item)
        assert any(o is pool for o in gc.get_referents(item))


def test_cycle_through_the_handle(pool_path):
    pool = pmemobj.open(pool_path, max_size=256 << 20, sync="manual")
    pool.root = [[1]]
    pool.mine = pool.root, pool.root[0]
    reference = weakref.ref(pool)
    with pytest.warns(ResourceWarning):
        del pool
        gc.collect()
    assert reference() is None


def test_collection_at_every_allocation(pool):
    root = stored(pool)
    old = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(3):
            for group, cls in zip(root, CLASSES, strict=True):
                kept = [group[0], group[1], pool.new(PersistentList, [1])]
                assert type(kept[0]) is type(kept[1]) is cls
                made = pool.new(cls)
                made_again = [made, made]
                assert type(made_again[0]) is cls
    finally:
        gc.set_threshold(*old)


def test_after_close(pool):
    root = stored(pool)
    kept = [group[0] for group in root]
    pool.close()
    for item in [root, *kept]:
        with pytest.raises(pmemobj.PoolClosedError):
            repr(item.x if isinstance(item, PersistentObject) else len(item))
    del kept, item


def test_subclass_of_a_container(pool):
    """It is no container that a pool makes by itself, but may be made and given back."""
    for _ in range(MANY):
        own = pool.new(OwnList, [1])
        own.note = "has a dict"
        assert own[0] == 1
    pool.root = own
    del own
    assert type(pool.root) is PersistentList


def test_new_without_a_pool():
    for cls in (PersistentObject, Plain, Slotted):
        o = cls.__new__(cls)
        with pytest.raises((TypeError, AttributeError)):
            o.x = 1
        del o
    with pytest.raises(TypeError):
        Plain()
    for _ in range(MANY):
        Plain.__new__(Plain)


def test_threads_make_and_give_back(pool):
    root = stored(pool)
    failures = []

    def work():
        try:
            for _ in range(300):
                for group, cls in zip(root, CLASSES, strict=True):
                    items = list(group)
                    assert [type(item) for item in items] == [cls] * 3
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
