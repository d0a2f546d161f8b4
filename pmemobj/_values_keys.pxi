# Keys: their hashes, the same in every process, and their equality.

cdef enum:
    SEED_BYTES = 0x62797400
    SEED_TUPLE = 0x74757000
    SEED_SET = 0x73657400
    SEED_OBJECT = 0x6f626a00


cdef inline uint64_t mix(uint64_t h) noexcept:
    h = (h ^ (h >> 33)) * <uint64_t>0xff51afd7ed558ccd
    h = (h ^ (h >> 33)) * <uint64_t>0xc4ceb9fe1a85ec53
    return h ^ (h >> 33)


cdef int stable_hash(Pool pool, object key, uint64_t *hash) except -1:
    """The same in every process for equal keys: numbers by Python's numeric hash, str and bytes by XXH3."""
    cdef type cls = type(key)
    cdef uint64_t one, all = 0
    if cls is str:
        hash[0] = pm_str_hash(key)
        return 0
    if cls is int or cls is float or cls is bool or cls is complex:
        hash[0] = <uint64_t>PyObject_Hash(key)
        if key != key:
            hash[0] = 0                 # since 3.10 Python hashes a NaN by its address
        return 0
    if cls is bytes:
        hash[0] = XXH3_64bits_withSeed(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), SEED_BYTES)
        return 0
    if cls is tuple:
        with_recursion_limit()
        try:
            all = SEED_TUPLE
            for item in <tuple>key:
                stable_hash(pool, item, &one)
                all = mix(all + one) + 1
        finally:
            Py_LeaveRecursiveCall()
        hash[0] = all
        return 0
    if cls is frozenset:
        all = SEED_SET
        for item in <frozenset>key:
            stable_hash(pool, item, &one)
            all += mix(one)
        hash[0] = all
        return 0
    if key is None or key is ... or key is NotImplemented:
        hash[0] = 1 if key is None else 2 if key is ... else 3
        return 0
    return hash_other(pool, key, cls, hash)


cdef int hash_other(Pool pool, object key, type cls, uint64_t *hash) except -1:
    cdef Codec codec
    if isinstance(key, Persistent):
        PyObject_Hash(key)              # raises for the unhashable ones
        check_read(<Persistent>key)
        stable = getattr(cls, "_p_stable_hash", None)       # of the class: objects may have any attribute
        if stable is not None:
            return stable_hash(pool, stable(key), hash)
        if cls.__hash__ is not Persistent.__hash__ or cls.__eq__ is not Persistent.__eq__:
            raise TypeError(
                f"a {cls.__name__} cannot be a key: its own __eq__ or __hash__ may give another hash in another process"
            )
        hash[0] = mix(SEED_OBJECT + <uint64_t>(<char *>(<Persistent>key).head - (<Persistent>key).p.base))
        return 0
    PyObject_Hash(key)                  # TypeError: unhashable type
    codec = codec_for(pool, cls)
    if codec is not None and codec.stable_key is not None:
        return stable_hash(pool, codec.stable_key(key), hash)
    if codec is not None and codec.kind == PM_REF_CUSTOM:
        return stable_hash(pool, (codec.name, codec.encode(key)), hash)
    raise TypeError(
        f"a {cls.__module__}.{cls.__qualname__} cannot be a key: its hash may differ in another process; "
        "convert it, or use pmemobj.register() with a stable_key that is equal for equal values"
    )


cdef int key_equal(Pool pool, uint64_t slot, object key) noexcept:
    cdef type cls = type(key)
    cdef uint64_t mine
    cdef const uint64_t *block
    cdef unsigned kind
    if cls is str:
        if pm_immediate(key, &mine):
            return slot == mine
        kind = PM_SLOT_KIND(slot)
        if not PM_IS_REFERENCE(slot) or kind < PM_REF_STR1 or kind > PM_REF_STR4:
            return 0
        block = pm_value_block(pool.p, slot)
        if block == NULL or block[0] != <uint64_t>PyUnicode_GET_LENGTH(key):
            return 0
        if PyUnicode_KIND(key) != (4 if kind == PM_REF_STR4 else 2 if kind == PM_REF_STR2 else 1):
            return 0
        return memcmp(block + 1, PyUnicode_DATA(key), block[0] * PyUnicode_KIND(key)) == 0
    if pm_immediate(key, &mine) and mine == slot:
        return 1
    if cls is int and slot & 1:
        return 0
    if cls is bytes:
        if not PM_IS_REFERENCE(slot) or PM_SLOT_KIND(slot) != PM_REF_BYTES:
            return 0
        block = pm_value_block(pool.p, slot)
        return block != NULL and block[0] == <uint64_t>PyBytes_GET_SIZE(key) and \
            memcmp(block + 1, PyBytes_AS_STRING(key), block[0]) == 0
    if isinstance(key, Persistent):
        return slot == PM_REFERENCE(PM_REF_OBJECT, <uint64_t>(<char *>(<Persistent>key).head - pool.p.base)) or 2
    return 2
