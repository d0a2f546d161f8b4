# Keys: which of them are plain, and the lookup of those and of the others.

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
