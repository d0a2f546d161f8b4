"""Copies of a pool that was in use: those that fit are recovered, all others refused with what to do."""

import shutil
import struct

import pytest
from pool_files import journal_of, run_until_killed

import pmemobj
import pmemobj.pool

SMALL = 32 << 20
USUAL_JOURNAL = pmemobj.pool.JOURNAL
TIMES = r"were copied at different times \(the {} is older\), while the pool was in use: put the two files that belong"


@pytest.fixture(autouse=True)
def small_journal(monkeypatch):
    sizes = pmemobj.pool.JOURNAL | {
        "first_segment": 64 << 10,
        "max_segment": 64 << 10,
        "limit": 256 << 10,
        "ring": 64 << 10,
    }
    monkeypatch.setattr(pmemobj.pool, "JOURNAL", sizes)


def refused(path, message):
    before = path.read_bytes(), journal_of(path).read_bytes()
    for flag in "wr":
        with pytest.raises(pmemobj.JournalError, match=message) as caught:
            pmemobj.open(path, flag)
        assert str(journal_of(path)) in str(caught.value)
    assert (path.read_bytes(), journal_of(path).read_bytes()) == before


def work(pool, start, count=40):
    for number in range(start, start + count):
        pool.root[f"key {number % 50}"] = str(number) * 1000
    pool.root["last"] = number


@pytest.fixture
def pool(tmp_path):
    with pmemobj.open(tmp_path / "pool", max_size=SMALL, sync="commit") as pool:
        pool.root = {}
        yield pool


def test_copies_made_one_after_the_other_without_a_change(pool, tmp_path):
    for number in range(4):
        work(pool, number)
        shutil.copy(pool.path, tmp_path / "copy")
        shutil.copy(journal_of(pool.path), journal_of(tmp_path / "copy"))
        expected = pool.to_python(pool.root)
        pmemobj_copy = run_copy(tmp_path)
        assert pmemobj_copy == repr(sorted(expected.items()))


def run_copy(tmp_path):
    """What the copy holds; in a process of its own, because the original is open in this one."""
    from pool_files import run

    return run(
        """
with pmemobj.open(path, "w") as pool:
    assert pool.check().ok
    print(repr(sorted(pool.to_python(pool.root).items())), end="")
""",
        tmp_path / "copy",
    )


@pytest.mark.journal_engine("copies of the journal")
@pytest.mark.parametrize("between", ["checkpoint", "much work"])
def test_pool_file_copied_first(pool, tmp_path, between):
    """The journal no longer holds what the copy of the pool file lacks."""
    work(pool, 0)
    shutil.copy(pool.path, tmp_path / "copy")
    work(pool, 100, 40 if between == "checkpoint" else 400)
    if between == "checkpoint":
        pool.checkpoint()
    work(pool, 200, 3)
    shutil.copy(journal_of(pool.path), journal_of(tmp_path / "copy"))
    refused(tmp_path / "copy", TIMES.format("pool file"))


@pytest.mark.journal_engine("copies of the journal")
def test_journal_copied_first(pool, tmp_path):
    work(pool, 0)
    shutil.copy(journal_of(pool.path), journal_of(tmp_path / "copy"))
    work(pool, 100)
    pool.checkpoint()
    shutil.copy(pool.path, tmp_path / "copy")
    refused(tmp_path / "copy", TIMES.format("journal"))


@pytest.mark.journal_engine("copies of the journal")
def test_journal_copied_before_anything_was_applied(tmp_path, monkeypatch):
    """Its header then names the run id of before; it was taken for that of another program."""
    monkeypatch.setattr(pmemobj.pool, "JOURNAL", USUAL_JOURNAL)
    with pmemobj.open(tmp_path / "pool", max_size=SMALL, sync="commit") as pool:
        pool.root = [1]
        shutil.copy(journal_of(pool.path), journal_of(tmp_path / "copy"))
        pool.root.append(2)
        pool.checkpoint()
        shutil.copy(pool.path, tmp_path / "copy")
    refused(tmp_path / "copy", TIMES.format("journal"))


RANGES = {
    "a new text": lambda root: root.update({"range": "x" * (4 << 20)}),
    "all of a byte array": lambda root: root["bytes"].__setitem__(slice(None), b"x" * (5 << 20)),
}


@pytest.mark.journal_engine("copies of the journal")
@pytest.mark.parametrize("what", RANGES)
def test_pool_file_copied_before_a_range_was_written_past_the_journal(pool, tmp_path, what):
    """All records since are there, but one refers to what is only in the pool file."""
    work(pool, 0, 3)
    pool.root["bytes"] = bytearray(5 << 20)
    pool.checkpoint()
    shutil.copy(pool.path, tmp_path / "copy")
    checkpoints = pool.stats()["journal"]["checkpoints"]
    RANGES[what](pool.root)
    assert pool.stats()["journal"]["checkpoints"] == checkpoints
    shutil.copy(journal_of(pool.path), journal_of(tmp_path / "copy"))
    refused(tmp_path / "copy", TIMES.format("pool file"))
    shutil.copy(pool.path, tmp_path / "copy")
    assert "xxx" in run_copy(tmp_path)


