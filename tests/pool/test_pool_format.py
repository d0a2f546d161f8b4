"""Files that are no pool of ours, or not any more: each is refused with its own words and left as it is."""

import os
import shutil
import subprocess

import pytest
from pool_files import INCOMPAT, MAGIC, ROOT_OFFSET_AT, STATE, VERSION, root_field, write_word

import pmemobj


@pytest.fixture
def made(pool_path):
    with pmemobj.open(pool_path, max_size=64 << 20) as pool:
        pool.root = {"a": "b" * 1000}
    return pool_path


def refused(path, message):
    """Opening raises PoolFormatError with that message, whatever the flag, and changes nothing."""
    before = path.stat(), sorted(os.listdir(path.parent))
    for flag in "cwr":
        with pytest.raises(pmemobj.PoolFormatError, match=message) as caught:
            pmemobj.open(path, flag)
        assert str(path) in str(caught.value)
    after = path.stat(), sorted(os.listdir(path.parent))
    assert (before[0].st_size, before[0].st_mtime_ns, before[1]) == (
        after[0].st_size,
        after[0].st_mtime_ns,
        after[1],
    )


def test_empty_file(pool_path):
    pool_path.touch()
    refused(pool_path, "the file is empty; remove it and create the pool anew")


@pytest.mark.parametrize("contents", [b"x", b"PMEMOBJ", b"SQLite format 3\0" * 1000, bytes(9 << 20)])
def test_not_a_pool(pool_path, contents):
    pool_path.write_bytes(contents)
    refused(pool_path, "not a libpmemobj pool")


@pytest.mark.parametrize("length", [8, 100, 4096, 8191, 8192, 8 << 20, (64 << 20) - 4096, (64 << 20) - 1])
def test_truncated(made, length):
    os.truncate(made, length)
    refused(
        made, rf"truncated: {length} bytes are left, less than its own header says; restore it from a backup"
    )


def test_a_longer_file_is_fine(made):
    os.truncate(made, (64 << 20) + 4096)
    with pmemobj.open(made) as pool:
        assert pool.root == {"a": "b" * 1000}


def pmempool_create(path, layout):
    tool = shutil.which("pmempool")
    assert tool, "pmempool is missing: apt-get install pmdk-tools"
    subprocess.run([tool, "create", "--size=16M", f"--layout={layout}", "obj", str(path)], check=True)


def test_pool_of_another_program(pool_path):
    pmempool_create(pool_path, "other")
    refused(pool_path, r"a libpmemobj pool of another program \(layout 'other'\)")


def test_layout_that_begins_like_ours(pool_path):
    pmempool_create(pool_path, "pmemobj2")
    refused(pool_path, r"another program \(layout 'pmemobj2'\)")


def test_creation_never_finished(pool_path):
    pmempool_create(pool_path, "pmemobj")
    refused(pool_path, "its creation was never finished; remove it and create the pool anew")


def test_root_block_never_filled(made):
    write_word(made, root_field(made, MAGIC), 0)
    refused(made, "its creation was never finished")


@pytest.mark.parametrize("version", [1, 2])
def test_older_format(made, version):
    write_word(made, root_field(made, VERSION), version)
    refused(
        made,
        rf"made by a development version of pmemobj \(format {version}; this one reads format 3\); read it",
    )


def test_newer_format(made):
    write_word(made, root_field(made, VERSION), 4)
    refused(
        made,
        r"made by a newer version of pmemobj \(format 4, features 0x0; this one reads format 3\); update",
    )


def test_unknown_incompatible_feature(made):
    write_word(made, root_field(made, INCOMPAT), 1 << 40)
    refused(made, r"made by a newer version of pmemobj \(format 3, features 0x10000000000; this one")


def test_unknown_compatible_feature_is_fine(made):
    write_word(made, root_field(made, INCOMPAT) + 8, 1 << 40)
    with pmemobj.open(made) as pool:
        assert pool.root == {"a": "b" * 1000}


def test_newer_libpmemobj(made):
    with open(made, "r+b") as file:
        file.seek(8)
        file.write(b"\x07")
    refused(made, "made by a newer version")


@pytest.mark.parametrize("magic", [1, 0x4A424F4D454D5051])
def test_damaged_magic(made, magic):
    write_word(made, root_field(made, MAGIC), magic)
    refused(made, "its root block is damaged; restore it from a backup")


def test_version_zero_is_damage(made):
    write_word(made, root_field(made, VERSION), 0)
    refused(made, "its root block is damaged")


@pytest.mark.parametrize("offset", [8, 4096, 65541])
def test_root_block_in_an_impossible_place(made, offset):
    write_word(made, ROOT_OFFSET_AT, offset)
    refused(made, "its root block is damaged")


def test_root_block_behind_the_end(made):
    write_word(made, ROOT_OFFSET_AT, 1 << 40)
    refused(made, "truncated")


def test_a_pool_marked_live_wants_its_journal(made):
    write_word(made, root_field(made, STATE), 3)
    with pytest.raises(
        pmemobj.JournalError, match=r"the pool was not closed cleanly, and its journal .* is missing"
    ):
        pmemobj.open(made)


def test_damaged_checksum_of_libpmemobj(made):
    """Ours is in order, libpmemobj's header is not: its own words, and the journal of the attempt is no obstacle."""
    write_word(made, 4096 - 8, 12345)
    with pytest.raises(pmemobj.PoolDamagedError, match="libpmemobj cannot open this pool: "):
        pmemobj.open(made)
    with pytest.raises(pmemobj.PoolDamagedError, match="libpmemobj cannot open this pool: "):
        pmemobj.open(made)


def test_a_character_device():
    with pytest.raises((pmemobj.PoolFormatError, OSError)):
        pmemobj.open("/dev/null")
