"""pool.check(): a sound pool of everything is found sound, and planted damage is found and named."""

from collections import deque

import numpy as np
import pytest

import pmemobj
from pmemobj import _core
from tests.patching import (
    CAP,
    CAP_OF,
    CELLS,
    CHILDREN,
    CHUNKS,
    COUNT,
    COUNTS,
    DATA,
    DTYPE,
    ENTRIES_SIZE,
    FIELDS,
    FIELDS_CAP,
    FIRST,
    HEIGHT,
    INDEX,
    INDEX_DEPTH,
    INNER_KEYS,
    KEY_NAME,
    LAST,
    LEAF_KEYS,
    LEAF_NEXT,
    LEAF_PREV,
    LEAF_VALUES,
    LEFT,
    LIMBO,
    MAXLEN,
    NEXT,
    OFFSET,
    ORDER,
    PAGES,
    PREV,
    REFS,
    RIGHT,
    ROOT_SLOT,
    ROW,
    SHAPE,
    SIZE,
    SIZE_OF,
    START,
    START_OF,
    TREE_ROOT,
    USED,
    VEC_CAP,
    VEC_DATA,
    VEC_DIR_CAP,
    VEC_SIZE,
    Patch,
)
from tests.things import Thing


def contents(pool):
    """Everything there is: kinds of values, sizes of containers on both sides of each border."""
    shared = pool.new(pmemobj.PersistentList, ["shared"])
    cycle = pool.new(pmemobj.PersistentList)
    cycle.append(cycle)
    return {
        "list": [
            1,
            "short",
            "longer than seven",
            b"bytes longer than seven",
            None,
            1.5,
            1e300,
            10**30,
            2j,
            True,
            ...,
        ],
        "long list": list(range(40_000)),
        "table": {i: str(i) * 3 for i in range(1000)},
        "large table": {i: i for i in range(20_000)},
        "small": {"a": 1},
        "set": {1, "two", (3, "three" * 3), frozenset({4, "four" * 3})},
        "large set": set(range(5_000)),
        "large frozenset": pool.new(pmemobj.PersistentFrozenSet, [*range(1000), "a text of the frozenset"]),
        "tuple": pool.new(pmemobj.PersistentTuple, ("x" * 20, [1])),
        "nested": (1, ("two" * 5, (3, frozenset({"four" * 5})))),
        "texts": ["", "\0", "é" * 10, "€" * 10, "😀" * 10, "\ud800" * 5, "x" * 5000],
        "shared": [shared, shared, {"again": shared}],
        "cycle": cycle,
        "object": pool.new(Thing, a=1, b=[1, 2], c="a text of its own"),
        "deque": deque([1, "a text of the deque", [2]] * 300, maxlen=1000),
        "arrays": [np.arange(7000.0).reshape(-1, 7), np.zeros(3, "U5"), np.array(1), np.zeros((0, 2))],
        "bytes": [bytearray(b"some bytes"), bytearray(5000), bytearray(400_000), bytearray()],
        "sorted": pool.new(pmemobj.PersistentSortedDict, {f"key number {i}": [i] for i in range(5000)}),
        "sorted set": pool.new(pmemobj.PersistentSortedSet, ["b", "a" * 20, "C"], key=str.lower),
        "empty": [[], {}, set(), deque(), pool.new(pmemobj.PersistentSortedDict)],
    }


@pytest.fixture
def filled(pool_path):
    with pmemobj.create(pool_path, SIZE) as pool:
        pool.root = contents(pool)
    return pool_path


# --- sound pools


def test_empty_pool(pool):
    report = pool.check()
    assert report.ok
    assert report.findings == []
    assert report.unreachable == (0, 0)
    assert str(report).splitlines() == ["looked at 1 immediate", "no faults"]


