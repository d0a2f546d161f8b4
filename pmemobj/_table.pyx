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


# --- plain keys

cdef inline bint is_number(object key) noexcept:
    return PyLong_CheckExact(key) or PyFloat_CheckExact(key) or PyBool_Check(key) or PyComplex_CheckExact(key)


cdef bint is_plain(object key, int depth=0) noexcept:
    cdef Py_ssize_t i
    if PyUnicode_CheckExact(key) or is_number(key) or PyBytes_CheckExact(key):
        return True
    if key is None or key is ... or key is NotImplemented:
        return True
    if not PyTuple_CheckExact(key) or depth == MAX_DEPTH:
        return False
    for i in range(PyTuple_GET_SIZE(key)):
        if not is_plain(<object>PyTuple_GET_ITEM(key, i), depth + 1):
            return False
    return True


cdef bint same_number(object a, object b) except -1:
    """Both are exact builtin numbers.  A NaN is the same key as one with the same bits."""
    cdef double x[2]
    cdef double y[2]
    if a == b:
        return True
    if PyFloat_CheckExact(a) and PyFloat_CheckExact(b):
        x[0] = PyFloat_AS_DOUBLE(a)
        y[0] = PyFloat_AS_DOUBLE(b)
        return x[0] != x[0] and memcmp(x, y, 8) == 0
    if PyComplex_CheckExact(a) and PyComplex_CheckExact(b):
        x[0] = a.real
        x[1] = a.imag
        y[0] = b.real
        y[1] = b.imag
        return (x[0] != x[0] or x[1] != x[1]) and memcmp(x, y, 16) == 0
    return False


cdef enum:                      # bits: of a tuple's items, UNEQUAL wins over UNKNOWN, and that over EQUAL
    UNEQUAL = 1
    UNKNOWN = 2
    EQUAL = 4


cdef int persistent_tuple_equal(Pool pool, pm_list *o, object key) except -1:
    """A PersistentTuple as a key is found by the plain tuple of its items, too."""
    cdef Py_ssize_t i
    cdef int same = EQUAL
    if o.head.type != PM_TYPE_TUPLE or o.items.size != <uint64_t>PyTuple_GET_SIZE(key):
        return UNEQUAL
    for i in range(PyTuple_GET_SIZE(key)):
        same |= plain_equal(pool, vec_at(pool, &o.items, i, 1)[0], <object>PyTuple_GET_ITEM(key, i))
    return UNEQUAL if same & UNEQUAL else UNKNOWN if same & UNKNOWN else EQUAL


cdef int plain_equal(Pool pool, uint64_t slot, object key) except -1:
    """Is the plain key the one in this slot?  UNKNOWN: only Python can tell.  No user code."""
    cdef uint64_t mine
    cdef unsigned kind
    cdef uint64_t *block
    cdef Py_ssize_t i
    cdef int same = 0
    if pm_immediate(key, &mine) and mine == slot:
        return EQUAL
    kind = PM_SLOT_KIND(slot) if PM_IS_REFERENCE(slot) else 0
    if kind >= PM_REF_CUSTOM:
        return UNKNOWN
    if PyTuple_CheckExact(key):
        if PM_IS_REFERENCE(slot) and kind == PM_REF_OBJECT:
            return persistent_tuple_equal(pool, <pm_list *>object_at_offset(pool, slot), key)
        if kind != PM_REF_TUPLE:
            return UNEQUAL
        block = value_block(pool, slot)
        if block[0] != <uint64_t>PyTuple_GET_SIZE(key):
            return UNEQUAL
        for i in range(PyTuple_GET_SIZE(key)):
            same |= plain_equal(pool, block[1 + i], <object>PyTuple_GET_ITEM(key, i))
        return UNEQUAL if same & UNEQUAL else UNKNOWN if same & UNKNOWN else EQUAL
    return EQUAL if scalar_equal(pool, slot, kind, key) else UNEQUAL


cdef bint scalar_equal(Pool pool, uint64_t slot, unsigned kind, object key) except -1:
    cdef uint64_t *block
    if PyUnicode_CheckExact(key):
        return PM_REF_STR1 <= kind <= PM_REF_STR4 and slot_load(pool, slot) == key
    if PyBytes_CheckExact(key):
        if kind != PM_REF_BYTES:
            return False
        block = value_block(pool, slot)
        return block[0] == <uint64_t>PyBytes_GET_SIZE(key) and \
            memcmp(block + 1, PyBytes_AS_STRING(key), block[0]) == 0
    if not is_number(key):
        return False
    if PM_IS_REFERENCE(slot) and not PM_REF_INT <= kind <= PM_REF_COMPLEX:
        return False
    found = slot_load(pool, slot)
    return is_number(found) and same_number(found, key)


