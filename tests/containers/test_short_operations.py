"""Storing in one step what needs a block, giving back the block that goes, and plain lists and dicts of scalars."""

import random
import string
import threading
import time

import pytest

import pmemobj
from pmemobj import PersistentList, PersistentObject

VALUES = [
    None, 1, 2**70, -(2**62), 0.1, 1e300, "", "short", "eight ch", "x" * 15, "x" * 16, "x" * 55, "x" * 56, "x" * 57,
    "x" * 600, "é", "é" * 30, "€", "€" * 28, "€" * 29, "🐍" * 14, "🐍" * 15, b"", b"bytes" * 3, b"b" * 700, 1j,
    ("tuple", 1), ("long enough for a block",), [1, 2], {"a": 1}, True, "x" * 3000,
]  # fmt: skip


class Thing(PersistentObject):
    pass


def plain(pool, value):
    return pool.to_python(value)


@pytest.mark.parametrize("in_transaction", [False, True])
def test_every_value_over_every_other(pool, in_transaction):
    pool.root = [[None], pool.new(Thing)]
    cells, thing = pool.root
    for before in VALUES:
        for after in VALUES:
            cells[0] = thing.field = before
            if in_transaction:
                with pool.transaction() as tx:
                    cells[0] = thing.field = after
                    assert plain(pool, cells[0]) == plain(pool, thing.field) == after
                    tx.abort()
                assert plain(pool, cells[0]) == plain(pool, thing.field) == before
            cells[0] = thing.field = after
            assert plain(pool, cells[0]) == plain(pool, thing.field) == after
            assert type(cells[0]) is type(thing.field)
    assert not pool.check().findings


def test_random_texts(pool, reopen):
    """Pages fill and empty; what is read is what was stored, also by the next handle."""
    rng = random.Random(7)
    pool.root = [[], [pool.new(Thing) for _ in range(20)]]
    model, fields = [], [{} for _ in range(20)]

    def value():
        if rng.random() < 0.3:
            return rng.randrange(1000)
        return "".join(rng.choices(string.ascii_letters + "éß€", k=rng.randrange(70)))

    for step in range(6000):
        cells, things = pool.root
        kind = rng.random()
        text = value()
        if kind < 0.3 or not model:
            cells.append(text)
            model.append(text)
        elif kind < 0.6:
            i = rng.randrange(len(model))
            cells[i] = model[i] = text
        elif kind < 0.8:
            i, name = rng.randrange(20), rng.choice("abc")
            setattr(things[i], name, text)
            fields[i][name] = text
        elif kind < 0.85:
            i = rng.randrange(len(model))
            assert cells.pop(i) == model.pop(i)
        elif kind < 0.9:
            with pool.transaction() as tx:
                for _ in range(5):
                    cells.append(value())
                    cells[rng.randrange(len(cells))] = value()
                    setattr(things[rng.randrange(20)], rng.choice("abc"), value())
                tx.abort()
        elif kind < 0.95:
            with pool.transaction():
                for _ in range(3):
                    text = value()
                    cells.append(text)
                    model.append(text)
                    i = rng.randrange(len(model))
                    cells[i] = model[i] = value()
        if step % 1500 == 0:
            assert list(cells) == model
            assert [vars(thing) for thing in things] == fields
            assert not pool.check().findings
            del cells, things
            pool = reopen(pool)
    assert list(pool.root[0]) == model
    assert not pool.check().findings


def test_freed_blocks_are_used_again(pool):
    pool.root = ["x" * 40 + str(i) for i in range(50)]
    cells = pool.root
    used = pool.stats()["allocated"]
    for _ in range(40):
        for i in range(50):
            cells[i] = i
        for i in range(50):
            cells[i] = "y" * 40 + str(i)
        assert pool.stats()["allocated"] == used
    assert not pool.check().findings


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 100, 251, 252, 253, 999, 1000, 1001, 40_000])
@pytest.mark.parametrize("in_transaction", [False, True])
def test_plain_list(pool, count, in_transaction):
    items = [
        (i, f"text of a block {i}", None, 0.5 * i, "é" * 9, b"b" * 20, 2**80)[i % 7] for i in range(count)
    ]
    pool.root = []
    if in_transaction:
        with pool.transaction() as tx:
            pool.root.append(items)
            tx.abort()
        assert pool.root == []
        with pool.transaction():
            pool.root.append(items)
            pool.root[0].append("one more text")
            pool.root[0].pop()
    else:
        pool.root.append(items)
    pool.root.append([items, items, {"it": items}])
    assert list(pool.root[0]) == items
    assert pool.root[1][0] is pool.root[1][1] is pool.root[1][2]["it"]
    assert not pool.check().findings
    for i in range(20):
        pool.root[0].append(f"more {i} of blocks")
    assert list(pool.root[0]) == items + [f"more {i} of blocks" for i in range(20)]
    assert not pool.check().findings
    pool.root = None
    pool.gc()
    assert not pool.check().findings


def test_list_in_itself(pool):
    items = [1]
    items.append(items)
    pool.root = []
    pool.root.append(items)
    assert pool.root[0][1] is pool.root[0]


@pytest.mark.parametrize(
    "bad", [[object()], [[object()]], {"a": object()}, [1, {"b": [object()]}], {object(): 1}]
)
def test_what_cannot_be_stored(pool, bad):
    pool.root = []
    with pytest.raises(TypeError):
        pool.root.append(bad)
    assert pool.root == []
    assert not pool.check().findings


class Text(str):
    pass


def test_subclasses_are_not_scalars(pool):
    pool.root = []
    for value in (Text("a"), [Text("a")], {"a": Text("a")}, {Text("a"): 1}):
        with pytest.raises(TypeError):
            pool.root.append(value)
        with pytest.raises(TypeError):
            pool.root = value


def test_value_changes_while_its_thread_waits(pool):
    """A thread waits for a transaction before it stores; meanwhile the plain list gets what is not simple."""
    pool.root = []
    shared = [1, 2]
    cells = pool.root
    failures = []

    def store():
        for value in (shared, {"a": shared}):
            try:
                cells.append(value)
            except RuntimeError as error:
                failures.append(error)

    with pool.transaction():
        thread = threading.Thread(target=store)
        thread.start()
        time.sleep(0.1)
        shared.append([shared])
        time.sleep(0.1)
    thread.join()
    assert len(cells) + len(failures) == 2
    assert not pool.check().findings


def test_sort_sees_a_text_in_the_place_of_another(pool):
    pool.root = ["b" * 20, "a" * 20, "c" * 20]
    cells = pool.root

    def key(text):
        cells[0] = 1
        cells[0] = "z" * 20  # in the same block, perhaps
        return text

    with pytest.raises(ValueError, match="modified"):
        cells.sort(key=key)
    assert list(cells) == ["z" * 20, "a" * 20, "c" * 20]


def test_full_pool(pool_path):
    with pmemobj.open(pool_path, max_size=64 << 20, sync="manual") as pool:
        cells = pool.root = pool.new(PersistentList)
        cells.append("first text of a block")
        with pytest.raises(pmemobj.PoolFullError):
            while True:
                cells.append("x" * 4000)
        with pytest.raises(pmemobj.PoolFullError):
            while True:
                cells.append(["a text of a block", 1] * 20)
        cells[0] = 5
        assert cells[0] == 5
        assert not pool.check().findings
