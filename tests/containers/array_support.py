"""Arrays of every dtype, and what is the same in a stored one."""

import numpy as np
from numpy.testing import assert_array_equal

from pmemobj import PersistentArray

POINT = np.dtype([("name", "U5"), ("at", "<f8", (2,)), ("inner", [("flag", "?"), ("n", "<i2")])])
ALIGNED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
DTYPES = [
    *"?bBhHiIlLqQefdgFDG",
    ">i4",
    "S5",
    "U3",
    "S0",
    "V7",
    "M8[us]",
    "m8[D]",
    "M8[25s]",
    POINT,
    ALIGNED,
]


def of_dtype(dtype, shape):
    """Bytes that make a value of every dtype."""
    dtype = np.dtype(dtype)
    made = np.zeros(shape, dtype)
    if made.size and dtype.itemsize:
        numbers = np.arange(made.size).reshape(shape)
        if dtype.names is None:
            made[...] = numbers if dtype.kind != "V" else b"xy"
        else:
            made[dtype.names[0]] = numbers
    return made


def check_equal(stored, model):
    """The same contents, shape and dtype."""
    assert type(stored) is PersistentArray
    assert stored.shape == model.shape
    assert stored.dtype == model.dtype
    if model.dtype.kind == "V" and model.dtype.names is None:
        assert np.asarray(stored).tobytes() == model.tobytes()
    assert_array_equal(stored, model)
    stored._check()


RESIZING = {
    "append": lambda a: a.append(np.full(a.shape[1:], 3)),
    "append many": lambda a: [a.append(np.full(a.shape[1:], i)) for i in range(40)],
    "extend": lambda a: a.extend(np.ones((5, *a.shape[1:]))),
    "extend by itself": lambda a: a.extend(a),
    "resize": lambda a: a.resize(len(a) + 7),
    "resize down": lambda a: a.resize(2),
    "resize to nothing": lambda a: a.resize(0),
    "resize by shape": lambda a: a.resize((1, *a.shape[1:])),
}
