"""A model of the medium below a traced program: what is surely on it at any moment, and what may be.

What the program has written lies in the kernel's page cache; a sync makes a range of a file durable, as it was when
the sync began.  Everything else may have reached the disk or not, block by block and in any order: that is the
freedom in which a power loss chooses an image (see images.py).  The directory is a file like others: names become
durable when it is synced.

On a disk the units are sectors of 512 bytes.  In persistent memory they are words, and what makes a range durable is a
flush, as of its begin, and the fence after it.

The trace is made by _engine/files/trace.c, whose header describes its words.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

__all__ = ["LINE", "SECTOR", "WORD", "Base", "Cut", "Disk", "Event", "File", "Kind", "Layer", "fingerprint"]

#: Bytes that are written whole or not at all: by a disk, by a processor.
SECTOR, WORD = 512, 8
LINE = 64
EVENT, NAME, GONE, SIZE, LINES = 1, 2, 3, 4, 5
WHOLE_FILE = (1 << 64) - 1
ZEROS = bytes(SECTOR)


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
    line: int = 0


def fingerprint(block: int, content: bytes) -> int:
    """Contents of files are told apart by the XOR of these, so that a change of one block costs that block only."""
    return hash((block, content)) if any(content) else 0


@dataclass(eq=False)
class Base:
    """What is durable at a moment: what was at an earlier one, and then these contents, by file and offset."""

    before: "Base | None"
    files: dict[int, dict[int, bytes]]


@dataclass(eq=False)
class Layer:
    """Contents on top of a base, by file and offset."""

    files: dict[int, dict[int, bytes]]


@dataclass
class File:
    """blocks: what a read gives; durable: what is on the medium; pending: every content of a block since then.  A block
    is one unit of the medium, named by its offset in bytes; blocks that are not there are zeros.  known, durable_known:
    fingerprints of blocks and durable.  fresh: what has become durable since the last base.  lines: of the program,
    that changed a block last.  choices: what images.py has made of a block, until it changes or becomes durable."""

    size: int = 0
    durable_size: int = 0
    sizes: list[int] = field(default_factory=list)
    blocks: dict[int, bytes] = field(default_factory=dict)
    durable: dict[int, bytes] = field(default_factory=dict)
    pending: dict[int, list[bytes]] = field(default_factory=dict)
    known: int = 0
    durable_known: int = 0
    fresh: set[int] = field(default_factory=set)
    lines: dict[int, int] = field(default_factory=dict)
    choices: dict[int, Any] = field(default_factory=dict)

    def settle(self) -> None:
        """Everything is on the disk."""
        self.fresh.update(self.pending)
        self.durable = dict(self.blocks)
        self.durable_known = self.known
        self.durable_size = self.size
        self.pending.clear()
        self.choices.clear()
        self.sizes.clear()


@dataclass(eq=False)
class _Sync:
    """A sync or flush under way: how much of each block's history it covers."""

    begin: Event
    contents: dict[int, int]
    sizes: int
    size: int

    @property
    def ino(self) -> int:
        return self.begin.ino

    def ends_with(self, event: Event) -> bool:
        if event.kind is Kind.FENCE:
            return self.begin.kind is Kind.FLUSH
        begin = self.begin
        same = (begin.ino, begin.offset, begin.length) == (event.ino, event.offset, event.length)
        return event.kind is Kind.SYNC_END and begin.kind is Kind.SYNC_BEGIN and same


@dataclass(frozen=True)
class Cut:
    """A moment at which the power may fail.  unit: bytes of a block."""

    event: Event
    unit: int
    names: dict[str, int]
    durable_names: dict[str, int]
    files: dict[int, File]
    base: Base

    def name_of(self, ino: int) -> str:
        both = {**self.durable_names, **self.names}
        return next((name for name, number in both.items() if number == ino), f"a removed file ({ino})")


