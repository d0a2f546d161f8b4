"""What the tests of list and tuple share: the values that can be stored, and a measure of leaks."""

import gc

from hypothesis import strategies as st

#: Cells in one block; a longer list has several.
SEGMENT = 32760

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(max_size=40),
    st.binary(max_size=40),
)
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.frozensets(st.integers() | st.text(max_size=9)),
    ),
    max_leaves=5,
)
#: Few different ones, so that searches find something.
common = st.sampled_from([0, 1, 1.0, True, -1, "", "a", "a" * 30, b"a", (), (1, "a" * 30), None, 2**70, [1]])
items = st.one_of(common, common, values)

#: One of each kind of slot: inline, a block, blocks in a block, an object.
KINDS = [7, "a long string, in a block", (1, "nested in a tuple " * 2, 2**100), [1, [2]]]


def plain(value):
    """The value with persistent lists as plain lists, all the way down."""
    if hasattr(value, "_p_mm"):
        return [plain(item) for item in value]
    if type(value) is tuple:
        return tuple(map(plain, value))
    return value


def spelled(value):
    """Like repr, but the members of equal sets come in the same order, however each set was built."""
    if type(value) is frozenset:
        return f"frozenset({sorted(map(spelled, value))})"
    if type(value) in (list, tuple):
        return f"{type(value).__name__}({list(map(spelled, value))})"
    return repr(value)


def in_use(pool):
    """Bytes in use once nothing is left that only waits for its destruction."""
    gc.collect()
    pool._drain()
    return pool._allocated()[0]


def check_freed_with_a_cycle(pool, value, size):
    """The collector frees what a list that holds itself refers to: `value`, of more than so many bytes."""
    pool.root = [[value]]
    inner = pool.root[0]
    inner.append(inner)
    used = in_use(pool)
    del inner
    pool.root.clear()
    assert pool.gc().objects == 2
    assert in_use(pool) < used - size