def test_a_sound_pool_of_everything(filled):
    with pmemobj.open(filled, sync="manual") as pool:
        report = pool.check()
        assert report.ok, report
        assert report.unreachable == (0, 0)
        for kind, least in {
            "list": 10,
            "dict": 5,
            "set": 3,
            "tuple": 1,
            "object": 1,
            "deque": 2,
            "bytearray": 4,
            "array": 4,
            "sorted dict": 2,
            "sorted set": 1,
            "value": 500,
        }.items():
            assert report.counts[kind] >= least, kind
        assert str(report).endswith("no faults")
        # and while it lives: proxies, limbo, transactions, an aborted one, freed blocks
        held = [pool.new(pmemobj.PersistentList, ["x" * 50]) for _ in range(10)]
        assert pool.check().ok
        with pool.transaction() as tx:
            del pool.root["table"]
            pool.root["list"].clear()
            held.append(pool.new(pmemobj.PersistentDict))
            assert pool.check().ok
            tx.abort()
        assert pool.check().ok
        with pool.transaction():
            for key in list(pool.root)[::2]:
                del pool.root[key]
            assert pool.check().ok
        del held
        assert pool.check().ok
        pool.root = None
        report = pool.check()
        assert report.ok, report


def test_the_check_changes_nothing(filled):
    with pmemobj.open(filled, sync="manual") as pool:
        before = pool.stats()["journal"]["records"], pool._allocated()
        pool.check()
        assert (pool.stats()["journal"]["records"], pool._allocated()) == before


def test_garbage_cycles_are_no_fault(pool):
    pool.root = []
    cycle = pool.new(pmemobj.PersistentList, ["x" * 100])
    cycle.append(cycle)
    del cycle
    report = pool.check()
    assert report.ok
    assert report.unreachable[0] == 3  # the object, its cells, the text
    assert report.unreachable[1] > 100
    assert "3 blocks" in str(report)
    assert "run pool.gc()" in str(report)
    pool.gc()
    assert pool.check().unreachable == (0, 0)


# --- planted damage


@pytest.fixture
def made(pool_path):
    """made(value) gives the Patch of a closed pool whose root that is; found sound before."""

    def make(value):
        with pmemobj.create(pool_path, SIZE, sync="manual") as pool:
            pool.root = value(pool) if callable(value) else value
            assert pool.check().ok
        return Patch(pool_path)

    return make


@pytest.mark.parametrize(
    "where, change, text",
    [
        (LEFT, lambda word: word - 1, "in blocks for"),
        (RIGHT, lambda word: word + 1000, "in blocks for"),
        (RIGHT, lambda word: word - 300, "holds no item"),
        (LEFT, lambda word: word + (1 << 63), "has items"),
        (FIRST, lambda word: 0, "has items"),
        (FIRST, lambda word: word + 8, "is not in use"),
        (LAST, lambda word: word + 8, "in blocks for"),
        (MAXLEN, lambda word: 3, "at most 3"),
        (("first", NEXT), lambda word: 0, "in blocks for"),
        (("last", NEXT), lambda word: 1 << 20, "is not in use"),
        (("last", PREV), lambda word: 8, "does not follow"),
        (("last", START), lambda word: word + 1, "does not follow"),
        (("last", CAP), lambda word: 1 << 40, "cells"),
        (("first", CELLS), lambda word: 13 << 48, "unknown kind"),
    ],
)
def test_deque(made, where, change, text):
    patch = made(deque(range(500)))
    if isinstance(where, tuple):
        block, field = where
        at = patch.word(patch.object + (FIRST if block == "first" else LAST)) + field
    else:
        at = patch.object + where
    patch.change(at, change)
    assert any("deque" in line or "root" in line for line in patch.reports(text))


@pytest.mark.parametrize(
    "where, change, text",
    [
        (SIZE_OF, lambda word: 5001, "has 5001 bytes"),
        (SIZE_OF, lambda word: 1 << 63, "bytes at 0 of"),
        (START_OF, lambda word: 1 << 40, f"bytes at {1 << 40} of"),
        (CAP_OF, lambda word: 0, "of 0 in the block"),
        (CAP_OF, lambda word: 9000, "but needs 9000"),
        (DATA, lambda word: word + 8, "is not in use"),
        (DATA, lambda word: 1 << 50, "is not in use"),
        (DATA, lambda word: 0, "is not in use"),
    ],
)
def test_bytearray(made, where, change, text):
    patch = made(bytearray(5000))
    if where == SIZE_OF:
        patch.change(patch.object + CAP_OF, lambda word: 5000)
    patch.change(patch.object + where, change)
    assert patch.reports(text)


