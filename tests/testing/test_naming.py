"""Reports of crashes say what was lost: words by the path of their object and the names of their fields."""

import importlib
import sys
from collections import OrderedDict, deque
from pathlib import Path

import numpy as np
import pytest

import pmemobj
from pmemobj import _core
from pmemobj._check import Namer
from pmemobj.testing import Budget, explore
from tests.patching import (
    CHILDREN,
    CHUNKS,
    ENTRIES_DATA,
    FIELDS,
    FIRST,
    INDEX,
    LIMBO,
    OFFSET,
    PAGES,
    ROOT_AT,
    ROOT_SLOT,
    TREE_ROOT,
    USED,
    VEC_DATA,
    VEC_SIZE,
    Patch,
)

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "crash_testing"


class Thing(pmemobj.PersistentObject):
    pass


@pytest.fixture
def names(pool_path):
    """names(value, where): the name of the word that `where` finds in a pool with that root."""

    def give(value, where):
        with pmemobj.create(pool_path, 16 << 20, sync="manual") as pool:
            pool.root = value(pool) if callable(value) else value
        at = where(Patch(pool_path))
        with pmemobj.open(pool_path, "r") as pool:
            (name,) = Namer(pool).names([at])
        pool_path.unlink()
        return name

    return give


def thing(pool):
    made = pool.new(Thing)
    made.number, made.text = 1, ["a text of its own"]
    return made


def tree(pool):
    return pool.new(pmemobj.PersistentSortedDict, {i: i for i in range(500)})


def led(patch, at):
    return patch.word(at) & OFFSET


def of_object(field):
    return lambda patch: patch.object + field


def behind(field, more=0):
    return lambda patch: led(patch, patch.object + field) + more


def leaf(more):
    return lambda patch: led(patch, led(patch, patch.object + TREE_ROOT) + CHILDREN + 8) + more


@pytest.mark.parametrize(
    "value, where, expected",
    [
        ([1], lambda patch: patch.root + ROOT_SLOT, "root block: root slot"),
        ([1], lambda patch: patch.root + LIMBO, "root block: limbo"),
        ([1], lambda patch: patch.root + PAGES + 8, "root block: pages of size class 1"),
        ([1], lambda patch: ROOT_AT, "libpmemobj"),
        ([1], lambda patch: (16 << 20) - 4096, "free memory"),
        ([1, 2], of_object(0), "root: refs, type, flags"),
        ([1, 2], of_object(VEC_SIZE), "root: size"),
        ([1, 2], behind(VEC_DATA, 8), "root[1]"),
        ([["in", [3]]], lambda patch: led(patch, led(patch, patch.cell(0)) + VEC_DATA) + 8, "root[0][1]"),
        (["a text of its own"], lambda patch: led(patch, patch.cell(0)), "root[0]: length of its value"),
        (["a text of its own"], lambda patch: led(patch, patch.cell(0)) + 8, "root[0]: content of its value"),
        (list(range(40_000)), lambda patch: led(patch, led(patch, patch.object + VEC_DATA) + 8), "root[32760]"),
        ({"a": 1, "b": 2}, of_object(USED), "root: used"),
        ({"a": 1, "b": 2}, behind(ENTRIES_DATA, 24 + 16), "root['b']: value"),
        ({"a": 1, "b": 2}, behind(ENTRIES_DATA, 24), "root['b']: hash"),
        (OrderedDict.fromkeys(range(20)), behind(INDEX, 16), "root: cell 2 of its index segment"),
        (set(range(20)), behind(ENTRIES_DATA, 16 + 8), "root member #1: key"),
        (thing, of_object(FIELDS), "root: fields"),
        (thing, behind(FIELDS), "root.number"),
        (thing, lambda patch: led(patch, led(patch, patch.object + FIELDS) + 8) + VEC_SIZE, "root.text: size"),
        (deque([1, 2]), of_object(FIRST), "root: first"),
        (deque([1, 2]), behind(FIRST, 8 * 5), "root[1]"),
        (deque([1, 2]), behind(FIRST, 16), "root: start of a block"),
        (bytearray(100), of_object(32), "root: size"),
        (bytearray(100), behind(56, 16), "root: bytes from 16 on"),
        (np.arange(100), of_object(80), "root: shape"),
        (tree, of_object(32), "root: count"),
        (tree, behind(TREE_ROOT), "root: size of its node"),
        (tree, behind(TREE_ROOT, CHILDREN + 8), "root: child 1 of its node"),
        (tree, leaf(0), "root: used of its leaf"),
        (tree, leaf(24), "root: order of its leaf"),
        (tree, leaf(488 + 8), "root: key 1 of its leaf"),
        ([1], lambda patch: led(patch, patch.root + CHUNKS) + 40, "chunk: empty"),
        ([1], lambda patch: patch.object // 4096 * 4096, "page of blocks of 64 bytes: bitmap"),
    ],
)  # fmt: skip
def test_names(names, value, where, expected):
    assert names(value, where) == expected


def test_the_name_of_a_block_that_nothing_leads_to(pool):
    pool.root = [1]
    cycle = pool.new(pmemobj.PersistentList)
    cycle.append(cycle)
    at = _core.object_at(cycle)
    del cycle
    assert Namer(pool).names([at]) == ["a block that nothing leads to"]


# --- what a report says of the example's planted mistake


@pytest.fixture
def queue(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    yield importlib.import_module("test_bounded_queue").BrokenQueueCrash
    for name in ("test_bounded_queue", "bounded_queue"):
        sys.modules.pop(name, None)


def push(pool):
    pool.root.push(5)


@pytest.mark.parametrize("engine", ["journal", "direct"])
def test_the_report_of_the_broken_queue(queue, engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    budget = Budget(exhaustive=3, random=2, per_cut=6, nested=0)
    report = explore(
        push, queue.start, observe=queue.observe, check=queue.check, engine=engine, budget=budget, workers=1
    )
    lost = [text for bug in report.bugs for text in bug.lost]
    assert any("root.cells[0]" in text and "bounded_queue.py:" in text for text in lost), report
    assert all(
        "(moment " in str(bug) and "the program was at bounded_queue.py:" in str(bug) for bug in report.bugs
    )
