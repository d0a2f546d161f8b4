"""Saves what can be read of a damaged pool into a new one; the damaged one is not changed.

1. The damaged pool is read as a snapshot, item by item.  What raises is lost, and noted by its path.
2. Mutable objects are made empty when the first reference to them is met and filled later, so that identity, shared
   references and cycles stay.  Tuples are made of what they hold.
3. A journal that cannot be read is left out: then a copy of the pool file alone is read, which may be of the middle
   of a commit.
"""

import contextlib
import errno
import operator
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pmemobj import _core, errors
from pmemobj._array import PersistentArray
from pmemobj._bytearray import PersistentByteArray
from pmemobj._deque import PersistentDeque
from pmemobj._dict import PersistentDict
from pmemobj._dict_kinds import PersistentDefaultDict
from pmemobj._frozenset import PersistentFrozenSet
from pmemobj._object import PersistentObject, new_without_init, set_unchecked, stored_names
from pmemobj._set import PersistentSet
from pmemobj._sorted import PersistentSortedDict, PersistentSortedSet
from pmemobj._tuple import PersistentTuple
from pmemobj.check import Report
from pmemobj.space import sync_directory

__all__ = ["Repaired", "repair_file"]

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Progress = Callable[[int], object]

STATE_AT = 48  # of the root block; its lowest bit says that the journal is needed
ROOT_OFFSET_AT = 6144  # where libpmemobj says where that is
ENOUGH = 1000  # failures in a row: the rest of the object is given up
TELL = 1000  # objects between two calls of progress()


class _Lost:
    """Stands for what could not be read."""


LOST = _Lost()


@dataclass
class Repaired:
    """What became of a repair.

    objects: how many lists, dicts, sets, tuples and PersistentObjects are in the new pool.
    lost: one line for each thing that could not be read, beginning with its path; empty when nothing was lost.
    report: what pool.check() found in the damaged pool; counts that were wrong may hide more that is lost.
    """

    objects: int = 0
    lost: list[str] = field(default_factory=list)
    report: Report | None = None

    @property
    def ok(self) -> bool:
        """Nothing was lost, and nothing was found."""
        return not self.lost and self.report is not None and self.report.ok

    def __str__(self) -> str:
        found = [] if self.report is None else [f"found: {line}" for line in self.report.findings]
        return "\n".join([f"saved {self.objects} objects", *(f"lost: {line}" for line in self.lost), *found])