@pytest.mark.parametrize(
    "where, change, text",
    [
        (SIZE_OF, lambda word: 1441, "has 1441 bytes"),
        (SIZE_OF, lambda word: 1439, "in rows of 24"),
        (START_OF, lambda word: 8, "does not begin with its block"),
        (ROW, lambda word: 23, "in rows of 23"),
        (ROW, lambda word: 0, "in rows of 0"),
        (SHAPE, lambda word: 1, "its shape is not a tuple"),
        (SHAPE, lambda word: word ^ 1 << 48, "its shape is not a tuple"),
        (SHAPE, lambda word: word + 16, "is not in use"),
        (DTYPE, lambda word: 1, "its dtype is not a text"),
        (DATA, lambda word: 0, "is not in use"),
    ],
)
def test_array(made, where, change, text):
    patch = made(np.zeros((60, 3)))
    patch.change(patch.object + CAP_OF, lambda word: 1440)
    patch.change(patch.object + where, change)
    assert patch.reports(text)


@pytest.mark.parametrize(
    "where, change, text",
    [
        (COUNT, lambda word: word + 1, "counts 501 entries, has 500"),
        (HEIGHT, lambda word: 17, "height 17"),
        (HEIGHT, lambda word: 0, "height 0"),
        (HEIGHT, lambda word: 3, "bytes but needs 1960"),
        (TREE_ROOT, lambda word: word + 8, "not in use"),
        (KEY_NAME, lambda word: 13 << 48, "unknown kind"),
        (("node", 0), lambda word: 81, "has 81 children"),
        (("node", 0), lambda word: 1, "has 1 children"),
        (("node", CHILDREN + 8), lambda word: word + 16, "not in use"),
        (("node", COUNTS + 8), lambda word: word + 1, "below child 1"),
        (("node", INNER_KEYS + 8), lambda word: word + 2, "another key than that of its child 1"),
        (("leaf", 0), lambda word: 0, "uses 0x0"),
        (("leaf", 0), lambda word: word | 1 << 60, "uses"),
        (("leaf", 0), lambda word: word >> 36, "has 5 entries"),
        (("leaf", LEAF_NEXT), lambda word: 0, "not linked"),
        (("leaf", LEAF_PREV), lambda word: 8, "not linked"),
        (("leaf", ORDER), lambda word: word & ~0xFF | 99, "its order names"),
        (("leaf", ORDER), lambda word: word & ~0xFFFF | 0x0001, "is not above the one before it"),
        (("leaf", LEAF_KEYS + 8), lambda word: 13 << 48, "key #1: slot"),
        (("leaf", LEAF_KEYS + 8), lambda word: 2001, "key #2: is not above"),
        (("leaf", LEAF_VALUES + 8), lambda word: 0, "[#1]: empty slot"),
    ],
)
def test_sorted_dict(made, where, change, text):
    patch = made(lambda pool: pool.new(pmemobj.PersistentSortedDict, {i: i for i in range(500)}))
    if isinstance(where, tuple):
        node, field = where
        node_at = patch.word(patch.object + TREE_ROOT)
        at = field + (node_at if node == "node" else patch.word(node_at + CHILDREN))
    else:
        at = patch.object + where
    patch.change(at, change)
    patch.reports(text)


def test_reference_count(made):
    patch = made([["inner"], 1])
    inner = patch.word(patch.cell(0)) & OFFSET
    patch.change(inner + REFS, lambda word: word + 1)
    assert patch.reports("counts 2 references, has 1") == [
        f"root[0]: list at {inner:#x} counts 2 references, has 1"
    ]


def test_reference_count_too_low(made):
    def shared(pool):
        inner = pool.new(pmemobj.PersistentList)
        return [inner, inner]

    patch = made(shared)
    patch.change((patch.word(patch.cell(0)) & OFFSET) + REFS, lambda word: word - 1)
    patch.reports("counts 1 references, has 2")


