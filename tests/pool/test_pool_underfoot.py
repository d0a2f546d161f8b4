"""Files that are deleted, cut or replaced while the pool is open: an error, or death by SIGBUS; never a pool that
looks well and is not."""

import contextlib
import os
import shutil
import signal

import pytest
from pool_files import journal_of, run, run_until_killed, start

import pmemobj
from pmemobj import PoolFailedError

SIZE = 64 << 20
LOST = "has been deleted, truncated or replaced while the pool was open; copy what can still be read"


def replace_by_copy(path):
    """As an atomic update does: another file under the name."""
    shutil.copy(path, f"{path}.other")
    os.replace(f"{path}.other", path)


@pytest.fixture
def open_pool(pool_path):
    pool = pmemobj.open(pool_path, max_size=SIZE, sync="manual")
    pool.root = ["before"]
    pool.checkpoint()
    inode = pool_path.stat().st_ino
    yield pool
    pool_is_lost = not pool_path.exists() or pool_path.stat().st_ino != inode
    if not pool.closed:
        close(pool, "pool" if pool_is_lost else "journal")


def close(pool, lost):
    """The direct engine's pool file is complete without its undo log."""
    complete = pool.engine == "direct" and lost == "journal"
    with contextlib.nullcontext() if complete else pytest.raises(PoolFailedError, match=LOST):
        pool.close()
    assert pool.closed
    if complete:
        with pmemobj.open(pool.path) as again:
            assert again.root[:2] == ["before", "after"]
            assert again.recovery is None
            assert again.check().ok


@pytest.mark.parametrize("which", ["pool", "journal"])
@pytest.mark.parametrize("change", [os.unlink, replace_by_copy], ids=["deleted", "replaced"])
@pytest.mark.parametrize("notice", ["sync", "checkpoint", "close", "transaction"])
def test_deleted_or_replaced(open_pool, pool_path, which, change, notice):
    open_pool.root.append("after")  # before: a thread of the journal may notice the loss at any time
    change(pool_path if which == "pool" else journal_of(pool_path))
    if notice == "close":
        close(open_pool, which)
        return
    with pytest.raises(PoolFailedError, match=LOST) as caught:
        if notice == "transaction":
            with open_pool.transaction(sync=True):
                open_pool.root.append("more")
        else:
            getattr(open_pool, notice)()
    assert caught.value.filename == str(pool_path)
    with pytest.raises(PoolFailedError, match=LOST):
        open_pool.root.append(1)
    assert open_pool.root[:2] == ["before", "after"]


@pytest.mark.parametrize("which", ["pool", "journal"])
def test_the_background_notices_it(pool_path, which):
    """With the policy "interval" nobody has to ask."""
    out = run(
        """
pool = pmemobj.open(path, sync="interval", sync_interval=0.001)
pool.root = []
os.unlink(path if sys.argv[2] == "pool" else path + "-journal")
try:
    while True:
        pool.root.append(1)
        time.sleep(0.001)
except pmemobj.PoolFailedError as error:
    print(error.strerror)
try:
    pool.close()
except pmemobj.PoolFailedError as error:
    print(error.strerror)
else:
    print(pool.engine)
""",
        pool_path,
        which,
    )
    assert out.count(LOST) == (1 if which == "journal" and out.endswith("direct\n") else 2)


def test_the_files_are_looked_at_no_more_often_than_asked(pool_path):
    """At each commit that would be a large part of it."""
    pool = pmemobj.open(pool_path, max_size=SIZE, sync="interval", sync_interval=3600)
    pool.root = [1, 2]
    os.unlink(pool_path)
    pool.root[0] = 3
    pool.root.append(4)
    with pytest.raises(PoolFailedError, match=LOST):
        pool.sync()
    with pytest.raises(PoolFailedError, match=LOST):
        pool.close()


def test_a_single_word_notices_it_too(pool_path):
    """It is stored without a transaction, and under the direct engine without the undo log."""
    pool = pmemobj.open(pool_path, max_size=SIZE, sync="commit")
    pool.root = [1, 2]
    items = pool.root
    os.unlink(pool_path)
    with pytest.raises(PoolFailedError, match=LOST):
        items[0] = 5
    with pytest.raises(PoolFailedError, match=LOST):
        items[1] = 6
    assert items[1] == 2
    with pytest.raises(PoolFailedError, match=LOST):
        pool.close()


def test_commits_after_the_deletion_are_not_acknowledged(pool_path):
    with pmemobj.open(pool_path, max_size=SIZE) as pool:
        pool.root = []
    pool = pmemobj.open(pool_path, sync="commit")
    pool.root.append(1)
    os.unlink(journal_of(pool_path))
    with pytest.raises(PoolFailedError, match=LOST):
        pool.root.append(2)
    if pool.engine == "direct":
        pool.close()
        with pmemobj.open(pool_path) as pool:
            assert pool.root[0] == 1
        return
    with pytest.raises(PoolFailedError, match=LOST):
        pool.close()
    with pytest.raises(pmemobj.JournalError, match=r"its journal .* is missing"):
        pmemobj.open(pool_path)


