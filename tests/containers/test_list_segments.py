"""Lists of about one, two and three blocks: everything that moves cells over the borders."""

import random
from contextlib import nullcontext

import pytest
from list_support import SEGMENT, in_use

from pmemobj._list import PersistentList

EDGES = [SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT - 1, 2 * SEGMENT, 2 * SEGMENT + 1]

CHANGES = [
    lambda z: [z.append(i) for i in range(3)],
    lambda z: z.insert(0, "first"),
    lambda z: z.insert(SEGMENT - 1, "border"),
    lambda z: z.insert(SEGMENT, "border"),
    lambda z: z.__setitem__(slice(SEGMENT - 5, SEGMENT + 5), ["x"] * 300),
    lambda z: z.__setitem__(slice(SEGMENT - 200, SEGMENT + 200), [1, 2]),
    lambda z: z.__setitem__(slice(5, 6), range(SEGMENT + 7)),
    lambda z: z.__delitem__(slice(3, SEGMENT - 2)),
    lambda z: z.__delitem__(0),
    lambda z: z.__delitem__(slice(10, None, 3)),
    lambda z: z.extend(z),
    lambda z: z.reverse(),
    lambda z: z.sort(key=str),
    lambda z: z.pop(0),
    lambda z: z.pop(),
    lambda z: z.__imul__(2),
    lambda z: z.__setitem__(slice(None, None, 2), z[1::2] + z[:1] * (len(z) % 2)),
    lambda z: z.__delitem__(slice(-70, None)),
    lambda z: z.__delitem__(slice(100, None)),
    lambda z: [z.append(i) for i in range(100)],
]


def same(persistent, builtin):
    assert persistent[:] == builtin
    persistent._check()


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("inside", [False, True])
def test_around_the_borders(pool, reopen, size, inside):
    pool.root = x = pool.new(PersistentList, range(size))
    y = list(range(size))
    with pool.transaction() if inside else nullcontext():
        for change in CHANGES:
            change(x)
            change(y)
            same(x, y)
    assert list(x) == y and list(reversed(x)) == y[::-1]
    same(x, y)
    del x
    same(reopen(pool).root, y)


@pytest.mark.parametrize("size", EDGES)
def test_pop_down_and_up_again(pool, size):
    empty = in_use(pool)
    x = pool.new(PersistentList, range(size))
    for i in range(size - 1, -1, -1):
        assert x.pop() == i
    same(x, [])
    for i in range(size):
        x.append(i)
    same(x, list(range(size)))
    del x
    assert in_use(pool) == empty


def test_search_and_compare_over_borders(pool):
    y = list(range(2 * SEGMENT + 5))
    x = pool.new(PersistentList, y)
    for i in (0, SEGMENT - 1, SEGMENT, 2 * SEGMENT, len(y) - 1):
        assert x.index(i) == i and x[i] == i and x[i - len(y)] == i and i in x
    assert x == y and x == pool.new(PersistentList, y)
    assert x[SEGMENT - 3 :: SEGMENT] == y[SEGMENT - 3 :: SEGMENT]
    x[SEGMENT] = 2**70
    assert x != y and x > y and x.index(2**70) == SEGMENT


@pytest.mark.parametrize("seed", range(6))
def test_random_splices(pool, seed):
    """Sizes near the borders and a border in every moved range, a third of it in transactions half aborted."""
    rng = random.Random(seed)
    y = ["s" * 20 if rng.random() < 0.01 else rng.randrange(10**6) for _ in range(2 * SEGMENT)]
    x = pool.new(PersistentList, y)
    for _ in range(40):
        lo = rng.choice([0, SEGMENT, 2 * SEGMENT]) + rng.randrange(-50, 50)
        hi = lo + rng.choice([0, 1, 60, 200, SEGMENT])
        new = [rng.randrange(9)] * rng.choice([0, 1, 60, 200, SEGMENT // 2])
        lo = max(lo, 0)
        action = rng.randrange(3)
        if action == 0:
            with pool.transaction() as tx:
                x[lo:hi] = new
                x.reverse()
                tx.abort()
        elif action == 1:
            with pool.transaction():
                x[lo:hi] = new
            y[lo:hi] = new
        else:
            x[lo:hi] = new
            y[lo:hi] = new
        same(x, y)


def test_memory_is_given_back(pool):
    x = pool.new(PersistentList)
    empty = in_use(pool)
    x.extend([f"a string of its own {i}" for i in range(2 * SEGMENT)])
    full = in_use(pool)
    del x[100:]
    assert in_use(pool) < empty + (full - empty) // 3
    x.clear()
    assert in_use(pool) == empty
