"""Damaged deques, sorted containers, and what compact() follows: PoolDamagedError from every use, and nothing else."""

import os
import pathlib
import struct

import numpy as np
import pytest

import pmemobj
from tests.malformed import bases
from tests.malformed.bases import CHILDREN, COUNTS, KEYS, OFFSET
from tests.malformed.worker import extents

#: What says nothing of damage may be wrong, but is of the kinds that the methods raise.
ANSWERS = (IndexError, KeyError, TypeError, ValueError)
FAR = [8, 1 << 40, 1 << 63, (1 << 64) - 8, 3]


def raising(path, uses):
    """The names of the uses that raise PoolDamagedError, each of a pool of its own."""
    raised = set()
    content = path.read_bytes()
    parts = extents(content)
    for name, use in uses.items():
        with path.open("wb") as file:
            for at, data in parts:
                os.pwrite(file.fileno(), data, at)
            file.truncate(len(content))
        pool = pmemobj.open(path, "w", sync="manual")
        try:
            use(pool.root)
        except pmemobj.PoolDamagedError:
            raised.add(name)
        except ANSWERS:
            pass
        finally:
            pool.close()
    return raised


def compacted(root):
    to = root._p_mm.path + ".copy"
    try:
        root._p_mm.compact(to)
    finally:
        pathlib.Path(to).unlink(missing_ok=True)


DEQUE = {
    "first": lambda root: root[0],
    "last": lambda root: root[-1],
    "all": list,
    "backwards": lambda root: list(reversed(root)),
    "index": lambda root: root.index("none"),
    "append": lambda root: root.append(1),
    "append left": lambda root: root.appendleft("a text of its own"),
    "pop": lambda root: root.pop(),
    "pop left": lambda root: root.popleft(),
    "set": lambda root: root.__setitem__(0, [1]),
    "insert": lambda root: root.insert(1, 5),
    "insert behind": lambda root: root.insert(-1, 5),
    "delete": lambda root: root.__delitem__(1),
    "delete behind": lambda root: root.__delitem__(-2),
    "rotate": lambda root: root.rotate(3),
    "reverse": lambda root: root.reverse(),
    "extend": lambda root: root.extend(range(50)),
    "extend left": lambda root: root.extendleft(range(50)),
    "clear": lambda root: root.clear(),
    "usage": lambda root: root._p_mm.usage(),
    "compact": compacted,
}
AT_FIRST = {
    "first",
    "all",
    "append left",
    "pop left",
    "set",
    "insert",
    "delete",
    "rotate",
    "reverse",
    "extend left",
}
AT_LAST = {
    "last",
    "backwards",
    "append",
    "pop",
    "insert behind",
    "delete behind",
    "rotate",
    "reverse",
    "extend",
}


def in_blocks(pool_path):
    """Three blocks."""
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = bases.short_blocks(pool)
        return pmemobj._core.object_at(pool.root)


def changed(path, at, function):
    """A word of a closed pool becomes what the function makes of it."""
    with open(path, "r+b") as file:
        file.seek(at)
        word = function(struct.unpack("<Q", file.read(8))[0])
        file.seek(at)
        file.write(struct.pack("<Q", word & (1 << 64) - 1))


def word_at(path, at):
    return struct.unpack_from("<Q", path.read_bytes(), at)[0]


@pytest.mark.parametrize("to", FAR)
def test_deque_whose_ends_are_elsewhere(pool_path, to):
    at = in_blocks(pool_path)
    content = pool_path.read_bytes()
    changed(pool_path, at + 48, lambda _: to)
    assert raising(pool_path, DEQUE) >= {*AT_FIRST, "compact"}
    pool_path.write_bytes(content)
    changed(pool_path, at + 56, lambda _: to)
    assert raising(pool_path, DEQUE) >= {*AT_LAST, "clear", "compact"}


#: Words of a block: the next one, the one before, its first position, its cells.
NEXT, PREVIOUS, START, CELLS = 0, 8, 16, 24


