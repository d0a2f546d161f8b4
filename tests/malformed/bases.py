"""Sound pools to be damaged, and where things lie in them."""

import ctypes
import itertools
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import pmemobj
from pmemobj.testing.slim import slim

SIZE = 8 << 20
HEAP = 3153920
ZONE = HEAP + 1024
CHUNKS = ZONE + 64 + 8 * 65528
OFFSET = (1 << 48) - 1
JOURNAL = "-journal"
SMALL_JOURNAL = {"first_segment": 65536, "max_segment": 65536, "limit": 1 << 20, "ring": 65536}


class Thing(pmemobj.PersistentObject):
    """Of every kind of attribute."""


def contents(pool):
    thing = pool.new(Thing)
    thing.number, thing.text, thing.items = 1, "a text of its own", [1, 2]
    shared = pool.new(pmemobj.PersistentList, ["shared"])
    cycle = pool.new(pmemobj.PersistentList)
    cycle.append(cycle)
    return {
        "list": [
            1,
            "short",
            "longer than seven",
            b"bytes of their own",
            None,
            1.5,
            1e300,
            10**30,
            2j,
            True,
            ...,
        ],
        "texts": ["é" * 10, "€" * 10, "😀" * 10, "\ud800" * 5, "x" * 500, "y" * 3000],
        "tuples": [
            (1, ("two" * 5, frozenset({"three" * 5}))),
            pool.new(pmemobj.PersistentTuple, ("x" * 20, [1])),
            pool.new(pmemobj.PersistentFrozenSet, ["y" * 20, *range(20)]),
        ],
        "table": {f"key number {i}": str(i) * 3 for i in range(40)},
        "set": {1, "two", (3, "three" * 3), "four" * 4} | set(range(10, 30)),
        "deque": deque([*range(20), "a text of the deque", [1]], maxlen=100),
        "left": short_blocks(pool),
        "counter": Counter({f"counted {i}": i for i in range(12)}),
        "default": defaultdict(list, {i: [i] for i in range(5)}),
        "ordered": gone_first(pool),
        "sorted": pool.new(
            pmemobj.PersistentSortedDict,
            {f"key number {i:03}": ["text of its own", i][i % 2] for i in range(150)},
        ),
        "sorted numbers": pool.new(pmemobj.PersistentSortedSet, [*range(40), 1e300, 0.5]),
        "thing": thing,
        "shared": [shared, shared, {"again": shared}],
        "cycle": cycle,
        "bytes": [bytearray(b"some bytes"), bytearray(b"x" * 3000)],
        "arrays": [
            np.arange(30).reshape(10, 3),
            np.zeros(4, [("a", "i4"), ("b", "S5")]),
            np.array(["some", "texts"]),
            np.array([(1, "a"), (2, "b")], [("n", "i8"), ("text", "U3")]),
        ],
        "empty": [[], {}, set(), bytearray()],
    }


def short_blocks(pool):
    """A deque of three blocks."""
    made = pool.new(pmemobj.PersistentDeque, range(12))
    made.extend(range(15))
    made.extendleft(range(15))
    return made


def gone_first(pool):
    made = pool.new(pmemobj.PersistentOrderedDict, OrderedDict((f"in order {i}", i) for i in range(30)))
    for _ in range(10):
        made.popitem(last=False)
    return made


def large(pool):
    """Segments, a directory, nodes of nodes, a long chain."""
    return {
        "list": list(range(33_000)),
        "table": {i: i for i in range(5_000)},
        "small": [1, "one two three"],
        "sorted": pool.new(pmemobj.PersistentSortedDict, {i: i for i in range(5_000)}),
        "deque": deque(range(2_000)),
    }


TABLES = (2, 3, 8, 9, 10, 12)
#: Of a leaf, and of a node, of a sorted container (see pm_leaf and pm_inner in layout.h).
KEYS, VALUES = 488, 872
KEYS_OF_NODE, CHILDREN, COUNTS = 520, 1000, 1480


def patched_journal():
    pmemobj.pool.JOURNAL.update(SMALL_JOURNAL)


