"""A pool that is open already: who has it, and waiting until it is free."""

import errno
import os
import time
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, NamedTuple

from pmemobj import _core, errors

__all__ = ["busy_error", "check_timeout", "holder_of", "wait_for"]

#: Where Linux lists all locks of files.
LOCKS = "/proc/locks"

#: Seconds between two attempts, at first and at most.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.05


class Holder(NamedTuple):
    """The process that has a pool open.  pid: None when the system does not tell."""

    pid: int | None
    foreign: bool = False  # a program that uses libpmemobj and is not pmemobj


def check_timeout(timeout: Any) -> None:
    """Raises TypeError or ValueError for what is no time to wait."""
    if not issubclass(type(timeout), Real):
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    if not timeout >= 0:
        raise ValueError(
            f"timeout must be in seconds, 0 or more (math.inf waits without end), not {timeout!r}"
        )


def wait_for(attempt: Callable[[], None], timeout: float) -> None:
    """Calls attempt() again until it no longer raises PoolBusyError, but no longer than `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = SHORTEST_PAUSE
    while True:
        try:
            return attempt()
        except errors.PoolBusyError:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
        time.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)


def _locks_on(path: str) -> dict[str, int]:
    """The locks held on the file: process id by kind.  OFDLCK is ours, and has no process; libpmemobj has FLOCK."""
    status = os.stat(path)
    inode = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    found = {}
    with open(LOCKS) as lines:
        for line in lines:
            # 7: FLOCK  ADVISORY  WRITE 1234 fe:01:1311 0 EOF; a "->" before the kind marks one that waits
            match line.split():
                case [_, kind, _, _, pid, where, *_] if where == inode:
                    found[kind] = int(pid)
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def holder_of(path: str) -> Holder:
    """Who has the pool at `path` open, as far as this can be told.

    The list of locks knows it, but not on file systems whose files have other device numbers there (btrfs,
    overlays), nor while a pool is being opened.  The journal names its maker, who may be gone.
    """
    try:
        locks = _locks_on(path)
    except (OSError, ValueError):
        locks = {}
    pid = locks.get("FLOCK", 0)
    if pid > 0:
        return Holder(pid, foreign="OFDLCK" not in locks)
    pid = _core.journal_holder(path + _core.JOURNAL_SUFFIX)
    return Holder(pid if pid and _is_alive(pid) else None)


def _is_same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def busy_error(path: str, handles: Iterable[_core.Pool]) -> errors.PoolBusyError:
    """What to raise when the pool at `path` is locked; `handles`: those of this process."""
    holder = holder_of(path)
    mine = []
    if holder.pid in (None, os.getpid()):
        mine = [handle for handle in handles if not handle.closed and _is_same_file(path, handle.path)]
    if mine:
        holder = Holder(os.getpid())
        who = f"this process ({holder.pid}), as {mine[0]!r}; use that handle or close it first"
    elif holder.pid == os.getpid():
        who = f"this process ({holder.pid}), by a thread that is just opening or closing it; open(timeout=...) waits"
    elif holder.pid is None:
        who = "another process, which the system does not name; close it there first, or wait with open(timeout=...)"
    elif holder.foreign:
        who = f"process {holder.pid}, a program that uses libpmemobj without pmemobj; close it there first"
    else:
        who = f"process {holder.pid}; close it there first, or wait with open(timeout=...)"
    error = errors.PoolBusyError(errno.EAGAIN, f"the pool is open in {who}", path)
    error.pid = holder.pid
    return error
