"""Pairing of pool and journal: what does not belong together is refused with the way out, and never replayed."""

import os
import shutil

import pytest
from pool_files import RUN_ID_AT, STATE, journal_of, pmempool_check, read_word, root_field, write_word

import pmemobj

SMALL = 64 << 20
SYNC = {"sync": "manual"}


def copy_files(path, to):
    """The pool file and its journal, as a killed program would leave them."""
    shutil.copy(journal_of(path), journal_of(to))
    shutil.copy(path, to)


def contents(path):
    return path.read_bytes(), journal_of(path).read_bytes()


def refused(path, message, flags="wr"):
    """Twice, and neither file has changed."""
    before = contents(path)
    for flag in flags * (3 - len(flags)):
        with pytest.raises(pmemobj.JournalError, match=message) as caught:
            pmemobj.open(path, flag)
        assert str(path) in str(caught.value)
    assert contents(path) == before


@pytest.fixture
def crashed(tmp_path):
    """A pool and its journal, both as after a kill; root is [1, 2, 3]."""
    with pmemobj.open(tmp_path / "original", max_size=SMALL, **SYNC) as pool:
        pool.root = [1]
        pool.root.extend([2, 3])
        copy_files(tmp_path / "original", tmp_path / "crashed")
    return tmp_path / "crashed"


@pytest.mark.journal_engine("its records")
def test_the_pair_recovers(crashed):
    with pmemobj.open(crashed, **SYNC) as pool:
        assert pool.root == [1, 2, 3]
        assert set(pool.recovery) == {"records", "bytes", "discarded_bytes", "seconds"}
        assert pool.recovery["records"] >= 2
        assert pool.recovery["bytes"] > 0
        assert pool.recovery["discarded_bytes"] == 0
        assert pool.stats()["recovery"] == pool.recovery
    with pmemobj.open(crashed, **SYNC) as pool:
        assert pool.root == [1, 2, 3]
        assert pool.recovery is None


def test_a_copy_made_alone_while_the_pool_was_open(crashed):
    journal_of(crashed).rename(crashed.parent / "elsewhere")
    with pytest.raises(
        pmemobj.JournalError,
        match=(
            f"the pool was not closed cleanly, and its journal {journal_of(crashed)} is missing: put it beside the pool"
        ),
    ):
        pmemobj.open(crashed)
    assert not journal_of(crashed).exists()
    (crashed.parent / "elsewhere").rename(journal_of(crashed))
    with pmemobj.open(crashed) as pool:
        assert pool.root == [1, 2, 3]


def test_journal_of_another_pool(crashed, tmp_path):
    with pmemobj.open(tmp_path / "other", max_size=SMALL, **SYNC) as pool:
        pool.root = "other"
        shutil.copy(journal_of(tmp_path / "other"), journal_of(crashed))
        refused(crashed, "belongs to another pool: put the pool's own journal there")


def test_journal_of_an_older_session(crashed, tmp_path):
    old = journal_of(crashed).read_bytes()
    with pmemobj.open(crashed, **SYNC) as pool:
        pool.root.append(4)
        copy_files(crashed, tmp_path / "later")
    journal_of(tmp_path / "later").write_bytes(old)
    refused(
        tmp_path / "later",
        "is of session 1 of this pool, the pool file of session 2: one of the two was copied",
    )


def test_pool_file_of_an_older_session(crashed, tmp_path):
    shutil.copy(crashed, tmp_path / "earlier")
    for number in range(2):
        with pmemobj.open(crashed, **SYNC) as pool:
            pool.root.append(number)
            shutil.copy(journal_of(crashed), journal_of(tmp_path / "earlier"))
    refused(tmp_path / "earlier", "is of session 3 of this pool, the pool file of session 1")


@pytest.mark.journal_engine("its records")
def test_stale_journal_beside_a_clean_pool(tmp_path):
    """Its records were true once; the pool has gone on since, so they must not be replayed."""
    path = tmp_path / "pool"
    with pmemobj.open(path, max_size=SMALL, **SYNC) as pool:
        pool.root = [1]
        pool.root.append(2)
        stale = journal_of(path).read_bytes()
        for i in range(100):
            pool.root.append(i)
        pool.root = {"now": 1}
    journal_of(path).write_bytes(stale)
    refused(path, "the pool was closed cleanly and is whole without a journal, but .* move it away", "w")
    with pmemobj.open(path, "r"):  # which needs no journal
        pass
    journal_of(path).unlink()
    with pmemobj.open(path) as pool:
        assert pool.root == {"now": 1}
        assert pool.check().ok


def test_foreign_journal_beside_a_clean_pool(crashed, tmp_path):
    path = tmp_path / "clean"
    pmemobj.open(path, max_size=SMALL).close()
    shutil.copy(journal_of(crashed), journal_of(path))
    refused(path, "belongs to another pool", "w")
    with pmemobj.open(path, "r"):  # which needs no journal
        pass


