"""What lives in a pool is not copied or pickled by mistake; weak references work."""

import copy
import dataclasses
import gc
import pickle
import weakref

import pytest

import pmemobj
from pmemobj import PersistentObject


class Thing(PersistentObject):
    pass


@pmemobj.persistent
class Record:
    number: int = 1
    items: list = dataclasses.field(default_factory=list)


@pmemobj.persistent
class Inner:
    number: int = 1


CLASSES = [
    pmemobj.PersistentByteArray,
    pmemobj.PersistentCounter,
    pmemobj.PersistentDefaultDict,
    pmemobj.PersistentDeque,
    pmemobj.PersistentDict,
    pmemobj.PersistentList,
    pmemobj.PersistentOrderedDict,
    pmemobj.PersistentSet,
    pmemobj.PersistentSortedDict,
    pmemobj.PersistentSortedSet,
    pmemobj.PersistentTuple,
    Thing,
    Record,
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_copying_is_refused_and_says_what_to_do(pool, cls):
    o = pool.root = pool.new(cls)
    objects = pool._check_references()
    for how in (
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda o: pickle.dumps([o], 2),
        lambda o: copy.deepcopy([o]),
    ):
        with pytest.raises(TypeError, match=rf"a {cls.__name__} lives in its pool.*pool\.to_python\(obj\)"):
            how(o)
    assert pool._check_references() == objects
    plain = pool.to_python(o)
    if not isinstance(o, PersistentObject):
        assert not isinstance(plain, pmemobj._core.Persistent)
        assert copy.deepcopy(plain) == plain == pickle.loads(pickle.dumps(plain))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_weak_references_are_to_the_proxy(pool, cls):
    o = pool.root = pool.new(cls)
    ended = []
    weak = weakref.ref(o, ended.append)
    kept = weakref.WeakValueDictionary(o=o)
    assert weak() is o is kept["o"] is pool.root and ended == []
    del o
    gc.collect()
    assert weak() is None and ended == [weak] and "o" not in kept
    assert type(pool.root) is cls  # the object is where it was
    o = pool.root
    weak = weakref.ref(o)
    pool.close()
    assert weak() is o


def test_dataclass_helpers(pool):
    record, inner = pool.new(Record, 2), pool.new(Inner, 3)
    assert [field.name for field in dataclasses.fields(record)] == ["number", "items"]
    assert dataclasses.asdict(inner) == {"number": 3} and dataclasses.astuple(inner) == (3,)
    for helper in (dataclasses.asdict, dataclasses.astuple):
        with pytest.raises(TypeError, match=r"PersistentList lives in its pool.*to_python"):
            helper(record)
    assert pool.to_python(dict(vars(record))) == {"number": 2, "items": []}
