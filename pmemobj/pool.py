"""Opening, creating and closing pools."""

import atexit
import errno
import operator
import os
import sys
import warnings
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast

from pmemobj import _core, _values, errors
from pmemobj.backup import backup
from pmemobj.busy import busy_error, check_timeout, wait_for
from pmemobj.check import Path as KeptBy
from pmemobj.check import Report, check_file, check_pool, path_to
from pmemobj.collect import Collected, collect
from pmemobj.convert import to_python
from pmemobj.durability import Durability, describe, describe_snapshot
from pmemobj.leftovers import remove_leftovers
from pmemobj.registry import PoolRegistry
from pmemobj.repair import Repaired, repair_file
from pmemobj.space import Compacted, Progress, Usage, compact_pool, usage_of

__all__ = ["MIN_POOL_SIZE", "PersistentObjectPool", "check", "create", "open", "repair"]

#: Smallest ``max_size``, in bytes.
MIN_POOL_SIZE = _core.MIN_SIZE

#: ``max_size`` when none is given: 64 GiB.  The file is sparse and takes what is used.
DEFAULT_MAX_SIZE = 64 << 30

#: Sizes of the journal and of the undo log, in bytes (see _engine/journal/journal.h, _engine/direct/undo.h).
JOURNAL = {
    "first_segment": 1 << 20,
    "max_segment": 16 << 20,
    "limit": 64 << 20,
    "ring": 8 << 20,
    "undo_log": 1 << 20,
}

#: Smallest default of `memory`, in bytes.
DEFAULT_MEMORY = 256 << 20

ENGINES = ("auto", "journal", "direct")

FLAGS = {"r": "read only", "w": "existing pool", "c": "existing or new pool", "x": "new pool"}


Flag = Literal["r", "w", "c", "x"]
Policy = Literal["commit", "interval", "manual"]
Engine = Literal["auto", "journal", "direct"]
Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
T = TypeVar("T")

_open_pools: "weakref.WeakSet[PersistentObjectPool]" = weakref.WeakSet()


def checked_size(size: int) -> int:
    """Whole pages; ValueError for what no pool can have."""
    size = operator.index(size)
    if not MIN_POOL_SIZE <= size < 1 << 47:
        raise ValueError(
            f"max_size must be at least {MIN_POOL_SIZE} bytes (8 MiB) and below 2**47, not {size}"
        )
    return size & ~0xFFF


def checked_memory(memory: int | None) -> int:
    """The limit for changed pages in bytes; ValueError for one that leaves no room to work."""
    if memory is None:
        return max(DEFAULT_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)
    memory = operator.index(memory)
    if not 4 << 20 <= memory < 1 << 47:
        raise ValueError(f"memory must be at least {4 << 20} bytes (4 MiB) and below 2**47, not {memory}")
    return memory