cdef int64_t find_plain(Pool pool, pm_table *t, unsigned stride, object key, uint64_t hash) except -2:
    """PM_UNDECIDED: a key that only Python can compare has the same hash.  No user code."""
    cdef pm_probe probe
    cdef int64_t i
    cdef int same
    pm_probe_start(pool.p, t, hash, &probe)
    while True:
        i = pm_table_next(pool.p, t, stride, &probe)
        if i == PM_DAMAGED:
            raise_damaged(pool, t, "its entries or its index are not inside the pool")
        if i < 0:
            return PM_NOT_FOUND
        same = plain_equal(pool, vec_at(pool, &t.entries, i, stride)[1], key)
        if same != UNEQUAL:
            return i if same == EQUAL else PM_UNDECIDED


# --- other keys

cdef bint same_key(object a, object b) except -1:
    """As == but for NaN, also inside of tuples.  User code."""
    cdef Py_ssize_t i
    if PyTuple_CheckExact(a) and PyTuple_CheckExact(b):
        if PyTuple_GET_SIZE(a) != PyTuple_GET_SIZE(b):
            return False
        Py_EnterRecursiveCall(b" while comparing keys")
        try:
            for i in range(PyTuple_GET_SIZE(a)):
                if not same_key(<object>PyTuple_GET_ITEM(a, i), <object>PyTuple_GET_ITEM(b, i)):
                    return False
        finally:
            Py_LeaveRecursiveCall()
        return True
    if is_number(a) and is_number(b):
        return same_number(a, b)
    return PyObject_RichCompareBool(a, b, Py_EQ)


cdef int64_t find_other(Persistent o, unsigned stride, object key, uint64_t hash) except -2:
    cdef pm_table *t
    cdef pm_probe probe
    cdef uint64_t slot
    cdef int64_t i
    cdef stamp seen
    cdef int _
    cdef bint same
    for _ in range(RETRIES):
        check_read(o)
        t = table_of(o)
        seen = stamp_of(o)
        pm_probe_start(o.p, t, hash, &probe)
        while True:
            i = pm_table_next(o.p, t, stride, &probe)
            if i == PM_DAMAGED:
                raise_damaged(o.pool, t, "its entries or its index are not inside the pool")
            if i < 0:
                return PM_NOT_FOUND
            slot = vec_at(o.pool, &t.entries, i, stride)[1]
            same = same_key(slot_load(o.pool, slot), key)
            check_read(o)
            if not same_stamp(o, seen) or vec_at(o.pool, &t.entries, i, stride)[1] != slot:
                break
            if same:
                return i
    raise RuntimeError(f"this {type(o).__name__} is changed again and again while its keys are compared")


cdef inline int64_t find_plain_or_other(Persistent o, unsigned stride, object key, uint64_t hash) except -2:
    cdef int64_t i = find_plain(o.pool, table_of(o), stride, key, hash)
    return i if i != PM_UNDECIDED else find_other(o, stride, key, hash)


cdef object prepare_key(Pool pool, object key):
    """As prepare(), but an unhashable key is called so."""
    cdef uint64_t hash
    if not is_plain(key):
        stable_hash(pool, key, &hash)
    return prepare(pool, key)


class _Never(Exception):
    """No key can be equal to this value."""


cdef object stand_in(object key):
    """A storable key that has the stable hash which a stored key equal to this one would have."""
    cls = type(key)
    if is_plain(key):
        return key
    if isinstance(key, str) and cls.__hash__ is str.__hash__:
        return str.__str__(key)
    if isinstance(key, bytes) and cls.__hash__ is bytes.__hash__:
        return bytes(memoryview(key))
    if isinstance(key, tuple) and cls.__hash__ is tuple.__hash__:
        return tuple([stand_in(item) for item in tuple.__iter__(key)])
    if isinstance(key, frozenset) and cls.__hash__ is frozenset.__hash__:
        return frozenset([stand_in(item) for item in frozenset.__iter__(key)])
    if isinstance(key, Persistent):
        return key
    if isinstance(key, Number):
        return PyObject_Hash(key)           # a number has the hash of the int which is its hash
    raise _Never


