# What is read from the pool is looked at before it is followed; here is what happens when it leads nowhere.
#
# A damaged pool must not end the program, nor be changed in places that an offset names by mistake.  So each offset,
# size, count and type that comes from the pool is verified before it is used: on hot paths by one compare inline
# (pm_leads_inside), which sends what it does not like the long way, and here on the long way.  What is only wrong, but
# leads inside the pool, is pool.check()'s business.

cdef int raise_damaged(Pool pool, const void *at, str what) except -1:
    raise errors.PoolDamagedError(
        f"{pool.path}: what is stored at {pm_offset(pool.p, at):#x} is damaged: {what}. pool.check() says what else "
        "is; restore the pool from a backup, or save what can be read with pmemobj.repair()"
    )


cdef int vec_must_be_sound(Pool pool, const pm_vec *v, uint64_t start, uint64_t stop, unsigned stride) except -1:
    if not pm_vec_is_sound(pool.p, v, start, stop, stride):
        raise_damaged(pool, v, "its items are not inside the pool")
    return 0


cdef int index_must_be_sound(Pool pool, const pm_table *t) except -1:
    if not pm_index_is_sound(pool.p, t):
        raise_damaged(pool, t, "its index makes no sense")
    return 0


cdef uint64_t *value_block(Pool pool, uint64_t slot) except NULL:
    cdef const uint64_t *block = pm_value_block(pool.p, slot)
    if block == NULL:
        raise errors.PoolDamagedError(f"{pool.path}: the value {slot:#x} is not inside the pool")
    return <uint64_t *>block


cdef pm_object *object_at_offset(Pool pool, uint64_t offset) except NULL:
    cdef pm_object *o = <pm_object *>pm_at(pool.p, offset)
    if offset & 7 or not pm_inside(pool.p, offset, LARGEST_OBJECT):
        raise errors.PoolDamagedError(f"{pool.path}: no object can be at {offset:#x}")
    if o.type >= PM_TYPES or proxy_makers[o.type] == NULL and proxy_classes[o.type] == NULL:
        raise errors.PoolDamagedError(f"{pool.path}: unknown object type {o.type} at {offset:#x}")
    return o


cdef int limbo_must_be_sound(Pool pool, const pm_object *o) except -1:
    """Before the object is taken off the list of limbo: what it says of its neighbours is inside the pool."""
    if o.limbo_next and not pm_leads_inside(pool.p, o.limbo_next) or \
            o.limbo_prev and not pm_leads_inside(pool.p, o.limbo_prev):
        raise_damaged(pool, o, "its neighbours in limbo are not inside the pool")
    return 0


cdef int chunk_must_be_sound(Pool pool, uint64_t offset) except -1:
    if not pm_chunk_is_sound(pool.p, offset):
        raise errors.PoolDamagedError(f"{pool.path}: the chunk at {offset:#x} has a damaged header")
    return 0