class Disk:
    """Replays a trace.  ignored: number of a sync, as `syncs` counts them, that has no effect: a test of tests."""

    def __init__(self, unit: int = SECTOR, ignored: int | None = None) -> None:
        self.unit = unit
        self.ignored = ignored
        self.syncs = 0
        self.files: dict[int, File] = {}
        self.names: dict[str, int] = {}
        self.durable_names: dict[str, int] = {}
        self._changed: set[tuple[int, int]] = set()
        self._syncs: list[_Sync] = []
        self._named: list[dict[str, int]] = []
        self._base = Base(None, {})

    def replay(self, trace: bytes) -> Iterator[Event]:
        """Yields each event when everything before it has been done; its own effect comes after that.

        What was there at the start is durable.
        """
        words = struct.unpack(f"<{len(trace) // 8}Q", trace)
        at = number = 0
        while at < len(words):
            tag = words[at]
            if tag == EVENT:
                kind, ino, offset, length, line = words[at + 1 : at + 6]
                self._note_blocks(line)
                event = Event(number, Kind(kind), ino, offset, length, line)
                if event.kind is Kind.START:
                    self._settle()
                yield event
                self._happen(event)
                number += 1
                at += 6
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
        file, at, offset, zeros = self.files[ino], 0, first * LINE, ZEROS[: self.unit]
        while at < len(data):
            start = (offset + at) % self.unit
            block, n = offset + at - start, min(self.unit - start, len(data) - at)
            old = file.blocks.get(block, zeros)
            new = old[:start] + data[at : at + n] + old[start + n :]
            if new != old:
                file.blocks[block] = new
                file.known ^= fingerprint(block, old) ^ fingerprint(block, new)
                self._changed.add((ino, block))
            at += n

    def _note_blocks(self, line: int) -> None:
        """Each event sees the blocks as they are by then: one more content of those that have changed."""
        for ino, block in self._changed:
            file = self.files[ino]
            file.pending.setdefault(block, []).append(file.blocks[block])
            file.choices.pop(block, None)
            file.lines[block] = line
        self._changed.clear()

    def _happen(self, event: Event) -> None:
        if event.kind in (Kind.SYNC_BEGIN, Kind.FLUSH) and event.ino in self.files:
            self._begin(event)
        elif event.kind in (Kind.SYNC_END, Kind.DIRECTORY_END, Kind.FENCE) and self._is_ignored():
            self._forget(event)
        elif event.kind in (Kind.SYNC_END, Kind.FENCE):
            ended = [sync for sync in self._syncs if sync.ends_with(event)]
            for sync in ended if event.kind is Kind.FENCE else ended[:1]:
                self._syncs.remove(sync)
                self._end(sync)
        elif event.kind is Kind.DIRECTORY_BEGIN:
            self._named.append(dict(self.names))
        elif event.kind is Kind.DIRECTORY_END and self._named:
            self.durable_names = self._named.pop(0)

    def _begin(self, event: Event) -> None:
        file = self.files[event.ino]
        first, last = event.offset, event.offset + event.length - 1
        if event.kind is Kind.FLUSH:
            first, last = first // LINE * LINE, last // LINE * LINE + LINE - 1
        contents = {
            block: len(versions)
            for block, versions in file.pending.items()
            if first // self.unit * self.unit <= block <= last
        }
        whole = event.kind is Kind.SYNC_BEGIN
        self._syncs.append(_Sync(event, contents, len(file.sizes) if whole else 0, file.size))

    def _is_ignored(self) -> bool:
        self.syncs += 1
        return self.syncs - 1 == self.ignored

    def _forget(self, event: Event) -> None:
        if event.kind is Kind.DIRECTORY_END:
            del self._named[:1]
        self._syncs = [sync for sync in self._syncs if not sync.ends_with(event)]

    def _end(self, sync: _Sync) -> None:
        file = self.files[sync.ino]
        for block, count in sync.contents.items():
            versions = file.pending.get(block, [])
            if not versions:
                continue
            old, new = file.durable.get(block, b""), versions[count - 1]
            file.durable[block] = new
            file.durable_known ^= fingerprint(block, old) ^ fingerprint(block, new)
            file.fresh.add(block)
            file.choices.pop(block, None)
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
        return Cut(
            event, self.unit, dict(self.names), dict(self.durable_names), self.files, self._next_base()
        )

    def _next_base(self) -> Base:
        fresh: dict[int, dict[int, bytes]] = {}
        for ino, file in self.files.items():
            if file.fresh:
                fresh[ino] = {block: file.durable[block] for block in file.fresh}
                file.fresh.clear()
        if fresh:
            self._base = Base(self._base, fresh)
        return self._base