def test_reference_to_an_object_that_is_freed(made):
    """A count of 0 on an object that is referred to."""
    patch = made([["inner"]])
    patch.change((patch.word(patch.cell(0)) & OFFSET) + REFS, lambda word: word & ~0xFFFFFFFF)
    patch.reports("counts 0 references, has 1", "is wrongly in limbo, or wrongly not")


def test_limbo_flag(made):
    patch = made([["inner"]])
    patch.change((patch.word(patch.cell(0)) & OFFSET) + REFS, lambda word: word | 1 << 48)
    patch.reports("is wrongly in limbo, or wrongly not")


def test_object_put_into_limbo(made):
    patch = made([["inner"]])
    patch.put(patch.root + LIMBO, patch.word(patch.cell(0)) & OFFSET)
    patch.reports("is wrongly in limbo, or wrongly not")


@pytest.mark.parametrize("offset", [8, 0x1001, 1 << 40, OFFSET & ~7])
def test_limbo_list_that_leads_nowhere(made, offset):
    patch = made([1])
    patch.put(patch.root + LIMBO, offset)
    patch.reports(f"limbo:{offset:#x}: ")


def test_object_type(made):
    patch = made([["inner"]])
    inner = patch.word(patch.cell(0)) & OFFSET
    patch.change(inner, lambda word: word | 0xFF << 32)
    patch.reports(f"root[0]: refers to {inner:#x}, whose type 255 is unknown")


@pytest.mark.parametrize("slot", [1 << 44, (1 << 44) + 8, 16])
def test_reference_outside_of_the_pool(made, slot):
    patch = made([["inner"], 2])
    patch.put(patch.cell(0), slot)
    patch.reports(f"root[0]: refers to {slot:#x}, ")


def test_empty_slot(made):
    patch = made([1, 2, 3])
    patch.put(patch.cell(1), 0)
    assert patch.reports() == ["root[1]: empty slot"]


def test_unknown_kind_of_reference(made):
    patch = made(["a text of its own"])
    patch.change(patch.cell(0), lambda slot: slot & OFFSET | 99 << 48)
    patch.reports("root[0]: slot 0x63", "has an unknown kind")


def test_slot_that_points_into_a_block(made):
    patch = made(["a text of its own"])
    patch.change(patch.cell(0), lambda slot: slot + 8)
    patch.reports("root[0]: its value at", "is not in use, or belongs to something else too")


def test_two_slots_own_one_block(made):
    patch = made(["a text of its own", "another text, its own"])
    patch.put(patch.cell(1), patch.word(patch.cell(0)))
    patch.reports("root[1]: its value at", "belongs to something else too")


@pytest.mark.parametrize("length", [1 << 10, 1 << 40, (1 << 61) - 1, (1 << 64) - 1])
def test_length_of_a_text(made, length):
    patch = made(["a text of its own"])
    patch.put(patch.word(patch.cell(0)) & OFFSET, length)
    patch.reports("root[0]: its ")


@pytest.mark.parametrize("length", [1 << 10, 1 << 40, 1 << 61, (1 << 64) - 1])
def test_length_of_a_tuple(made, length):
    patch = made([(1, 2, "three is longer")])
    patch.put(patch.word(patch.cell(0)) & OFFSET, length)
    patch.reports("root[0]: its ")


def test_item_of_a_tuple(made):
    patch = made([(1, ("in" * 9, 2))])
    outer = patch.word(patch.cell(0)) & OFFSET
    patch.put((patch.word(outer + 16) & OFFSET) + 16, 0)
    patch.reports("root[0][1][1]: empty slot")


# vectors


@pytest.mark.parametrize("size", [100, 1 << 40, (1 << 64) - 1])
def test_vector_size(made, size):
    patch = made([1, 2, 3])
    patch.put(patch.object + VEC_SIZE, size)
    patch.reports(f"root: has {size} items and room for ")


