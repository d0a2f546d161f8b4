"""PersistentFrozenSet: an explicit frozenset in a pool.  A plain frozenset that is stored comes back as one instead."""

from pmemobj._abstract_set cimport PersistentAbstractSet, compare, create, plain
from pmemobj._core cimport Pool, register_class
from pmemobj._layout cimport PM_TYPE_FROZENSET

__all__ = ["PersistentFrozenSet"]


cdef class PersistentFrozenSet(PersistentAbstractSet):
    """A frozenset that lives in a pool and is searched there: ``pool.new(PersistentFrozenSet, iterable)``.

    For big ones: a plain frozenset is stored as a value, and loaded as a whole whenever it is read.  This one has the
    API of frozenset, compares and hashes as the frozenset of its elements, finds the same keys, and iterates in the
    order in which the elements were given.  Operators and methods that make a new set give a plain frozenset.
    Elements are what PersistentSet takes.

    It is made whole or not at all, and never changes; an abort of the transaction that made it undoes it.  Every method
    raises PoolClosedError and StaleObjectError, making one also PoolFullError.
    """

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        made = PersistentFrozenSet.__new__(cls)
        return create(made, "PersistentFrozenSet", pool, PM_TYPE_FROZENSET, args, kwargs)

    # Here and not in the base: a class that sets its hash does not inherit the comparisons.
    def __richcmp__(self, other, int op):
        return compare(self, other, op)

    def __hash__(self):
        return hash(plain(self))

    def _p_stable_hash(self):
        """The plain frozenset, which has the same stable hash."""
        return plain(self)


register_class(PM_TYPE_FROZENSET, PersistentFrozenSet)
