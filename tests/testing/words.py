"""Word by word: what is durable of an operation is all that it has changed, and an abort puts all of it back.

An exploration opens images, and notices what its questions ask for.  This looks at the memory itself, so it notices a
store that nothing noted wherever it was, and costs a thousandth.  It knows nothing of crashes in between.

- Journal engine: after each step the words of the writer's memory are those of a reader, which has replayed the
  journal into a mapping of its own.
- Direct engine: after each step no word of the pool is waiting for a flush or a fence.
- Both: an undone step leaves each word of a block that was in use as it was.

What may differ is what is in no block: fresh memory was filled, and the transaction undone.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pmemobj
from pmemobj import _core
from pmemobj import pool as pools
from pmemobj.testing.disk import WORD, Disk, Kind
from pmemobj.testing.slim import SMALL_JOURNAL
from tests.malformed.bases import CHUNKS, ZONE
from tests.testing.matrix import Case

Words = np.ndarray[Any, np.dtype[np.uint64]]

#: Where the first chunk begins (see tests/malformed/bases.py).  What is before it, and in free ones, is libpmemobj's,
#: which keeps words there that mean nothing to the next process.
FIRST = CHUNKS + 16
FREE = 2
NODE = (
    48  # where libpmemobj had words of its own while a chunk was free: what is allocated need not be filled
)
ROOT_AT, GENERATION, APPLIED, RANGES = 6144, 88, 512, 520
STRIDE, PAGE, PAGES = 256 * 1024, 4096, 63
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
#: They exchange files, which a reader in the same process forbids.
NOT_HERE = ("pool", "copies")


def mapped(path: str, flags: str) -> dict[int, Words]:
    """Mappings of the whole file, by address."""
    size = os.path.getsize(path)
    found: dict[int, Words] = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        where, how, offset, _device, _ino, *name = line.split(maxsplit=5)
        if name == [path] and how == flags and int(offset, 16) == 0:
            start = int(where.split("-")[0], 16)
            found[start] = np.ctypeslib.as_array(_pointer(start), (size // 8,))
    return found


def _pointer(address: int) -> Any:
    import ctypes

    return ctypes.cast(address, ctypes.POINTER(ctypes.c_uint64))


def chunks(memory: Words) -> tuple[list[bool], int]:
    """Which of libpmemobj's chunks are part of an allocation, and where the last of these ends."""
    taken: list[bool] = []
    while not taken or FIRST + len(taken) * STRIDE < memory.size * 8:
        header = int(memory[(ZONE + 64) // 8 + len(taken)])
        taken += [header & 0xFFFF != FREE] * min(memory.size, max(1, header >> 32))
    while taken and not taken[-1]:
        taken.pop()
    return taken, min(memory.size * 8, FIRST + len(taken) * STRIDE)


class Blocks:
    """Which words are in something that is in use, as chunks and pages (layout.h) have it now."""

    def __init__(self, memory: Words):
        self.taken, self.end = chunks(memory)
        self.chunks = [memory[(FIRST + i * STRIDE) // 8 :][:8].copy() for i in range(len(self.taken))]
        self.pages = memory[: self.end // PAGE * PAGE // 8].reshape(-1, PAGE // 8)[:, :8].copy()

    def uses(self, at: int) -> bool:
        """at: of a word, in bytes."""
        number, inside = divmod(at - CHUNKS, STRIDE)
        inside -= FIRST - CHUNKS
        if number < 0 or number >= len(self.taken) or not self.taken[number]:
            return False
        if inside < 0:
            return True  # how libpmemobj begins an allocation
        bitmap, _next, _prev, first, listed, _empty, spans, _starts = map(int, self.chunks[number])
        chunk = FIRST + number * STRIDE
        if first % PAGE or not chunk < first <= chunk + 64 + PAGE or listed > 1:
            return not NODE <= inside < NODE + 32  # of one allocation
        if inside < 64:
            return True
        page = (at - first) // PAGE
        if not 0 <= page < PAGES or not bitmap >> page & 1:
            return False
        start = first + page * PAGE
        place = at - start - 64
        if spans >> page & 1 or place < 0:
            return True
        header = self.pages[start // PAGE]
        block = place // (int(header[7]) & 0xFFFFFFFF)
        return bool(int(header[block // 64]) >> (block % 64) & 1)


class Before(Blocks):
    """And all words."""

    def __init__(self, memory: Words):
        super().__init__(memory)
        self.words = memory[FIRST // 8 : self.end // 8].copy()


@contextlib.contextmanager
def opened(case: Case, engine: str, sync: str) -> Iterator[Any]:
    journal = dict(pools.JOURNAL)
    pools.JOURNAL.update(SMALL_JOURNAL)
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY, prefix="pmemobj-words-") as directory:
            path = os.path.join(directory, "pool")
            with pmemobj.open(path, "x", max_size=case.max_size, sync=sync, engine=engine) as pool:
                case.start(pool)
            if engine == "direct":
                # Under a trace every file is persistent memory: flushes and fences are what is looked at.
                _core._trace_start(directory)
            with pmemobj.open(path, "w", sync=sync, engine=engine) as pool:  # which knows no class yet
                yield pool
    finally:
        pools.JOURNAL.update(journal)


class Behind:
    """A step: a commit that goes to the log itself, right behind small ones about the same words, in the ring."""

    row, names, undone = "list", ("small, then large",), ""

    def start(self, pool: Any) -> None:
        pool.root = [0]

    def __call__(self, pool: Any) -> None:
        for number in range(5):
            pool.root[0] = number
        with pool.transaction():
            pool.root[0] = -1
            pool.root.append(pool.new(pmemobj.PersistentList, range(20_000)))


def behind() -> Case:
    step = Behind()
    return Case("a long record behind short ones", step.start, (step, step), 16 << 20)


def texts(kind: str, words: Sequence[int], step: Any) -> list[str]:
    names = ", ".join(f"{at:#x}" for at in words[:5])
    return [f"{step.row}, {step.names} {step.undone}: {kind}: {len(words)} words, {names}"] if words else []


def recorded(case: Case, sync: str = "manual") -> Iterator[str]:
    """With the journal engine.  What is wrong."""
    with opened(case, "journal", sync) as pool:
        ((base, memory),) = mapped(pool.path, "rw-p").items()
        with pmemobj.open(pool.path, "r") as reader:
            (other,) = (words for at, words in mapped(pool.path, "rw-p").items() if at != base)
            left: dict[int, int] = {}  # by aborts, in free memory
            for step in case.steps:
                before = Before(memory) if step.undone else None
                step(pool)
                if before is not None and step.undone == "abort":
                    yield from texts("not put back", not_put_back(before, memory), step)
                reader.refresh()
                wrong = differing(memory, other, chunks(memory)[1])
                if wrong:
                    now = Blocks(memory)
                    left.update((at, int(memory[at // 8])) for at in wrong if before and not before.uses(at))
                    wrong = [at for at in wrong if now.uses(at) and left.get(at) != int(memory[at // 8])]
                    yield from texts("not recorded", wrong, step)
            del other
        del memory


def counted(memory: Words) -> set[int]:
    """What the engines count in the root block, or write past the mapping."""
    root = int(memory[ROOT_AT // 8])
    return {root + GENERATION, root + APPLIED, root + RANGES}


def differing(memory: Words, other: Words, end: int) -> list[int]:
    """Offsets, in bytes, below `end`, without those of what the engines count in the root block."""
    start, counts = FIRST // 8, counted(memory)
    found = np.flatnonzero(memory[start : end // 8] != other[start : end // 8])
    return [at for at in (int(i + start) * 8 for i in found) if at not in counts]


def not_put_back(before: Before, memory: Words) -> list[int]:
    start, end = FIRST // 8, FIRST // 8 + before.words.size
    counts = counted(memory)
    found = [int(i + start) * 8 for i in np.flatnonzero(before.words != memory[start:end])]
    return [at for at in found if at not in counts and before.uses(at)]


def flushed(case: Case) -> Iterator[str]:
    """With the direct engine.  What is wrong."""
    with opened(case, "direct", "commit") as pool:
        ((_base, memory),) = mapped(pool.path, "rw-s").items()
        blocks: list[tuple[Blocks | None, Blocks]] = []  # before an undone step, and after each
        try:
            for number, step in enumerate(case.steps):
                before = Before(memory) if step.undone else None
                _core._trace_mark(2 * number)
                step(pool)
                _core._trace_mark(2 * number + 1)
                blocks.append((before, Blocks(memory)))
                if before is not None and step.undone == "abort":
                    yield from texts("not put back", not_put_back(before, memory), step)
        finally:
            trace = _core._trace_stop()
            del memory
    disk = Disk(WORD)
    left: set[int] = set()
    for event in disk.replay(trace):
        if event.kind is Kind.MARK and event.offset % 2:
            step, (before, now) = case.steps[event.offset // 2], blocks[event.offset // 2]
            waiting = {at for at in disk.files[disk.names["pool"]].pending if at >= FIRST and now.uses(at)}
            left &= waiting
            if before is not None:
                left.update(at for at in waiting if not before.uses(at))
            yield from texts("not flushed", sorted(waiting - left), step)
