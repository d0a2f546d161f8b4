"""Transactions of many operations, and of more bytes than the journal holds."""

import gc
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pmemobj


def work(root, count):
    items = root["items"]
    for i in range(0, count, 4):
        items.append(i)
        root[i % 1000] = i
        items[i // 8] = "short"
        root["text"] = f"a text that needs a block {i}"


@pytest.fixture
def filled(pool):
    pool.root = {"items": list(range(100)), "text": "t" * 50}
    return pool


def test_many_operations_committed(filled, reopen):
    with filled.transaction():
        work(filled.root, 100_000)
    assert len(filled.root["items"]) == 25_100
    expected = filled.to_python(filled.root)
    assert filled.check().ok
    pool = reopen(filled)
    assert pool.to_python(pool.root) == expected


def test_many_operations_undone(filled, reopen):
    before = filled._allocated()[0], filled.to_python(filled.root)
    with filled.transaction() as tx:
        work(filled.root, 100_000)
        tx.abort()
    assert (filled._allocated()[0], filled.to_python(filled.root)) == before
    assert filled.check().ok
    filled.root["after"] = 1
    pool = reopen(filled)
    assert pool.to_python(pool.root) == {**before[1], "after": 1}
    assert pool.check().ok


def test_many_blocks_in_one(filled):
    with filled.transaction():
        for i in range(10_000):
            with filled.transaction() as inner:
                filled.root["items"].append(i)
                if i % 2:
                    inner.abort()
    assert len(filled.root["items"]) == 5_100


BIG = 5 << 20


@pytest.mark.parametrize("end", ["commit", "abort", "kill"])
def test_more_than_the_journal_holds(tmp_path, end):
    """The journal's limit is 64 MiB; this is 100, as large values and as many small ones."""
    path = tmp_path / "pool"
    with pmemobj.open(path, max_size=1 << 30, sync="manual") as pool:
        pool.root = {"kept": "k" * 1000}
        before = pool._allocated()[0]
        with pool.transaction() as tx:
            for i in range(12):
                pool.root[i] = bytes([i]) * BIG
            pool.root["many"] = [str(i) * 300 for i in range(30_000)]
            if end == "abort":
                tx.abort()
        if end == "abort":
            assert pool._allocated()[0] == before
        else:
            assert all(pool.root[i] == bytes([i]) * BIG for i in range(12))
            pool.root["after"] = 1
        if end == "kill":
            for suffix in "-journal", "":  # in this order: a checkpoint may come in between
                shutil.copy(f"{path}{suffix}", f"{path}.copy{suffix}")
            path = tmp_path / "pool.copy"
    with pmemobj.open(path, "w", sync="manual") as pool:
        assert pool.check().ok
        if end == "abort":
            assert pool.root == {"kept": "k" * 1000}
        else:
            assert len(pool.root) == 15
            assert all(pool.root[i] == bytes([i]) * BIG for i in range(12))
            assert pool.root["many"][29_999] == "29999" * 300


def test_a_large_value_replaced_again_and_again(pool):
    """Frees come back: the pool does not grow with each round, inside or outside of transactions."""
    for _ in range(3):
        pool.root = "x" * 1_000_000
        with pool.transaction():
            pool.root = "y" * 1_000_000
    heap = pool.stats()["heap"]
    for i in range(60):
        pool.root = chr(97 + i % 26) * 1_000_000
        with pool.transaction() as tx:
            pool.root = "z" * 1_000_000
            if i % 2:
                tx.abort()
    assert pool.stats()["heap"] <= heap + 2_000_000


def test_full_pool_undoes_the_operation_only(tmp_path):
    with pmemobj.create(tmp_path / "small", pmemobj.MIN_POOL_SIZE) as pool:
        pool.root = {}
        with pool.transaction():
            pool.root["a"] = 1
            for i in range(1000):
                try:
                    pool.root[i] = "x" * 50_000
                except pmemobj.PoolFullError:
                    break
            stored = len(pool.root)
            pool.root["b"] = 2
        assert len(pool.root) == stored + 1
        assert pool.check().ok
        with pool.transaction():
            pool.root.clear()
        assert pool.root == {}
        pool.root["again"] = "x" * 50_000
        assert pool.check().ok


CHANGES = st.lists(
    st.recursive(
        st.tuples(st.sampled_from(["append", "set", "drop", "object", "text"]), st.integers(0, 20)),
        lambda inner: st.tuples(st.booleans(), st.lists(inner, max_size=5)),
        max_leaves=25,
    ),
    max_size=12,
)


@settings(max_examples=20)
@given(changes=CHANGES)
def test_nested_blocks_against_a_model(tmp_path_factory, changes):
    """Tuples (kept, [...]) are blocks; the model copies itself at their begin."""
    path = tmp_path_factory.mktemp("model") / "pool"

    def apply(root, model, steps):
        for kind, value in steps:
            if kind == "append":
                root["list"].append(value)
                model["list"].append(value)
            elif kind == "set":
                root[value] = model[value] = "v" * value
            elif kind == "drop":
                assert root.pop(value, None) == model.pop(value, None)
            elif kind == "object":
                root[value] = {"of": [value]}
                model[value] = {"of": [value]}
            elif kind == "text":
                root["list"][len(root["list"]) // 2 :] = ["t" * value * 20]
                model["list"][len(model["list"]) // 2 :] = ["t" * value * 20]
            else:
                copy = {key: list(item) if isinstance(item, list) else item for key, item in model.items()}
                with root._p_mm.transaction() as tx:
                    apply(root, copy, value)
                    if not kind:
                        tx.abort()
                if kind:
                    model.clear()
                    model.update(copy)
            assert root == model

    model = {"list": []}
    with pmemobj.open(path, max_size=32 << 20, sync="manual") as pool:
        pool.root = model
        apply(pool.root, model, changes)
        report = pool.check()
        assert report.ok, report
        gc.collect()
        pool._drain()
        assert report.unreachable == (0, 0)
    with pmemobj.open(path, sync="manual") as pool:
        assert pool.root == model
    path.unlink()
