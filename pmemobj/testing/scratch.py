"""Directories for the files of an exploration, best in memory, where nobody would look for what is left of them.

Whoever uses one holds a lock on it.  What is not locked belongs to a program that was killed: the next one removes it.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile

__all__ = ["Scratch"]

PREFIX = "pmemobj-explored-"


def _place() -> str:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()


def _lock(path: str) -> int | None:
    """The descriptor of a directory that exists and that nobody else had locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.lstat(path)):
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


def _sweep(place: str) -> None:
    """Removes the directories whose programs are gone."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and (fd := _lock(entry.path)) is not None:
                shutil.rmtree(entry.path, ignore_errors=True)
                os.close(fd)


class Scratch:
    """A directory, removed by close(), or by the next Scratch after this program was killed."""

    def __init__(self) -> None:
        place = _place()
        _sweep(place)
        while True:
            self.path = tempfile.mkdtemp(prefix=PREFIX, dir=place)
            lock = _lock(self.path)
            if lock is not None:  # nobody has swept it before it was locked
                self._lock: int = lock
                return

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