class PersistentObjectPool(_core.Pool):
    """A pool of persistent objects in a file; ``pool.root`` leads to everything in it.

    path: the pool file; beside it, while the pool is open, lies its journal, ``<path>-journal``.
    flag: "w" opens an existing pool, "c" (default) makes it if there is none, "x" makes a new one and fails
        with FileExistsError if there is one, "r" opens a snapshot for reading only: see refresh().
    max_size: bytes that the pool may grow to (default 64 GiB for a new one).  The file is sparse.  A larger value
        than that of an existing pool enlarges it, unless flag is "r"; a smaller one is ignored.
    mode: permissions of a new file, as for os.open.
    sync: "interval" (default), "commit" or "manual": when commits become durable against power loss.  A killed
        program never loses a committed change, whatever the policy.  See durability().
    sync_interval: seconds between two syncs of the policy "interval".
    engine: "auto" (default) changes the file in place, "direct", if it lies on persistent memory (DAX), and goes
        through a "journal" otherwise.  Either may be asked for; "direct" elsewhere is safe and slow, since each
        change waits for the disk.  Under it every commit is durable, whatever `sync` says.  A pool may be opened
        with another engine each time.
    memory: bytes of memory that pages changed by this program may take, about, before they are given up and read
        from the file when they are needed again (default: a quarter of the machine's memory, at least 256 MiB).
        Commits that find it used up wait 1 to 10 ms each, so it is exceeded by what comes meanwhile, mostly some MiB;
        at twice as much a commit waits for a whole checkpoint.  A single transaction takes what it changes, whatever
        the limit.  The direct engine has no such pages.
    timeout: seconds to wait, before PoolBusyError, for whoever has the pool open to close it; math.inf waits
        without end.  Ctrl-C ends the wait.
    pool_size, debug: accepted for programs written for pynvm; pool_size stands for max_size, debug does nothing.

    Raises FileNotFoundError, FileExistsError, PermissionError, PoolBusyError, PoolFormatError, JournalError,
    ValueError for arguments out of range.
    """

    def __init__(
        self,
        path: Path,
        flag: Flag = "c",
        *,
        max_size: int | None = None,
        mode: int = 0o666,
        sync: Policy = "interval",
        sync_interval: float = 0.1,
        engine: Engine = "auto",
        memory: int | None = None,
        timeout: float = 0.0,
        pool_size: int | None = None,
        debug: bool = False,
    ) -> None:
        if flag not in FLAGS:
            raise ValueError(f"flag must be one of {', '.join(map(repr, FLAGS))}, not {flag!r}")
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(map(repr, ENGINES))}, not {engine!r}")
        wanted = max_size if max_size is not None else pool_size
        size = checked_size(DEFAULT_MAX_SIZE if wanted is None else wanted)
        sizes = JOURNAL | {"memory": checked_memory(memory)}
        _core.check_policy(sync, sync_interval)
        if not self.closed:
            raise RuntimeError(f"this handle has {self.path} open")
        check_timeout(timeout)
        name = os.path.realpath(os.fsdecode(path))
        if os.path.exists(path) and not os.path.exists(name):  # by way of /proc/self/fd
            raise FileNotFoundError(errno.ENOENT, "this file has been deleted and has no name any more", name)
        self.registry = PoolRegistry(self)
        self._sync, self._sync_interval = sync, sync_interval
        if flag != "r":
            remove_leftovers(os.path.dirname(name))
        _open_pools.add(self)  # first: a fork from now on has to let go of what it is about to get
        try:
            self._make_if_wanted(name, flag, size, mode)
            wait_for(
                lambda: self._attach(
                    name,
                    engine=engine,
                    sync=sync,
                    sync_interval=sync_interval,
                    readonly=flag == "r",
                    journal=sizes,
                    max_size=0 if wanted is None else size,
                ),
                timeout,
            )
        except errors.PoolBusyError as error:
            _open_pools.discard(self)
            if error.strerror != _core.ALREADY_OPEN:
                raise
            raise busy_error(name, _open_pools) from None
        except errors.PoolDamagedError:
            _open_pools.discard(self)
            self._refuse_copy(name)
            raise
        except BaseException:  # Ctrl-C may come when it has just been opened
            self._close()
            _open_pools.discard(self)
            raise

    def _refuse_copy(self, name: str) -> None:
        """libpmemobj cannot map two pools of one identity."""
        for other in _open_pools:
            if other.uuid == self.uuid and not other.closed:
                error = errors.PoolBusyError(
                    errno.EAGAIN,
                    f"this is a copy of {other.path}, which is open in this process; close that first",
                    name,
                )
                error.pid = os.getpid()
                raise error

    @staticmethod
    def _make_if_wanted(name: str, flag: Flag, size: int, mode: int) -> None:
        exists = os.path.lexists(name)
        if flag == "x" and exists:
            raise FileExistsError(errno.EEXIST, "there is a file already; use flag='w' to open it", name)
        if flag in "cx" and not exists:
            journal = name + _core.JOURNAL_SUFFIX
            if os.path.lexists(journal) and not os.path.lexists(name):
                raise errors.JournalError(
                    f"{name}: there is no such file, but its journal {journal} is there; put the pool file back, or "
                    "remove the journal to begin with an empty pool"
                )
            try:
                _core.create_file(name, size, mode)
            except FileExistsError:
                if flag == "x":
                    raise

    # --- the root

    @property
    def root(self) -> Any:
        """The object that leads to all others; None in a new pool.  Assigning stores like into a container."""
        return _values.root_get(self)

    @root.setter
    def root(self, value: object) -> None:
        _values.root_set(self, value)

    def new(self, cls: type[T], /, *args: Any, **kwargs: Any) -> T:
        """A new persistent object: ``pool.new(PersistentList, [1, 2])`` or of a PersistentObject subclass.

        It lives as long as something refers to it: a container of this pool, the root, or a Python variable.
        Atomic; inside a transaction, an abort undoes it and the object is stale.
        """
        make = getattr(cls, "_p_new", None)
        if make is None:
            raise TypeError(
                f"{cls!r} is not a persistent class: pool.new() makes PersistentList and the other containers, "
                "and subclasses of PersistentObject"
            )
        return cast(T, make(self, args, kwargs))

    def persist_via_pickle(self, *types: type) -> None:
        """Values of exactly these types, which must be immutable, may be stored as pickles in this pool.

        Holds for this handle: nominate them anew after each open, before such a value is loaded; until then
        loading one raises ClassNotFoundError.  Loading calls nothing but nominated types and a few harmless
        builtins, so nominate also the types of what the values hold.  Such values cannot be keys.

        Raises TypeError, and nominates none, if one is not a type, or mutable, or stored by pmemobj itself.
        """
        self._must_be_usable()
        self.registry.nominate(types)

    def to_python(self, obj: object) -> Any:
        """A copy of `obj` made of builtin lists, dicts, sets and tuples, to any depth.

        Shared references and cycles stay what they are.  Objects of PersistentObject classes have no plain
        counterpart and are left as they are.
        """
        return to_python(obj)

    def rename_class(self, old: str, new: str) -> None:
        """Objects stored by the name `old` of their class are of the class named `new` from now on.

        old, new: "module:qualname" as they are stored.  The class need not be there.  Atomic; one commit.  For a class
        that moves and keeps its objects in many pools, ``__p_aliases__ = ("module:qualname",)`` in its body does
        the same without touching them.  Objects that this program holds keep their class until it lets go of them.

        Raises KeyError if no object was ever stored by that name, ValueError if there are objects of `new` already,
        TransactionError inside a transaction.
        """
        if self.in_transaction:
            raise errors.TransactionError("rename_class() inside a transaction: it is a commit of its own")
        self.registry.rename(self, old, new)

    def gc(self, debug: object = None, *, max_seconds: float | None = None) -> Collected:
        """Destroys objects that keep one another alive although neither the root nor a Python variable leads to
        them; returns how many, the bytes that were freed, and how many of each class: a Collected.

        Never runs by itself: everything that is not part of a cycle is destroyed at once.  Time is proportional
        to the contents of the pool.  It goes on in small operations: a crash, a full pool or Ctrl-C in between
        leaves some garbage for the next call.  Python's own cycles may hold objects: call gc.collect() first.

        max_seconds: stop after that time, about; `finished` is False then, and the next call with max_seconds goes on.
            Whatever is done to the pool between two calls, what was garbage at the first is found.  A call takes at
            least the time to go over the references in one container once.
        debug: accepted for programs written for pynvm.  Raises TransactionError inside a transaction.
        """
        return collect(self, max_seconds)

    def _check_references(self) -> int:
        """The number of objects, all of whose reference counts are right; or PoolDamagedError.  For tests."""
        return _core.check_references(self)

    # --- what it is and does

    def durability(self) -> Durability:
        """What is guaranteed for this pool when the program is killed and when the machine dies."""
        policy = self._journal_policy()
        if policy is None:
            return describe_snapshot(self.path)
        medium = self._medium()
        return describe(self.path, self.engine, self.engine_reason, medium, policy, self._sync_interval)

    def stats(self) -> dict[str, Any]:
        """Figures of this pool, as a dict; sizes in bytes.  Walks the heap: O(number of allocations).

        allocated: in blocks that hold objects and values; heap: taken from libpmemobj for them; file: occupied
        by the pool file on disk; max_size: what the file may grow to; limbo: objects that only Python variables
        refer to; journal: since the pool was opened, None for a snapshot; recovery: what this open had to replay, or
        None.
        """
        allocated, heap, large = self._allocated()
        status = os.stat(self.path)
        return {
            "allocated": allocated,
            "heap": heap,
            "large_blocks": large,
            "limbo": self._limbo(),
            "file": status.st_blocks * 512,
            "max_size": status.st_size,
            "journal": self._journal_stats(),
            "recovery": self.recovery,
        }

    # --- snapshots and copies

    def refresh(self) -> bool:
        """Of a pool opened with flag="r": brings the snapshot up to what is committed now.

        False: nothing has changed.  True: it may have.  Proxies of objects that still exist stay valid and show the new
        contents; others raise StaleObjectError.  An iterator over a container whose size has changed raises as a
        builtin one would.  Each operation of another thread sees the old state or the new one.  A pool that is open for
        writing is always up to date: False.

        Raises PoolBusyError, JournalError, OSError, or BufferError while memory of the pool is in use, and the snapshot
        stays what it was.
        """
        return self._refresh()

    def backup(
        self, path: Path, progress: Callable[[int, int], object] | None = None, *, overwrite: bool = False
    ) -> None:
        """Writes a complete, clean copy of this pool to `path`: what is committed when it begins.

        The pool stays in use, also by other threads and processes; under the direct engine they wait.  The copy is a
        pool of its own, with another UUID, and may be open beside this one.  Of a pool opened with flag="r" it is a
        copy of the snapshot.  There is nothing at `path` before the copy is whole and on the disk.

        progress: called now and then with the number of bytes copied and of all that there are to copy; an exception
            from it ends the backup and removes what was written.
        overwrite: replace a file that is there.

        Raises FileExistsError, TransactionError inside a transaction, OSError.
        """
        if not self._is_snapshot():
            if self.in_transaction:
                raise errors.TransactionError("backup() inside a transaction, which would not be in the copy")
            if self.engine == "direct":  # the file is all there is while nobody changes it
                with self.transaction():
                    backup(self, path, progress, overwrite)
                return
            with PersistentObjectPool(self.path, "r") as snapshot:
                if snapshot.uuid != self.uuid:
                    raise OSError(errno.ESTALE, "another file has taken the place of this pool", self.path)
                backup(snapshot, path, progress, overwrite)
        else:
            backup(self, path, progress, overwrite)

    def why(self, obj: object) -> KeptBy | None:
        """What keeps a persistent object alive: the shortest way that leads from the root to it.

        A named tuple of its `text`, ``root['a'][3].name``, which is str() of it, and its `steps`.  None: the root does
        not lead to it; variables of the program keep it, or it is garbage that gc() collects.  Time and memory are
        proportional to the contents of the pool at most; meanwhile other threads that use this pool wait.

        Raises TypeError for what is no persistent object, CrossPoolError for one of another pool.
        """
        return path_to(self, obj)

    def check(self, progress: Progress | None = None) -> Report:
        """Verifies every structure of the pool; a Report whose `ok` says whether all is well.

        Time and memory are proportional to the contents.  Nothing is changed, and no pickle is opened.  Meanwhile other
        threads that use this pool wait.

        progress: called now and then as progress(done, total), in blocks; it may read the pool, and stop the check by
            an exception.
        """
        return check_pool(self, progress)

    # --- space

    def usage(self) -> Usage:
        """Bytes of the pool by what they are used for: a Usage.

        Walks the heap: O(number of allocations and objects).  Garbage that only gc() finds counts as in use.
        """
        return usage_of(self)

    def resize(self, max_size: int) -> None:
        """Lets the pool grow up to `max_size` bytes; the file stays sparse.  Atomic, also when it is killed.

        Objects and references stay valid; other threads wait.  Opening with a larger max_size does the same.
        Everything is brought to the pool file first, as by checkpoint().

        Raises ValueError for a size below the present one, TransactionError inside a transaction, PoolBusyError while
        a reader holds an older snapshot, BufferError while memory of the pool is in use, OSError when the file system
        refuses; when it does so after the old mapping has gone, the pool is closed, and complete.
        """
        self._must_be_usable()
        size = checked_size(max_size)
        now = os.stat(self.path).st_size
        if size < now:
            raise ValueError(
                f"max_size {size} is below the present {now}: pools do not shrink; compact() copies to a new one"
            )
        if size > now:
            _core.resize(self, size, self._sync, self._sync_interval)

    def trim(self) -> int:
        """Gives the disk space of what has been deleted back to the file system; returns the bytes.

        Brings the pool file up to date and punches holes into it where nothing is stored; time is proportional to
        the number of chunks of 256 KiB in use.  Nothing in the pool changes.  Under the direct engine only whole free
        chunks are given back, and its next open allocates them again.

        Raises TransactionError inside a transaction, PoolBusyError while a reader holds an older snapshot, OSError
        where the file system cannot do it.
        """
        self.checkpoint()
        before = os.stat(self.path).st_blocks
        _core.trim(self)
        return max(0, before - os.stat(self.path).st_blocks) * 512

    def compact(
        self, path: Path, progress: Progress | None = None, *, max_size: int | None = None
    ) -> Compacted:
        """Copies everything that the root leads to into a new pool at `path`, without gaps; see Compacted.

        Identity, shared references, cycles, classes and registered types stay what they are.  The copy has an
        identity of its own, so that both can be open at once.  It appears under its name when it is complete and
        durable.  Meanwhile other threads that use this pool wait.

        progress: called now and then as progress(done, total), in bytes; it may read the pool, and stop the copying
            by an exception.
        max_size: of the new pool; that of this one if not given.

        Raises FileExistsError, TransactionError inside a transaction, PoolFullError if max_size is too small, OSError.
        """
        size = checked_size(os.stat(self.path).st_size if max_size is None else max_size)
        return compact_pool(self, os.fsdecode(path), progress, size)

    # --- life

    def close(self) -> None:
        """Brings the pool file up to date, removes the journal and lets go of the file.  Idempotent.

        Objects of the pool raise PoolClosedError from then on.  Raises TransactionError inside a transaction, and
        BufferError while memory of the pool is in use (a memoryview, or a NumPy array without a copy): it stays open.
        """
        self._close()
        _open_pools.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if not self.closed:
            try:
                _warn(
                    f"pool {self.path} was never closed; use 'with' or close()", ResourceWarning, source=self
                )
            finally:
                _end(self)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<{type(self).__name__} {self.path!r}, {state}>"


