"""The hash table of PersistentDict and PersistentSet: keys, lookup, growth, and changes of many keys at once.

Keys come in three kinds:
  plain      scalars of builtin types and tuples of them: compared without running user code
  other      frozensets, persistent objects, registered types: compared by Python, which may do anything to the
             table meanwhile; the lookup begins anew if it did
  foreign    of a type that cannot be a key here, but may be equal to one: only looked up
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.complex cimport PyComplex_CheckExact
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_CheckExact
from cpython.object cimport Py_EQ, PyObject_Hash, PyObject_RichCompareBool
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.string cimport memcmp, memcpy, memset

from pmemobj._cengine cimport (
    PM_DAMAGED, PM_NOT_FOUND, PM_SEGMENT_CELLS, PM_SEGMENT_DEPTH, PM_SEGMENT_LOG, pm_at, pm_directory, pm_fresh,
    pm_keys_forget, pm_probe_start, pm_store, pm_table_forget, pm_table_next, pm_vec, pm_vec_run,
)
from pmemobj._core cimport (
    bind, check_read, index_build, index_drop, level_abort, level_begin, level_commit, object_at_offset, object_new,
    op_abort, op_begin, op_end, pool_check_read, raise_damaged, slot_drop, value_block, vec_at, vec_free,
    vec_must_be_sound, vec_reserve, vec_run,
)
from pmemobj._layout cimport *
from pmemobj._values cimport (
    PM_IMMEDIATE, PM_IS_REFERENCE, PM_SLOT_KIND, Plan, encode_value, fill_table, pm_immediate, prepare, slot_load,
    stable_hash,
)

from numbers import Number

cdef extern from "Python.h":
    bint PyBool_Check(object value) noexcept
    int Py_EnterRecursiveCall(const char *where) except *
    void Py_LeaveRecursiveCall() noexcept

cdef extern from "_engine/objects/keys.h":
    uint64_t pm_op_text(pm_pool *p, object text) noexcept
    bint pm_is_scalar(object value) noexcept
    bint pm_is_simple(object items) noexcept

cdef enum:
    SMALL_TABLE = 64            # entries that an empty table keeps room for
    FIRST_ITEMS = 4             # room in a new table
    LEVEL_ITEMS = 256           # more changes than this are recorded by line, not by word
    MAX_DEPTH = 20              # of nested tuples in a plain key


cdef object LEFT_OUT = object()

include "_table_keys.pxi"


# --- growth; inside an operation

cdef void put_vec(pm_pool *p, pm_vec *v, pm_vec value) noexcept:
    pm_store(p, &v.size, value.size)
    pm_store(p, &v.cap, value.cap)
    pm_store(p, &v.data, value.data)
    pm_store(p, &v.dir_cap, value.dir_cap)


cdef int compact(Pool pool, pm_table *t, unsigned stride, uint64_t room, int64_t front=-1) except -1:
    """Moves the live entries to a fresh vector with `room` items; entry number `front` comes first."""
    cdef pm_pool *p = pool.p
    cdef pm_vec old = t.entries, fresh, none
    cdef uint64_t i = 0, run, n = 0, space = 0, filled = 0
    cdef uint64_t *entry
    cdef uint64_t k
    cdef uint64_t *to = NULL
    memset(&none, 0, sizeof(none))
    vec_must_be_sound(pool, &old, 0, old.size, stride)
    put_vec(p, &t.entries, none)
    vec_reserve(pool, &t.entries, room, stride)
    fresh = t.entries
    if front >= 0:
        to = pm_vec_run(p, &fresh, 0, fresh.cap, stride, &space)
        memcpy(to, vec_at(pool, &old, front, stride), stride * 8)
        filled = stride
        space -= 1
        n = 1
    while i < old.size:
        entry = pm_vec_run(p, &old, i, old.size, stride, &run)
        i += run
        for k in range(run):
            if entry[1] and <int64_t>(i - run + k) != front:
                if space == 0:
                    if n == fresh.cap:
                        raise_damaged(pool, t, "it has more entries than it counts")
                    to = pm_vec_run(p, &fresh, n, fresh.cap, stride, &space)
                    filled = 0
                memcpy(to + filled, entry, stride * 8)
                filled += stride
                space -= 1
                n += 1
                if space == 0:
                    pm_fresh(p, to, filled * 8)
            entry += stride
    if space:
        pm_fresh(p, to, filled * 8)
    fresh.size = n
    put_vec(p, &t.entries, old)
    vec_free(pool, &t.entries, stride)
    put_vec(p, &t.entries, fresh)
    return 0


cdef int table_make_room(Pool pool, pm_table *t, unsigned stride, uint64_t items) except -1:
    """Room for so many more entries, in the index too if they are many.  Where a quarter of the entries is deleted
    they are left out, so that the work of rebuilding is paid by as many deletions or insertions."""
    cdef uint64_t size = t.entries.size, deleted = size - t.used, wanted = t.used + items
    if size + items > 0xfffffffe:
        raise OverflowError("a dict or set can have at most 2**32 - 2 entries")
    if deleted and 4 * deleted >= size:
        compact(pool, t, stride, wanted + t.used // 2)
        index_drop(pool, t, ~<uint64_t>0)
        if wanted > PM_TABLE_SMALL:
            index_build(pool, t, stride, wanted if items > t.used else 2 * (wanted - 1))
        return 0
    wanted = size + items
    vec_reserve(pool, &t.entries, wanted if wanted > FIRST_ITEMS else FIRST_ITEMS, stride)
    if items > t.used and wanted > PM_TABLE_SMALL:
        index_build(pool, t, stride, wanted)
    return 0


cdef int table_delete(Pool pool, pm_table *t, unsigned stride, uint64_t number) except -1:
    """Deletes a live entry, with what its slots own."""
    cdef pm_pool *p = pool.p
    cdef uint64_t *entry = vec_at(pool, &t.entries, number, stride)
    cdef uint64_t key = entry[1], value = entry[2] if stride == 3 else 0
    cdef uint64_t size
    pm_store(p, &t.used, t.used - 1)
    if number != t.entries.size - 1:
        pm_store(p, entry + 1, 0)
        if stride == 3:
            pm_store(p, entry + 2, 0)
    elif t.used == 0 and t.entries.cap > SMALL_TABLE:
        vec_free(pool, &t.entries, stride)
        index_drop(pool, t, ~<uint64_t>0)
    else:
        size = number
        pm_table_forget(p, t, entry[0], size)
        while size and vec_at(pool, &t.entries, size - 1, stride)[1] == 0:
            size -= 1
            pm_table_forget(p, t, vec_at(pool, &t.entries, size, stride)[0], size)
        pm_store(p, &t.entries.size, size)
    pm_keys_forget(p)
    slot_drop(pool, key)
    if stride == 3:
        slot_drop(pool, value)
    return 0


# --- whole operations

cdef int table_remove(Persistent o, unsigned stride, uint64_t number) except -1:
    cdef Pool pool = o.pool
    op_begin(pool)
    try:
        table_delete(pool, table_of(o), stride, number)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef int drop_all(Pool pool, pm_table *t, unsigned stride) except -1:
    cdef uint64_t i = 0, run
    cdef uint64_t *entry
    cdef uint64_t _
    vec_must_be_sound(pool, &t.entries, 0, t.entries.size, stride)
    while i < t.entries.size:
        entry = vec_run(pool, &t.entries, i, t.entries.size, stride, &run)
        for _ in range(run):
            if entry[1]:
                slot_drop(pool, entry[1])
                if stride == 3:
                    slot_drop(pool, entry[2])
            entry += stride
        i += run
    vec_free(pool, &t.entries, stride)
    index_drop(pool, t, ~<uint64_t>0)
    pm_store(pool.p, &t.used, 0)
    pm_keys_forget(pool.p)
    return 0


cdef int table_move_to_end(Persistent o, uint64_t number) except -1:
    """The entry's slots move as they are."""
    cdef Pool pool = o.pool
    cdef pm_table *t = table_of(o)
    cdef uint64_t *entry = vec_at(pool, &t.entries, number, 3)
    cdef uint64_t hash = entry[0], key = entry[1], value = entry[2]
    op_begin(pool)
    try:
        pm_store(pool.p, entry + 1, 0)
        pm_store(pool.p, entry + 2, 0)
        pm_store(pool.p, &t.used, t.used - 1)
        pm_keys_forget(pool.p)
        table_insert(pool, t, 3, hash, key, value)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef int table_move_to_front(Persistent o, uint64_t number) except -1:
    cdef Pool pool = o.pool
    cdef pm_table *t = table_of(o)
    op_begin(pool)
    try:
        compact(pool, t, 3, t.used + t.used // 2, number)
        index_drop(pool, t, ~<uint64_t>0)
        if t.used > PM_TABLE_SMALL:
            index_build(pool, t, 3, t.used)
        pm_keys_forget(pool.p)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef int table_clear(Persistent o, unsigned stride) except -1:
    cdef Pool pool = o.pool
    op_begin(pool)
    try:
        drop_all(pool, table_of(o), stride)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef inline uint64_t encode_scalar(Pool pool, object value) except 0:
    cdef uint64_t slot = 0
    if PyUnicode_CheckExact(value):
        slot = pm_op_text(pool.p, value)
    return slot or encode_value(pool, None, value)


cdef inline int store_simple(Pool pool, pm_table *t, unsigned stride, object key, object value) except -1:
    """t[key] = value inside an operation, both scalars and the key an exact str or int."""
    cdef pm_pool *p = pool.p
    cdef pm_probe probe
    cdef uint64_t slot = 0, old, hash
    cdef uint64_t *entry
    cdef int64_t i = PM_UNDECIDED
    if PyUnicode_CheckExact(key):
        i = pm_find_str(p, t, stride, key, &probe)
    elif PyLong_CheckExact(key):
        i = pm_find_int(p, t, stride, key, &probe, &slot)
    if i == PM_UNDECIDED:
        stable_hash(pool, key, &hash)
        i = find_plain(pool, t, stride, key, hash)
        if i == PM_UNDECIDED:
            raise _Undecided
        if i < 0:
            pm_probe_free(p, t, hash, &probe)
    if i == PM_DAMAGED:
        raise_damaged(pool, t, "its entries or its index are not inside the pool")
    if i >= 0:
        if stride == 3:
            slot = encode_scalar(pool, value)
            entry = vec_at(pool, &t.entries, i, 3)
            old = entry[2]
            pm_store(p, entry + 2, slot)
            slot_drop(pool, old)
        return 0
    slot = encode_scalar(pool, key)
    old = encode_scalar(pool, value) if stride == 3 else 0
    if t.entries.size >= t.entries.cap or not pm_probe_has_room(t, &probe):
        return table_insert(pool, t, stride, probe.hash, slot, old)
    vec_at(pool, &t.entries, t.entries.size, stride)        # is inside the pool
    pm_table_append(p, t, stride, &probe, slot, old)
    return 0

include "_table_batch.pxi"
include "_table_check.pxi"
