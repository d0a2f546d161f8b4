"""PersistentTuple: an explicit, lazy tuple in a pool.  A plain tuple that is stored comes back as a tuple instead."""

cimport cython

from pmemobj._core cimport Pool, check_read, register_class
from pmemobj._layout cimport PM_TYPE_TUPLE
from pmemobj._sequence cimport PersistentSequence, cells_of, compare, create, initial_items, read_items

from collections.abc import Sequence
from copy import deepcopy

cdef extern from "Python.h":
    int Py_EnterRecursiveCall(const char *where) except *
    void Py_LeaveRecursiveCall() noexcept

__all__ = ["PersistentTuple"]


@cython.collection_type("sequence")
cdef class PersistentTuple(PersistentSequence):
    """A tuple that lives in a pool and is read item by item: ``pool.new(PersistentTuple, iterable)``.

    For big tuples.  It has the API of tuple, compares and hashes as the tuple of its items, and finds the same
    keys.  Slices, ``+`` and ``*`` give plain tuples.  Plain lists, dicts and sets in it are stored as persistent
    copies; such a tuple is not hashable.

    Every method raises PoolClosedError and StaleObjectError.
    """

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        """A new object of this pool, from the arguments of pool.new()."""
        cdef tuple items = initial_items("PersistentTuple", args, kwargs)
        cdef PersistentTuple made = PersistentTuple.__new__(cls)
        create(made, pool, PM_TYPE_TUPLE, items)
        return made

    # Here and not in the base: a class that sets its hash does not inherit the comparisons.
    def __richcmp__(self, other, int op):
        return compare(self, other, op)

    def __hash__(self):
        Py_EnterRecursiveCall(b" while hashing a tuple")   # a damaged one may hold itself
        try:
            return hash(self._p_stable_hash())
        finally:
            Py_LeaveRecursiveCall()

    def _p_stable_hash(self):
        """The plain tuple, which has the same stable hash."""
        check_read(self)
        return tuple(read_items(self, 0, cells_of(self).size))

    def __reduce__(self):
        check_read(self)
        return tuple, (read_items(self, 0, cells_of(self).size),)

    def __deepcopy__(self, memo):
        check_read(self)
        items = tuple([deepcopy(item, memo) for item in read_items(self, 0, cells_of(self).size)])
        return memo.setdefault(id(self), items)     # one of the items may lead here, and is copied already


register_class(PM_TYPE_TUPLE, PersistentTuple)
Sequence.register(PersistentTuple)
