"""One handle for each pool: a second open is refused, also by another name, and says who has it."""

import os
import shutil
import threading

import pytest
from pool_files import start

import pmemobj

HOLDER = """
pool = pmemobj.open(path)
pool.root = os.getpid()
print(os.getpid(), flush=True)
sys.stdin.readline()
pool.close()
"""


@pytest.fixture
def holder(pool_path):
    """A process that has the pool open until it reads a line."""
    process = start(HOLDER, pool_path)
    process.number = int(process.stdout.readline())
    yield process
    _, err = process.communicate("\n", timeout=30)
    assert (process.returncode, err) == (0, ""), err


def test_second_handle_of_this_process(pool, pool_path):
    pool.root = 1
    for flag in "cwr":
        with pytest.raises(
            pmemobj.PoolBusyError, match="the pool is open in this process; close it there first"
        ):
            pmemobj.open(pool_path, flag)
    pool.root = 2  # the first is unharmed
    pool.close()
    with pmemobj.open(pool_path) as pool:
        assert pool.root == 2


def test_by_another_name(pool, pool_path, tmp_path):
    by_symlink, by_link = tmp_path / "symlink", tmp_path / "link"
    by_symlink.symlink_to(pool_path)
    os.link(pool_path, by_link)
    (tmp_path / "directory").symlink_to(tmp_path)
    for path in (
        by_symlink,
        by_link,
        tmp_path / "directory" / pool_path.name,
        f"{tmp_path}/./{pool_path.name}",
    ):
        with pytest.raises(pmemobj.PoolBusyError, match="this process"):
            pmemobj.open(path)
    assert not os.path.exists(f"{by_link}-journal")
    pool.root = 1


def test_the_error_says_what_and_where(pool, pool_path):
    with pytest.raises(pmemobj.PoolBusyError) as caught:
        pmemobj.open(pool_path)
    assert isinstance(caught.value, BlockingIOError)
    assert caught.value.filename == str(pool_path)


def test_another_process_is_named(holder, pool_path):
    for flag in "cwr":
        with pytest.raises(
            pmemobj.PoolBusyError, match=rf"the pool is open in process {holder.number}; close it"
        ):
            pmemobj.open(pool_path, flag)
    with pytest.raises(FileExistsError):
        pmemobj.create(pool_path)


def test_timeout_waits_for_the_holder(holder, pool_path):
    with pytest.raises(pmemobj.PoolBusyError):
        pmemobj.open(pool_path, timeout=0.05)
    threading.Timer(0.1, lambda: (holder.stdin.write("\n"), holder.stdin.flush())).start()
    with pmemobj.open(pool_path, timeout=60) as pool:
        assert pool.root == holder.number


def test_free_again_after_a_kill(holder, pool_path):
    holder.kill()
    holder.wait()
    holder.returncode = 0
    with pmemobj.open(pool_path) as pool:
        assert pool.root == holder.number


FOREIGN = """
import fcntl
file = open(path)
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""


def test_another_program_of_libpmemobj_has_it_open(tmp_path):
    """It holds libpmemobj's own lock; until it ends, not even a recovery may touch the file."""
    path, copy = tmp_path / "pool", tmp_path / "copy"
    with pmemobj.open(path, max_size=64 << 20, sync="manual") as pool:
        pool.root = 1
        for suffix in "", "-journal":
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    foreign = start(FOREIGN, copy)
    foreign.stdout.readline()
    before = copy.read_bytes()
    with pytest.raises(
        pmemobj.PoolBusyError, match=f"the pool is open in process {foreign.pid}; close it there first"
    ):
        pmemobj.open(copy)
    assert copy.read_bytes() == before
    foreign.communicate("\n")
    with pmemobj.open(copy) as pool:
        assert pool.root == 1
        assert pool.recovery is not None


def test_a_failed_open_keeps_no_lock(pool_path, monkeypatch):
    pmemobj.create(pool_path, 64 << 20).close()
    before = len(os.listdir("/proc/self/fd"))
    for flag in "cw":
        with pytest.raises(TypeError):
            pmemobj.open(pool_path, flag, mode=None, sync=0)
    with pmemobj.open(pool_path) as pool:
        for _ in range(3):
            with pytest.raises(pmemobj.PoolBusyError):
                pmemobj.open(pool_path)
        pool.root = 1
    assert len(os.listdir("/proc/self/fd")) == before


def test_descriptors_do_not_pass_to_programs(pool, pool_path):
    """A program started meanwhile, with whatever it inherits, does not keep the pool locked."""
    child = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
    try:
        pool.close()
        pmemobj.open(pool_path).close()
        names = [os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")]
        assert not [name for name in names if name.startswith(str(pool_path))]
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_threads_that_create_the_same_pool(tmp_path):
    """Each path is made once, whole, and by one of them."""
    made, refused, wrong = [], [], []
    barrier = threading.Barrier(3)

    def work(number):
        for i in range(6):
            barrier.wait()
            try:
                with pmemobj.create(tmp_path / str(i), 64 << 20) as pool:
                    pool.root = number
                made.append((i, number))
            except FileExistsError:
                refused.append(i)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sorted(i for i, _ in made) == list(range(6))
    assert len(refused) == 12
    assert len(os.listdir(tmp_path)) == 6
    for i, number in made:
        with pmemobj.open(tmp_path / str(i), "w") as pool:
            assert pool.root == number
            assert pool.check().ok
