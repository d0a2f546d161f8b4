"""A full disk, which is a real one: errors that say so, no SIGBUS, nothing acknowledged lost, and it goes on."""

import pytest
from small_disk import kinds, on_disk

FREE = [0, 64 << 10, 1 << 20, 3 << 20]


@pytest.fixture(params=kinds())
def run(request, tmp_path):
    return lambda megabytes, code, *arguments: on_disk(request.param, tmp_path, megabytes, code, *arguments)


def test_creation_and_opening(run):
    """With every 256 KiB of free space more: refused with nothing left behind, until there is enough."""
    out = run(
        40,
        """
hog = Hog()
refused = 0
for free in range(0, 20 << 20, 256 << 10):
    hog.leave(free)
    if full(lambda: pmemobj.open(path, "x", max_size=16 << 20).close()):
        refused += 1
        left = sorted(os.listdir(disk))
        if "pool" in left:      # it was made, but there is no room to open it
            os.unlink(path)
            left.remove("pool")
        assert left in (["hog"], ["hog", "lost+found"]), left
    else:
        break
print(refused > 5, os.path.exists(path))
hog.go()
with pmemobj.open(path) as pool:
    pool.root = ["x" * 1000] * 100
    assert pool.check().ok
""",
    )
    assert out == "True True\n"


WORK = """
sync, free, memory = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
model = [f"{i:05}" * 40 for i in range(2000)]
pool = pmemobj.open(path, max_size=256 << 20, sync=sync, sync_interval=0.01, memory=memory)
pool.root = model
pool.sync()
hog = Hog().leave(free)
refused = 0

def work(rounds, step):
    "Appends and changes until the disk is full, and a bit more."
    global refused
    for i in range(rounds):
        value = f"{step} {i} " * 60
        where = i * 7919 % len(model)
        try:
            if i % 3 == 0:
                pool.root.append(value)
                model.append(value)
            elif i % 3 == 1:
                pool.root[where] = value
                model[where] = value
            else:
                with pool.transaction():
                    pool.root[where] = "t" + value
                    pool.root.extend([value, value * 3])
                model[where] = "t" + value
                model.extend([value, value * 3])
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            if "committed, but not durable" in str(error):
                model[:] = pool.root[:]         # it has happened
            refused += 1
            if refused % 20 == 0:
                return

work(60_000, "one")
"""


GOES_ON = """
assert refused, "the disk was never full"
assert pool.root == model
full(pool.sync), full(pool.checkpoint)
assert pool.root == model
hog.go()
before = refused
work(3000, "two")
assert refused == before or pool.stats()["journal"]["segments"]
pool.checkpoint()
pool.sync()
assert pool.root == model
assert pool.check().ok
pool.close()
with pmemobj.open(path) as pool:
    assert pool.root == model
    assert pool.check().ok
"""

CASES = [("manual", 0), ("manual", 1 << 20), ("interval", 64 << 10)]


@pytest.mark.parametrize(("sync", "free"), CASES)
def test_work(run, sync, free):
    """Refused changes have not happened; with space again it goes on; all is there at the next open."""
    run(96, WORK + GOES_ON, sync, free, 1 << 30)


@pytest.mark.long
@pytest.mark.parametrize("free", FREE)
@pytest.mark.parametrize("sync", ["manual", "commit", "interval"])
def test_work_with_every_policy(run, sync, free):
    run(96, WORK + GOES_ON, sync, free, 1 << 30)


def test_work_with_little_memory(run):
    """Pages are dropped, and read again from the file, while the disk is full."""
    run(
        96,
        WORK
        + """
for i in range(200):
    full(lambda: pool.root.pop())
    model = list(pool.root)
assert pool.root == model
hog.go()
work(2000, "two")
pool.checkpoint()
assert pool.root == model
assert pool.check().ok
pool.close()
with pmemobj.open(path) as pool:
    assert pool.root == model
""",
        "manual",
        512 << 10,
        16 << 20,
    )