@dataclass
class Base:
    """A pool as it lies on disk, and what is where: (name, offset, bytes) of its structures."""

    name: str
    files: dict[str, bytes]
    engine: str = "journal"
    places: list[tuple[str, int, int]] = field(default_factory=list)


def words(image, at, count=1):
    return struct.unpack_from(f"<{count}Q", image, at)


def structures(image):
    """(name, offset, bytes) of whatever the root leads to, each once: heads, vectors, values, indexes, pages."""
    root = words(image, 6144)[0]
    found = [("root block", root, 128 + 256), ("zone header", ZONE, 64), ("zone table", ZONE + 64, 256)]
    seen = set()
    todo = [words(image, root + 56)[0], words(image, root + 64)[0]]

    def take(name, at, size):
        if (name, at) not in seen and 0 < at < len(image) - size:
            seen.add((name, at))
            found.append((name, at, size))
            page = at & ~4095
            if ("page", page) not in seen and name != "span":
                seen.add(("page", page))
                found.append(("page header", page, 64))
            chunk = CHUNKS + (at - CHUNKS) // 262144 * 262144 + 16
            if ("chunk", chunk) not in seen:
                seen.add(("chunk", chunk))
                found.append(("chunk header", chunk, 64))

    def vector(at, stride):
        size, cap, data, directory = words(image, at, 4)
        if directory:
            take("directory", data, min(64, 8 * directory))
            take("segment", words(image, data)[0], 256)
            return list(words(image, words(image, data)[0], 64))
        if cap:
            take("cells", data, min(8 * stride * cap, 1024))
        return list(words(image, data, size * stride)) if cap else []

    def nodes(at, height, has_values):
        """What the entries below a node of a sorted container hold."""
        if height == 0:
            return []
        if height > 1:
            size = words(image, at)[0]
            take("node", at, 8 * 6)
            take("keys of a node", at + KEYS_OF_NODE, 8 * min(size, 4))
            take("children", at + CHILDREN, 8 * min(size, 12))
            take("counts", at + COUNTS, 8 * min(size, 4))
            below = words(image, at + CHILDREN, size)
            return list(
                itertools.chain.from_iterable(nodes(child, height - 1, has_values) for child in below)
            )
        take("leaf", at, 8 * 13)
        take("keys", at + KEYS, 32)
        used = words(image, at)[0]
        places = [i for i in range(64) if used >> i & 1]
        found = [words(image, at + KEYS + 8 * i)[0] for i in places]
        return found + [words(image, at + VALUES + 8 * i)[0] for i in places] if has_values else found

    while todo:
        slot = todo.pop()
        at, kind = slot & OFFSET, slot >> 48
        if slot == 0 or slot & 7 or (kind, at) in seen:
            continue
        seen.add((kind, at))
        if kind:
            take("value", at, 32)
            if kind >= 9:
                todo += words(image, at + 8, words(image, at)[0])
            continue
        type_number = words(image, at)[0] >> 32 & 0xFFFF
        take(
            f"object of type {type_number}",
            at,
            96 if type_number in TABLES else 72 if type_number > 5 else 64,
        )
        if type_number in (1, 4):
            todo += vector(at + 32, 1)
        elif type_number == 6:
            left, right, block = words(image, at + 32, 3)
            while block:
                after, _, start, cells = words(image, block, 4)
                take("deque block", block, 32 + 8 * min(cells, 8))
                first, stop = max(left, start), min(right, start + cells)
                todo += words(image, block + 32 + 8 * (first - start), stop - first)
                block = after
        elif type_number in (16, 17):
            root, height = words(image, at + 48, 2)
            todo += nodes(root, height, type_number == 16)
        elif type_number in TABLES:
            stride = 2 if type_number in (3, 12) else 3
            entries = vector(at + 40, stride)
            todo += [word for i, word in enumerate(entries) if i % stride]
            index, depth = words(image, at + 72, 2)
            if depth:
                take("index directory", index, 8 << depth)
                index = words(image, index)[0]
            if index:
                take("index segment", index & OFFSET, 256)
        elif type_number in (7, 11):
            cap, data = words(image, at + 48, 2)
            take("bytes", data, min(cap, 64))
            if type_number == 11:
                take("array", at + 64, 32)
                todo += words(image, at + 80, 2)
        else:
            cap, fields = words(image, at + 32)[0] >> 32, words(image, at + 40)[0]
            take("fields", fields, 8 * cap)
            todo += words(image, fields, cap)
    return found


