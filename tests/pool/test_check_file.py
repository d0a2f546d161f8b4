"""pmemobj.check(): a file that nobody has open is verified without a change; damage is named by where it is."""

import os
import signal
import struct
import subprocess
import sys

import pytest

import pmemobj

SIZE = 16 << 20
HEAP = 3153920  # where libpmemobj's heap begins in every pool
ZONE = HEAP + 1024
LANES = 8192


def everything(path):
    """What a check must leave as it is."""
    found = {}
    for name in (path, path + "-journal"):
        if os.path.exists(name):
            status = os.stat(name)
            with open(name, "rb") as file:
                found[name] = (file.read(), status.st_mtime_ns, status.st_size, status.st_blocks)
    return found


def put(path, at, form, *values):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(struct.pack(form, *values))


def get(path, at, form):
    with open(path, "rb") as file:
        file.seek(at)
        return struct.unpack(form, file.read(struct.calcsize(form)))


@pytest.fixture
def closed(pool_path):
    with pmemobj.create(pool_path, SIZE, sync="manual") as pool:
        pool.root = {"a": [1, 2, "three is longer"], "b": {i: str(i) for i in range(100)}, ("t", 1): None}
    return os.fspath(pool_path)


KILLED = """
import os, signal, sys
import pmemobj
pool = pmemobj.open(sys.argv[1], sync="manual")
pool.root["c"] = ["after the last close"] * 3
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(closed):
    child = subprocess.run([sys.executable, "-c", KILLED, closed], check=False)
    assert child.returncode == -signal.SIGKILL
    return closed


def test_closed_pool(closed):
    before = everything(closed)
    report = pmemobj.check(closed)
    assert report.ok, report
    assert report.counts["dict"] == 2
    assert everything(closed) == before


def test_killed_pool_is_looked_at_as_if_recovered(killed):
    before = everything(killed)
    assert len(before) == 2
    report = pmemobj.check(os.fsencode(killed))
    assert report.ok, report
    assert report.counts["list"] == 2
    assert everything(killed) == before
    with pmemobj.open(killed) as pool:
        assert pool.root["c"] == ["after the last close"] * 3


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        pmemobj.check(tmp_path / "none")
    assert os.listdir(tmp_path) == []


def test_no_pool(tmp_path):
    path = tmp_path / "text"
    path.write_text("no pool")
    (finding,) = pmemobj.check(path).findings
    assert finding.startswith("file: ")
    assert "not a libpmemobj pool" in finding


def test_root_block(closed):
    put(closed, get(closed, 6144, "<Q")[0], "<Q", 1)
    (finding,) = pmemobj.check(closed).findings
    assert finding.startswith("file: ")
    assert "root block is damaged" in finding


def test_journal(killed):
    journal = killed + "-journal"
    put(journal, 0, "<Q", 0)
    put(journal, 4096, "<Q", 0)
    (finding,) = pmemobj.check(killed).findings
    assert finding.startswith("journal: ")
    os.unlink(journal)
    (finding,) = pmemobj.check(killed).findings
    assert "is missing" in finding


DAMAGE = {
    "zone without chunks": (ZONE + 4, "<I", 0, "the header of the zone"),
    "zone with too many": (ZONE + 4, "<I", 1 << 20, "the header of the zone"),
    "zone without magic": (ZONE, "<I", 1, "the header of the zone"),
    "chunk of no type": (ZONE + 64, "<H", 0, "the header of chunk 0"),
    "chunk of no size": (ZONE + 64 + 12, "<I", 0, "the header of chunk 1"),
    "chunk that is too long": (ZONE + 64 + 12, "<I", 1 << 30, "the header of chunk 1"),
    "chunk of another program": (ZONE + 64 + 10, "<H", 2, "not one of ours"),
    "run of nothing": (HEAP + 1024 + 64 + 8 * 65528, "<Q", 0, "has blocks of 0 bytes"),
    "heap that is too long": (6176, "<Q", SIZE, None),
    "lane with another log": (LANES + 8, "<Q", 4096, "a log of lane 0 has a damaged header"),
    "lane that is too long": (LANES + 3072 + 16, "<Q", 1 << 40, "a log of lane 1 has a damaged header"),
    "entry that is none": (LANES + 64, "<Q", 7 << 61 | HEAP, "a log of lane 0 has a damaged entry"),
    "entry that leads away": (LANES + 64, "<Q", 1 << 50, "a log of lane 0 has a damaged entry"),
    "entry over the header": (LANES + 64, "<Q", 4096, "a log of lane 0 has a damaged entry"),
    "entry of a transaction": (LANES + 960 + 64, "<Q", 5 << 61 | HEAP, "a log of lane 0 has a damaged entry"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_heap(closed, name):
    """What libpmemobj would follow without a look is found by the check, and refused by an open."""
    at, form, value, text = DAMAGE[name]
    if at < HEAP and at >= LANES:  # a lane that has never been used has no room for entries
        lane = LANES + (at - LANES) // 3072 * 3072
        put(closed, lane + 16, "<Q", 192)
        put(closed, lane + 960 + 16, "<Q", 2048)
    put(closed, at, form, value)
    report = pmemobj.check(closed)
    assert not report.ok
    assert text is None or any(text in line and line.startswith("heap: ") for line in report.findings), report
    with pytest.raises((pmemobj.PoolDamagedError, pmemobj.PoolFormatError), match=text):
        pmemobj.open(closed)


def test_every_lane_and_zone_of_a_sound_pool_is_sound(tmp_path):
    """More zones than one, and chunks of every kind."""
    path = os.fspath(tmp_path / "large.pool")
    with pmemobj.create(path, 36 << 30, sync="manual") as pool:
        pool.root = {"long": list(range(200_000)), "text": "x" * 5_000_000}
        pool.root["long"] = None
        assert pool.check().ok
    assert pmemobj.check(path).ok


# --- progress


def test_progress(pool):
    pool.root = {i: [str(i) * 9] for i in range(5000)}
    told = []
    assert pool.check(lambda done, total: told.append((done, total))).ok
    assert len(told) > 2
    assert told == sorted(told)
    assert len({total for _, total in told}) == 1
    assert told[-1][0] == told[-1][1]
    assert 0 < told[0][0] < told[0][1]


def test_progress_may_read_but_not_change(pool):
    pool.root = [1, [2]]

    def progress(done, total):
        assert pool.root[1][0] == 2
        for change in (lambda: pool.root.append(3), pool.close, pool.check, pool.gc):
            with pytest.raises((RuntimeError, pmemobj.TransactionError)):
                change()

    assert pool.check(progress).ok
    with pool.transaction():
        pool.root.append(3)
        assert pool.check(progress).ok
        assert pool.in_transaction
        pool.root.append(4)
    pool.root.append(5)
    assert pool.root[2:] == [3, 4, 5]


def test_progress_that_raises(pool):
    pool.root = [1]

    def progress(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pool.check(progress)
    pool.root.append(2)
    assert pool.check().ok


def test_progress_of_a_snapshot(closed):
    def progress(done, total):
        assert snapshot.root["a"][0] == 1
        with pytest.raises(pmemobj.PoolBusyError):
            snapshot.refresh()
        with pytest.raises(RuntimeError):
            snapshot.close()

    with pmemobj.open(closed, "r") as snapshot:
        assert snapshot.check(progress).ok
        assert snapshot.refresh() is False
    assert pmemobj.check(closed, lambda done, total: None).ok


# --- paths


class Thing(pmemobj.PersistentObject):
    pass


def cells_of(path, value):
    """Where a list's or a table's items lie, from a fresh look at the pool."""
    with pmemobj.open(path, "r") as pool:
        found = value(pool)
        where = pmemobj._core.object_at(found)
    return get(path, where + (56 if isinstance(found, pmemobj.PersistentDict) else 48), "<Q")[0]


def test_paths_are_what_a_program_would_write(pool_path):
    with pmemobj.create(pool_path, SIZE, sync="manual") as pool:
        thing = pool.new(Thing)
        thing.items = [0, {"a long key of its own": (1, (2, "three is longer"))}]
        pool.root = {"things": [thing], 7: {"x"}, ("no", "scalar"): [1], "k" * 50: [1]}
    with pmemobj.open(pool_path, "r") as pool:
        table = pmemobj._core.object_at(pool.root["things"][0].items[1])
        places = [pmemobj._core.object_at(pool.root[key]) for key in (("no", "scalar"), "k" * 50)]
        members = pmemobj._core.object_at(pool.root[7])
    entry = get(pool_path, table + 56, "<Q")[0]
    outer = get(pool_path, entry + 16, "<Q")[0] & (1 << 48) - 1
    inner = get(pool_path, outer + 16, "<Q")[0] & (1 << 48) - 1
    put(pool_path, inner + 8, "<Q", 0)
    for place in places:
        put(pool_path, get(pool_path, place + 48, "<Q")[0], "<Q", 0)
    put(pool_path, get(pool_path, members + 56, "<Q")[0] + 8, "<Q", 31 << 3 | 4)
    assert set(pmemobj.check(pool_path).findings) == {
        "root[7] member #0: slot 0xfc is not a value",
        "root['things'][0].items[1]['a long key of its own'][1][0]: empty slot",
        "root[#2][0]: empty slot",
        "root[#3][0]: empty slot",
    }


TEXTS = {
    "ASCII that is none": ("plain text of its own", lambda data: b"\xff" + data[1:]),
    "Latin-1 that is ASCII": ("é" + "x" * 10, lambda data: b"x" + data[1:]),
    "two bytes that are one": ("€" * 10, lambda data: b"x\0" * 10),
    "four bytes that are two": ("😀" * 10, lambda data: b"\xac\x20\0\0" * 10),
    "no character": ("😀" * 10, lambda data: b"\xff\xff\xff\xff" + data[4:]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(pool_path, name):
    text, change = TEXTS[name]
    with pmemobj.create(pool_path, SIZE, sync="manual") as pool:
        pool.root = [text]
        assert pool.check().ok
    slot = get(pool_path, cells_of(pool_path, lambda pool: pool.root), "<Q")[0]
    at = (slot & (1 << 48) - 1) + 8
    width = {1: 1, 2: 1, 3: 2, 4: 4}[slot >> 48]
    put(pool_path, at, f"{len(text) * width}s", change(get(pool_path, at, f"{len(text) * width}s")[0]))
    (finding,) = pmemobj.check(pool_path).findings
    assert finding.startswith("root[0]: its text ")


@pytest.mark.parametrize("entry", [0, 5])
def test_cells_that_lead_to_another_entry(pool_path, entry):
    with pmemobj.create(pool_path, SIZE, sync="manual") as pool:
        pool.root = dict.fromkeys(range(100))
    with pmemobj.open(pool_path, "r") as pool:
        index = get(pool_path, pmemobj._core.object_at(pool.root) + 72, "<Q")[0]
    at = index & (1 << 48) - 1
    words = get(pool_path, at, f"<{1 << (index >> 56)}Q")
    free = words.index(0)
    put(pool_path, at + 8 * free, "<Q", 0x12345678 << 32 | entry + 1)
    assert pmemobj.check(pool_path).findings == [
        "root: has 1 cells in its index that lead to no entry, or to one with another hash"
    ]
