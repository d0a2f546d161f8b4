"""What is asked of libpmemobj's heap, and what becomes of it."""

import random
import struct

import pytest

import pmemobj

RUN = 4  # libpmemobj's number for a chunk that is cut into smaller units


def chunks_of_kind(path, wanted):
    """How many allocations of chunks the first zone's header has of that type."""
    with open(path, "rb") as file:
        file.seek(5136)
        (heap,) = struct.unpack("<Q", file.read(8))
        file.seek(heap + 1024 + 64)
        headers = file.read(8 * 1024)
    found, i = 0, 0
    while i < 1024:
        kind, _flags, size = struct.unpack_from("<HHI", headers, 8 * i)
        found += kind == wanted
        i += max(size, 1)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_only_whole_chunks_and_nothing_is_handed_out_twice(pool, reopen, pool_path, seed):
    """Dicts that grow, shrink and are rebuilt, with undone transactions and reopens between: with smaller requests
    than chunks libpmemobj 1.12.1 gave up a run that was in use."""
    rng = random.Random(seed)
    model = [{}, {}]
    pool.root = [{}, {}]
    for step in range(300):
        which, count = rng.randrange(2), rng.choice([5, 50, 4000])
        ours, theirs = pool.root[which], model[which]
        new = {f"a key of this dict {rng.randrange(30000)}": "v" * rng.choice([1, 20]) for _ in range(count)}
        kind = rng.randrange(6)
        if kind < 3:
            ours.update(new)
            theirs.update(new)
        elif kind == 3:
            for key in list(new)[:200]:
                assert ours.pop(key, None) == theirs.pop(key, None)
        elif kind == 4:
            ours.clear()
            theirs.clear()
        else:
            with pytest.raises(ZeroDivisionError), pool.transaction():
                ours.update(new)
                pool.root.append({"another": list(range(count))})
                raise ZeroDivisionError
        if step % 30 == 29:
            assert pool.root == model
            assert not pool.check().findings
            pool = reopen(pool)
    pool.checkpoint()
    assert chunks_of_kind(pool_path, RUN) <= 1, "the root block's is the only one"


def test_blocks_of_every_size(pool, reopen, pool_path):
    sizes = [
        *range(1990, 2060),
        4087,
        4088,
        4089,
        8184,
        8185,
        65528,
        131064,
        258039,
        258040,
        258041,
        262072,
        262073,
    ]
    sizes += [262_080, 300_000, 390_000, 420_000, 600_000, 1_000_000]
    pool.root = ["s" * size for size in sizes]
    pool.root.append(b"b" * 258_040)
    assert not pool.check().findings
    pool = reopen(pool)
    assert chunks_of_kind(pool_path, RUN) <= 1
    assert [len(text) for text in pool.root] == [*sizes, 258_040]
    for i in range(0, len(sizes), 2):
        pool.root[i] = None
    assert not pool.check().findings
    for i in range(0, len(sizes), 2):
        pool.root[i] = "t" * (sizes[i] + 1)
    assert not pool.check().findings
    pool.root = None
    report = pool.check()
    assert not report.findings and report.unreachable == (0, 0)


def test_pages_are_used_again(pool):
    """Blocks of a few pages come and go without the pool growing."""
    rng = random.Random(5)
    pool.root = [None] * 60
    for _ in range(200):
        pool.root[rng.randrange(60)] = "x" * rng.randrange(2017, 60_000)
    heap = pool.stats()["heap"]
    for _ in range(2000):
        pool.root[rng.randrange(60)] = "x" * rng.randrange(2017, 60_000)
    assert pool.stats()["heap"] < 1.5 * heap
    assert not pool.check().findings


def test_an_undone_span_is_free_again(pool):
    pool.root = ["x" * 5000]
    before = pool.stats()["allocated"]
    for _ in range(300):
        with pytest.raises(ZeroDivisionError), pool.transaction():
            pool.root.append("y" * 50_000)
            pool.root[0] = "z" * 9000
            raise ZeroDivisionError
    assert pool.stats()["allocated"] == before
    assert pool.root == ["x" * 5000]
    assert not pool.check().findings


def test_full_pool_of_spans(tmp_path):
    with pmemobj.open(tmp_path / "small.pool", max_size=16 << 20) as pool:
        pool.root = []
        with pytest.raises(pmemobj.PoolFullError):
            while True:
                pool.root.append("x" * 30_000)
        count = len(pool.root)
        assert not pool.check().findings
        pool.root.clear()
        with pytest.raises(pmemobj.PoolFullError):
            while True:
                pool.root.append("x" * 30_000)
        assert len(pool.root) >= count - 1
        assert not pool.check().findings
