"""Temporary files of creations that were killed, `.NAME.PID.HEX.new` beside where the pool was to be.

A creation holds a lock on its file as long as it works on it; so what is not locked, and whose process is gone, is
nobody's.  A process of another container may have any number: then the lock alone protects it, and a creation whose
finished file has been taken away begins again.
"""

import contextlib
import fcntl
import itertools
import os
import re
import time

__all__ = ["remove_leftovers"]

NAME = re.compile(r"\..+\.(\d+)\.[0-9a-f]{8}\.new", re.DOTALL)

#: Entries of the directory that are looked at, so that opening a pool among millions of files stays quick.
LOOK_AT = 4096

#: Seconds after which the number of the process says nothing any more: another may have it.
LONG = 3600.0


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _remove(path: str, pid: int) -> None:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if _is_running(pid) and time.time() - os.fstat(fd).st_mtime < LONG:
            return
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.lstat(path)):
            os.unlink(path)
    finally:
        os.close(fd)


def remove_leftovers(directory: str) -> None:
    """Removes those that are nobody's.  What cannot be looked at or removed is left alone."""
    with contextlib.suppress(OSError), os.scandir(directory or ".") as entries:
        for entry in itertools.islice(entries, LOOK_AT):
            made = NAME.fullmatch(entry.name)
            if made and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove(entry.path, int(made[1]))
