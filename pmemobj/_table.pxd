# The hash table of dict and set: lookup, insertion, deletion, growth (see pm_table in layout.h).
#
# `stride` is 3 in a dict and 2 in a set, a constant at each call.  Functions that take a Persistent look at its
# table; the caller has passed check_read.  Those that take (pool, t) run inside an operation and no Python code.

from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact
from libc.stdint cimport int64_t, uint64_t

from pmemobj._cengine cimport (
    PM_DAMAGED, PM_NOT_FOUND, pm_pool, pm_probe, pm_probe_free, pm_probe_has_room, pm_table_append,
)
from pmemobj._core cimport Persistent, Pool, index_make_room, raise_damaged, vec_at
from pmemobj._layout cimport pm_table


cdef extern from "_engine/objects/keys.h":
    enum:
        PM_UNDECIDED
    int64_t pm_find_str(pm_pool *p, const pm_table *t, unsigned stride, object key, pm_probe *probe) noexcept
    int64_t pm_find_int(const pm_pool *p, const pm_table *t, unsigned stride, object key, pm_probe *probe,
                        uint64_t *slot) noexcept
    bint pm_table_put(pm_pool *p, pm_table *t, unsigned stride, object key, PyObject *text, uint64_t value) noexcept


cdef enum:
    RETRIES = 100               # of what user code keeps spoiling, before RuntimeError

cdef struct stamp:              # tells whether a table is what it was
    uint64_t data, size, used, index

cdef inline pm_table *table_of(Persistent o) noexcept:
    return <pm_table *>o.head

cdef inline stamp stamp_of(Persistent o) noexcept:
    cdef pm_table *t = table_of(o)
    cdef stamp s
    s.data = t.entries.data
    s.size = t.entries.size
    s.used = t.used
    s.index = t.index
    return s

cdef inline bint same_stamp(Persistent o, stamp s) noexcept:
    cdef pm_table *t = table_of(o)
    return t.entries.data == s.data and t.entries.size == s.size and t.used == s.used and t.index == s.index

cdef inline bint quiet(uint64_t slot) noexcept:
    """Loading this slot runs no user code, not even through a garbage collection."""
    return slot & 7 != 0 or 1 <= slot >> 48 <= 8

# Entry number, or PM_NOT_FOUND.  User code may run: the answer holds for the table as it is on return, and
# check_read has been passed again.
cdef int64_t table_find_slow(Persistent o, unsigned stride, object key) except -2
# The same for a key that will be stored: TypeError if that is impossible.
cdef int64_t table_find_storable(Persistent o, unsigned stride, object key, uint64_t *hash) except -2
cdef object prepare_key(Pool pool, object key)

cdef inline int64_t table_find(Persistent o, unsigned stride, object key) except -2:
    cdef int64_t i
    cdef uint64_t slot
    cdef pm_probe probe
    if PyUnicode_CheckExact(key):
        i = pm_find_str(o.p, table_of(o), stride, key, &probe)
    elif PyLong_CheckExact(key):
        i = pm_find_int(o.p, table_of(o), stride, key, &probe, &slot)
    else:
        i = PM_UNDECIDED
    return i if i > PM_UNDECIDED else table_find_slow(o, stride, key)      # or PM_DAMAGED, which that raises

# --- inside an operation

cdef int table_make_room(Pool pool, pm_table *t, unsigned stride, uint64_t items) except -1
cdef int table_delete(Pool pool, pm_table *t, unsigned stride, uint64_t number) except -1

cdef inline int table_insert(Pool pool, pm_table *t, unsigned stride, uint64_t hash, uint64_t key,
                             uint64_t value) except -1:
    """A key that is not there yet; the table owns both slots from now on."""
    cdef pm_probe probe
    if t.entries.size >= t.entries.cap:
        table_make_room(pool, t, stride, 1)
    pm_probe_free(pool.p, t, hash, &probe)
    if not pm_probe_has_room(t, &probe):
        index_make_room(pool, t, stride, hash, &probe)
    vec_at(pool, &t.entries, t.entries.size, stride)        # is inside the pool
    pm_table_append(pool.p, t, stride, &probe, key, value)
    return 0

# --- whole operations

cdef object table_new(Persistent o, Pool pool, unsigned type, dict items, object source)
# An entry that is not the last live one goes to the end; to the front, which takes as long as there are items.
cdef int table_move_to_end(Persistent o, uint64_t number) except -1
cdef int table_move_to_front(Persistent o, uint64_t number) except -1
cdef int table_remove(Persistent o, unsigned stride, uint64_t number) except -1
cdef int table_clear(Persistent o, unsigned stride) except -1
# Removes those entries and stores those items, all or nothing.  False: user code has changed the table since
# `seen`; nothing has been done.
cdef bint table_apply(Persistent o, unsigned stride, stamp seen, list numbers, dict items) except -1
cdef int table_update(Persistent o, unsigned stride, dict items) except -1
cdef object table_check(Persistent o, unsigned stride)