def test_another_pool_copied_over_the_file(open_pool, pool_path, tmp_path):
    """The same file, of the same length, with other contents: under the direct engine the program sees them at once."""
    with pmemobj.create(tmp_path / "other", SIZE) as other:
        other.root = "other"
    with open(tmp_path / "other", "rb") as source, open(pool_path, "r+b") as target:
        shutil.copyfileobj(source, target)
    if open_pool.engine == "journal":
        open_pool.root.append("after")
    with pytest.raises(PoolFailedError, match=LOST):
        open_pool.checkpoint()
    with pytest.raises(PoolFailedError, match=LOST):
        open_pool.close()
    with pmemobj.open(tmp_path / "other") as other:
        assert other.root == "other"


def test_files_that_were_moved_with_their_names(open_pool, pool_path, tmp_path):
    """Nothing is lost, and the journal of somebody else who came there is left alone."""
    (tmp_path / "elsewhere").mkdir()
    for path in (pool_path, journal_of(pool_path)):
        path.rename(tmp_path / "elsewhere" / path.name)
    process = start(
        "pool = pmemobj.create(path, 64 << 20); pool.root = 'new'; print('made', flush=True); sys.stdin.read(1); "
        "os.kill(os.getpid(), 9)",
        pool_path,
    )
    with process:
        assert process.stdout.readline() == "made\n"
        open_pool.root.append("after")
        open_pool.close()
        process.stdin.close()
    with pmemobj.open(pool_path) as pool:
        assert pool.root == "new"
    with pmemobj.open(tmp_path / "elsewhere" / pool_path.name) as pool:
        assert pool.root == ["before", "after"]


CUT = """
pool = pmemobj.open(path, max_size=64 << 20, sync="manual")
pool.root = ["before"] * 1000
pool.checkpoint()
pool.root.extend([str(i) * 3 for i in range(50000)])
os.truncate(sys.argv[2], int(sys.argv[3]))
try:
    for i in range(200):
        pool.root.append(str(i) * 200)
        assert pool.root[i] == "before"
    pool.checkpoint()
    pool.close()
except pmemobj.PoolFailedError as error:
    print("failed")
    sys.stdout.flush()
    os._exit(0)
print("nothing")
"""


@pytest.mark.parametrize(
    ("which", "length"),
    [
        ("pool", 0),
        ("pool", 4096),
        ("pool", 1 << 20),
        ("pool", SIZE - 4096),
        ("journal", 0),
        ("journal", 65536),
    ],
)
def test_truncated(pool_path, which, length):
    """The kernel kills a program that touches a page which is not there any more: there is no other answer."""
    process = start(CUT, pool_path, pool_path if which == "pool" else journal_of(pool_path), length)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) in [(-signal.SIGBUS, ""), (0, "failed\n")], out + err
    if which == "pool":
        assert pool_path.stat().st_size == length  # it has not grown again, with zeros
    elif length and out and journal_of(pool_path).read_bytes()[:8] == b"PMEMUND1":
        with pmemobj.open(pool_path) as pool:  # it had nothing to undo, so nothing is missing
            assert pool.root[:1000] == ["before"] * 1000
            assert pool.check().ok
        return
    with pytest.raises(
        (pmemobj.PoolFormatError, pmemobj.JournalError),
        match=r"truncated|the file is empty|is damaged|not a libpmemobj pool",
    ):
        pmemobj.open(pool_path)


def test_made_read_only_while_open(open_pool, pool_path):
    """Permissions are those of the open: it goes on."""
    pool_path.chmod(0o444)
    journal_of(pool_path).chmod(0o444)
    open_pool.root.append("after")
    open_pool.sync()
    open_pool.close()
    pool_path.chmod(0o666)
    with pmemobj.open(pool_path) as pool:
        assert pool.root == ["before", "after"]


def test_directory_made_read_only_while_open(tmp_path):
    """The journal cannot be removed at close: it stays, empty, and the pool is whole without it."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o711)
    nobody = "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n" if os.getuid() == 0 else ""
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o777)
    path = tmp_path / "d" / "pool"
    process = start(
        nobody
        + "pool = pmemobj.create(path, 64 << 20); pool.root = [1]; print('open', flush=True); sys.stdin.read(1); "
        "pool.root.append(2); pool.close(); print('closed')",
        path,
    )
    with process:
        assert process.stdout.readline() == "open\n", process.stderr.read()
        (tmp_path / "d").chmod(0o555)
        process.stdin.write("x")
        process.stdin.close()
        assert process.stdout.read() == "closed\n"
    (tmp_path / "d").chmod(0o777)
    assert journal_of(path).exists()
    shutil.copy(path, tmp_path / "copy")
    for name in (path, tmp_path / "copy"):
        with pmemobj.open(name, "w") as pool:
            assert pool.root == [1, 2]


def test_what_died_by_a_deletion_says_what_is_missing(pool_path):
    run_until_killed(
        "pool = pmemobj.open(path, sync='manual'); pool.root = 1; os.unlink(path + '-journal'); die()",
        pool_path,
    )
    with pytest.raises(
        pmemobj.JournalError, match=r"its journal .* is missing: put it beside the pool file again"
    ):
        pmemobj.open(pool_path)
