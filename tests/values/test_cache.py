"""Text and bytes that were read are kept for the next read, but never longer than the block they were read from."""

import sys

import pytest

import pmemobj

LONG = 10_000  # more than the cache can tell apart as new, and than it has rows

#: One text of each kind of block, all of the same size, so that one can take another's place.
KINDS = {
    "ascii": lambda i: f"{i:040}",
    "latin-1": lambda i: f"{i:039}ä",
    "ucs2": lambda i: f"{i:019}—",
    "ucs4": lambda i: f"{i:09}🐘",
    "bytes": lambda i: b"%040d" % i,
}


class Node(pmemobj.PersistentObject):
    pass


@pytest.fixture(params=KINDS)
def text(request):
    return KINDS[request.param]


def test_what_is_read_again_is_the_same_object(pool, text):
    pool.root = [text(1), (text(2),), "abc", b"abc"]
    assert pool.root[0] is pool.root[0] and pool.root[0] == text(1)
    assert pool.root[1][0] is pool.root[1][0] and pool.root[1] == (text(2),)
    assert pool.root[2:] == ["abc", b"abc"]


def test_long_values_are_not_kept(pool, text):
    pool.root = [text(1) * 100]
    assert pool.root[0] is not pool.root[0]
    assert pool.root[0] == text(1) * 100


def test_overwritten(pool, text):
    pool.root = [text(0), {"a": text(0)}, pool.new(Node)]
    _first, table, node = pool.root
    for i in range(200):
        pool.root[0] = text(i)
        table["a"] = text(i + 1)
        node.text = text(i + 2)
        assert (pool.root[0], table["a"], node.text) == (text(i), text(i + 1), text(i + 2))


def test_one_kind_takes_the_place_of_another(pool):
    pool.root = [None]
    for i in range(200):
        for make in KINDS.values():
            pool.root[0] = make(i)
            assert pool.root[0] == make(i)


def test_inside_of_tuples(pool, text):
    pool.root = [None]
    for i in range(200):
        pool.root[0] = (text(i), (text(i + 1), frozenset([text(i + 2)])))
        assert pool.root[0] == (text(i), (text(i + 1), frozenset([text(i + 2)])))


def test_removed(pool, text):
    pool.root = []
    for i in range(50):
        pool.root.extend([text(i), text(i + 1), text(i + 2)])
        assert pool.root.pop() == text(i + 2)
        assert list(pool.root) == [text(i), text(i + 1)]
        del pool.root[0]
        assert pool.root[0] == text(i + 1)
        pool.root.clear()


def test_keys(pool, text):
    pool.root = {}
    for i in range(200):
        pool.root[text(i)] = i
        assert list(pool.root) == [text(i)]
        assert pool.root.popitem() == (text(i), i)


@pytest.mark.parametrize("count", [1, LONG])
def test_aborted_transaction(pool, text, count):
    pool.root = [text(0)] * count
    for i in range(1, 4):
        with pool.transaction() as tx:
            pool.root[:] = [text(i)] * count
            assert set(pool.root) == {text(i)}
            tx.abort()
        assert set(pool.root) == {text(0)}
        with pool.transaction() as tx:
            pool.root[:] = [text(-i)] * count  # where those were that have been undone
            assert set(pool.root) == {text(-i)}
            tx.abort()


def test_aborted_savepoint(pool, text):
    pool.root = [text(0)]
    with pool.transaction():
        for i in range(1, 20):
            with pool.transaction() as tx:
                pool.root[0] = text(i)
                assert pool.root[0] == text(i)
                tx.abort()
            assert pool.root[0] == text(0)
        pool.root[0] = text(99)
        assert pool.root[0] == text(99)
    assert pool.root[0] == text(99)


def test_aborted_around_a_kept_savepoint(pool, text):
    pool.root = [text(0)]
    for i in range(1, 20):
        with pool.transaction() as outer:
            with pool.transaction():
                pool.root[0] = text(i)
                assert pool.root[0] == text(i)
            outer.abort()
        assert pool.root[0] == text(0)


def test_failed_operation(pool, text):
    pool.root = [text(0)]
    with pool.transaction():
        for i in range(1, 3):
            with pytest.raises(TypeError):
                pool.root.extend([text(i), text(i + 1), object()])
            with pytest.raises(pmemobj.PoolFullError):
                pool.root.extend([text(i), "x" * (300 << 20)])
            pool.root.append(text(-i))
            assert list(pool.root) == [text(0), text(-i)]
            del pool.root[1]


def test_transaction_undone_by_an_exception(pool, text):
    pool.root = [text(0)]
    for i in range(1, 20):
        with pytest.raises(ZeroDivisionError), pool.transaction():
            pool.root[0] = text(i)
            assert pool.root[0] == text(i)
            raise ZeroDivisionError
        pool.root[0] = text(-i)
        assert pool.root[0] == text(-i)
        pool.root[0] = text(0)


def test_collected(pool, text):
    for i in range(20):
        pool.root = [text(i)]
        pool.root.append(pool.root)
        assert pool.root[0] == text(i)
        pool.root = None
        assert pool.gc().objects == 1
        pool.root = [text(-i)]
        assert pool.root[0] == text(-i)


def test_object_destroyed(pool, text):
    for i in range(50):
        pool.root = [text(i), text(i + 1)]
        assert list(pool.root) == [text(i), text(i + 1)]


def test_closed_pool_keeps_nothing(pool, reopen, text):
    pool.root = [text(1)]
    kept = pool.root[0]
    before = sys.getrefcount(kept)
    again = reopen(pool)
    assert sys.getrefcount(kept) == before - 1
    assert again.root[0] == kept
    assert again.root[0] is not kept


def test_it_is_bounded(pool):
    pool.root = [f"{i:040}" for i in range(3 * LONG)]
    first, second = list(pool.root), list(pool.root)
    assert first == second
    assert sum(a is b for a, b in zip(first, second, strict=True)) <= 8192


def test_it_rests_while_it_is_of_no_use(pool):
    few, many = [f"{i:041}" for i in range(100)], [f"{i:040}" for i in range(3 * LONG)]
    pool.root = {"few": few, "many": many}
    stored = pool.root["many"]
    for _ in range(4):
        assert list(stored) == many
    assert stored[0] is not stored[0]
    stored = pool.root["few"]
    for _ in range(11_000):  # more than a million reads
        list(stored)
    assert stored[0] is stored[0]
    assert list(stored) == few


def test_many_short_texts(pool):
    pool.root = [f"{i:x}" for i in range(3 * LONG)] + [b"%x" % i for i in range(3 * LONG)]
    for _ in range(3):
        assert list(pool.root) == [f"{i:x}" for i in range(3 * LONG)] + [b"%x" % i for i in range(3 * LONG)]