@pytest.mark.parametrize(
    ("field", "function"),
    [
        (START, lambda word: word + 1),
        (START, lambda word: 0),
        (CELLS, lambda word: 0),
        (CELLS, lambda word: 249),
        (CELLS, lambda word: 1 << 61),
        (CELLS, lambda word: (1 << 64) - 1),
    ],
)
def test_deque_with_a_damaged_block(pool_path, field, function):
    at = in_blocks(pool_path)
    changed(pool_path, word_at(pool_path, at + 48) + field, function)
    assert raising(pool_path, DEQUE) >= {"all", "index", "compact", "clear"}


@pytest.mark.parametrize("to", [*FAR, "itself", "first"])
def test_deque_whose_chain_leads_elsewhere(pool_path, to):
    """A chain that came round was walked for ever.  What can be reached from the other end is still there."""
    at = in_blocks(pool_path)
    first = word_at(pool_path, at + 48)
    second = word_at(pool_path, first + NEXT)
    content = pool_path.read_bytes()
    leads = {"itself": second, "first": first}.get(to, to)
    changed(pool_path, second + NEXT, lambda _: leads)
    assert raising(pool_path, DEQUE) == set()
    changed(pool_path, at + 56, lambda _: to if isinstance(to, int) else second)
    assert raising(pool_path, DEQUE) >= {"all", "index", "compact"}
    pool_path.write_bytes(content)
    leads = {"itself": second, "first": word_at(pool_path, at + 56)}.get(to, to)
    changed(pool_path, second + PREVIOUS, lambda _: leads)
    assert raising(pool_path, DEQUE) >= {"clear"}


@pytest.mark.parametrize("right", [1 << 63, (1 << 64) - 1, 0])
def test_deque_of_more_items_than_can_be(pool_path, right):
    """len() raised SystemError or OverflowError."""
    at = in_blocks(pool_path)
    changed(pool_path, at + 40, lambda _: right)
    found = raising(pool_path, {**DEQUE, "len": len})
    assert found >= {"len", "last", "all", "backwards", "pop", "rotate", "insert", "compact"}


@pytest.mark.parametrize("far", [10_000, 1 << 40])
def test_deque_whose_items_lie_beyond_its_blocks(pool_path, far):
    """A new block was joined, and items were written behind it."""
    at = in_blocks(pool_path)
    content = pool_path.read_bytes()
    changed(pool_path, at + 40, lambda right: right + far)
    assert raising(pool_path, DEQUE) >= {"last", "pop", "append", "extend", "insert behind", "compact"}
    pool_path.write_bytes(content)
    changed(pool_path, at + 32, lambda left: left - far)
    assert raising(pool_path, DEQUE) >= {"first", "pop left", "append left", "extend left", "compact"}


@pytest.mark.parametrize("end", [48, 56])
def test_deque_whose_cells_lie_beyond_the_pool(pool_path, end):
    """The hot paths computed an address from what the block says."""
    at = in_blocks(pool_path)
    block = word_at(pool_path, at + end)
    changed(pool_path, block + START, lambda start: start - (1 << 40))
    changed(pool_path, block + CELLS, lambda _: 1 << 60)
    assert raising(pool_path, DEQUE) >= ({"append left", "pop left"} if end == 48 else {"append", "pop"})


def test_deque_with_a_block_that_the_pool_ends_in(pool_path):
    at = in_blocks(pool_path)
    left = word_at(pool_path, at + 32)
    block = pool_path.stat().st_size - 64
    for i, word in enumerate((0, 0, left - 200, 248)):
        changed(pool_path, block + 8 * i, lambda _, word=word: word)
    changed(pool_path, at + 48, lambda _: block)
    assert raising(pool_path, DEQUE) >= {"first", "all", "pop left", "set", "compact"}


