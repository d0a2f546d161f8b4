"""flag="r" refuses every change and writes nothing; files and directories that may not be written."""

import errno
import os

import pytest
from pool_files import journal_of, run, run_until_killed, run_with_mounts

import pmemobj
from pmemobj import ReadOnlyPoolError


@pytest.fixture
def readonly(pool_path):
    with pmemobj.open(pool_path, max_size=64 << 20) as pool:
        pool.root = [[1, 2], {"a": 1}, {1, 2}]
    with pmemobj.open(pool_path, "r") as pool:
        yield pool


def test_everything_can_be_read(readonly):
    assert readonly.root == [[1, 2], {"a": 1}, {1, 2}]
    assert readonly.root[0] is readonly.root[0]
    assert readonly.check().ok
    assert readonly.stats()["allocated"]
    assert readonly.durability().engine == "snapshot"
    assert readonly.to_python(readonly.root) == [[1, 2], {"a": 1}, {1, 2}]


@pytest.mark.parametrize(
    "change",
    [
        lambda pool: setattr(pool, "root", 1),
        lambda pool: pool.new(pmemobj.PersistentList),
        lambda pool: pool.new(pmemobj.PersistentDict, a=1),
        lambda pool: pool.new(pmemobj.PersistentObject),
        lambda pool: pool.transaction().__enter__(),
        lambda pool: pool.begin(),
        lambda pool: pool.gc(),
        lambda pool: pool.sync(),
        lambda pool: pool.checkpoint(),
        lambda pool: pool.root.append(1),
        lambda pool: pool.root.append([]),
        lambda pool: pool.root.__setitem__(0, 1),
        lambda pool: pool.root.__delitem__(0),
        lambda pool: pool.root.clear(),
        lambda pool: pool.root.extend([1, 2]),
        lambda pool: pool.root.pop(),
        lambda pool: pool.root[0].sort(reverse=True),
        lambda pool: pool.root[0].reverse(),
        lambda pool: pool.root[0].insert(0, 0),
        lambda pool: pool.root[0].__iadd__([1]),
        lambda pool: pool.root[1].update(b=1),
        lambda pool: pool.root[1].__setitem__("a", 2),
        lambda pool: pool.root[1].pop("a"),
        lambda pool: pool.root[1].popitem(),
        lambda pool: pool.root[1].setdefault("b", 1),
        lambda pool: pool.root[1].clear(),
        lambda pool: pool.root[2].add(3),
        lambda pool: pool.root[2].discard(1),
        lambda pool: pool.root[2].pop(),
        lambda pool: pool.root[2].clear(),
    ],
)
def test_every_change_is_refused(readonly, change):
    with pytest.raises(ReadOnlyPoolError, match=r'the pool was opened with flag="r"; nothing can be changed'):
        change(readonly)
    assert readonly.root == [[1, 2], {"a": 1}, {1, 2}]
    assert isinstance(ReadOnlyPoolError(""), TypeError)


def test_a_session_leaves_the_contents_alone(readonly, pool_path):
    readonly.close()
    assert os.listdir(pool_path.parent) == [pool_path.name]
    with pmemobj.open(pool_path) as pool:
        assert pool.root == [[1, 2], {"a": 1}, {1, 2}]
        pool.root.append(1)


def test_dropping_proxies_destroys_nothing(readonly):
    inner = readonly.root[0]
    del inner
    assert readonly.root[0] == [1, 2]


def files(directory):
    return {name: (directory / name).read_bytes() for name in os.listdir(directory)}


def test_a_killed_pool_is_recovered_in_memory_only(pool_path):
    run_until_killed(
        """
pool = pmemobj.open(path, max_size=64 << 20)
held = [pool.new(pmemobj.PersistentList, [1]) for _ in range(10)]
pool.root = [1]
die()
""",
        pool_path,
    )
    before = files(pool_path.parent)
    for _ in range(2):
        with pmemobj.open(pool_path, "r") as pool:
            assert pool.recovery is not None
            assert pool.root == [1]
            assert pool.stats()["limbo"] == 10  # freeing is for those who may write
            assert pool.check().ok
            assert not pool.refresh()
    assert files(pool_path.parent) == before
    with pmemobj.open(pool_path) as pool:
        assert pool.recovery is not None
        pool._drain()
        assert pool.stats()["limbo"] == 0


# Root may write everything, so these run as somebody else.

WRITABLE = (
    "a pool is written to while it is open, and its journal lies beside it: allow writing to the file and to its "
    "directory, or copy the pool to where you may write"
)

