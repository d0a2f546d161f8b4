# One wrapper for each libpmemobj function that can fail, of the same name without "pmemobj_": it raises, so
# nobody else sees a return code.

cdef str library_message():
    cdef const char *message = pmemobj_errormsg()
    return message.decode("utf-8", "replace") if message != NULL and message[0] else "no reason given"


cdef uint64_t obj_reserve(Pool pool, pobj_action *action, size_t size, uint64_t type_num) except 0:
    cdef PMEMoid oid = pmemobj_reserve(<PMEMobjpool *>pool.pop, action, size, type_num)
    if oid.off == 0:
        raise errors.PoolFullError(
            f"{pool.path}: the pool is full: no room for another {size} bytes, and nothing has changed; delete "
            f"something, or enlarge the pool with resize(), above max_size {pool.p.size}"
        )
    return oid.off


cdef void obj_defer_free(Pool pool, pobj_action *action, uint64_t offset) noexcept:
    cdef PMEMoid oid
    oid.pool_uuid_lo = pool.uuid_lo
    oid.off = offset
    pmemobj_defer_free(<PMEMobjpool *>pool.pop, oid, action)


cdef enum:
    PUBLISH_AT_ONCE = 32        # a lane's own log holds 40 entries; more would have to be allocated, also to free


cdef int obj_publish(Pool pool) except -1:
    """All pending actions.  In parts that need no room, so that freeing works in a full pool; they are one to
    the outside, since nothing of them leaves this process before the record that holds them all.

    libpmemobj refuses only when the log of its lane would have to grow (operation_reserve; each action, allocating
    or freeing, is one entry of 16 bytes, and the lane has 640): so no part of this size is ever refused.
    """
    cdef size_t done = 0, count
    while done < pool.nactions:
        count = min(pool.nactions - done, <size_t>PUBLISH_AT_ONCE)
        if pmemobj_publish(<PMEMobjpool *>pool.pop, <pobj_action *>pool.actions + done, count):
            if done:
                pool.p.write_gate |= PM_GATE_FAILED     # half published: nothing may be recorded any more
                pool.nactions -= done
                memmove(pool.actions, <pobj_action *>pool.actions + done, pool.nactions * sizeof(pobj_action))
            raise errors.PoolFullError(
                f"{pool.path}: the pool is full: no room to complete {count} allocations; delete something first"
            )
        done += count
    pool.nactions = 0
    return 0


cdef void obj_cancel(Pool pool, size_t first) noexcept:
    """Forgets the pending actions from number `first` on."""
    pmemobj_cancel(<PMEMobjpool *>pool.pop, <pobj_action *>pool.actions + first, pool.nactions - first)
    pool.nactions = first


cdef PMEMobjpool *obj_create(str path, unsigned mode) except NULL:
    """The file exists and has its final, sparse length."""
    cdef PMEMobjpool *pop = pmemobj_create(os.fsencode(path), PM_LAYOUT_NAME, 0, mode)
    if pop == NULL:
        raise errors.PoolFormatError(f"{path}: libpmemobj cannot create a pool here: {library_message()}")
    return pop


cdef PMEMobjpool *obj_open(str path, bint shared) except NULL:
    """Unless shared it is mapped privately: nothing that is stored reaches the file."""
    cdef int on = not shared, off = 0
    pmemobj_ctl_set(NULL, b"copy_on_write.at_open", &on)
    cdef PMEMobjpool *pop = pmemobj_open(os.fsencode(path), PM_LAYOUT_NAME)
    pmemobj_ctl_set(NULL, b"copy_on_write.at_open", &off)
    if pop == NULL:
        raise errors.PoolDamagedError(f"{path}: libpmemobj cannot open this pool: {library_message()}")
    return pop


cdef PMEMoid obj_root(PMEMobjpool *pop, size_t size, str path) except *:
    cdef PMEMoid oid = pmemobj_root(pop, size)
    if oid.off == 0:
        raise errors.PoolFullError(f"{path}: no room for the root block: {library_message()}")
    return oid