def open(path: Path, flag: Flag = "c", **options: Any) -> PersistentObjectPool:
    """Opens the pool at `path`, making it if there is none; see PersistentObjectPool for all options."""
    return PersistentObjectPool(path, flag, **options)


def create(
    path: Path, pool_size: int | None = None, mode: int = 0o666, **options: Any
) -> PersistentObjectPool:
    """Makes a new pool at `path` and opens it.  Raises FileExistsError if there is a file already."""
    return PersistentObjectPool(path, "x", pool_size=pool_size, mode=mode, **options)


def check(path: Path, progress: Progress | None = None) -> Report:
    """Verifies the pool at `path` without opening it for writing: its file, journal, heap, and every structure.

    Neither the file nor the journal is changed; what the journal of a killed program holds is looked at as if it had
    been recovered.  A Report as of pool.check(); a fault that keeps the pool from being opened is its only finding
    then.  The pool may be open in another program, but not under the direct engine.

    Raises OSError where the file cannot be read, PoolBusyError.
    """
    return check_file(PersistentObjectPool, path, progress)


def repair(path: Path, to: Path, progress: Callable[[int], object] | None = None) -> Repaired:
    """Saves what can be read of the damaged pool at `path` into a new pool at `to`; the damaged one is not changed.

    Whatever the root leads to is copied: what cannot be read is left out and named in the result by its path, with None
    in its place in lists and tuples.  A journal that cannot be read is left out as a whole.  Classes must be
    importable, and registered types registered, as for reading them.  Identity, shared references and cycles
    stay what they are.

    progress: called now and then with the number of objects saved; an exception from it ends the repair.

    Raises PoolFormatError when there is no pool to be read at `path`, FileExistsError, OSError; then nothing is at
    `to`.
    """
    return repair_file(PersistentObjectPool, path, to, progress)


def _end(pool: PersistentObjectPool) -> None:
    """Closes a pool that nobody can use any more, also one whose memory is in use: the views get a copy."""
    pool._abandon()
    try:
        pool.close()
    except BufferError:
        pool._close(last=True)
        _open_pools.discard(pool)


@atexit.register
def _close_all() -> None:
    for pool in list(_open_pools):
        try:
            _end(pool)
        except BaseException as error:  # Ctrl-C as well: the others are to be closed, too
            print(
                f"pmemobj: closing {pool.path} at exit: {str(error) or type(error).__name__}", file=sys.stderr
            )


def _in_forked_child() -> None:
    for pool in list(_open_pools):
        pool._forked()


os.register_at_fork(after_in_child=_in_forked_child)