CHILD = """
import os, signal, sys
from tests.malformed import bases
import pmemobj
bases.patched_journal()
pool = pmemobj.open(sys.argv[1], "w", sync="manual", engine=sys.argv[2])
root = pool.root
root["list"].append("the first change")
root["new"] = {"made": [1, 2, "three is longer"]}
if sys.argv[2] == "direct":
    pool.begin()
    root["table"]["key number 1"] = "changed and lost" * 3
    root["list"].extend(range(100))
else:
    for i in range(20):
        root["table"][f"key number {i}"] = "another text, longer than it was"
        if i == 3:
            pool.sync()
os.kill(os.getpid(), signal.SIGKILL)
"""


def make(directory: Path) -> dict[str, Base]:
    """Pools that were closed, small and large, and pools that were killed under each engine."""
    journal = dict(pmemobj.pool.JOURNAL)
    patched_journal()
    try:
        return _make(directory)
    finally:
        pmemobj.pool.JOURNAL.update(journal)  # the tests that come after this one have the ordinary sizes


def _make(directory: Path) -> dict[str, Base]:
    found = {}
    for name, build in (("closed", contents), ("large", large)):
        path = os.fspath(directory / name)
        with pmemobj.create(path, SIZE, sync="manual", engine="journal") as pool:
            pool.root = build(pool)
            assert pool.check().ok
        slim(path)
        image = Path(path).read_bytes()
        found[name] = Base(name, {"": image}, places=structures(image))
    for engine in ("journal", "direct"):
        path = os.fspath(directory / engine)
        shutil.copyfile(directory / "closed", path)
        child = subprocess.run([sys.executable, "-c", CHILD, path, engine], cwd=Path.cwd(), check=False)
        assert child.returncode == -signal.SIGKILL, child
        files = {"": Path(path).read_bytes(), JOURNAL: Path(path + JOURNAL).read_bytes()}
        found[engine] = Base(engine, files, engine)
    return found


# --- checksums

_xxhash = ctypes.CDLL("libxxhash.so.0")
_xxhash.XXH3_64bits_withSeed.restype = ctypes.c_uint64
_xxhash.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def xxh3(data, seed=0):
    return _xxhash.XXH3_64bits_withSeed(bytes(data), len(data), seed & (1 << 64) - 1)


def journal_header(image):
    """{field: (offset, format)} of the newest slot, and where that is."""
    slot = max((0, 4096), key=lambda at: words(image, at + 24)[0])
    return slot, {
        "ring bytes": words(image, slot + 144)[0],
        "ring salt": words(image, slot + 152)[0],
        "segments": [words(image, slot + 192 + 24 * i, 3) for i in range(words(image, slot + 136)[0])],
        "first": words(image, slot + 120)[0],
    }


def records(image):
    """(kind, offset, bytes, salt and number) of each record: of the ring, and of the log's first segment."""
    _, header = journal_header(image)
    found = []
    size = header["ring bytes"] // 8
    position = 0
    while position < size:
        at = 65536 + 8 * position
        length = words(image, at)[0] & (1 << 20) - 1
        payload = image[at + 8 : at + 8 + 8 * length]
        if (
            not 0 < length < size - position
            or ring_word(payload, header["ring salt"], position) != words(image, at)[0]
        ):
            break
        found.append(("ring", at, 8 + 8 * length, header["ring salt"] + position))
        position += 1 + length
    offset, length, salt = header["segments"][0]
    at, number = offset, header["first"]
    while at < offset + length - 40:
        count = words(image, at + 24)[0] & 0xFFFFFFFF
        if words(image, at + 8)[0] != number or count > length // 8:
            break
        found.append(("log", at, 40 + 8 * count, salt + number))
        at += 40 + 8 * count
        number += 1
    return found


def ring_word(payload, salt, position):
    return (xxh3(payload, salt + position) << 20 | len(payload) // 8) & (1 << 64) - 1
