"""What the bytes of a pool are used for, and copying it without what is not used."""

import contextlib
import errno
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from pmemobj import _compact, _core

__all__ = ["Compacted", "Usage", "compact_pool", "usage_of"]

Progress = Callable[[int, int], object]


class Usage(NamedTuple):
    """Bytes by purpose.  The first seven add up to `max_size`, the length of the pool file.

    objects: heads of lists, dicts, sets, tuples and PersistentObjects.
    values: text, bytes, large numbers and the like, each with its length.
    containers: the arrays and indexes of lists, dicts and sets, fields of objects; with their spare room.
    unused_blocks: free between these, for small values to come.
    overhead: headers of blocks and chunks, and what is lost by alignment.
    metadata: libpmemobj's own.
    unused: free for anything.
    max_size: length of the (sparse) pool file.
    file: what the pool file occupies on disk.
    journal: what the journal occupies on disk.
    memory: about what changed pages take of this process's memory.
    """

    objects: int
    values: int
    containers: int
    unused_blocks: int
    overhead: int
    metadata: int
    unused: int
    max_size: int
    file: int
    journal: int
    memory: int


class Compacted(NamedTuple):
    """Bytes on disk of the source and of its copy, and the bytes of contents that were copied."""

    before: int
    after: int
    copied: int


def on_disk(path: str) -> int:
    """Bytes that the file occupies; 0 if there is none."""
    try:
        return os.stat(path).st_blocks * 512
    except FileNotFoundError:
        return 0


def usage_of(pool: Any) -> Usage:
    """See pool.usage()."""
    inside = _core.usage_of(pool)
    status = os.stat(pool.path)
    return Usage(
        **inside,
        max_size=status.st_size,
        file=status.st_blocks * 512,
        journal=on_disk(pool.path + _core.JOURNAL_SUFFIX),
        memory=_core.changed_bytes(pool),
    )


def compact_pool(pool: Any, path: str, progress: Progress | None, max_size: int) -> Compacted:
    """See pool.compact()."""
    path = os.path.realpath(path)
    directory, name = os.path.split(path)
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "there is a file already; compact() makes a new one", path)
    pool.checkpoint()  # what it occupies is known only then
    used = usage_of(pool)
    total = used.objects + used.values + used.containers
    tell = (lambda done: progress(min(done, total), total)) if progress is not None else None
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.compact")
    try:
        target = type(pool)(
            temporary,
            "x",
            engine="journal",
            max_size=max_size,
            sync="manual",
            mode=os.stat(pool.path).st_mode & 0o777,
        )
        try:
            copied = _compact.Copier(pool, target, tell).run()
            _core.trim(target)
        finally:
            target.close()
        os.link(temporary, path)
    finally:
        for leftover in temporary, temporary + _core.JOURNAL_SUFFIX:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(leftover)
    sync_directory(directory)
    return Compacted(before=on_disk(pool.path), after=on_disk(path), copied=copied)


def sync_directory(directory: str) -> None:
    """Makes the directory's entries durable."""
    descriptor = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _core.sync_file(descriptor, directory)
    finally:
        os.close(descriptor)
