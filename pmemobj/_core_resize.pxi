# Enlarging a pool.  libpmemobj takes a larger file for what it is when it opens it, so a pool that is open is mapped
# anew: in the same handle, with the same file lock, and a journal of the next epoch.
#
# Order: everything into the pool file -> enlarge it -> libpmemobj lets go -> the pool is clean, its journal or undo log
# gone -> as at open.  At any point a crash leaves either a clean pool or one with its journal.  Meanwhile other threads
# wait as for a transaction.  A proxy may vanish at any time and looks at its object then; so until all proxies have
# been told where their objects are, the file stands where the old mapping was.

import time


cdef int enlarge(Pool pool, uint64_t size) except -1:
    """The pool is locked and clean, or has been recovered; nothing has it mapped."""
    cdef int error = pf_grow(pool.fd, &pool.info, max(size, pool.info.size))
    if error:
        raise OSError(error, f"cannot enlarge the pool: {os.strerror(error)}", pool.path)
    return 0


cdef void shut_gates(Pool pool) noexcept:
    """Of a pool whose tables are new."""
    cdef pm_pool *p = pool.p
    if not pool.resizing:
        p.read_gate = p.write_gate = PM_GATE_CLOSED
        return
    # Other threads run when a file is locked or a name encoded: they ask whether the journal has failed, and proxies
    # that vanish look for their places.
    if p.journal == NULL:
        p.journal = rd_no_journal()
    p.known = &pool.known
    p.base = pool.old_base
    p.owner = pm_this_thread()
    p.turn = pm_this_turn()
    p.depth = 1
    p.read_gate = p.write_gate = PM_GATE_TX


cdef void open_gates(Pool pool) noexcept:
    cdef pm_pool *p = pool.p
    p.depth = 0
    p.owner = NULL
    p.read_gate = 0
    p.write_gate = PM_GATE_DIRECT if p.direct != NULL else 0
    if pool.locked:
        pool.locked = False
        PyThread_release_lock(pool.lock)


cdef int let_go(Pool pool) noexcept:
    """libpmemobj unmaps the pool, which stays to be seen, and its session ends.  0 or an errno."""
    cdef pm_pool *p = pool.p
    cdef char *base = p.base
    cdef int error
    if p.direct == NULL:
        pm_closing(p)
    pmemobj_close(<PMEMobjpool *>pool.pop)
    if p.direct != NULL:                    # what that flushed had to reach the file
        pm_closing(p)
    pool.pop = NULL
    error = pf_stand_in(pool.fd, base, p.size)
    if p.direct != NULL:
        return stop_directly(pool, not error) or error
    if not error:
        error = pf_set_state(pool.fd, &pool.info, pool.info.state & ~<uint64_t>PM_STATE_LIVE)
    jr_stop(p.journal, not error)
    return error


cdef int map_anew(Pool pool, int sync, double interval) except -1:
    """The pool file has everything."""
    cdef pm_pool *p = pool.p
    cdef pm_pool old
    cdef char *base = p.base
    cdef uint64_t size = p.size
    cdef int error = 0
    cdef size_t i
    pm_cache_free(p)
    pm_keys_release(p)
    old = p[0]
    error = let_go(pool)
    p.journal = NULL
    shut_gates(pool)
    try:
        if error:
            raise OSError(error, f"cannot map the enlarged pool: {os.strerror(error)}", pool.path)
        pm_pool_fini(p)
        probe(pool.path, pool.fd, &pool.info)
        if pool.media == NULL:
            pool._start_journal(sync, interval)
        else:
            start_directly(pool, sync, interval)
        p.births = (pool.info.state >> 1) << PM_BORN_BITS
        p.epoch = old.epoch
        p.last_epoch = old.last_epoch
        p.overwritten = old.overwritten         # these two only ever grow
        p.deque_generation = old.deque_generation
        pool._map()
        for i in range(pool.known.mask + 1 if pool.known.cells != NULL else 0):
            if pool.known.cells[i].offset and pool.known.cells[i].proxy != NULL:
                (<Persistent>pool.known.cells[i].proxy).head = <pm_object *>pm_at(p, pool.known.cells[i].offset)
    except BaseException:
        p.read_gate = p.write_gate = PM_GATE_CLOSED
        p.depth = 0
        if p.journal == rd_no_journal():
            p.journal = NULL
        pool._orphan_proxies()
        if pool.locked:
            pool.locked = False
            PyThread_release_lock(pool.lock)
        pool._detach(p.journal != NULL and jr_is_untouched(p.journal))
        raise
    finally:
        pf_stand_in_ends(base, size)
    return 0