def test_vector_size_too_small_leaks_what_the_items_own(made):
    patch = made([["inner"], ["lost"]])
    patch.put(patch.object + VEC_SIZE, 1)
    with pmemobj.open(patch.path, "r") as pool:
        report = pool.check()
    assert report.unreachable[0] >= 1  # cannot be told from a garbage cycle


@pytest.mark.parametrize("cap", [1000, 1 << 24, 1 << 61, (1 << 64) - 1])
def test_vector_capacity(made, cap):
    patch = made([1, 2, 3])
    patch.put(patch.object + VEC_CAP, cap)
    patch.reports("root: ")


@pytest.mark.parametrize("data", [0, 8, 1 << 44, 0x3C0000])
def test_vector_data(made, data):
    patch = made([1, 2, 3])
    patch.put(patch.object + VEC_DATA, data)
    patch.reports(f"root: its block at {data:#x} is not in use, or belongs to something else too")


def test_two_vectors_with_one_block(made):
    patch = made([[1, 2, 3], [4, 5, 6]])
    first, second = (patch.word(patch.cell(i)) & OFFSET for i in range(2))
    patch.put(second + VEC_DATA, patch.word(first + VEC_DATA))
    patch.reports("belongs to something else too")


def test_segments(made):
    patch = made(list(range(100_000)))
    directory = patch.word(patch.object + VEC_DATA)
    kept = patch.word(directory + 8)
    patch.put(directory + 8, kept + 64)
    patch.reports(f"root: segment 1: its block at {kept + 64:#x} is not in use")
    patch.put(directory + 8, kept)
    patch.change(patch.object + VEC_CAP, lambda cap: cap - 1)
    patch.reports("root: has room for", "items in a directory of")
    patch.change(patch.object + VEC_CAP, lambda cap: cap + 1)
    patch.put(patch.object + VEC_DIR_CAP, 1)
    patch.reports("in a directory of 1")


# tables


def large(count=100):
    return {i: f"value number {i}" for i in range(count)}


def test_used_count(made):
    patch = made(large())
    patch.change(patch.object + USED, lambda used: used + 1)
    assert patch.reports() == ["root: counts 101 entries, has 100"]


def test_used_count_of_a_set(made):
    patch = made({1, 2, 3})
    patch.put(patch.object + USED, 2)
    assert patch.reports() == ["root: counts 2 entries, has 3"]


def test_entries_size(made):
    patch = made({"a": 1})
    patch.put(patch.object + ENTRIES_SIZE, 1 << 20)
    patch.reports("root: has 1048576 items and room for ")


def segment(patch):
    """Offset of the cells of the only segment, and the words there."""
    word = patch.word(patch.object + INDEX)
    return word & OFFSET, range(word & OFFSET, (word & OFFSET) + (8 << (word >> 56)), 8)


@pytest.mark.parametrize("log", [0, 3, 20, 41, 255])
def test_index_cells(made, log):
    patch = made(large())
    patch.change(patch.object + INDEX, lambda word: word & ~(255 << 56) | log << 56)
    patch.reports("root")


@pytest.mark.parametrize("depth", [1, 3, 41, 1 << 62])
def test_index_depth(made, depth):
    patch = made(large())
    patch.put(patch.object + INDEX_DEPTH, depth)
    patch.reports("root")


def test_table_without_its_index(made):
    patch = made(large())
    patch.put(patch.object + INDEX, 0)
    patch.reports("root: has 100 entries and no index")


def test_index_that_lost_an_entry(made):
    patch = made(large())
    for at in segment(patch)[1]:
        patch.put(at, 0)
    found = patch.reports("root key #0: entry 0 cannot be found through the index")
    assert len(found) == 100


def test_index_full_of_other_entries(made):
    """No empty cell would end a probe."""
    patch = made(large())
    for at in segment(patch)[1]:
        patch.put(at, 1 | 1 << 32)
    cells = len(segment(patch)[1])
    assert patch.reports() == [
        f"root: has {cells} cells in its index that lead to no entry, or to one with another hash",
        "root: has an index segment without a free cell",
    ]


