# Loading: slots become Python values.

@cython.final
cdef class _Raw:
    """A value of a registered type before its decoder has run."""
    cdef unsigned kind
    cdef object name, payload


cdef object slot_load_slow(Pool pool, uint64_t slot):
    """What pm_quick_value does not give."""
    cdef bint registered = False
    cdef int collecting
    if PM_IS_REFERENCE(slot) and PM_SLOT_KIND(slot) == PM_REF_OBJECT and slot:
        return proxy_of(pool, slot & PM_OFFSET_MASK)
    collecting = PyGC_Disable()         # a collection could run user code, which could free this very block
    try:
        value = load_raw(pool, slot, &registered)
    finally:
        if collecting:
            PyGC_Enable()
    return decoded(pool, value) if registered else value


cdef object load_raw(Pool pool, uint64_t slot, bint *registered):
    cdef PyObject *found = pm_quick_value(pool.p, slot)
    if found != NULL:
        return pm_owned(found)
    if slot & 1:
        return PyLong_FromLongLong(<int64_t>slot >> 1)
    if slot & 3 == 2:
        return PyFloat_FromDouble(pm_slot_float(slot))
    if slot & 7:
        try:
            return pm_short_value(slot)
        except SystemError:
            raise errors.PoolDamagedError(f"{pool.path}: slot {slot:#x} is not a value") from None
    if slot == 0:
        raise errors.PoolDamagedError(f"{pool.path}: there is an empty slot where a value should be")
    if PM_SLOT_KIND(slot) == PM_REF_OBJECT:
        return proxy_of(pool, slot & PM_OFFSET_MASK)
    return load_block(pool, slot, registered)


cdef object load_block(Pool pool, uint64_t slot, bint *registered):
    cdef unsigned kind = PM_SLOT_KIND(slot)
    if kind > PM_REF_PICKLE:
        raise errors.PoolDamagedError(f"{pool.path}: slot {slot:#x} has an unknown kind")
    cdef uint64_t *block = value_block(pool, slot)
    cdef double *parts = <double *>block
    cdef uint64_t i
    cdef _Raw raw
    if kind == PM_REF_INT:
        return int.from_bytes(PyBytes_FromStringAndSize(<char *>(block + 1), block[0]), "little", signed=True)
    if kind == PM_REF_COMPLEX:
        return PyComplex_FromDoubles(parts[0], parts[1])   # complex(a, b) computes a + b * 1j
    if kind == PM_REF_TUPLE or kind == PM_REF_FROZENSET:
        Py_EnterRecursiveCall(b" while loading a nested value")
        try:
            items = [load_raw(pool, block[1 + i], registered) for i in range(block[0])]
        finally:
            Py_LeaveRecursiveCall()
        return tuple(items) if kind == PM_REF_TUPLE else frozenset(items)
    if kind == PM_REF_CUSTOM or kind == PM_REF_PICKLE:
        if block[0] != 2:
            raise_damaged(pool, block, f"a value of a registered type has {block[0]} parts instead of two")
        raw = _Raw.__new__(_Raw)
        raw.kind = kind
        Py_EnterRecursiveCall(b" while loading a nested value")
        try:
            raw.name = load_raw(pool, block[1], registered)
            raw.payload = load_raw(pool, block[2], registered)
        finally:
            Py_LeaveRecursiveCall()
        if type(raw.name) is not str:
            raise_damaged(pool, block, "a value of a registered type has no name")
        registered[0] = True
        return raw
    if kind == PM_REF_STR1 and not pm_is_ascii(block + 1, block[0]) or \
            kind == PM_REF_STR4 and not pm_is_unicode(<const uint32_t *>(block + 1), block[0]):
        raise_damaged(pool, block, "a text holds what is no character")
    return pm_plain_block(pool.p, slot)


cdef object decoded(Pool pool, object value):
    """The value with every _Raw in it decoded: user code."""
    cdef Codec codec
    cls = type(value)
    if cls is tuple:
        return tuple([decoded(pool, item) for item in <tuple>value])
    if cls is frozenset:
        return frozenset([decoded(pool, item) for item in <frozenset>value])
    if cls is not _Raw:
        return value
    payload = decoded(pool, (<_Raw>value).payload)
    if (<_Raw>value).kind == PM_REF_PICKLE:
        if pool.registry is None:
            raise errors.ClassNotFoundError(f"{(<_Raw>value).name} was pickled; nominate it with persist_via_pickle()")
        return pool.registry.unpickle((<_Raw>value).name, payload)
    codec = codecs_by_name.get((<_Raw>value).name)
    if codec is None and native_by_name is not None:
        codec = native_by_name((<_Raw>value).name)
    if codec is None:
        raise errors.ClassNotFoundError(
            f"a value of the registered type {(<_Raw>value).name!r} cannot be loaded: call pmemobj.register() for it "
            "before reading it"
        )
    return codec.decode(payload)
