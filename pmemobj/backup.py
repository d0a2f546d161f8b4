"""A copy of a snapshot: a pool of its own."""

import contextlib
import errno
import fcntl
import glob
import os
from collections.abc import Callable

from pmemobj._core import JOURNAL_SUFFIX, Pool, copy_identity, sync_file
from pmemobj.space import sync_directory

__all__ = ["backup"]

#: Bytes copied between two calls of `progress`.
SLICE = 8 << 20

SUFFIX = ".backup"

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Progress = Callable[[int, int], object]


def backup(snapshot: Pool, path: Path, progress: Progress | None, overwrite: bool) -> None:
    """Writes `snapshot` to `path`; see PersistentObjectPool.backup.

    Order: build it under a temporary name -> sync -> give it its name -> sync the directory.  So a crash leaves the
    whole copy or none; a temporary file that is left is locked by nobody, and the next backup to this path removes it.
    """
    target = os.path.realpath(os.fsdecode(path))
    _refuse(target, snapshot.path, overwrite)
    directory, name = os.path.split(target)
    _remove_remains(directory, name)
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(4).hex()}{SUFFIX}")
    try:
        out = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:  # about the name that the caller knows
        raise OSError(error.errno, error.strerror, target) from None
    try:
        fcntl.flock(out, fcntl.LOCK_EX)
        snapshot._hold_for_copy(1)
        try:
            _copy(snapshot, out, progress)
        finally:
            snapshot._hold_for_copy(-1)
        os.fchmod(out, os.stat(snapshot.path).st_mode & 0o666)
        sync_file(out, target)
        if overwrite:
            os.rename(temporary, target)
        else:
            os.link(temporary, target)
            os.unlink(temporary)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (None, temporary):
            error.filename = target
        raise
    finally:
        os.close(out)
    sync_directory(directory)


def _refuse(target: str, source: str, overwrite: bool) -> None:
    if os.path.lexists(target):
        if not overwrite:
            raise FileExistsError(
                errno.EEXIST, "there is a file already; use overwrite=True to replace it", target
            )
        if os.path.samefile(target, source):
            raise ValueError(f"{target}: this is the pool itself")
    journal = target + JOURNAL_SUFFIX
    if os.path.lexists(journal):
        raise FileExistsError(
            errno.EEXIST,
            "a journal is there: a pool of this name is open, or was not closed cleanly",
            journal,
        )


def _remove_remains(directory: str, name: str) -> None:
    """Of backups to this path that were killed; who is at work on one has it locked."""
    for left in glob.glob(os.path.join(glob.escape(directory), f".{glob.escape(name)}.*{SUFFIX}")):
        try:
            fd = os.open(left, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(left)
        except OSError:
            pass
        finally:
            os.close(fd)


def _copy(snapshot: Pool, out: int, progress: Progress | None) -> None:
    size, words = copy_identity(snapshot)
    total, done, at = snapshot._data_bytes(), 0, 0
    os.ftruncate(out, size)
    while at < size:
        at, copied = snapshot._copy_slice(out, at, SLICE)
        done += copied
        if progress is not None:
            progress(done, max(total, done))
    for offset, content in words:
        os.pwrite(out, content, offset)
