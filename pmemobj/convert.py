"""pool.to_python(): plain builtin copies of what is stored."""

from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, TypeVar

from pmemobj._array import PersistentArray
from pmemobj._bytearray import PersistentByteArray
from pmemobj._deque import PersistentDeque
from pmemobj._dict import PersistentDict
from pmemobj._dict_kinds import PersistentCounter, PersistentDefaultDict, PersistentOrderedDict
from pmemobj._frozenset import PersistentFrozenSet
from pmemobj._list import PersistentList
from pmemobj._set import PersistentSet
from pmemobj._sorted import PersistentSortedDict, PersistentSortedSet
from pmemobj._tuple import PersistentTuple

__all__ = ["to_python"]


T = TypeVar("T")

#: Most of what containers hold.
PLAIN = frozenset((int, str, float, bool, bytes, type(None)))


def to_python(obj: object) -> Any:
    """A copy of `obj` made of builtin lists, dicts, sets and tuples; see pool.to_python()."""
    return _Copy().copy(obj)


class _Copy:
    """Lists and dicts are made empty first and filled later, which keeps cycles and any depth of nesting; sets
    and tuples, whose items must be there when they are made, cannot be part of a cycle without a list or dict."""

    def __init__(self) -> None:
        # id(original) -> (copy, original, which stays alive so that its id stays its own)
        self.done: dict[int, tuple[Any, object]] = {}
        self.todo: list[tuple[Any, Any]] = []

    def copy(self, obj: object) -> Any:
        result = self.one(obj)
        while self.todo:
            source, target = self.todo.pop()
            if isinstance(target, (list, deque)):
                target.extend([self.one(item) for item in list(source)])
            else:
                for key, item in list(source.items()):
                    target[self.one(key)] = self.one(item)
        return result

    def one(self, obj: Any) -> Any:
        cls = type(obj)
        if cls in PLAIN:
            return obj
        made: Any
        known = self.done.get(id(obj))
        if known is not None:
            return known[0]
        if cls is list or isinstance(obj, PersistentList):
            return self.later(obj, [])
        if cls is defaultdict or isinstance(obj, PersistentDefaultDict):
            return self.later(obj, defaultdict(obj.default_factory))
        if cls is Counter or isinstance(obj, PersistentCounter):
            return self.later(obj, Counter())
        if cls is OrderedDict or isinstance(obj, PersistentOrderedDict):
            return self.later(obj, OrderedDict())
        if cls is dict or isinstance(obj, (PersistentDict, PersistentSortedDict)):
            return self.later(obj, {})
        if cls is deque or isinstance(obj, PersistentDeque):
            return self.later(obj, deque(maxlen=obj.maxlen))
        if cls is set or isinstance(obj, (PersistentSet, PersistentSortedSet)):
            made = {self.one(item) for item in list(obj)}
        elif cls is tuple or isinstance(obj, PersistentTuple):
            made = tuple([self.one(item) for item in tuple(obj)])
        elif cls is frozenset or isinstance(obj, PersistentFrozenSet):
            made = frozenset([self.one(item) for item in obj])
        elif cls is bytearray or isinstance(obj, PersistentByteArray):
            made = bytearray(obj)
        elif isinstance(obj, PersistentArray):
            made = obj.copy()
        else:
            return obj
        self.done[id(obj)] = (made, obj)
        return made

    def later(self, obj: object, empty: T) -> T:
        self.done[id(obj)] = (empty, obj)
        self.todo.append((obj, empty))
        return empty
