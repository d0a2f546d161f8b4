"""ASCII text that takes the place of other ASCII text in the same block."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pmemobj


class Card(pmemobj.PersistentObject):
    text = "of the class"


@pytest.fixture(params=["list", "dict", "object"])
def cell(request, pool):
    """(read, write) of one place in the pool."""
    if request.param == "object":
        pool.root = pool.new(Card)
        return lambda: pool.root.text, lambda value: setattr(pool.root, "text", value)
    pool.root = ["first"] if request.param == "list" else {0: "first"}
    place = pool.root
    return lambda: place[0], lambda value: place.__setitem__(0, value)


VALUES = [
    "eight ch",
    "a text of twenty-five ch.",
    "a text of thirty characters...",
    "A TEXT OF THIRTY CHARACTERS...",
    "with an umlaut: ä, and so on..",
    "with a dash — which is wide...",
    "b" * 100,
    "c" * 240,
    "d" * 248,
    "e" * 249,
    "f" * 2100,
    "g" * 110,
    "short",
    7,
    "\0" * 30,
    "",
    b"bytes of about thirty, no text",
]


def test_every_value_over_every_other(pool, cell):
    read, write = cell
    for old in VALUES:
        for new in VALUES:
            write(old)
            assert read() == old
            write(new)
            assert read() == new and type(read()) is type(new)
    assert not pool.check().findings


@given(st.lists(st.text(st.characters(max_codepoint=300), min_size=6, max_size=60), min_size=1, max_size=20))
def test_texts_of_any_length(pool, texts):
    pool.root = [""]
    place = pool.root
    for text in texts:
        place[0] = text
        assert place[0] == text
    assert not pool.check().findings


def test_it_is_the_same_block(pool):
    pool.root = ["a text of thirty characters..."]
    before = pool.stats()["allocated"]
    for i in range(2000):
        pool.root[0] = f"a text of thirty characters {i:2}"
        assert pool.root[0].endswith(str(i))
    assert pool.stats()["allocated"] == before
    pool.root[0] = "nine char"  # would waste the block
    assert pool.stats()["allocated"] < before


def test_abort(pool, cell, reopen):
    read, write = cell
    write("a text of thirty characters...")
    for cached in (False, True):
        with pytest.raises(ZeroDivisionError), pool.transaction():
            write("A TEXT OF THIRTY CHARACTERS...")
            if cached:
                assert read() == "A TEXT OF THIRTY CHARACTERS..."
            raise ZeroDivisionError
        assert read() == "a text of thirty characters..."
    with pool.transaction():
        write("in the outer transaction......")
        with pytest.raises(ZeroDivisionError), pool.transaction():
            write("in the savepoint, to be undone")
            assert read() == "in the savepoint, to be undone"
            raise ZeroDivisionError
        assert read() == "in the outer transaction......"
    assert not pool.check().findings


def test_reopen(pool, reopen):
    pool.root = ["a text of thirty characters..."]
    pool.root[0] = "A TEXT OF THIRTY CHARACTERS..."
    with pool.transaction():
        pool.root[0] = "the text that is stored last.."
    pool = reopen(pool)
    assert pool.root == ["the text that is stored last.."]
    assert not pool.check().findings


def test_text_that_was_read_does_not_change(pool):
    pool.root = ["a text of thirty characters..."]
    read = pool.root[0]
    iterator = iter(pool.root)
    pool.root[0] = "A TEXT OF THIRTY CHARACTERS..."
    assert read == "a text of thirty characters..."
    assert next(iterator) == "A TEXT OF THIRTY CHARACTERS..."


def test_a_sort_notices(pool):
    texts = [f"a text of thirty characters {i:2}" for i in range(20)]

    def key(text):
        pool.root[3] = "A TEXT OF THIRTY CHARACTERS..."
        return text

    pool.root = texts
    with pytest.raises(ValueError, match="modified during sort"):
        pool.root.sort(key=key)
    assert pool.root == [*texts[:3], "A TEXT OF THIRTY CHARACTERS...", *texts[4:]]


def test_a_sort_does_not_mind_others(pool):
    texts = [f"a text of thirty characters {i:2}" for i in range(20)]
    pool.root = [list(texts), "a text of thirty characters..."]

    def key(text):
        pool.root[1] = f"{text[::-1]}"
        return -int(text[-2:])

    pool.root[0].sort(key=key)
    assert pool.root[0] == texts[::-1]


def test_read_only_and_closed(pool_path):
    with pmemobj.open(pool_path, max_size=64 << 20) as pool:
        pool.root = ["a text of thirty characters..."]
        place = pool.root
    with pytest.raises(pmemobj.PoolClosedError):
        place[0] = "A TEXT OF THIRTY CHARACTERS..."
    with pmemobj.open(pool_path, "r") as pool:
        with pytest.raises(pmemobj.ReadOnlyPoolError):
            pool.root[0] = "A TEXT OF THIRTY CHARACTERS..."
        assert pool.root[0] == "a text of thirty characters..."


def test_each_is_durable(pool_path):
    with pmemobj.open(pool_path, max_size=64 << 20, sync="commit") as pool:
        pool.root = ["a text of thirty characters..."]
        syncs = pool.stats()["journal"]["syncs"]
        pool.root[0] = "A TEXT OF THIRTY CHARACTERS..."
        assert pool.stats()["journal"]["syncs"] > syncs
    with pmemobj.open(pool_path) as pool:
        assert pool.root == ["A TEXT OF THIRTY CHARACTERS..."]