def resize(Pool pool not None, uint64_t size, str sync, double interval):
    """Enlarges an open pool; see pool.resize()."""
    cdef pm_pool *p = pool.p
    cdef jr *journal
    cdef int error
    must_be_alone(pool, "resize")
    must_not_be_exported(pool, "resize()")
    pool._drain()
    must_be_alone(pool, "resize")
    must_not_be_exported(pool, "resize()")
    if not pool.callbacks:
        pool.callbacks.append(None)
    pool.resizing = True
    pool.old_base = p.base
    shut_gates(pool)
    try:
        if p.ndirty and p.direct == NULL:
            make_room(pool, pm_record_bound(p))
            pm_record(p)
        while pool.syncing:
            time.sleep(0.001)
        journal = p.journal
        if p.direct != NULL:
            error = direct_sync(p)
        else:
            with nogil:
                error = jr_checkpoint(journal)
        if error == JR_HELD:
            raise_held(pool, "it cannot be enlarged while it is open")
        if error:
            raise OSError(error, f"cannot bring the pool file up to date: {os.strerror(error)}", pool.path)
        enlarge(pool, size)
        map_anew(pool, SYNC_POLICIES[sync], interval)
        open_gates(pool)
    except BaseException:
        if p.depth:
            open_gates(pool)
        raise
    finally:
        pool.resizing = False
    expect_work(pool)


cdef int check_begins(Pool pool) except -1:
    """As copy_begins(), but inside of this thread's transaction too, and of a snapshot; and nothing is changed."""
    cdef pm_pool *p = pool.p
    pool_check_read(pool)
    if p.write_gate & PM_GATE_IN_OP:
        raise RuntimeError("check() from inside one of the pool's own operations")
    pool.gates_before = p.read_gate | <uint64_t>p.write_gate << 32
    if pool.snapshot != NULL:
        pool.copying += 1
    elif p.depth == 0:
        if not pool.callbacks:
            pool.callbacks.append(None)
        p.owner = pm_this_thread()
        p.turn = pm_this_turn()
        p.depth = 1
        p.read_gate = PM_GATE_TX
        p.write_gate |= PM_GATE_TX
    p.write_gate |= PM_GATE_IN_OP
    return 0


cdef int check_ends(Pool pool) except -1:
    cdef pm_pool *p = pool.p
    if p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
        return 0                            # in a child that progress() has made
    if pool.snapshot != NULL:
        pool.copying -= 1
    elif not pool.gates_before >> 32 & PM_GATE_TX:
        p.depth = 0
        p.owner = NULL
        if pool.locked:
            pool.locked = False
            PyThread_release_lock(pool.lock)
    p.read_gate = <uint32_t>pool.gates_before
    p.write_gate = <uint32_t>(pool.gates_before >> 32)
    return 0


cdef int copy_begins(Pool pool) except -1:
    must_be_alone(pool, "compact")
    pool._drain()
    must_be_alone(pool, "compact")
    if not pool.callbacks:
        pool.callbacks.append(None)
    pool.resizing = True
    pool.old_base = pool.p.base
    shut_gates(pool)
    pool.resizing = False
    pool.p.write_gate |= PM_GATE_IN_OP
    return 0


cdef int copy_ends(Pool pool) except -1:
    open_gates(pool)
    expect_work(pool)
    return 0
