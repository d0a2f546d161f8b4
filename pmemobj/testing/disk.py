"""A model of the disk below a traced program: what is surely on it at any moment, and what may be.

What the program has written lies in the kernel's page cache; a sync makes a range of a file durable, as it was when
the sync began.  Everything else may have reached the disk or not, block by block and in any order: that is the
freedom in which a power loss chooses an image (see images.py).  The directory is a file like others: names become
durable when it is synced.

The trace is made by _engine/trace.c, whose header describes its words.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

__all__ = ["BLOCK", "Cut", "Disk", "Event", "File", "Kind"]

#: Bytes that a disk writes whole or not at all (or destroys).
BLOCK = 512
LINE = 64
EVENT, NAME, GONE, SIZE, LINES = 1, 2, 3, 4, 5
WHOLE_FILE = (1 << 64) - 1
ZEROS = bytes(BLOCK)


class Kind(IntEnum):
    """As enum trace_kind."""

    START = 0
    CALL = 1
    SYNC_BEGIN = 2
    SYNC_END = 3
    DIRECTORY_BEGIN = 4
    DIRECTORY_END = 5
    MARK = 6
    FLUSH = 7
    FENCE = 8


@dataclass(frozen=True)
class Event:
    number: int
    kind: Kind
    ino: int
    offset: int
    length: int


@dataclass
class File:
    """blocks: what a read gives; durable: what is on the disk; pending: every content of a block since then."""

    size: int = 0
    durable_size: int = 0
    sizes: list[int] = field(default_factory=list)
    blocks: dict[int, bytes] = field(default_factory=dict)
    durable: dict[int, bytes] = field(default_factory=dict)
    pending: dict[int, list[bytes]] = field(default_factory=dict)

    def settle(self) -> None:
        """Everything is on the disk."""
        self.durable = dict(self.blocks)
        self.durable_size = self.size
        self.pending.clear()
        self.sizes.clear()


@dataclass
class _Sync:
    """A sync under way: how much of each block's history it covers."""

    ino: int
    offset: int
    length: int
    contents: dict[int, int]
    sizes: int
    size: int


@dataclass(frozen=True)
class Cut:
    """A moment at which the power may fail."""

    event: Event
    names: dict[str, int]
    durable_names: dict[str, int]
    files: dict[int, File]

    def name_of(self, ino: int) -> str:
        both = {**self.durable_names, **self.names}
        return next((name for name, number in both.items() if number == ino), f"a removed file ({ino})")