SORTED = {
    "get": lambda root: root.get("key number 100"),
    "in": lambda root: "none" in root,
    "other kind": lambda root: root.get((1, 2)),
    "first": lambda root: root.peekitem(0),
    "last": lambda root: root.peekitem(),
    "all": list,
    "backwards": lambda root: list(reversed(root)),
    "range": lambda root: list(root.irange("key number 020", "key number 120")),
    "bisect": lambda root: root.bisect_left("key number 050"),
    "set": lambda root: root.__setitem__("key number 070", "a text of its own"),
    "insert": lambda root: root.__setitem__("key number 070+", 1),
    "insert last": lambda root: root.__setitem__("l", 1),
    "update": lambda root: root.update({f"key number {i:03}+": i for i in range(150)}),
    "delete": lambda root: root.__delitem__("key number 020"),
    "delete many": lambda root: [root.popitem(0) for _ in range(140)],
    "delete last": lambda root: [root.popitem() for _ in range(140)],
    "clear": lambda root: root.clear(),
    "gc": lambda root: root._p_mm.gc(),
    "usage": lambda root: root._p_mm.usage(),
    "compact": compacted,
}
#: Of a sorted container: where it says how many entries it has, where its root is and how high it stands.
COUNT, ROOT, HEIGHT = 32, 48, 56
NEXT_LEAF, PREVIOUS_LEAF, ORDER, COMMON = 8, 16, 24, 72
HEADS_WHOLE = 1 << 8


def in_leaves(pool_path):
    """(the object, its root, its first leaf): a node and some leaves."""
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = pool.new(pmemobj.PersistentSortedDict, {f"key number {i:03}": i for i in range(150)})
        at = pmemobj._core.object_at(pool.root)
    root = word_at(pool_path, at + ROOT)
    return at, root, word_at(pool_path, root + CHILDREN)


@pytest.mark.parametrize("to", FAR)
def test_tree_whose_root_is_elsewhere(pool_path, to):
    at, _root, _leaf = in_leaves(pool_path)
    changed(pool_path, at + ROOT, lambda _: to)
    assert raising(pool_path, SORTED) == set(SORTED) - {"usage"}


@pytest.mark.parametrize("height", [17, 1 << 32, 1 << 63])
def test_tree_of_a_height_that_cannot_be(pool_path, height):
    at, _root, _leaf = in_leaves(pool_path)
    changed(pool_path, at + HEIGHT, lambda _: height)
    assert raising(pool_path, SORTED) == set(SORTED) - {"usage"}


def test_tree_whose_root_leads_to_itself(pool_path):
    """And so often that no way down has room for it."""
    at, root, _leaf = in_leaves(pool_path)
    changed(pool_path, at + HEIGHT, lambda _: 1 << 20)
    for child in range(word_at(pool_path, root)):
        changed(pool_path, root + CHILDREN + 8 * child, lambda _: root)
    assert raising(pool_path, SORTED) == set(SORTED) - {"usage"}
    changed(pool_path, at + HEIGHT, lambda _: 16)
    assert raising(pool_path, SORTED) >= {"get", "all", "last", "gc", "compact", "clear"}


@pytest.mark.parametrize("size", [0, 61, 1 << 40])
def test_tree_with_a_node_of_a_size_that_cannot_be(pool_path, size):
    _at, root, _leaf = in_leaves(pool_path)
    changed(pool_path, root, lambda _: size)
    assert raising(pool_path, SORTED) == set(SORTED) - {"usage"}


@pytest.mark.parametrize("to", FAR)
def test_tree_whose_child_is_elsewhere(pool_path, to):
    _at, root, _leaf = in_leaves(pool_path)
    for child in range(word_at(pool_path, root)):
        changed(pool_path, root + CHILDREN + 8 * child, lambda _: to)
    assert raising(pool_path, SORTED) == set(SORTED) - {"usage", "other kind"}


@pytest.mark.parametrize("number", [48, 63, 64, 255])
def test_leaf_whose_order_names_no_entry(pool_path, number):
    _at, _root, leaf = in_leaves(pool_path)
    changed(pool_path, leaf + ORDER, lambda word: word & ~0xFF00 | number << 8)
    assert raising(pool_path, SORTED) >= {"first", "all", "delete", "clear", "gc", "compact"}