cdef int64_t table_find_slow(Persistent o, unsigned stride, object key) except -2:
    cdef uint64_t hash
    if is_plain(key):
        stable_hash(o.pool, key, &hash)
        return find_plain_or_other(o, stride, key, hash)
    PyObject_Hash(key)                      # TypeError: unhashable type
    try:
        stable_hash(o.pool, key, &hash)
    except TypeError:
        try:
            stable_hash(o.pool, stand_in(key), &hash)
        except (_Never, TypeError):
            check_read(o)
            return PM_NOT_FOUND
    return find_other(o, stride, key, hash)


cdef int64_t table_find_storable(Persistent o, unsigned stride, object key, uint64_t *hash) except -2:
    stable_hash(o.pool, key, hash)
    if is_plain(key):
        check_read(o)
        return find_plain_or_other(o, stride, key, hash[0])
    return find_other(o, stride, key, hash[0])


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


class _Undecided(Exception):
    """Inside the operation: only Python can tell whether a key is there.  All has to be looked up before."""


@cython.final
cdef class Batch:
    """Items to be stored at once: everything that runs user code is done before the operation."""
    cdef dict simple            # keys are exact str or int, values scalars; else None, and the following:
    cdef list keys, values
    cdef Plan plan
    cdef dict others            # position -> (hash, entry number or PM_NOT_FOUND), for keys that are not plain
    cdef uint64_t hash          # of the key that was looked up last

    cdef int collect(self, Pool pool, Persistent o, unsigned stride, dict items, bint careful) except -1:
        """`o` is the table to store into, or None for a new one.  Leaves out the second of two equal keys.
        careful: plain keys are looked up here, too."""
        cdef Py_ssize_t i
        cdef int64_t found
        if pm_is_simple(items):
            self.plan = Plan.__new__(Plan)
            if not careful:
                self.simple = items
        else:
            self.plan = prepare(pool, items)
        self.plan.stored = {}
        if self.simple is not None:
            return 0
        self.keys = list(items)
        self.values = list(items.values())
        self.others = None
        for i in range(len(self.keys)):
            if careful or not is_plain(self.keys[i]):
                break
        else:
            return 0
        self.others = {}
        by_hash = {}
        doubles = []
        for i in range(len(self.keys)):
            key = self.keys[i]
            if not careful and is_plain(key):
                continue
            found = PM_NOT_FOUND
            stable_hash(pool, key, &self.hash)
            if o is not None:
                found = find_other(o, stride, key, self.hash)
            for k in by_hash.setdefault(self.hash, []):
                if same_key(self.keys[k], key):
                    self.values[k] = self.values[i]
                    doubles.append(i)
                    break
            else:
                by_hash[self.hash].append(i)
                self.others[i] = (self.hash, found)
        for i in doubles:
            self.keys[i] = LEFT_OUT
        return 0

    cdef int64_t find(self, Pool pool, pm_table *t, unsigned stride, Py_ssize_t i) except -2:
        if self.others is not None and i in self.others:
            self.hash, found = self.others[i]
            return found
        stable_hash(pool, self.keys[i], &self.hash)
        found = find_plain(pool, t, stride, self.keys[i], self.hash)
        if found == PM_UNDECIDED:
            raise _Undecided
        return found

    cdef int replace(self, Pool pool, pm_table *t, unsigned stride, uint64_t number, Py_ssize_t i) except -1:
        cdef uint64_t *entry
        cdef uint64_t old, slot
        if stride == 3:
            slot = encode_value(pool, self.plan, self.values[i])
            entry = vec_at(pool, &t.entries, number, 3)
            old = entry[2]
            pm_store(pool.p, entry + 2, slot)
            slot_drop(pool, old)
        return 0

    cdef int store_simple(self, Pool pool, pm_table *t, unsigned stride) except -1:
        cdef uint64_t n = len(self.simple)
        if n > 1 and t.entries.cap == 0:
            return fill_table(pool, self.plan, <uint64_t>(<char *>t - pool.p.base), self.simple, stride == 3)
        if n > t.used and n > 1:
            table_make_room(pool, t, stride, n)
        for key, value in self.simple.items():
            if not pm_is_scalar(value):     # another thread's doing, while this one waited
                raise RuntimeError("the value changed while it was being stored")
            if stride == 3:
                store_simple(pool, t, 3, key, value)
            else:
                store_simple(pool, t, 2, key, value)
        return 0

    cdef int store(self, Pool pool, pm_table *t, unsigned stride) except -1:
        """Inside an operation."""
        cdef Py_ssize_t n, i
        cdef int64_t found
        cdef uint64_t key, value = 0
        if self.simple is not None:
            return self.store_simple(pool, t, stride)
        n = len(self.keys)
        if self.others is not None:         # while the entries still have the numbers that were found
            for i, (_, number) in self.others.items():
                if number >= 0:
                    self.replace(pool, t, stride, number, i)
        if <uint64_t>n > t.used and n > 1:
            table_make_room(pool, t, stride, n)
        for i in range(n):
            if self.keys[i] is LEFT_OUT:
                continue
            found = self.find(pool, t, stride, i)
            if found < 0:
                key = encode_value(pool, self.plan, self.keys[i])
                if stride == 3:
                    value = encode_value(pool, self.plan, self.values[i])
                table_insert(pool, t, stride, self.hash, key, value)
            elif self.others is None or i not in self.others:
                self.replace(pool, t, stride, found, i)
        return 0


