"""What the tests of dict and set share: keys and values that can be stored, and a measure of leaks."""

import gc

from hypothesis import strategies as st

#: Entries in one block of a dict or set; a bigger one has several.
DICT_SEGMENT = 32760 // 3
SET_SEGMENT = 32760 // 2

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 20),
    st.integers(),
    st.integers(-(2**100), 2**100),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(max_size=12),
    st.text("abc", max_size=30),
    st.binary(max_size=12),
)
#: Few different ones, many of them equal to each other or of the same hash, so that lookups find something.
common = st.sampled_from(
    [
        *(
            0,
            0.0,
            -0.0,
            False,
            1,
            1.0,
            True,
            1 + 0j,
            2,
            -1,
            -2,
            2**61 - 1,
            2**61,
            2**80,
            float(2**80),
            0.5,
            1e300,
        ),
        *(
            "",
            "a",
            "b",
            "1",
            "a" * 7,
            "a" * 8,
            "a" * 9,
            "é",
            "é" * 20,
            "\u20ac",
            "\U0001f600",
            "\ud800",
            "a\0b",
        ),
        *(b"", b"a", b"a" * 9, None, ..., (), (1,), (1.0,), (True, "a"), ((1, "a" * 20), 2), (2**80,)),
        *(frozenset(), frozenset([1]), frozenset([1.0, "a"]), (frozenset([1, 2]), None)),
    ]
)
keys = st.one_of(common, common, scalars, st.tuples(scalars, scalars), st.frozensets(scalars, max_size=3))
values = st.one_of(
    scalars,
    st.tuples(scalars, scalars),
    st.lists(scalars, max_size=3),
    st.dictionaries(st.integers(0, 3) | st.text("ab", max_size=9), scalars, max_size=3),
    st.sets(st.integers(0, 9), max_size=3),
)

#: One of each kind of slot: inline, a block, blocks in a block, an object.
KINDS = [7, "a long string, in a block", (1, "nested in a tuple " * 2, 2**100), [1, [2]]]


def plain(value):
    """The value with persistent containers as plain ones, all the way down."""
    kind = type(value).__name__
    if kind == "PersistentList":
        return [plain(item) for item in value]
    if kind == "PersistentDict":
        return {key: plain(item) for key, item in value.items()}
    if kind == "PersistentSet":
        return set(value)
    if type(value) is tuple:
        return tuple(map(plain, value))
    return value


def exact(items):
    """For comparing keys with their types: 1, 1.0 and True are equal, 0.0 and -0.0 too."""
    return [(type(item), repr(item) if isinstance(item, (int, float, complex)) else item) for item in items]


def in_use(pool):
    """Bytes in use once nothing is left that only waits for its destruction."""
    gc.collect()
    pool._drain()
    return pool._allocated()[0]