AS_NOBODY = "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n" if os.getuid() == 0 else ""


@pytest.fixture
def open_to_all(tmp_path):
    """A directory that another user can reach and write to."""
    for directory in [tmp_path, *tmp_path.parents[:3]]:
        if directory.owner() == tmp_path.owner() and directory != tmp_path.parents[-1]:
            directory.chmod(directory.stat().st_mode | 0o711)
    tmp_path.chmod(0o777)
    yield tmp_path
    tmp_path.chmod(0o700)


def refused_to_nobody(path, flag, error="PermissionError"):
    return run(
        AS_NOBODY
        + f"""
try:
    pmemobj.open(path, {flag!r})
except {error} as error:
    print(error.filename, error.strerror, sep="|")
""",
        path,
    ).strip()


@pytest.mark.parametrize("flag", ["c", "w"])
def test_file_that_may_not_be_written(open_to_all, flag):
    path = open_to_all / "pool"
    pmemobj.open(path, max_size=64 << 20, mode=0o444).close()
    path.chmod(0o444)
    assert refused_to_nobody(path, flag) == f"{path}|Permission denied; {WRITABLE}"
    with pmemobj.open(path, max_size=64 << 20) if os.getuid() == 0 else open(os.devnull):
        pass


@pytest.mark.parametrize("killed", [False, True])
def test_reading_needs_no_leave_to_write(open_to_all, killed):
    path = open_to_all / "pool"
    if killed:
        run_until_killed("pool = pmemobj.open(path, max_size=64 << 20); pool.root = [1, 2]; die()", path)
        journal_of(path).chmod(0o444)
    else:
        with pmemobj.open(path, max_size=64 << 20) as pool:
            pool.root = [1, 2]
    path.chmod(0o444)
    open_to_all.chmod(0o555)
    before = files(open_to_all)
    code = AS_NOBODY + 'with pmemobj.open(path, "r") as pool: print(pool.root == [1, 2], pool.check().ok)'
    assert run(code, path).strip() == "True True"
    assert files(open_to_all) == before


@pytest.mark.parametrize("killed", [False, True])
def test_read_only_file_system(tmp_path, killed):
    code = """
import shutil
mount(path, "size=80m")
if os.fork() == 0:
    pool = pmemobj.open(path + "/pool", max_size=64 << 20)
    pool.root = {"a": [1, 2]}
    if sys.argv[2] == "True":
        die()
    pool.close()
    os._exit(0)
os.wait()
subprocess.run(["mount", "-o", "remount,ro", path], check=True)
try:
    pmemobj.open(path + "/pool", "w")
except OSError as error:
    print(error.errno)
with pmemobj.open(path + "/pool", "r") as pool:
    print(pool.root == {"a": [1, 2]}, pool.check().ok, pool.refresh())
"""
    assert run_with_mounts(code, tmp_path, killed) == f"{errno.EROFS}\nTrue True False\n"


@pytest.mark.parametrize("flag", ["c", "w"])
def test_directory_that_may_not_be_written(open_to_all, flag):
    """The journal has no place."""
    path = open_to_all / "pool"
    pmemobj.open(path, max_size=64 << 20).close()
    path.chmod(0o666)
    open_to_all.chmod(0o555)
    where, what = refused_to_nobody(path, flag).split("|")
    assert where == str(journal_of(path))
    assert what in (
        f"cannot create the journal: Permission denied; {WRITABLE}",
        f"cannot create the undo log: Permission denied; {WRITABLE}",
    )
    open_to_all.chmod(0o777)
    assert os.listdir(open_to_all) == ["pool"]
    with pmemobj.open(path) as pool:
        assert pool.recovery is None


def test_new_pool_in_a_directory_that_may_not_be_written(open_to_all):
    open_to_all.chmod(0o555)
    path = open_to_all / "pool"
    assert refused_to_nobody(path, "c") == (
        f"{path}|Permission denied; a pool needs a directory in which you may create files"
    )
    open_to_all.chmod(0o777)
    assert os.listdir(open_to_all) == []


def test_journal_that_may_not_be_read(open_to_all):
    path = open_to_all / "pool"
    run_until_killed("pool = pmemobj.open(path); pool.root = 1; die()", path)
    path.chmod(0o666)
    journal_of(path).chmod(0o000)
    for flag in "wr":
        assert refused_to_nobody(path, flag).startswith(f"{journal_of(path)}|opening the journal")
    with pmemobj.open(path) if os.getuid() == 0 else open(os.devnull):
        pass