@pytest.mark.parametrize("used", [1 << 48, (1 << 64) - 1, 0])
def test_leaf_with_entries_that_cannot_be(pool_path, used):
    _at, _root, leaf = in_leaves(pool_path)
    changed(pool_path, leaf, lambda _: used)
    assert raising(pool_path, SORTED) >= {"first", "all", "gc", "compact"}


@pytest.mark.parametrize("to", [*FAR, "itself"])
def test_leaves_that_lead_elsewhere(pool_path, to):
    _at, _root, leaf = in_leaves(pool_path)
    second = word_at(pool_path, leaf + NEXT_LEAF)
    content = pool_path.read_bytes()
    changed(pool_path, second + NEXT_LEAF, lambda _: second if to == "itself" else to)
    assert raising(pool_path, SORTED) >= {"gc"} | (
        set() if to == "itself" else {"all", "range", "delete many"}
    )
    pool_path.write_bytes(content)
    changed(pool_path, second + PREVIOUS_LEAF, lambda _: second if to == "itself" else to)
    if to != "itself":
        assert raising(pool_path, SORTED) >= {"backwards", "delete many", "clear"}


@pytest.mark.parametrize("count", [0, 1, 151, 1 << 40, 1 << 63])
def test_tree_that_counts_wrong(pool_path, count):
    """gc() would take objects for garbage of which it met no leaf."""
    at, root, _leaf = in_leaves(pool_path)
    content = pool_path.read_bytes()
    changed(pool_path, at + COUNT, lambda _: count)
    found = raising(pool_path, {**SORTED, "len": len})
    assert found >= {"gc", "compact"}
    assert count < 1 << 40 or "len" in found
    pool_path.write_bytes(content)
    for child in range(word_at(pool_path, root)):
        changed(pool_path, root + COUNTS + 8 * child, lambda _: count)
    raising(pool_path, SORTED)


def test_compact_of_a_tree_whose_nodes_share_their_children(pool_path):
    """It ends with the first leaf too many, not when the copy is full."""
    with pmemobj.create(pool_path, 16 << 20, sync="manual") as pool:
        pool.root = pool.new(pmemobj.PersistentSortedDict, dict.fromkeys(range(12_000)))
        at = pmemobj._core.object_at(pool.root)
    root = word_at(pool_path, at + ROOT)
    first, second = (word_at(pool_path, root + CHILDREN + 8 * i) for i in range(2))
    leaf = word_at(pool_path, second + CHILDREN)
    for node, child in (root, first), (first, second), (second, leaf):
        for i in range(word_at(pool_path, node)):
            changed(pool_path, node + CHILDREN + 8 * i, lambda _, child=child: child)
    changed(pool_path, at + HEIGHT, lambda _: 4)
    with pmemobj.open(pool_path, "w") as pool, pytest.raises(pmemobj.PoolDamagedError):
        pool.compact(pool_path.with_suffix(".compact"))


@pytest.mark.parametrize("length", [25, 1 << 40, (1 << 64) - 2])
def test_keys_that_have_more_in_common_than_can_be(pool_path, length):
    """Then it is as if they had nothing in common."""
    _at, root, leaf = in_leaves(pool_path)
    for at in (root + 8, leaf + COMMON):
        changed(pool_path, at, lambda _: length)
    assert raising(pool_path, SORTED) == set()


def test_texts_of_keys_that_are_elsewhere(pool_path):
    """They are compared where they lie."""
    _at, _root, leaf = in_leaves(pool_path)
    for i in range(30):
        changed(pool_path, leaf + KEYS + 8 * i, lambda word: word & ~OFFSET | 1 << 40)
    assert raising(pool_path, SORTED) >= {"first", "all", "delete", "range", "compact"}


