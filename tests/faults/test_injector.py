"""The injector itself: it counts, it fails what it is told to fail, and its trace is in order."""

import errno
import os

import pytest

import pmemobj
from pmemobj import _core

SMALL = 16 << 20


@pytest.fixture
def faults():
    _core._faults_install()
    yield
    _core._faults_disarm()
    _core._faults_remove()


def make(path):
    _core.create_file(str(path), SMALL, 0o600)


def test_without_it_nothing_is_counted(tmp_path):
    before = _core._faults_counts()
    make(tmp_path / "pool")
    assert _core._faults_counts() == before


def test_calls_are_counted_by_kind(faults, tmp_path):
    make(tmp_path / "pool")
    counts = _core._faults_counts()
    assert {
        "open": 2,
        "ftruncate": 1,
        "fsync": 2,
        "link": 1,
        "unlink": 1,
        "close": 2,
    }.items() <= counts.items()
    with pmemobj.open(tmp_path / "pool", sync="commit") as pool:
        pool.root = 1
    after = _core._faults_counts()
    assert all(after[kind] > counts[kind] for kind in ("pwrite", "fdatasync", "mmap", "rename", "unlink")), (
        after
    )


@pytest.mark.parametrize("kind", ["open", "ftruncate", "fsync", "link"])
@pytest.mark.parametrize("error", [errno.EIO, errno.EDQUOT])
def test_one_call_of_a_kind_fails_once(faults, tmp_path, kind, error):
    _core._faults_arm([kind], 1, error)
    with pytest.raises(OSError) as caught:
        make(tmp_path / "pool")
    assert (caught.value.errno, caught.value.filename) == (error, str(tmp_path / "pool"))
    assert os.listdir(tmp_path) == []
    assert _core._faults_hits()[1:] == (1, kind)
    make(tmp_path / "pool")
    assert _core._faults_hits()[1:] == (1, kind)


def test_number_and_file_choose_the_call(faults, tmp_path):
    _core._faults_arm(["fsync"], 2, errno.EIO)
    with pytest.raises(OSError):
        make(tmp_path / "a")  # its directory
    assert os.listdir(tmp_path) == ["a"]
    _core._faults_arm(None, 1, errno.EIO, file="/c")
    make(tmp_path / "b")
    with pytest.raises(OSError):
        make(tmp_path / "c")
    assert _core._faults_hits() == (1, 1, "link")


def test_a_sticky_fault_stays_until_it_is_disarmed(faults, tmp_path):
    _core._faults_arm(["fsync"], 1, errno.ENOSPC, sticky=True)
    for _ in range(3):
        with pytest.raises(OSError):
            make(tmp_path / "pool")
    assert _core._faults_hits()[1] == 3
    _core._faults_disarm()
    make(tmp_path / "pool")


@pytest.mark.parametrize("sticky", [False, True])
def test_interrupted_calls_are_repeated(faults, tmp_path, sticky):
    kinds = [
        "open",
        "ftruncate",
        "fsync",
        "link",
        "unlink",
        "pwrite",
        "pread",
        "fdatasync",
        "rename",
        "msync",
        "fallocate",
    ]
    _core._faults_arm(kinds, 1, errno.EINTR, sticky=sticky)
    make(tmp_path / "pool")
    with pmemobj.open(tmp_path / "pool") as pool:
        pool.root = [1]
    assert os.listdir(tmp_path) == ["pool"]
    assert (_core._faults_hits()[1] > 20) == sticky


def test_transfers_that_are_cut_short_are_continued(faults, tmp_path):
    make(tmp_path / "pool")
    _core._faults_arm(["pwrite", "pread"], 1, 0, cut=True, sticky=True)
    with pmemobj.open(tmp_path / "pool", sync="commit") as pool:
        pool.root = ["x" * 100000]
    assert _core._faults_hits()[1] > 100
    with pmemobj.open(tmp_path / "pool") as pool:
        assert pool.root == ["x" * 100000]


def test_after_a_cut_comes_the_error(faults, tmp_path):
    make(tmp_path / "pool")
    _core._faults_trace()
    _core._faults_arm(["pwrite"], 1, errno.ENOSPC, cut=True)
    with pytest.raises(OSError) as caught:
        pmemobj.open(tmp_path / "pool")
    assert caught.value.errno == errno.ENOSPC
    writes = [call for call in _core._faults_traced() if call["kind"] == "pwrite"]
    assert writes[0]["done"] == writes[0]["length"] // 2
    assert (writes[1]["error"], writes[1]["offset"]) == (
        errno.ENOSPC,
        writes[0]["offset"] + writes[0]["done"],
    )


@pytest.mark.journal_engine("its writes are looked for")
def test_the_trace_tells_what_was_written_where_and_in_which_order(faults, tmp_path):
    make(tmp_path / "pool")
    _core._faults_trace(data=True)
    with pmemobj.open(tmp_path / "pool", sync="commit") as pool:
        pool.root = "traced"
    calls = _core._faults_traced()
    moments = [call["began"] for call in calls] + [call["ended"] for call in calls]
    assert len(set(moments)) == len(moments) == max(moments)
    assert all(call["began"] < call["ended"] for call in calls)
    assert [call["began"] for call in calls] == sorted(call["began"] for call in calls)
    rename = next(call for call in calls if call["kind"] == "rename")
    assert (rename["file"], rename["to"]) == (f"{tmp_path}/pool-journal.new", f"{tmp_path}/pool-journal")
    writes = [
        call
        for call in calls
        if call["kind"] == "pwrite" and call["file"].startswith(f"{tmp_path}/pool-journal")
    ]
    assert any(b"PMEMJNL1" in write["data"] for write in writes)
    assert all(len(write["data"]) == write["done"] == write["length"] for write in writes)
    synced = [
        call["file"]
        for call in calls
        if call["kind"] in ("fsync", "fdatasync") and call["began"] < rename["began"]
    ]
    assert synced == [f"{tmp_path}/pool-journal.new"]
    last = [call["kind"] for call in calls if call["file"] == f"{tmp_path}/pool"]
    assert last[-2:] == ["fdatasync", "close"]
    assert not any(call["error"] for call in calls)


def test_what_makes_no_fault_is_refused():
    for arguments in [(None, 0, errno.EIO), (None, 1, 0), (["nonsense"], 1, errno.EIO)]:
        with pytest.raises(ValueError):
            _core._faults_arm(*arguments)
    with pytest.raises(ValueError):
        _core._faults_arm(None, 1, errno.EIO, file="x" * 300)
