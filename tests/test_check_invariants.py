"""Every invariant that check() verifies is damaged once, alone, and reported.

The table has one damage for each place in the checker's source that tells of a fault: whoever adds such a place has to
add a row, or the first test fails.
"""

import os
import re
import tempfile
import uuid
from collections import Counter, OrderedDict, deque
from pathlib import Path

import numpy as np
import pytest

import pmemobj
from tests.patching import (
    CAP,
    CAP_OF,
    CELLS,
    CHILDREN,
    CHUNKS,
    COUNT,
    COUNTS,
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
    LEFT,
    LIMBO,
    LIMBO_PREV,
    MAXLEN,
    NEXT,
    OFFSET,
    ORDER,
    PAGES,
    PREV,
    REFS,
    RIGHT,
    ROW,
    SHAPE,
    SIZE,
    SIZE_OF,
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

TYPES = 64  # of the root block: the slot of the type table
FACTORY = 88  # of a defaultdict
END = SIZE - 40  # where only the smaller objects have room
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
SOURCES = ("_check.pyx", "_check_sorted.pxi", "_core_blocks.pxi")


# --- what is damaged

TEXT = "a text of its own"


def large(kind=dict, count=100):
    return lambda pool: kind({i: i for i in range(count)})


def tree(count, key=lambda i: i):
    return lambda pool: pool.new(pmemobj.PersistentSortedDict, {key(i): i for i in range(count)})


def thing(**fields):
    return lambda pool: pool.new(Thing, **fields)


def gone(pool):
    """Its class stays in the type table."""
    pool.root = pool.new(Thing, number=1)
    return [1]


# --- where: each takes a Patch


def in_object(field):
    return lambda patch: patch.object + field


def in_root(field):
    return lambda patch: patch.root + field


def cell(number, words=1, field=0):
    return lambda patch: patch.cell(number, words) + field


def led_to(where, field=0):
    """In what the word there refers to."""
    return lambda patch: (patch.word(where(patch)) & OFFSET) + field


def first_page(patch):
    """The first listed page of any class."""
    heads = (patch.word(patch.root + PAGES + 8 * i) for i in range(32))
    return next(filter(None, heads))


def page(field):
    return lambda patch: first_page(patch) + field


def chunk(field):
    return led_to(in_root(CHUNKS), field)


def empty_class(patch):
    return next(at for i in range(32) if not patch.word(at := patch.root + PAGES + 8 * i))


def node(number, field):
    """Of the child of a tree's root."""
    return led_to(led_to(in_object(TREE_ROOT), CHILDREN + 8 * number), field)


def several(*changes):
    """Two words that are damaged together."""

    def change(patch):
        for where, how in changes:
            patch.change(where(patch), how)

    return change


def plus(more):
    return lambda word: word + more


def be(value):
    return lambda _word: value


#: (what the root is, where a word is changed, how; or a function of a Patch in place of these two; what is reported)
DAMAGES = [
    # limbo
    ([["inner"]], several((in_root(LIMBO), be(0)), (led_to(cell(0), REFS), lambda w: w | 1 << 48)), None,
     "list at 0x... is wrongly in limbo, or wrongly not"),
    ([["inner"]], lambda patch: (patch.put(patch.root + LIMBO, patch.word(patch.cell(0))),
                                 patch.put((patch.word(patch.cell(0)) & OFFSET) + LIMBO_PREV, 8)), None,
     "names another one as the one before it in limbo"),
    # slots and references
    ([1, 2], cell(1), be(0), "root[1]: empty slot"),
    ([1, 2], cell(1), be(31 << 3 | 4), "root[1]: slot 0x... is not a value"),
    ([TEXT], cell(0), lambda word: word & OFFSET | 99 << 48, "root[0]: slot 0x... has an unknown kind"),
    ([TEXT], cell(0), plus(8), "root[0]: its value at 0x... is not in use, or belongs to something else too"),
    ([TEXT], led_to(cell(0)), be(1 << 40), "root[0]: its value at 0x... is 1099511627776 long"),
    ([TEXT], led_to(cell(0)), be(1000), "root[0]: its value at 0x... has ... bytes but needs 1008"),
    ([uuid.UUID(int=5)], led_to(cell(0)), be(1),
     "root[0]: a value of a registered type has 1 parts instead of a name and a payload"),
    ([["inner"]], cell(0), be(1 << 44), "root[0]: refers to 0x..., which cannot be an object"),
    ([["inner"]], lambda patch: (patch.put(END, 6 << 32 | 1), patch.put(patch.cell(0), END)), None,
     "root[0]: refers to 0x..., which cannot be an object"),
    ([["inner"]], led_to(cell(0)), lambda word: word | 0xFF << 32,
     "root[0]: refers to 0x..., whose type 255 is unknown"),
    ([["inner"]], led_to(cell(0), REFS), plus(1), "root[0]: list at 0x... counts 2 references, has 1"),
    # texts
    (["an ASCII text"], led_to(cell(0), 8), lambda word: word | 0x80, "its text is not of the kind that its slot says"),
    (["Ā" * 2], led_to(cell(0), 8), be(0x00410041), "its text is not of the kind that its slot says"),
    (["😀" * 2], led_to(cell(0), 8), be(0x41 << 32 | 0x41), "its text is not of the kind that its slot says"),
    (["😀" * 2], led_to(cell(0), 8), be(0x110000), "its text holds a character that is none"),
    # lists
    ([1, 2, 3], in_object(VEC_CAP), be(1 << 61), "has room for ... items, more than the pool can hold"),
    ([1, 2, 3], in_object(VEC_SIZE), be(100), "root: has 100 items and room for ..."),
    ([1, 2, 3], in_object(VEC_DATA), plus(8), "root: its block at 0x... is not in use"),
    ([1, 2, 3], in_object(VEC_CAP), be(1000), "root: its block at 0x... has ... bytes but needs 8000"),
    (list(range(40_000)), in_object(VEC_DIR_CAP), be(1), "root: has room for ... items in a directory of 1"),
    (list(range(40_000)), in_object(VEC_DATA), plus(16), "root: its directory at 0x... is not in use"),
    (list(range(40_000)), led_to(in_object(VEC_DATA), 8), plus(16),
     "root: segment 1: its block at 0x... is not in use"),
    ([["inner"]], lambda patch: patch.change(*bit_of(patch, patch.word(patch.cell(0)) & OFFSET)), None,
     "root[0]: its object at 0x... is not in use"),
    # deques
    (deque(range(500)), in_object(FIRST), be(0), "root: has items 0x... to 0x..., blocks 0x0 to 0x..."),
    (deque([1]), several((in_object(FIRST), be(0)), (in_object(LAST), be(0))), None, "root: has items but no block"),
    (deque(range(500)), in_object(MAXLEN), be(3), "root: has 500 items, but at most 3 may be in it"),
    (deque(range(500)), in_object(FIRST), plus(8),
     "root: its block at 0x... is not in use, or belongs to something else too"),
    (deque(range(500)), led_to(in_object(LAST), CAP), be(1 << 40), "root: has a block of 1099511627776 cells"),
    (deque([1]), led_to(in_object(FIRST), CAP), be(248), "root: its block at 0x... has ... bytes but needs 2016"),
    (deque(range(500)), led_to(in_object(LAST), PREV), be(8),
     "root: its block at 0x... does not follow the one before it"),
    (deque(range(500)), in_object(RIGHT), plus(-300), "root: its block at 0x... holds no item"),
    (deque(range(500)), led_to(in_object(FIRST), NEXT), be(0),
     "root: has items 0x... to 0x... in blocks for 0x... to 0x..."),
    (deque(range(500)), in_object(LEFT), plus(-1), "root: has items 0x... to 0x... in blocks for 0x... to 0x..."),
    (deque(range(500)), led_to(in_object(FIRST), CELLS), be(13 << 48), "root[0]: slot 0x... has an unknown kind"),
    # byte arrays and arrays
    (bytearray(5000), in_object(START_OF), be(1 << 40),
     "root: has 5000 bytes at 1099511627776 of ... in the block at 0x..."),
    (bytearray(5000), in_object(CAP_OF), be(9000), "root: its block at 0x... has ... bytes but needs 9000"),
    (np.zeros((60, 3)), in_object(SIZE_OF), be(1439), "root: has 1439 bytes in rows of 24"),
    (np.zeros((60, 3)), in_object(ROW), be(0), "root: has 1440 bytes in rows of 0"),
    (np.zeros((60, 3)), several((in_object(START_OF), be(24)), (in_object(SIZE_OF), be(1416))), None,
     "root: does not begin with its block"),
    (np.zeros((60, 3)), in_object(DTYPE), be(3), "root: its dtype is not a text"),
    (np.zeros((60, 3)), in_object(SHAPE), be(3), "root: its shape is not a tuple"),
    (np.array(["a text"]), led_to(in_object(56)), be(0x110000),
     "root: a text in it has a character that there is none"),
    # objects
    (thing(a=1), in_object(FIELDS_CAP), lambda word: word & ~0xFFFFFFFF | 77,
     "root: its class number 77 is not in the type table"),
    (thing(a=1), in_object(FIELDS), plus(8), "root: its block at 0x... is not in use"),
    (thing(a=1), led_to(led_to(led_to(in_root(TYPES), VEC_DATA)), VEC_SIZE), plus(-1),
     "its class has no name for this field"),
    # dicts and sets, and their kinds
    (large(), in_object(INDEX), be(0), "root: has 100 entries and no index"),
    (large(OrderedDict), cell(3, 3, 8), be(0), "root key #3: is deleted but still has a value"),
    (large(Counter), in_object(USED), plus(1), "root: counts 101 entries, has 100"),
    (large(), in_object(ENTRIES_SIZE), be(1 << 20), "root: has 1048576 items and room for"),
    (large(), in_object(INDEX), lambda word: word & ~(255 << 56) | 3 << 56, "root: has an index segment of 2**3 cells"),
    (large(), in_object(INDEX), plus(16), "root: its index segment at 0x... is not in use"),
    (large(), led_to(in_object(INDEX)), be(1 << 32 | 1),
     "root: has 1 cells in its index that lead to no entry, or to one with another hash"),
    (large(), lambda patch: fill_cells(patch, 1), None, "root: has an index segment without a free cell"),
    (large(), in_object(INDEX_DEPTH), be(33), "root: has an index of depth 33"),
    (large(count=6000), in_object(INDEX), plus(16), "root: its index directory at 0x... is not in use"),
    (large(count=6000), led_to(in_object(INDEX), 8), lambda word: word & ~(255 << 48) | 9 << 48,
     "root: has a damaged index segment at 1"),
    (large(count=6000), lambda patch: halve(patch), None, "root: has a damaged index directory at 0"),
    ({"a": 1, "b": 2}, cell(1, 3), plus(1), "root key #1: is stored with the hash of another key"),
    (large(), lambda patch: fill_cells(patch, 0), None, "root key #0: entry 0 cannot be found through the index"),
    (lambda pool: pool.new(pmemobj.PersistentDefaultDict, list), in_object(FACTORY), be(13 << 48),
     "root: slot 0x... has an unknown kind"),
    # the type table
    (gone, in_root(TYPES), be(3), "types: is not a list"),
    (gone, led_to(led_to(in_root(TYPES), VEC_DATA)), be(3), "types[0]: is not the record of a class"),
    (gone, led_to(led_to(led_to(led_to(in_root(TYPES), VEC_DATA)), VEC_DATA), 16), be(3), "types[0][2]: is not a name"),
    # trees
    (tree(500), in_object(HEIGHT), be(17), "root: has a tree of height 17 at 0x..."),
    (tree(500), in_object(COUNT), plus(1), "root: counts 501 entries, has 500"),
    (tree(500), in_object(HEIGHT), be(3), "root: its node at 0x... has ... bytes but needs 1960"),
    (tree(500), led_to(in_object(TREE_ROOT)), be(81), "root: the node at 0x... has 81 children"),
    (tree(500), led_to(in_object(TREE_ROOT), COUNTS + 8), plus(1),
     "root: the node at 0x... counts ... entries below child 1, has ..."),
    (tree(500), led_to(in_object(TREE_ROOT), INNER_KEYS + 8), plus(2),
     "root: the node at 0x... has another key than that of its child 1"),
    (tree(500), led_to(in_object(TREE_ROOT), CHILDREN + 8), plus(16), "root: its leaf at 0x... is not in use"),
    (tree(500), node(0, 0), be(0), "root: the leaf at 0x... uses 0x0"),
    (tree(500), node(0, 0), lambda word: word >> 36, "root: the leaf at 0x... has 5 entries"),
    (tree(500), node(0, ORDER), lambda word: word & ~0xFF | 99,
     "root: the leaf at 0x... has entries at 0x..., its order names 0x..."),
    (tree(500), node(0, LEAF_NEXT), be(0), "root: the leaf at 0x... is not linked with the one before it"),
    (tree(1), led_to(in_object(TREE_ROOT), LEAF_NEXT), be(8), "root: the last leaf at 0x... names another one"),
    (tree(500), node(0, LEAF_KEYS + 8), be(2001), "root key #2: is not above the one before it"),
    (tree(20, "key number {:03}".format), led_to(in_object(TREE_ROOT), 72), plus(1),
     "root: the leaf at 0x... does not tell how its key at 0 begins"),
    (tree(20, "a key that goes on, number {:09}".format), led_to(in_object(TREE_ROOT), 72), plus(1 << 8),
     "root: the leaf at 0x... does not tell how its key at 0 begins"),
    (tree(500), in_object(KEY_NAME), be(13 << 48), "root: slot 0x... has an unknown kind"),
    # pages, chunks, and libpmemobj's own structures
    ([1], in_root(CHUNKS), be(1 << 44), "a list of chunks is broken at 0x..."),
    ([1], page(40), be(4096), "the page at 0x... names 0x1000 as the one before it"),
    ([1], page(56), lambda word: word & ~0xFFFFFFFF | 8, "the page at 0x... has a damaged header"),
    ([1], page(24), lambda word: word & ~(1 << 63), "the page at 0x... has a free block past its end"),
    ([1], page(56), lambda word: word & ~(1 << 48), "the page at 0x... has room but is wrongly listed"),
    ([1], chunk(40), lambda word: word ^ 1 << 40, "the chunk at 0x... has a damaged header"),
    ([1], chunk(56), lambda word: word | 1, "the chunk at 0x... has damaged spans"),
    ([1], chunk(32), be(0), "the chunk at 0x... has room but is wrongly listed"),
    ([1], lambda patch: patch.put(empty_class(patch), SIZE - (1 << 20)), None,
     "a list names 0x..., which is not in use"),
    ([1], lambda patch: patch.change((1 << 13) + 8, plus(1)), None, "heap: ..."),
]  # fmt: skip


def bit_of(patch, offset):
    """The word of its page's bitmap, and what clears the block's bit there."""
    page = offset & ~4095
    number = (offset - page - 64) // (patch.word(page + 56) & 0xFFFFFFFF)
    return page + number // 64 * 8, lambda bits: bits & ~(1 << number % 64)


def fill_cells(patch, word):
    """All of the only segment."""
    segment = patch.word(patch.object + INDEX)
    for at in range(segment & OFFSET, (segment & OFFSET) + (8 << (segment >> 56)), 8):
        patch.put(at, word)


def halve(patch):
    """The first segment says that twice as many places of the directory are its own."""
    directory = patch.word(patch.object + INDEX)
    segment = patch.word(directory)
    patch.put(directory, segment & ~(255 << 48) | ((segment >> 48 & 255) - 1) << 48)


def as_expression(text):
    return ".+?".join(re.escape(part) for part in re.split(r"\.\.\.|0x\.\.\.", text))


# --- what tells of faults


def messages():
    """Of the checker's sources: as often as it is written there."""
    directory = Path(pmemobj.__file__).parent
    for name in SOURCES:
        text = (directory / name).read_text()
        for found in re.finditer(
            r'(?:fault|findings\.append)\(\s*f?"([^\n]+?)"\s*\)|return f?"(its text .+?)"', text
        ):
            message = found[1] or found[2]
            if (
                "{what}" not in message
                or "usable" in message
                or "not in use" in message
                or "begins" in message
            ):
                yield re.sub(r"\{.+?\}", "...", re.sub(r"\{[^{}]*'[^{}]*\}", "...", message))
        for found in re.finditer(r'\.block\([^"\n]+, f?"([^"]+)"\)', text):
            yield re.sub(r"\{.+?\}", "...", found[1]) + " at 0x..."


def test_the_messages_are_found():
    found = Counter(messages())
    assert found["empty slot"] == 1
    assert found["its text is not of the kind that its slot says"] == 3
    assert found["its index directory at 0x..."] == 1
    assert len(found) > 60


def test_every_message_has_a_damage():
    rows = [expected for *_damage, expected in DAMAGES]
    for message, often in Counter(messages()).items():
        there = sum(bool(re.search(as_expression(message), row)) for row in rows)
        assert there >= often, message


@pytest.fixture
def path():
    """In memory: nothing here is about a disk."""
    with tempfile.TemporaryDirectory(prefix="pmemobj-invariants-", dir=MEMORY) as directory:
        yield os.path.join(directory, "pool")


@pytest.mark.parametrize("number", range(len(DAMAGES)), ids=lambda i: f"{i} {DAMAGES[i][-1]}")
def test_is_reported(path, number):
    made, where, how, expected = DAMAGES[number]
    with pmemobj.create(path, SIZE, sync="manual") as pool:
        pool.root = made(pool) if callable(made) else made
        assert pool.check().ok
    patch = Patch(path)
    if how is None:
        where(patch)
    else:
        patch.change(where(patch), how)
    report = pmemobj.check(path)
    assert any(re.search(as_expression(expected), line) for line in report.findings), report.findings