def test_numbers_of_keys_that_are_elsewhere(pool_path):
    """Floats that need a block."""
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = pool.new(pmemobj.PersistentSortedDict, {10.0 ** (100 + i): i for i in range(150)})
        at = pmemobj._core.object_at(pool.root)
    leaf = word_at(pool_path, word_at(pool_path, at + ROOT) + CHILDREN)
    for i in range(30):
        changed(pool_path, leaf + KEYS + 8 * i, lambda word: word & ~OFFSET | 1 << 40)
    uses = {
        "get": lambda root: root.get(1e110),
        "of an int": lambda root: root.get(10**5),
        "first": lambda root: root.peekitem(0),
        "all": list,
        "insert": lambda root: root.__setitem__(1e110 + 1e95, 1),
        "delete": lambda root: root.__delitem__(1e110),
        "bisect": lambda root: root.bisect_left(1e110),
        "compact": compacted,
    }
    assert raising(pool_path, uses) == set(uses)


def test_text_of_a_key_that_is_longer_than_the_pool(pool_path):
    _at, _root, leaf = in_leaves(pool_path)
    for i in range(20):
        changed(pool_path, word_at(pool_path, leaf + KEYS + 8 * i) & OFFSET, lambda _: 1 << 40)
    changed(pool_path, leaf + COMMON, lambda word: word & ~HEADS_WHOLE)  # else nobody would look
    uses = {"long": lambda root: root.get("key number 010" + "\0" * 100_000), **SORTED}
    assert raising(pool_path, uses) >= {"long", "first", "all", "compact"}


@pytest.mark.parametrize(
    "word", [8, 1 << 40, 1 << 48 | 1 << 40, 9 << 48 | 8, 13 << 48 | 4096, 9 << 48 | 1 << 40]
)
def test_compact_looks_at_each_slot(pool_path, word):
    """It followed what the slots of a damaged pool said."""
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = [1, 2, 3]
        at = pmemobj._core.object_at(pool.root)
    changed(pool_path, word_at(pool_path, at + 48), lambda _: word)
    assert raising(pool_path, {"compact": compacted}) == {"compact"}


def test_compact_of_a_tuple_that_holds_itself(pool_path):
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = [(1, "a text in a tuple")]
        at = pmemobj._core.object_at(pool.root)
    slot = word_at(pool_path, word_at(pool_path, at + 48))
    changed(pool_path, (slot & OFFSET) + 8, lambda _: slot)
    with pmemobj.open(pool_path, "w") as pool, pytest.raises(pmemobj.PoolDamagedError, match="nested"):
        pool.compact(pool_path.with_suffix(".compact"))


@pytest.mark.parametrize("at", [48, 40])
def test_compact_looks_at_each_vector(pool_path, at):
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = [1, 2, 3]
        where = pmemobj._core.object_at(pool.root) + at
    changed(pool_path, where, lambda _: 1 << 40)
    assert raising(pool_path, {"compact": compacted}) == {"compact"}


def test_length_of_a_byte_array_that_cannot_be(pool_path):
    """len() raised SystemError."""
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = bytearray(b"some bytes")
        at = pmemobj._core.object_at(pool.root)
    changed(pool_path, at + 32, lambda _: (1 << 64) - 1)
    assert raising(pool_path, {"len": len, "compact": compacted}) == {"len", "compact"}


def test_compact_looks_at_the_fields_of_objects(pool_path):
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = [pool.new(bases.Thing)]
        pool.root[0].number = 1
        at = pmemobj._core.object_at(pool.root[0])
    changed(pool_path, at + 40, lambda _: 1 << 40)
    assert raising(pool_path, {"compact": compacted}) == {"compact"}


@pytest.mark.parametrize(
    "value", [(1, "a text in a tuple"), frozenset({"a long text"})], ids=["tuple", "frozenset"]
)
@pytest.mark.parametrize(
    "use",
    [
        lambda pool: pool.root[0],
        lambda pool: pool.root == [1],
        lambda pool: pool.root.pop(),
        lambda pool: pool.root.__setitem__(0, None),
        lambda pool: pool.root.clear(),
        lambda pool: pool.root.extend(pool.root),
        lambda pool: 5 in pool.root,
        lambda pool: pool.to_python(pool.root),
        lambda pool: setattr(pool, "root", None),
        lambda pool: pool.gc(),
    ],
    ids=["load", "compare", "pop", "replace", "clear", "extend", "in", "to_python", "root", "gc"],
)
def test_a_value_that_holds_itself(pool_path, value, use):
    """The interpreter's limit of recursion was not heeded: the stack overflowed, and gc() never ended."""
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = [value]
        at = pmemobj._core.object_at(pool.root)
    slot = word_at(pool_path, word_at(pool_path, at + 48))
    changed(pool_path, (slot & OFFSET) + 8, lambda _: slot)
    with pmemobj.open(pool_path, "w") as pool:
        with pytest.raises((RecursionError, pmemobj.PoolDamagedError)):
            use(pool)
        assert not pool.check().ok