@pytest.mark.parametrize("sync", ["manual", "interval", pytest.param("commit", marks=pytest.mark.long)])
def test_close_and_the_next_open(run, sync):
    """What cannot go to the pool file stays in the journal, until there is space."""
    out = run(
        96,
        WORK
        + """
assert pool.root == model
closing = full(pool.close)
assert pool.closed
opened = 0
for left in range(0, 8 << 20, 512 << 10):
    hog.leave(left)
    try:
        pool = pmemobj.open(path, sync=sync)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        assert isinstance(error, OSError)
        continue
    opened += 1
    assert pool.root == model
    full(pool.close)
    break
hog.go()
with pmemobj.open(path) as pool:
    assert pool.root == model
    assert pool.check().ok
print(closing, opened)
""",
        sync,
        64 << 10,
        1 << 30,
    )
    assert out.endswith(("1\n", "0\n"))


@pytest.mark.parametrize("sync", ["manual", pytest.param("commit", marks=pytest.mark.long)])
def test_killed_on_a_full_disk(run, sync):
    run(
        96,
        """
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    pool = pmemobj.open(path, max_size=256 << 20, sync=sys.argv[2])
    pool.root = []
    hog = Hog().leave(256 << 10)
    done = 0
    while not full(lambda: pool.root.append(f"{done:06}" * 50)):
        done += 1
    os.write(writer, str(done).encode())
    os.kill(os.getpid(), signal.SIGKILL)
os.close(writer)
os.waitpid(child, 0)
done = int(os.read(reader, 100))
hog = Hog()
hog.size = os.fstat(hog.fd).st_size
while full(lambda: pmemobj.open(path).close()):
    hog.size -= 1 << 20
    assert hog.size > 0
    os.ftruncate(hog.fd, hog.size)
with pmemobj.open(path) as pool:
    assert len(pool.root) in (done, done + 1)
    assert pool.root[:done] == [f"{i:06}" * 50 for i in range(done)]
    assert pool.check().ok
""",
        sync,
    )


def test_space_functions(run):
    """resize() needs no space, compact() and trim() say what is missing."""
    run(
        96,
        """
with pmemobj.open(path, max_size=64 << 20, sync="manual") as pool:
    pool.root = {"a": [f"{i:05}" * 100 for i in range(5000)], "b": "b" * (8 << 20)}
    pool.checkpoint()
    hog = Hog().leave(128 << 10)
    assert full(pool.compact, os.path.join(disk, "copy"))
    assert sorted(set(os.listdir(disk)) - {"lost+found"}) == ["hog", "pool", "pool-journal"]
    del pool.root["b"]
    given = pool.trim()
    assert given > 6 << 20, given
    if not full(pool.resize, 96 << 20):
        assert pool.stats()["max_size"] == 96 << 20
    assert pool.root == {"a": [f"{i:05}" * 100 for i in range(5000)]}
    assert pool.check().ok
    hog.go()
    pool.compact(os.path.join(disk, "copy"))
with pmemobj.open(os.path.join(disk, "copy")) as copy:
    assert copy.root == {"a": [f"{i:05}" * 100 for i in range(5000)]}
""",
    )


@pytest.mark.journal_engine("its segments")
def test_the_journal_leaves_the_last_space_to_the_pool(run):
    """What it holds has to go to the pool file before it can be used again."""
    run(
        64,
        """
pool = pmemobj.open(path, max_size=256 << 20, sync="commit")
pool.root = []
pool.checkpoint()
hog = Hog().leave(5 << 20)
texts = [f"{i:06}" * 500 for i in range(1000)]
assert full(lambda: pool.root.extend(texts))        # a segment for it would leave too little
assert pool.root == []
pool.root.extend(texts[:100])
pool.checkpoint()
hog.go()
pool.root.extend(texts)
pool.checkpoint()
assert pool.root == texts[:100] + texts
pool.close()
""",
    )