def test_range_that_was_undone_does_not_count(pool, tmp_path):
    with pytest.raises(ZeroDivisionError), pool.transaction():
        pool.root["range"] = "x" * (4 << 20)
        raise ZeroDivisionError
    pool.root["range"] = "y" * (4 << 20)
    pool.root["more"] = ["z" * (4 << 20)]
    with pool.transaction():
        pool.root["last"] = 1
    shutil.copy(pool.path, tmp_path / "copy")
    shutil.copy(journal_of(pool.path), journal_of(tmp_path / "copy"))
    assert "'more'" in run_copy(tmp_path)


@pytest.mark.journal_engine("copies of the journal")
def test_copy_of_an_unrecovered_pool_with_the_recovered_one_s_journal(tmp_path):
    path, copy = tmp_path / "pool", tmp_path / "copy"
    run_until_killed(
        "pool = pmemobj.open(path, sync='commit', max_size=32 << 20); pool.root = {'kept': 1}; die()", path
    )
    shutil.copy(path, copy)
    run_until_killed("pool = pmemobj.open(path, sync='commit', max_size=32 << 20); die()", path)
    shutil.copy(journal_of(path), journal_of(copy))
    refused(copy, TIMES.format("pool file"))
    with pmemobj.open(path) as pool:
        assert pool.root == {"kept": 1}


def test_recovery_that_was_interrupted_after_it_had_written_the_pool_file(tmp_path):
    """The pool file then says that it holds all of the journal, which is still live."""
    from pmemobj import _core

    path = tmp_path / "pool"
    run_until_killed(
        "pool = pmemobj.open(path, sync='commit', max_size=32 << 20); pool.root = list(range(1000)); "
        "pool.root.append('last'); die()",
        path,
    )
    _core._faults_install()
    try:
        for number in range(1, 4):
            _core._faults_arm(["fdatasync"], number, 5)
            with pytest.raises(OSError):
                pmemobj.open(path)
            _core._faults_disarm()
    finally:
        _core._faults_remove()
    with pmemobj.open(path) as pool:
        assert pool.root == [*range(1000), "last"]
    run_until_killed(
        "pool = pmemobj.open(path, sync='commit', max_size=32 << 20); pool.root.append('later'); die()", path
    )
    with pmemobj.open(path) as pool:
        assert pool.root == [*range(1000), "last", "later"]


# --- journals that cannot be read


@pytest.fixture
def crashed(tmp_path):
    run_until_killed(
        "pool = pmemobj.open(path, sync='commit', max_size=32 << 20); pool.root = list(range(1000)); die()",
        tmp_path / "pool",
    )
    return tmp_path / "pool"


@pytest.mark.journal_engine("copies of the journal")
@pytest.mark.parametrize("part", [0, 100, 4096, 65536, 100_000, 0.5, 0.99])
def test_half_a_journal(crashed, part):
    journal = journal_of(crashed)
    whole = journal.read_bytes()
    length = part if isinstance(part, int) else int(len(whole) * part) // 4096 * 4096
    journal.write_bytes(whole[:length])
    refused(crashed, "is damaged: .* restore the pool from a backup")
    journal.write_bytes(whole)
    with pmemobj.open(crashed) as pool:
        assert pool.root == list(range(1000))


@pytest.mark.journal_engine("copies of the journal")
def test_journal_of_a_newer_format(crashed):
    """Its checksum covers the format number, so it is made as a newer version would make it."""
    xxhash_of_header(crashed, version=9)
    refused(
        crashed, "has format 9, this version reads up to 1: open the pool with a newer version of pmemobj"
    )


def xxhash_of_header(path, version):
    import subprocess

    source = f"""
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{{
    char slot[4096];
    unsigned version = {version};
    int fd = open(argv[argc - 1], O_RDWR);
    for (int i = 0; i < 2; i++) {{
        if (pread(fd, slot, 4096, 4096 * i) != 4096)
            return 1;
        memcpy(slot + 16, &version, 4);
        unsigned long long checksum = XXH3_64bits(slot + 16, 4080);
        memcpy(slot + 8, &checksum, 8);
        if (pwrite(fd, slot, 4096, 4096 * i) != 4096)
            return 1;
    }}
    return 0;
}}
"""
    program = path.parent / "newer"
    subprocess.run(["gcc", "-x", "c", "-o", program, "-"], input=source, text=True, check=True)
    subprocess.run([program, journal_of(path)], check=True)
    assert struct.unpack_from("<I", journal_of(path).read_bytes(), 16)[0] == version


def test_a_directory_where_the_journal_should_be(crashed):
    journal_of(crashed).unlink()
    journal_of(crashed).mkdir()
    with pytest.raises(OSError, match=r"opening the journal .*Nothing is lost; mend the cause") as caught:
        pmemobj.open(crashed)
    assert caught.value.filename == str(journal_of(crashed))
