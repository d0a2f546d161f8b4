"""Texts in arrays: NumPy has four bytes for each character, and makes a str of them whatever they say.

A number that is no character, as damage may leave it, makes that a SystemError, or a str that is none.  What others do
with a view of the memory cannot be looked at.  So pool.check() looks, and PersistentArray where it makes a str itself.
"""

import ast
from typing import Any

__all__ = ["has_invalid_text", "is_invalid"]

LAST = 0x10FFFF  # code point of the last character


def has_invalid_text(array: Any) -> bool:
    """Whether an ndarray, which may be of a structure, holds a number that is no character."""
    import numpy as np

    dtype = array.dtype
    if dtype.names is not None:
        return any(has_invalid_text(array[name]) for name in dtype.names)
    if dtype.kind != "U" or not array.size or not dtype.itemsize:
        return False
    numbers = np.ascontiguousarray(array).reshape(-1).view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
    return bool(numbers.max() > LAST)


def is_invalid(description: str, data: bytes) -> bool:
    """The same of these bytes, whose dtype is described so (see _array.pyx); False where NumPy cannot tell."""
    try:
        import numpy as np

        dtype = np.lib.format.descr_to_dtype(ast.literal_eval(description))
        return has_invalid_text(np.frombuffer(data, dtype))
    except (ImportError, ValueError, TypeError, SyntaxError, KeyError, IndexError):
        return False