cdef bint table_apply(Persistent o, unsigned stride, stamp seen, list numbers, dict items) except -1:
    try:
        return apply(o, stride, seen, numbers, items, False)
    except _Undecided:
        return apply(o, stride, seen, numbers, items, True)


cdef bint apply(Persistent o, unsigned stride, stamp seen, list numbers, dict items, bint careful) except -1:
    cdef Pool pool = o.pool
    cdef Batch batch = None
    cdef bint level
    cdef pm_table *t
    if items:
        batch = Batch.__new__(Batch)
        batch.collect(pool, o, stride, items, careful)
    check_read(o)
    if (numbers or batch is not None and batch.others is not None) and not same_stamp(o, seen):
        return False
    if not items and not numbers:
        return True
    # With both, a place may be given up and taken again, which the log of a single operation does not put back.
    level = (items and numbers) or len(items) + len(numbers) > LEVEL_ITEMS
    if level:
        level_begin(pool)
    try:
        op_begin(pool)
        try:
            t = table_of(o)
            for number in numbers:
                table_delete(pool, t, stride, number)
            if batch is not None:
                batch.store(pool, t, stride)
        except BaseException:
            op_abort(pool)
            raise
        op_end(pool)
    except BaseException:
        if level:
            level_abort(pool)
        raise
    if level:
        level_commit(pool)
    return True


cdef int table_update(Persistent o, unsigned stride, dict items) except -1:
    cdef int _
    for _ in range(RETRIES):
        check_read(o)
        if table_apply(o, stride, stamp_of(o), [], items):
            return 0
    raise RuntimeError(f"this {type(o).__name__} is changed again and again while it is being updated")


cdef object table_new(Persistent o, Pool pool, unsigned type, dict items, object source):
    """Makes o, not bound yet, the proxy of a new table with these items, in limbo.  `source` is the builtin object
    that the items are from: where it contains itself, so does the new one."""
    try:
        return make_table(o, pool, type, items, source, False)
    except _Undecided:
        return make_table(o, pool, type, items, source, True)


cdef object make_table(Persistent o, Pool pool, unsigned type, dict items, object source, bint careful):
    cdef unsigned stride = PM_TABLE_STRIDE(type)
    cdef Batch batch = Batch.__new__(Batch)
    cdef uint64_t offset
    cdef bint level = len(items) > LEVEL_ITEMS
    pool_check_read(pool)
    batch.collect(pool, None, stride, items, careful)
    pool_check_read(pool)
    if level:
        level_begin(pool)
    try:
        op_begin(pool)
        try:
            offset = object_new(
                pool, type, sizeof(pm_defaultdict) if type == PM_TYPE_DEFAULTDICT else sizeof(pm_table), False)
            if type == PM_TYPE_DEFAULTDICT:
                (<pm_defaultdict *>pm_at(pool.p, offset)).factory = PM_IMMEDIATE(PM_IMM_NONE)
            batch.plan.stored[id(source)] = offset
            batch.store(pool, <pm_table *>pm_at(pool.p, offset), stride)
        except BaseException:
            op_abort(pool)
            raise
        op_end(pool)
    except BaseException:
        if level:
            level_abort(pool)
        raise
    if level:
        level_commit(pool)
    bind(o, pool, <pm_object *>pm_at(pool.p, offset))
    return o


# --- verification

