# Python value <-> slot, key hashing and equality.
#
# To store a value v:   if not pm_immediate(v, &slot): plan = prepare(pool, v)      (may run user code, may raise)
#                       op_begin(pool);  slot = encode(pool, plan)  if there is a plan;  ...  op_end(pool)
# encode runs no user code.  To read: slot_load(pool, slot).

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from pmemobj._cengine cimport pm_pool
from pmemobj._core cimport Pool


cdef extern from "_engine/objects/slot.h":
    bint pm_immediate(object value, uint64_t *slot) noexcept
    double pm_slot_float(uint64_t slot) noexcept
    object pm_short_value(uint64_t slot)
    PyObject *pm_quick_value(pm_pool *p, uint64_t slot) noexcept
    uint64_t PM_IMMEDIATE(unsigned kind) noexcept
    uint64_t PM_REFERENCE(unsigned kind, uint64_t offset) noexcept
    unsigned PM_SLOT_KIND(uint64_t slot) noexcept
    bint PM_IS_REFERENCE(uint64_t slot) noexcept

cdef extern from *:
    """
    /* Hands a new reference over to Cython. */
    static inline PyObject *pm_owned(PyObject *o) { return o; }
    """
    object pm_owned(PyObject *o)


cdef class Plan:
    """A value that has been looked through, with what the encoders made of the registered types in it."""
    cdef object value
    cdef dict encoded           # id(value) -> (value, Codec, payload)
    cdef dict seen              # id(container) -> container: looked through; kept alive so that ids stay unique
    cdef dict stored            # id(container) -> offset, while encoding
    cdef dict hashes            # id(key) -> stable hash, of keys whose hashing may run user code


# May values of the type be stored because of register(), in every pool or, where one is given, in this one?
cdef bint is_registered(Pool pool, object cls) except -1
cdef object prepare(Pool pool, object value)
cdef uint64_t encode(Pool pool, object plan) except 0
# One value out of the container that was prepared; plan.stored is None when an operation begins.
cdef uint64_t encode_value(Pool pool, Plan plan, object value) except 0
# Fill an object that object_new just made from builtin items (of a prepared list, tuple, dict or set).
# A new object from what describe_array() of _array.pyx gives, inside an operation; its reference is the caller's.
cdef uint64_t new_array(Pool pool, tuple described, bint owned) except 0
cdef int fill_list(Pool pool, Plan plan, uint64_t offset, tuple items) except -1
cdef int fill_table(Pool pool, Plan plan, uint64_t offset, object source, bint is_dict) except -1
cdef object slot_load_slow(Pool pool, uint64_t slot)

cdef inline object slot_load(Pool pool, uint64_t slot):
    """A new reference to the value; slot is not 0.  Runs user code only for registered and pickled types."""
    cdef PyObject *value = pm_quick_value(pool.p, slot)
    if value != NULL:
        return pm_owned(value)
    return slot_load_slow(pool, slot)

# Equal keys have equal hashes in every process.  Raises TypeError for what cannot be a key; may run user code
# (a registered type's encode) only through prepare_key.
cdef int stable_hash(Pool pool, object key, uint64_t *hash) except -1
# 1 equal, 0 not, 2 only Python can tell: compare slot_load(...) == key, and look again afterwards whether the
# container is still what it was.
cdef int key_equal(Pool pool, uint64_t slot, object key) noexcept
