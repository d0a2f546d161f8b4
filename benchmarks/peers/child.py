"""One store in a process of its own, for what a process has to itself: its memory, its files, its death.

python -m benchmarks.peers.child ACTION VARIANT DIRECTORY ENTRIES [random]

fill: stores everything and closes.  read: opens, reads every entry, several times.  write: single puts of new keys
until it is killed.  recover: opens what a killed writer left.  Each but write prints one object of JSON.
"""

import json
import mmap
import os
import random
import struct
import sys
import time
from pathlib import Path

from benchmarks.peers.catalogue import by_name
from benchmarks.peers.store import BATCH, Store, key

OPENS = 5
PROGRESS = "progress"
#: New keys of a writer begin here: behind all that were there before.
NEW = 500_000_000


def files(directory: Path) -> dict[str, int]:
    """Bytes on disk and apparent bytes of all files, journals and logs included."""
    found = [path.stat() for path in directory.rglob("*") if path.is_file() and path.name != PROGRESS]
    return {"on disk": sum(s.st_blocks * 512 for s in found), "apparent": sum(s.st_size for s in found)}


def memory() -> dict[str, int]:
    """Bytes resident now, at the peak, and of those now the ones that no file backs."""
    lines = [line.split() for line in Path("/proc/self/status").read_text().splitlines()]
    status = {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if line[-1] == "kB"}
    return {"resident": status["VmRSS"], "peak": status["VmHWM"], "anonymous": status["RssAnon"]}


def fill(store: Store, entries: int, shuffled: bool) -> dict[str, int]:
    numbers = list(range(entries))
    if shuffled:
        random.Random(1).shuffle(numbers)
    store.open()
    for start in range(0, entries, BATCH):
        store.put_batch([(key(number), number) for number in numbers[start : start + BATCH]])
    opened = files(store.directory)
    store.close()
    return {"on disk while open": opened["on disk"], **files(store.directory)}


def open_and_read_one(store: Store) -> int:
    """ns.  Some stores do the work at the first access and not when they are opened."""
    start = time.perf_counter_ns()
    store.open()
    store.get([key(0)])
    return time.perf_counter_ns() - start


def read(store: Store, entries: int) -> dict[str, object]:
    before = memory()
    times = [open_and_read_one(store)]
    for _ in range(OPENS - 1):
        store.close()
        times.append(open_and_read_one(store))
    for number in range(entries):
        store.get([key(number)])
    after = memory()
    store.close()
    return {"open": times, "before": before, "after": after}


def write(store: Store, progress: Path) -> None:
    """Counts in a shared mapping, which outlives it as the stores' own writes do."""
    start = struct.unpack("<q", progress.read_bytes())[0]
    with progress.open("r+b") as file:
        counter = mmap.mmap(file.fileno(), 8)
    store.open()
    for number in range(start, NEW):
        store.put_single([(key(NEW + number), number)])
        counter[:] = struct.pack("<q", number + 1)


def recover(store: Store, progress: Path, since: int) -> dict[str, object]:
    """How long the open took, and how many of the puts that had returned are not there; or the error."""
    written = struct.unpack("<q", progress.read_bytes())[0]
    try:
        spent = open_and_read_one(store)
    except Exception as error:
        return {"error": repr(error), "written": written}
    lost = 0
    for number in range(since, written):
        try:
            lost += next(store.values([key(NEW + number)])) != number
        except KeyError:
            lost += 1
    store.close()
    return {"open": spent, "written": written, "lost": lost}


def main() -> None:
    action, name, directory, entries, *rest = sys.argv[1:]
    store = by_name(name).reopen(Path(directory))
    progress = Path(directory).parent / PROGRESS
    if action == "fill":
        answer = fill(store, int(entries), "random" in rest)
    elif action == "read":
        answer = read(store, int(entries))
    elif action == "recover":
        answer = recover(store, progress, int(entries))
    else:
        answer = write(store, progress)
    print(json.dumps(answer))
    sys.stdout.flush()
    # A store that a failed open has left half open may hang in its destructors.
    os._exit(0)


if __name__ == "__main__":
    main()