class Disk:
    """Replays a trace.  ignored: number of a sync, as `syncs` counts them, that has no effect: a test of tests."""

    def __init__(self, ignored: int | None = None) -> None:
        self.ignored = ignored
        self.syncs = 0
        self.files: dict[int, File] = {}
        self.names: dict[str, int] = {}
        self.durable_names: dict[str, int] = {}
        self._changed: set[tuple[int, int]] = set()
        self._syncs: list[_Sync] = []
        self._named: list[dict[str, int]] = []

    def replay(self, trace: bytes) -> Iterator[Event]:
        """Yields each event when everything before it has been done; its own effect comes after that.

        What was there at the start is durable.
        """
        words = struct.unpack(f"<{len(trace) // 8}Q", trace)
        at = number = 0
        while at < len(words):
            tag = words[at]
            if tag == EVENT:
                kind, ino, offset, length = words[at + 1 : at + 5]
                self._note_blocks()
                event = Event(number, Kind(kind), ino, offset, length)
                if event.kind is Kind.START:
                    self._settle()
                yield event
                self._happen(event)
                number += 1
                at += 5
            elif tag == NAME:
                ino, length = words[at + 1 : at + 3]
                self.names[self._text(trace, at + 3, length)] = ino
                self.files.setdefault(ino, File())
                at += 3 + (length + 7) // 8
            elif tag == GONE:
                length = words[at + 1]
                self.names.pop(self._text(trace, at + 2, length), None)
                at += 2 + (length + 7) // 8
            elif tag == SIZE:
                ino, size = words[at + 1 : at + 3]
                self._resize(self.files[ino], size)
                at += 3
            else:
                ino, first, count = words[at + 1 : at + 4]
                self._write(ino, first, trace[(at + 4) * 8 : (at + 4) * 8 + count * LINE])
                at += 4 + count * LINE // 8

    @staticmethod
    def _text(trace: bytes, word: int, length: int) -> str:
        return trace[word * 8 : word * 8 + length].decode("utf-8", "surrogateescape")

    def _settle(self) -> None:
        self.durable_names = dict(self.names)
        for file in self.files.values():
            file.settle()

    @staticmethod
    def _resize(file: File, size: int) -> None:
        if size != file.size:
            file.sizes.append(size)
        file.size = size

    def _write(self, ino: int, first: int, data: bytes) -> None:
        file, at, offset = self.files[ino], 0, first * LINE
        while at < len(data):
            block, start = divmod(offset + at, BLOCK)
            n = min(BLOCK - start, len(data) - at)
            old = file.blocks.get(block, ZEROS)
            file.blocks[block] = old[:start] + data[at : at + n] + old[start + n :]
            self._changed.add((ino, block))
            at += n

    def _note_blocks(self) -> None:
        """Each event sees the blocks as they are by then: one more content of those that have changed."""
        for ino, block in self._changed:
            file = self.files[ino]
            file.pending.setdefault(block, []).append(file.blocks[block])
        self._changed.clear()

    def _happen(self, event: Event) -> None:
        if event.kind is Kind.SYNC_BEGIN and event.ino in self.files:
            file = self.files[event.ino]
            last = (event.offset + event.length - 1) // BLOCK if event.length != WHOLE_FILE else WHOLE_FILE
            contents = {
                block: len(versions)
                for block, versions in file.pending.items()
                if event.offset // BLOCK <= block <= last
            }
            sync = _Sync(event.ino, event.offset, event.length, contents, len(file.sizes), file.size)
            self._syncs.append(sync)
        elif event.kind in (Kind.SYNC_END, Kind.DIRECTORY_END) and self._is_ignored():
            self._forget(event)
        elif event.kind is Kind.SYNC_END:
            for sync in self._syncs:
                if (sync.ino, sync.offset, sync.length) == (event.ino, event.offset, event.length):
                    self._syncs.remove(sync)
                    self._end(sync)
                    break
        elif event.kind is Kind.DIRECTORY_BEGIN:
            self._named.append(dict(self.names))
        elif event.kind is Kind.DIRECTORY_END and self._named:
            self.durable_names = self._named.pop(0)

    def _is_ignored(self) -> bool:
        self.syncs += 1
        return self.syncs - 1 == self.ignored

    def _forget(self, event: Event) -> None:
        if event.kind is Kind.DIRECTORY_END:
            del self._named[:1]
        self._syncs = [s for s in self._syncs if (s.ino, s.offset, s.length) != (event.ino, event.offset, event.length)]

    def _end(self, sync: _Sync) -> None:
        file = self.files[sync.ino]
        for block, count in sync.contents.items():
            versions = file.pending.get(block, [])
            if not versions:
                continue
            file.durable[block] = versions[count - 1]
            del versions[:count]
            for other in self._syncs:
                if other.ino == sync.ino and block in other.contents:
                    other.contents[block] = max(0, other.contents[block] - count)
                    if not other.contents[block]:
                        del other.contents[block]
            if not versions:
                del file.pending[block]
        if sync.sizes:
            file.durable_size = sync.size
            del file.sizes[: sync.sizes]
            for other in self._syncs:
                if other.ino == sync.ino:
                    other.sizes = max(0, other.sizes - sync.sizes)

    def cut(self, event: Event) -> Cut:
        """This moment.  Shares the files: to be used before the replay goes on."""
        return Cut(event, dict(self.names), dict(self.durable_names), self.files)