class _Saver:
    def __init__(self, source: Any, target: Any, result: Repaired, progress: Progress | None):
        self.source, self.target, self.result, self.progress = source, target, result, progress
        self.made: dict[int, Any] = {}  # offset of an object -> its copy
        self.todo: list[tuple[Any, Any, str]] = []

    def lose(self, path: str, error: BaseException | str) -> Any:
        self.result.lost.append(f"{path}: {error}")
        return LOST

    def read(self, path: str, function: Callable[[], Any]) -> Any:
        """What the function reads, or LOST."""
        try:
            return function()
        except Exception as error:
            return self.lose(path, str(error) or type(error).__name__)

    def copy(self, value: Any, path: str) -> Any:
        """What takes the value's place in the new pool."""
        if isinstance(value, _core.Persistent):
            return self.object(value, path)
        if type(value) in (tuple, frozenset):
            kept = (self.copy(item, f"{path}[{i}]") for i, item in enumerate(value))
            return type(value)(None if item is LOST else item for item in kept)
        return value

    def object(self, value: Any, path: str) -> Any:
        at = _core.object_at(value)
        if at in self.made:
            return self.made[at]
        kind = type(value)
        if kind is PersistentTuple:
            items = [self.copy(item, f"{path}[{i}]") for i, item in enumerate(self.items(value, path))]
            made = self.target.new(kind, [None if item is LOST else item for item in items])
        elif kind is PersistentFrozenSet:
            kept = [self.copy(item, path) for item in self.each(value, path) if item is not LOST]
            made = self.target.new(kind, kept)
        elif isinstance(value, PersistentObject):
            made = new_without_init(self.target, kind)
        elif isinstance(value, PersistentByteArray):
            kept = self.read(path, lambda: bytes(value))
            made = self.target.new(kind, b"" if kept is LOST else kept)
        elif isinstance(value, PersistentArray):
            kept = self.read(path, value.copy)
            made = self.target.new(kind, () if kept is LOST else kept)
        elif isinstance(value, PersistentDeque):
            made = self.target.new(kind, [], value.maxlen)
        elif isinstance(value, PersistentSortedDict):
            made = self.target.new(kind, value.key)
        elif isinstance(value, PersistentSortedSet):
            made = self.target.new(kind, key=value.key)
        elif isinstance(value, PersistentDefaultDict):
            made = self.target.new(kind, self.factory(value, path))
        else:
            made = self.target.new(kind)
        self.made[at] = made
        self.result.objects += 1
        if kind not in (PersistentTuple, PersistentFrozenSet, PersistentByteArray, PersistentArray):
            self.todo.append((value, made, path))
        if self.progress is not None and self.result.objects % TELL == 0:
            self.progress(self.result.objects)
        return made

    def factory(self, value: Any, path: str) -> Any:
        found = self.read(f"{path}.default_factory", lambda: value.default_factory)
        return None if found is LOST else found

    def each(self, iterable: Iterable[Any], path: str) -> Iterator[Any]:
        """The items of an iterator that goes on behind what cannot be read; LOST in place of those."""
        iterator, failures = iter(iterable), 0
        while failures < ENOUGH:
            try:
                yield next(iterator)
                failures = 0
            except StopIteration:
                return
            except RuntimeError as error:
                self.lose(path, error)
                return
            except Exception as error:
                failures += 1
                yield self.lose(path, str(error) or type(error).__name__)
        self.lose(path, "the rest of it")

    def items(self, value: Any, path: str) -> Iterator[Any]:
        failures = 0
        length = self.read(path, lambda: len(value))
        for i in range(0 if length is LOST else length):
            item = self.read(f"{path}[{i}]", partial(operator.getitem, value, i))
            failures = failures + 1 if item is LOST else 0
            yield item
            if failures == ENOUGH:
                self.lose(path, "the rest of it")
                return

    def fill(self, value: Any, made: Any, path: str) -> None:
        if isinstance(value, PersistentDict | PersistentSortedDict):
            for key, pair in zip(self.each(value, path), self.each(value.items(), path), strict=False):
                if pair is not LOST:
                    self.put(path, made, *pair)
                elif key is not LOST:
                    self.lose(f"{path}[{key!r}]", "its value")
        elif isinstance(value, PersistentSet | PersistentSortedSet):
            for item in self.each(value, path):
                if item is not LOST:
                    self.read(path, partial(self.add, made, item, path))
        elif isinstance(value, PersistentObject):
            for name, item in self.attributes(value, path):
                self.read(f"{path}.{name}", partial(self.set, made, name, item, path))
        else:
            for i, item in enumerate(self.items(value, path)):
                where = f"{path}[{i}]"
                kept = LOST if item is LOST else self.read(where, partial(self.copy, item, where))
                self.read(where, partial(made.append, None if kept is LOST else kept))

    def add(self, made: Any, item: Any, path: str) -> None:
        made.add(self.copy(item, path))

    def set(self, made: Any, name: str, item: Any, path: str) -> None:
        set_unchecked(made, name, self.copy(item, f"{path}.{name}"))

    def put(self, path: str, made: Any, key: Any, item: Any) -> None:
        where = f"{path}[{key!r}]"
        self.read(
            where, lambda: made.__setitem__(self.copy(key, f"{path} key {key!r}"), self.copy(item, where))
        )

    def attributes(self, value: Any, path: str) -> Iterator[tuple[str, Any]]:
        for name in self.names(value, path):
            item = self.read(f"{path}.{name}", partial(getattr, value, name))
            if item is not LOST:
                yield name, item

    def names(self, value: Any, path: str) -> list[str]:
        found = self.read(path, lambda: stored_names(value))
        return [] if found is LOST else found

    def run(self) -> None:
        root = self.read("root", lambda: self.source.root)
        kept = LOST if root is LOST else self.read("root", lambda: self.copy(root, "root"))
        self.target.root = None if kept is LOST else kept
        while self.todo:
            value, made, path = self.todo.pop()
            self.fill(value, made, path)


@contextlib.contextmanager
def _readable(open_pool: Callable[..., Any], path: str, result: Repaired) -> Iterator[Any]:
    """The damaged pool as a snapshot, without its journal if that cannot be read."""
    try:
        pool = open_pool(path, "r")
    except errors.JournalError as error:
        result.lost.append(f"journal: {error}")
        with tempfile.TemporaryDirectory(prefix=".repair-", dir=os.path.dirname(path)) as directory:
            copy = os.path.join(directory, "pool")
            _copy_without_journal(path, copy)
            with open_pool(copy, "r") as pool:
                yield pool
        return
    with pool:
        yield pool


def _copy_without_journal(path: str, copy: str) -> None:
    """The pool file, with its holes, as if it had been closed."""
    with open(path, "rb") as source, open(copy, "xb") as target:
        size = os.fstat(source.fileno()).st_size
        os.truncate(target.fileno(), size)
        at = 0
        while at < size:
            try:
                at = os.lseek(source.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    break
                raise
            end = os.lseek(source.fileno(), at, os.SEEK_HOLE)
            while at < end:
                at += os.pwrite(target.fileno(), os.pread(source.fileno(), min(1 << 20, end - at), at), at)
        root = int.from_bytes(os.pread(source.fileno(), 8, ROOT_OFFSET_AT), "little")
        state = int.from_bytes(os.pread(source.fileno(), 8, root + STATE_AT), "little")
        os.pwrite(target.fileno(), (state & ~1).to_bytes(8, "little"), root + STATE_AT)


def repair_file(open_pool: Callable[..., Any], path: Path, to: Path, progress: Progress | None) -> Repaired:
    """See pmemobj.repair()."""
    source, target = os.path.realpath(os.fsdecode(path)), os.path.realpath(os.fsdecode(to))
    directory, name = os.path.split(target)
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "there is a file already; repair() makes a new one", target)
    result = Repaired()
    temporary = tempfile.mkdtemp(prefix=f".{name}.", dir=directory)
    try:
        with _readable(open_pool, source, result) as pool:
            result.report = pool.check()
            copy = os.path.join(temporary, "pool")
            options = {"engine": "journal", "sync": "manual", "max_size": os.stat(source).st_size}
            with open_pool(copy, "x", **options) as new:
                _Saver(pool, new, result, progress).run()
        os.link(copy, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_directory(directory)
    return result