@pytest.mark.parametrize("garbage", [b"", b"x" * 100, bytes(1 << 20)])
def test_garbage_beside_a_clean_pool(tmp_path, garbage):
    path = tmp_path / "clean"
    pmemobj.open(path, max_size=SMALL).close()
    journal_of(path).write_bytes(garbage)
    refused(path, "the pool was closed cleanly and is whole without a journal, but .* move it away", "w")
    with pmemobj.open(path, "r"):  # which needs no journal
        pass


def test_empty_journal_left_by_a_clean_close(tmp_path):
    """Killed between marking the pool clean and removing the journal."""
    path, copy = tmp_path / "pool", tmp_path / "copy"
    with pmemobj.open(path, max_size=SMALL, **SYNC) as pool:
        pool.root = [1, 2]
        pool.checkpoint()
        copy_files(path, copy)
    at = root_field(copy, STATE)
    write_word(copy, at, read_word(copy, at) & ~1)
    with pmemobj.open(copy, **SYNC) as pool:
        assert pool.root == [1, 2]
        assert pool.recovery is None


def test_journal_of_an_open_that_never_marked_the_pool(tmp_path):
    """Killed between making the journal and marking the pool live."""
    path, copy = tmp_path / "pool", tmp_path / "copy"
    with pmemobj.open(path, max_size=SMALL, **SYNC) as pool:
        pool.root = [1, 2]
    shutil.copy(path, copy)
    with pmemobj.open(path, **SYNC):
        shutil.copy(journal_of(path), journal_of(copy))
    with pmemobj.open(copy, **SYNC) as pool:
        assert pool.root == [1, 2]


def test_another_program_opened_the_pool_meanwhile(crashed):
    """libpmemobj counts its opens in the file; ours knows which number it left."""
    write_word(crashed, RUN_ID_AT, read_word(crashed, RUN_ID_AT) + 6)
    refused(crashed, r"another program has opened the pool since the (journal|undo log) .* was written")


@pytest.mark.journal_engine("its records")
def test_damage_in_the_middle_of_the_journal(crashed):
    journal = bytearray(journal_of(crashed).read_bytes())
    journal[65536 + 100] ^= 0xFF  # inside the first record of the ring
    journal_of(crashed).write_bytes(journal)
    refused(crashed, "is damaged: ")


def test_both_headers_of_the_journal_damaged(crashed):
    with open(journal_of(crashed), "r+b") as file:
        file.write(bytes(16384))
    refused(crashed, "is damaged: neither of its two headers is valid")


def test_one_header_of_the_journal_damaged(crashed):
    with open(journal_of(crashed), "r+b") as file:
        file.write(bytes(64))
    with pmemobj.open(crashed) as pool:
        assert pool.root == [1, 2, 3]


def test_journal_without_its_pool(crashed):
    """A new pool there would make the journal of the old one worthless without a word."""
    crashed.rename(crashed.parent / "moved")
    for flag in "cx":
        with pytest.raises(
            pmemobj.JournalError, match=r"but its journal .* is there; put the pool file back, or remove"
        ):
            pmemobj.open(crashed, flag)
    assert not crashed.exists()
    (crashed.parent / "moved").rename(crashed)
    with pmemobj.open(crashed) as pool:
        assert pool.root == [1, 2, 3]


def test_temporary_files_of_a_crash_do_no_harm(crashed):
    """What creating a pool or a journal leaves when it is killed."""
    names = [f".{crashed.name}.1.new", f".{crashed.name}.{os.getpid()}.new", f"{crashed.name}-journal.new"]
    for name in names:
        (crashed.parent / name).write_bytes(b"half")
    with pmemobj.open(crashed) as pool:
        assert pool.root == [1, 2, 3]
    crashed.unlink()
    with pmemobj.create(crashed, SMALL) as pool:
        pool.root = 1
    assert not (crashed.parent / names[2]).exists()


def test_a_clean_pool_is_a_complete_copy(tmp_path):
    with pmemobj.open(tmp_path / "a", max_size=SMALL) as pool:
        pool.root = {"key": ["value"] * 100}
    shutil.move(tmp_path / "a", tmp_path / "b")
    pmempool_check(tmp_path / "b")
    with pmemobj.open(tmp_path / "b", "w") as pool:
        assert pool.root == {"key": ["value"] * 100}


def test_two_copies_cannot_be_open_in_one_process(tmp_path):
    with pmemobj.open(tmp_path / "a", max_size=SMALL) as pool:
        pool.root = 1
    shutil.copy(tmp_path / "a", tmp_path / "b")
    with pmemobj.open(tmp_path / "a") as pool:
        with pytest.raises(
            pmemobj.PoolBusyError, match=r"this is a copy of .*/a, which is open in this process"
        ):
            pmemobj.open(tmp_path / "b")
        pool.root = 2
    with pmemobj.open(tmp_path / "b") as pool:
        assert pool.root == 1


def test_journal_is_made_in_the_directory_of_the_real_file(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "pool")
    with pmemobj.open(tmp_path / "link", max_size=SMALL):
        assert journal_of(tmp_path / "real" / "pool").exists()
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]