@pytest.mark.parametrize("damage", [0, 1, 255 << 48, 1 << 60])
def test_index_directory(made, damage):
    patch = made(dict.fromkeys(range(6000)))
    directory = patch.word(patch.object + INDEX)
    assert patch.word(patch.object + INDEX_DEPTH) == 2
    patch.put(directory + 8, damage)
    patch.reports("root")


def test_index_directory_with_a_doubled_word(made):
    patch = made(dict.fromkeys(range(6000)))
    directory = patch.word(patch.object + INDEX)
    patch.put(directory + 8, patch.word(directory))
    patch.reports("root: has a damaged index segment at 1")


def test_hash_of_an_entry(made):
    patch = made({"a": 1, "b": 2})
    patch.change(patch.cell(1, words=3), lambda word: word + 1)
    assert patch.reports() == ["root key #1: is stored with the hash of another key"]


def test_key_of_an_entry(made):
    patch = made({1: 1, 2: 2})
    patch.put(patch.cell(1, words=3) + 8, 3 << 1 | 1)
    assert patch.reports() == ["root key #1: is stored with the hash of another key"]


def test_key_of_an_element(made):
    patch = made({"one", "two"})
    patch.change(patch.cell(0, words=2), lambda word: ~word)
    assert patch.reports() == ["root member #0: is stored with the hash of another key"]


def test_deleted_entry_with_a_value(made):
    patch = made({"a": 1, "b": 2})
    patch.put(patch.cell(0, words=3) + 8, 0)
    patch.reports("root key #0: is deleted but still has a value", "root: counts 2 entries, has 1")


def test_value_of_an_entry(made):
    patch = made({"a": 1, "b": 2})
    patch.put(patch.cell(1, words=3) + 16, 0)
    assert patch.reports() == ["root['b']: empty slot"]


# objects


def test_fields_of_an_object(made):
    patch = made(lambda pool: pool.new(Thing, a=1, b="a text of its own"))
    patch.put(patch.object + FIELDS, 0x3C0000)
    patch.reports("root: its block at 0x3c0000 is not in use")


def test_number_of_fields(made):
    patch = made(lambda pool: pool.new(Thing, a=1))
    patch.change(patch.object + FIELDS_CAP, lambda word: word | 0xFFFF << 32)
    patch.reports("root: its block at ", "but needs")


def test_field_of_an_object(made):
    patch = made(lambda pool: pool.new(Thing, a=1, b="a text of its own"))
    patch.change(patch.word(patch.object + FIELDS) + 8, lambda slot: slot + 8)
    patch.reports("root.b: its value at")


# the allocator


def page_of(offset):
    return offset & ~4095


def bit_of(patch, offset):
    """The word of the page's bitmap and the bit in it that stand for the block."""
    page = page_of(offset)
    number = (offset - page - 64) // (patch.word(page + 56) & 0xFFFFFFFF)
    return page + number // 64 * 8, 1 << number % 64


def test_bit_of_a_text_cleared(made):
    patch = made(["a text of its own"])
    word, bit = bit_of(patch, patch.word(patch.cell(0)) & OFFSET)
    patch.change(word, lambda bits: bits & ~bit)
    patch.reports("root[0]: its value at", "is not in use, or belongs to something else too")


def test_bit_of_an_object_cleared(made):
    patch = made([["inner"]])
    word, bit = bit_of(patch, patch.word(patch.cell(0)) & OFFSET)
    patch.change(word, lambda bits: bits & ~bit)
    patch.reports("root[0]: its object at", "is not in use")


def test_bit_set_for_a_free_block(made):
    """That is a leak: the block is in use but nothing leads to it."""
    patch = made(["a text of its own"])
    word, bit = bit_of(patch, patch.word(patch.cell(0)) & OFFSET)
    patch.change(word, lambda bits: bits | bit << 1)
    with pmemobj.open(patch.path, "r") as pool:
        report = pool.check()
    assert report.unreachable[0] == 1


def test_bit_behind_the_last_block_cleared(made):
    patch = made(["a text of its own"])
    page = page_of(patch.word(patch.cell(0)) & OFFSET)
    patch.change(page + 24, lambda bits: bits & ~(1 << 63))
    patch.reports("has a free block past its end")