def test_hash_of_a_persistent_tuple_that_holds_itself(pool_path):
    """The stack overflowed."""
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = [pool.new(pmemobj.PersistentTuple, (1, "a text in a tuple"))]
        at = pmemobj._core.object_at(pool.root[0])
    changed(pool_path, word_at(pool_path, at + 48), lambda _: at)
    with pmemobj.open(pool_path, "r") as pool:
        with pytest.raises((RecursionError, pmemobj.PoolDamagedError)):
            hash(pool.root[0])
        assert not pool.check().ok


def test_hash_of_a_persistent_frozenset_that_holds_itself(pool_path):
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = [pool.new(pmemobj.PersistentFrozenSet, ["a text in a frozenset"])]
        at = pmemobj._core.object_at(pool.root[0])
    changed(pool_path, word_at(pool_path, at + 56) + 8, lambda _: at)
    with pmemobj.open(pool_path, "r") as pool:
        for use in (hash, set, repr, lambda x: x == {1}, lambda x: {x: 1}, lambda x: x.union([2])):
            try:
                use(pool.root[0])
            except (RecursionError, pmemobj.PoolDamagedError):
                continue
            assert use is repr or use(pool.root[0]) is False
        assert not pool.check().ok


TEXTS = [
    ["some", "texts"],
    [[["a"]]],
    np.array(["a", "bc"], ">U4"),
    np.array([("a", 1)], [("text", "U3"), ("n", "i8")]),
    np.array([((1, ["b", "c"]),)], [("inner", [("n", "i4"), ("texts", "<U2", (2,))])]),
]


@pytest.mark.parametrize("number", [0x110000, (1 << 32) - 1, 1 << 31])
@pytest.mark.parametrize("value", TEXTS)
def test_array_with_a_text_of_no_characters(pool_path, value, number):
    """NumPy raised SystemError, "invalid maximum character", or made a str of it; and check() said nothing."""
    model = np.array(value)
    order = ">" if ">" in model.dtype.str else "<"
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = model
        assert pool.check().ok
    with pmemobj.open(pool_path, "r") as pool:
        at = word_at(pool_path, pmemobj._core.object_at(pool.root) + 56)
    changed(pool_path, at, lambda word: int.from_bytes(struct.pack(order + "II", number, number), "little"))
    with pmemobj.open(pool_path, "r") as pool:
        uses = [repr, str, format, lambda a: a.tolist(), lambda a: a._check()]
        if model.ndim == 1 and model.dtype.names is None:
            uses.append(lambda a: a[0])
        for use in uses:
            with pytest.raises(pmemobj.PoolDamagedError, match="a character that there is none"):
                use(pool.root)
        report = pool.check()
        assert not report.ok
        assert "a text in it has a character that there is none" in str(report)


@pytest.mark.parametrize("at", [32, 40, 48, 56])
@pytest.mark.parametrize("word", [1 << 20, 1 << 40, (1 << 64) - 8])
def test_array_of_texts_that_are_elsewhere(pool_path, at, word):
    """check() read as many bytes as the array said that it has: a segmentation fault."""
    with pmemobj.create(pool_path, 8 << 20, sync="manual") as pool:
        pool.root = np.array(["some", "texts"])
        head = pmemobj._core.object_at(pool.root)
    changed(pool_path, head + at, lambda _old: word)
    with pmemobj.open(pool_path, "r") as pool:
        assert not pool.check().ok
