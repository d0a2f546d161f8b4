"""One handle for each pool: a second open is refused, also by another name, and says who has it."""

import fcntl
import os
import shutil
import signal
import threading
import time

import pytest
from pool_files import start

import pmemobj
from pmemobj import _core, busy

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
    for flag in "cw":
        with pytest.raises(pmemobj.PoolBusyError) as caught:
            pmemobj.open(pool_path, flag)
        assert caught.value.pid == os.getpid()
        assert caught.value.strerror == (
            f"the pool is open in this process ({os.getpid()}), as {pool!r}; use that handle or close it first"
        )
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
        with pytest.raises(pmemobj.PoolBusyError, match="this process") as caught:
            pmemobj.open(path)
        assert repr(pool) in str(caught.value)
    assert not os.path.exists(f"{by_link}-journal")
    pool.root = 1


def test_the_error_says_what_and_where(pool, pool_path):
    with pytest.raises(pmemobj.PoolBusyError) as caught:
        pmemobj.open(pool_path)
    assert isinstance(caught.value, BlockingIOError)
    assert caught.value.filename == str(pool_path)


def test_another_process_is_named(holder, pool_path):
    for flag in "cw":
        with pytest.raises(
            pmemobj.PoolBusyError, match=rf"the pool is open in process {holder.number}; close it"
        ) as caught:
            pmemobj.open(pool_path, flag)
        assert caught.value.pid == holder.number
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


def test_another_program_of_libpmemobj_has_it_open(tmp_path, monkeypatch):
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
        pmemobj.PoolBusyError,
        match=f"open in process {foreign.pid}, a program that uses libpmemobj without pmemobj;",
    ) as caught:
        pmemobj.open(copy)
    assert caught.value.pid == foreign.pid
    monkeypatch.setattr(busy, "LOCKS", "/proc/none")
    # The journal is there; it names the process that was killed, or would have been, when the copy was made.
    with pytest.raises(pmemobj.PoolBusyError, match=f"open in this process .{os.getpid()}., by a thread"):
        pmemobj.open(copy)
    assert copy.read_bytes() == before
    foreign.communicate("\n")
    with pmemobj.open(copy) as pool:
        assert pool.root == 1
        assert pool.recovery is not None


def test_the_journal_names_the_holder_where_the_list_of_locks_does_not(holder, pool_path, monkeypatch):
    """On btrfs and overlays, say."""
    monkeypatch.setattr(busy, "LOCKS", os.devnull)
    with pytest.raises(pmemobj.PoolBusyError, match=rf"open in process {holder.number}; close it") as caught:
        pmemobj.open(pool_path)
    assert caught.value.pid == holder.number


KILLED = "pool = pmemobj.open(path, max_size=64 << 20); pool.root = 1; print(os.getpid(), flush=True); die()"


def test_a_handle_of_this_process_where_the_system_tells_nothing(pool, pool_path, monkeypatch):
    monkeypatch.setattr(busy, "LOCKS", os.devnull)
    monkeypatch.setattr(_core, "journal_holder", lambda path: 0)
    with pytest.raises(pmemobj.PoolBusyError, match="in this process") as caught:
        pmemobj.open(pool_path)
    assert caught.value.pid == os.getpid()
    assert repr(pool) in str(caught.value)


def test_a_holder_that_nobody_names(pool_path, monkeypatch):
    """A journal that was left behind names a process that is no more, and may be anybody's number by now."""
    dead = start(KILLED, pool_path)
    dead.communicate()
    foreign = start(FOREIGN, pool_path)
    foreign.stdout.readline()
    monkeypatch.setattr(busy, "LOCKS", os.devnull)
    for without in False, True:
        if without:
            os.unlink(f"{pool_path}-journal")
        with pytest.raises(
            pmemobj.PoolBusyError,
            match="the pool is open in another process, which the system does not name; close",
        ) as caught:
            pmemobj.open(pool_path)
        assert caught.value.pid is None
    foreign.communicate("\n")


def test_a_thread_that_is_opening_the_pool(pool_path):
    """It has the lock, and there is no handle to name yet."""
    pmemobj.create(pool_path, 64 << 20).close()
    with open(pool_path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(
            pmemobj.PoolBusyError,
            match=rf"in this process \({os.getpid()}\), by a thread that is just opening",
        ) as caught:
            pmemobj.open(pool_path)
    assert caught.value.pid == os.getpid()


def test_by_a_descriptor(pool, pool_path):
    """The name in /proc leads to the file's own name."""
    with open(pool_path) as file:
        name = f"/proc/self/fd/{file.fileno()}"
        with pytest.raises(pmemobj.PoolBusyError, match="this process"):
            pmemobj.open(name)
        pool.close()
        with pmemobj.open(name) as again:
            assert again.path == str(pool_path)
        os.unlink(pool_path)
        for flag in "cwrx":
            with pytest.raises(
                FileNotFoundError, match="this file has been deleted and has no name any more"
            ):
                pmemobj.open(name, flag)
    assert os.listdir(pool_path.parent) == []


def test_timeout_in_the_same_process(pool, pool_path):
    pool.root = 1
    threading.Timer(0.05, pool.close).start()
    with pmemobj.open(pool_path, timeout=60) as again:
        assert again.root == 1


@pytest.mark.parametrize("timeout", [0, 0.0, False, 1e-9])
def test_no_time_is_one_attempt(holder, pool_path, timeout, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(pmemobj.PoolBusyError):
        pmemobj.open(pool_path, timeout=timeout)
    assert len(pauses) <= (timeout > 0)


def test_pauses_become_longer_and_end_with_the_time(holder, pool_path, monkeypatch):
    now, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(pmemobj.PoolBusyError, match=f"process {holder.number}"):
        pmemobj.open(pool_path, timeout=1)
    assert sum(pauses) == pytest.approx(1)
    assert pauses[0] == busy.SHORTEST_PAUSE
    assert max(pauses) == busy.LONGEST_PAUSE


WAITER = """
print("waiting", flush=True)
try:
    pmemobj.open(path, timeout=float("inf"))
except KeyboardInterrupt:
    print("interrupted", flush=True)
    gc.collect()
sys.stdin.readline()
with pmemobj.open(path, timeout=60) as pool:
    print(pool.root)
"""


def test_interrupt_ends_the_wait_of_open(holder, pool_path):
    waiter = start(WAITER, pool_path)
    assert waiter.stdout.readline() == "waiting\n"
    time.sleep(0.2)
    waiter.send_signal(signal.SIGINT)
    assert waiter.stdout.readline() == "interrupted\n"
    holder.stdin.write("\n")
    holder.stdin.flush()
    out, err = waiter.communicate("\n", timeout=60)
    assert (out, err, waiter.returncode) == (f"{holder.number}\n", "", 0)


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


def test_waiting_for_one_that_is_busy_again(pool_path):
    """Many that want the same pool: each has it once, alone."""
    pmemobj.create(pool_path, 64 << 20).close()
    wrong, inside = [], []

    def work(number):
        try:
            for _ in range(4):
                with pmemobj.open(pool_path, timeout=60, sync="manual") as pool:
                    inside.append(number)
                    pool.root = (pool.root or 0) + 1
                    assert inside == [number]
                    inside.remove(number)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    with pmemobj.open(pool_path) as pool:
        assert pool.root == 16


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