def test_block_size_of_a_page(made):
    patch = made(["a text of its own"])
    page = page_of(patch.word(patch.cell(0)) & OFFSET)
    for size in 0, 8, 4096:
        patch.change(page + 56, lambda word, size=size: word & ~0xFFFFFFFF | size)
        patch.reports(f"the page at {page:#x} has a damaged header")


def test_page_of_another_chunk(made):
    patch = made(["a text of its own"])
    page = page_of(patch.word(patch.cell(0)) & OFFSET)
    patch.put(page + 48, 12345 * 8)
    patch.reports(f"the page at {page:#x} has a damaged header")


def test_page_that_is_not_listed(made):
    patch = made(["a text of its own"])
    page = page_of(patch.word(patch.cell(0)) & OFFSET)
    patch.change(page + 56, lambda word: word & ~(1 << 48))
    patch.reports(f"the page at {page:#x} has room but is wrongly listed")


def test_list_of_pages(made):
    patch = made(["a text of its own"])
    heads = [patch.root + PAGES + 8 * i for i in range(32) if patch.word(patch.root + PAGES + 8 * i)]
    for offset in 1 << 44, 12345:
        kept = patch.word(heads[0])
        patch.put(heads[0], offset)
        patch.reports(f"a list of pages is broken at {offset:#x}")
        patch.put(heads[0], kept)
    patch.put(patch.word(heads[0]) + 40, 4096)
    patch.reports("names 0x1000 as the one before it")


def test_list_of_pages_in_a_circle(made):
    patch = made(["a text of its own"])
    page = next(filter(None, (patch.word(patch.root + PAGES + 8 * i) for i in range(32))))
    patch.put(page + 32, page)
    patch.reports(f"a list of pages is broken at {page:#x}")


def test_list_of_chunks(made):
    patch = made(["a text of its own"])
    kept = patch.word(patch.root + CHUNKS)
    patch.put(patch.root + CHUNKS, 1 << 44)
    patch.reports("a list of chunks is broken", f"the chunk at {kept:#x} has room but is wrongly listed")
    patch.put(patch.root + CHUNKS, kept)
    for field in 24, 40:  # first_page, empty
        value = patch.word(kept + field)
        patch.put(kept + field, value ^ 1 << 40)
        patch.reports(f"the chunk at {kept:#x} has a damaged header")
        patch.put(kept + field, value)
    patch.change(kept + 32, lambda listed: 0)
    patch.reports(f"the chunk at {kept:#x} has room but is wrongly listed")


def test_every_fault_is_reported_at_once(made):
    patch = made({"a": [1, 2], "b": ["a text of its own"], "c": large()})
    first, third = (patch.word(patch.cell(i, words=3) + 16) & OFFSET for i in (0, 2))
    patch.put(first + VEC_SIZE, 1000)
    patch.change(third + USED, lambda used: used - 1)
    patch.change(patch.root + ROOT_SLOT, lambda slot: slot)
    findings = patch.reports("root['a']: has 1000 items", "root['c']: counts 99 entries, has 100")
    assert len(findings) == 2


def test_random_words(made):
    """A check of a pool with any one word of its objects spoilt ends, with or without a finding."""
    import random

    patch = made(lambda pool: {key: value for key, value in contents(pool).items() if "la" not in key})
    with pmemobj.open(patch.path, "r") as pool:
        blocks = sorted(_core.blocks_in_use(pool)[0].items())
    rng = random.Random(5)
    for _ in range(60):
        offset, size = rng.choice(blocks)
        at = offset + 8 * rng.randrange(min(size, 96) // 8)
        kept = patch.word(at)
        patch.put(
            at, rng.choice([0, kept + 1, kept ^ 1 << rng.randrange(64), rng.randrange(1 << 64), OFFSET])
        )
        with pmemobj.open(patch.path, "r") as pool:
            pool.check()
        patch.put(at, kept)
    with pmemobj.open(patch.path, "r") as pool:
        assert pool.check().ok
