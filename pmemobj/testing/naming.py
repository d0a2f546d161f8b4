"""What a lost write was about: words of the pool file, which are told by names, and of its journal or undo log, which
speak of words of the pool file.

The journal is read as far as its records are whole; their checksums are not looked at, as one that the crash has torn
may be among them.  See journal/journal.h, journal/journal_private.h, journal/ring.h and direct/undo.h.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from pmemobj import _core
from pmemobj.testing.disk import WORD, Cut, File
from pmemobj.testing.images import Choice

__all__ = ["About", "about", "told"]

HEADER_SLOTS, SEGMENTS_AT = 8192, 65536
RING_BYTES, SEGMENT_COUNT, SEGMENTS = 144, 136, 192  # of the journal's header
RECORD_WORDS, PAYLOAD_AT = 5, 3  # of a record of the log
RING_LENGTH = (1 << 20) - 1  # of a record of the ring, and what says that the rest is skipped
ENTRIES_AT, ENTRY, LINE = 4096, 96, 64  # of the undo log
MOST_WORDS, MOST_NAMES = 64, 6


class About(NamedTuple):
    """what: which part of which file; words: of the pool file, by their offsets."""

    what: str
    words: tuple[int, ...]


def about(choice: Choice, cut: Cut, pool: str) -> About | None:
    """None where there is nothing to tell: a size, a name."""
    if choice.kind != "block":
        return None
    places = [choice.number + at for at in choice.changing]
    if choice.where == pool:
        return About("", tuple(places))
    if choice.where != pool + _core.JOURNAL_SUFFIX:
        return None
    content = _Content(cut.files[choice.ino])
    return _of_undo_log(content, places) if cut.unit == WORD else _of_journal(content, places)


def told(what: str, names: list[str]) -> str:
    """As a part of a report."""
    different = list(dict.fromkeys(names))
    more = len(different) - MOST_NAMES
    text = "; ".join(different[:MOST_NAMES]) + (f"; {more} more" if more > 0 else "")
    return f"{what} ({text})" if what and text else what or text


class _Content:
    """Of a file, as the program has written it."""

    def __init__(self, file: File):
        self.blocks = file.blocks
        self.unit = len(next(iter(file.blocks.values()), b"")) or WORD
        self.size = file.size

    def word(self, at: int) -> int:
        block = self.blocks.get(at // self.unit * self.unit)
        return struct.unpack_from("<Q", block, at % self.unit)[0] if block else 0


def _of_undo_log(content: _Content, places: list[int]) -> About:
    if places[0] < ENTRIES_AT:
        return About("header of the undo log", ())
    number = (places[0] - ENTRIES_AT) // ENTRY
    kind = content.word(ENTRIES_AT + number * ENTRY + 16)
    if kind % LINE:
        return About(f"undo log, entry {number}: allocations", ())
    return About(f"undo log, entry {number}: image of a line", tuple(range(kind, kind + LINE, WORD)))


def _of_journal(content: _Content, places: list[int]) -> About:
    if places[0] < SEGMENTS_AT:
        return About("header of the journal", ())
    # a header that is not written yet says nothing; then the places of the first one are those of the other
    slot = 0 if content.word(0) else HEADER_SLOTS // 2
    ring = content.word(slot + RING_BYTES)
    if places[0] < SEGMENTS_AT + ring:
        return _of_records("ring of the journal", _ring_records(content, ring), content, places)
    for number in range(min(content.word(slot + SEGMENT_COUNT), 162)):
        at = content.word(slot + SEGMENTS + 24 * number)
        size = content.word(slot + SEGMENTS + 24 * number + 8)
        if at <= places[0] < at + size:
            records = _log_records(content, at, at + size)
            return _of_records("log of the journal", records, content, places)
    return About("a part of the journal that is not in use", ())


#: (number, where the payload begins, where it ends), in bytes
_Record = tuple[int, int, int]


def _log_records(content: _Content, at: int, end: int) -> Iterator[_Record]:
    while at + RECORD_WORDS * WORD <= end:
        number, length = content.word(at + WORD), content.word(at + PAYLOAD_AT * WORD) & 0xFFFFFFFF
        begin = at + RECORD_WORDS * WORD
        if number == 0 or begin + length * WORD > end:
            return
        yield number, begin, begin + length * WORD
        at = begin + length * WORD


def _ring_records(content: _Content, size: int) -> Iterator[_Record]:
    at, number = SEGMENTS_AT, 0
    while at < SEGMENTS_AT + size:
        length = content.word(at) & RING_LENGTH
        if length in (0, RING_LENGTH) or at + WORD * (length + 1) > SEGMENTS_AT + size:
            return
        number += 1
        yield number, at + WORD, at + WORD * (length + 1)
        at += WORD * (length + 1)


def _of_records(what: str, records: Iterator[_Record], content: _Content, places: list[int]) -> About:
    """Of those that these places are in."""
    first, last = places[0], places[-1]
    numbers: list[int] = []
    words: list[int] = []
    for number, begin, end in records:
        head = begin - RECORD_WORDS * WORD
        if end <= first or head > last:
            continue
        numbers.append(number)
        while begin < end:
            extent = content.word(begin)
            for i in range(extent & 0xFFFF):
                place = begin + (1 + i) * WORD
                if first - WORD <= place <= last and len(words) < MOST_WORDS:
                    words.append((extent >> 16) + i * WORD)
            begin += (1 + max(1, extent & 0xFFFF)) * WORD
    if not numbers:
        return About(what, ())
    which = f"record {numbers[0]}" + (f" to {numbers[-1]}" if len(numbers) > 1 else "")
    return About(f"{what}, {which}", tuple(words))