cdef object check_segment(pm_pool *p, pm_table *t, uint64_t segment, uint64_t prefix, object where):
    """The tags of its cells belong there; returns how many cells are taken."""
    cdef unsigned log = PM_SEGMENT_CELLS(segment), depth = PM_SEGMENT_DEPTH(segment)
    cdef uint64_t *cells = <uint64_t *>pm_at(p, segment & PM_OFFSET_MASK)
    cdef uint64_t i, taken = 0
    assert 4 <= log <= 40, f"{where}: a segment of 2**{log} cells"
    for i in range(<uint64_t>1 << log):
        if cells[i]:
            taken += 1
            assert 1 <= cells[i] & 0xffffffff <= t.entries.size, f"{where}: cell {i} holds {cells[i]:#x}"
            assert depth == 0 or cells[i] >> (64 - depth) == prefix, f"{where}: cell {i} is in the wrong segment"
    assert taken < <uint64_t>1 << log, f"{where}: a segment is full"
    return taken


cdef object check_index(pm_pool *p, pm_table *t, object where):
    cdef uint64_t i = 0, taken = 0, words = <uint64_t>1 << t.index_depth, segment, run
    cdef unsigned log, depth
    if t.index == 0:
        assert t.index_depth == 0 and t.entries.size <= PM_TABLE_SMALL, f"{where}: {t.entries.size} entries, no index"
        return
    if t.index_depth == 0:
        log = PM_SEGMENT_CELLS(t.index)
        assert PM_SEGMENT_DEPTH(t.index) == 0 and log <= PM_SEGMENT_LOG, f"{where}: a segment of 2**{log} cells"
        taken = check_segment(p, t, t.index, 0, where)
        assert 3 * taken <= <uint64_t>2 << log, f"{where}: {taken} cells are taken"
    else:
        while i < words:
            segment = pm_directory(p, t)[i]
            depth = PM_SEGMENT_DEPTH(segment)
            assert 1 <= depth <= t.index_depth, f"{where}: a segment of depth {depth}"
            assert PM_SEGMENT_CELLS(segment) >= PM_SEGMENT_LOG, f"{where}: a small segment in a directory"
            run = words >> depth
            taken += check_segment(p, t, segment, i // run, where)
            for i in range(i, i + run):
                assert pm_directory(p, t)[i] == segment, f"{where}: the directory is wrong at {i}"
            i += 1
    assert t.used <= taken <= t.entries.size, f"{where}: {t.entries.size} entries, {t.used} of them live, {taken} cells"


cdef object table_check(Persistent o, unsigned stride):
    cdef pm_table *t
    cdef pm_probe probe
    cdef uint64_t *entry
    cdef uint64_t i, live = 0, hash
    cdef stamp seen
    check_read(o)
    t = table_of(o)
    where = f"{type(o).__name__} at {<uint64_t>(<char *>o.head - o.p.base):#x}"
    assert PM_IS_TABLE(t.head.type) and PM_TABLE_STRIDE(t.head.type) == stride, f"{where}: type {t.head.type}"
    assert t.entries.size <= t.entries.cap, f"{where}: {t.entries.size} entries, room for {t.entries.cap}"
    check_index(o.p, t, where)
    seen = stamp_of(o)
    slots = []
    for i in range(t.entries.size):
        entry = vec_at(o.pool, &t.entries, i, stride)
        if entry[1] == 0:
            noted = i == 0 and t.head.type == PM_TYPE_ORDEREDDICT and entry[2] & 1
            assert stride == 2 or entry[2] == 0 or noted, f"{where}: the deleted entry {i} has a value"
            assert i + 1 < t.entries.size, f"{where}: the last entry is deleted"
            continue
        live += 1
        slots.append((i, entry[0], entry[1]))
        pm_probe_start(o.p, t, entry[0], &probe)
        while True:
            found = pm_table_next(o.p, t, stride, &probe)
            assert found >= 0, f"{where}: the index does not lead to entry {i}"
            if found == <int64_t>i:
                break
    assert live == t.used, f"{where}: {live} live entries, used is {t.used}"
    for i, stored, slot in slots:
        key = slot_load(o.pool, slot)
        stable_hash(o.pool, key, &hash)     # user code
        check_read(o)
        if not same_stamp(o, seen):
            raise RuntimeError(f"{where} changed while it was being checked")
        assert hash == stored, f"{where}: the hash of {key!r} is {hash:#x}, entry {i} says {stored:#x}"
        found = table_find_slow(o, stride, key)
        if not same_stamp(o, seen):
            raise RuntimeError(f"{where} changed while it was being checked")
        assert found == <int64_t>i, f"{where}: {key!r} is entry {i} and also {found}"
