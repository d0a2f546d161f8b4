"""A pool of more than 16 GiB, which is a zone of libpmemobj's heap: what lies in the second one is as good."""

import os
import struct

import pytest
from pool_files import pmempool_check, read_word, run, run_until_killed

import pmemobj

SIZE = 40 << 30
HEAP_OFFSET_AT = 5136
ZONE, TABLE_AT, HEADER, CHUNK = 65528 * (256 << 10) + (512 << 10), 64, 512 << 10, 256 << 10
FREE, USED, COMPACT, LARGE_BLOCK = 2, 3, 1, 2

#: The first zone is taken, so without this the direct engine would have it allocated.
PRELUDE = """
import errno
os.environ["PMEM_IS_PMEM_FORCE"] = "1"
from pmemobj import _core
_core._faults_install()
_core._faults_arm(["fallocate"], 1, errno.EOPNOTSUPP, sticky=True)
engine = sys.argv[2]
pool = pmemobj.open(path, engine=engine, sync="manual")
"""

ENGINES = pytest.mark.parametrize("engine", ["journal", "direct"])


def take_the_first_zone(path):
    """One allocation takes all that is free in it."""
    zone = read_word(path, HEAP_OFFSET_AT) + 1024
    with open(path, "r+b") as file:
        file.seek(zone)
        _, count = struct.unpack("<II", file.read(8))
        assert count == 65528
        chunk = 0
        while chunk < count:
            file.seek(zone + TABLE_AT + 8 * chunk)
            kind, _, chunks = struct.unpack("<HHI", file.read(8))
            if kind == FREE and chunks > count // 2:
                file.seek(zone + TABLE_AT + 8 * chunk)
                file.write(struct.pack("<HHI", USED, COMPACT, chunks))
                file.seek(zone + HEADER + CHUNK * chunk)
                file.write(struct.pack("<QQ", CHUNK * chunks, LARGE_BLOCK))
                return
            chunk += chunks
    raise AssertionError("no free block")


@pytest.fixture
def large(pool_path):
    with pmemobj.open(pool_path, max_size=SIZE, sync="manual", engine="journal") as pool:
        pool.root = {"first": "in the first zone"}
    take_the_first_zone(pool_path)
    return pool_path


def data_behind(path, offset):
    """Bytes of the file from there on that are no hole."""
    total, end = 0, os.path.getsize(path)
    with open(path, "rb") as file:
        while offset < end:
            try:
                data = os.lseek(file.fileno(), offset, os.SEEK_DATA)
            except OSError:  # no more of them
                break
            offset = os.lseek(file.fileno(), data, os.SEEK_HOLE)
            total += offset - data
    return total


@ENGINES
def test_the_second_zone(large, engine):
    out = run(
        PRELUDE
        + """
before = pool.usage()
assert 20 << 30 < before.unused < 24 << 30, before
pool.root["texts"] = ["t" * 3000 + str(i) for i in range(2000)]
pool.root["huge"] = "h" * (3 << 20)
with pool.transaction() as tx:
    pool.root["texts"].clear()
    pool.root["undone"] = ["u" * 300_000] * 20
    tx.abort()
pool.root["gone"] = ["g" * 300_000] * 20
del pool.root["gone"]
assert pool.root["first"] == "in the first zone" and len(pool.root["texts"]) == 2000
assert pool.check().ok and pool._check_references()
_core._faults_disarm()
assert pool.trim() > 5 << 20
_core._faults_arm(["fallocate"], 1, errno.EOPNOTSUPP, sticky=True)
pool.root["again"] = ["a" * 300_000] * 20
assert pool.check().ok
pool.close()
print(pool.engine)
""",
        large,
        engine,
    )
    assert out == f"{engine}\n"
    assert data_behind(large, ZONE) > 1 << 20
    pmempool_check(large)
    with pmemobj.open(large, "r") as pool:
        assert pool.root["texts"] == ["t" * 3000 + str(i) for i in range(2000)]
        assert pool.root["huge"] == "h" * (3 << 20)
        assert pool.root["again"] == ["a" * 300_000] * 20
        assert pool.check().ok


@ENGINES
def test_killed_there(large, engine):
    run_until_killed(
        PRELUDE
        + """
pool.root["kept"] = ["k" * 5000] * 1000
with pool.transaction():
    pool.root["kept"].clear()
    pool.root["new"] = ["n" * 300_000] * 10
    die()
""",
        large,
        engine,
    )
    with pmemobj.open(large, "r") as pool:
        assert pool.root == {"first": "in the first zone", "kept": ["k" * 5000] * 1000}
        assert pool.check().ok
    for other in "direct", "journal":
        out = run(
            PRELUDE
            + """
assert pool.root["kept"] == ["k" * 5000] * 1000 and len(pool.root) == 2
pool.root["kept"].append("more")
assert pool.check().ok
pool.root["kept"].pop()
pool.close()
print("sound")
""",
            large,
            other,
        )
        assert out == "sound\n"
    pmempool_check(large)
