# Who may pass.  The hot paths look at one word (read_gate or write_gate); only when it is not 0 do they come
# here.  A thread that meets another thread's open transaction waits for its end without the GIL.

cdef inline bint is_idle(const pm_pool *p) noexcept:
    """An operation may begin: the pool can be changed, and nothing is open."""
    return p.write_gate & ~<uint32_t>PM_GATE_DIRECT == 0


cdef int raise_closed(Pool pool) except -1:
    if pool.p.read_gate & PM_GATE_FORKED:
        raise errors.ForkedPoolError(
            f"{pool.path}: this handle came through fork() and cannot be used in the child; open the pool "
            "again here after the parent has closed it"
        )
    raise errors.PoolClosedError(f"{pool.path}: the pool is closed")


cdef enum:
    LOOK_AFTER = 200000         # microseconds


cdef int wait_for_transaction(Pool pool) except -1:
    """Blocks until the open transaction of another thread has ended; Ctrl-C ends the wait.

    A thread that began a transaction and ended without ending it would block all others for ever; so what it
    left is undone.
    """
    pool.waiting += 1
    try:
        wait_in_turn(pool)
    finally:
        pool.waiting -= 1
        pool.passed += 1
    return 0


cdef int wait_in_turn(Pool pool) except -1:
    cdef int got
    while pool.p.depth:
        if not pool.locked:                 # in the owner's name: its transaction's end gives it back
            pool.locked = PyThread_acquire_lock(pool.lock, NOWAIT_LOCK)
        with nogil:
            got = PyThread_acquire_lock_timed(pool.lock, LOOK_AFTER, 1)
            if got == PY_LOCK_ACQUIRED:     # given back before the GIL is taken: its holder may want the lock
                PyThread_release_lock(pool.lock)
        if got == PY_LOCK_ACQUIRED:
            return 0
        PyErr_CheckSignals()
        if pool.p.depth and not pm_thread_lives(pool.p.owner):
            undo_orphaned(pool, "thread")
            return 0
        if task_has_ended(pool):
            undo_orphaned(pool, "task")
            return 0
    return 0


cdef int undo_orphaned(Pool pool, str what) except -1:
    undo_all(pool)
    warnings.warn(
        f"{pool.path}: a {what} has ended without ending its transaction, which has been undone",
        ResourceWarning, stacklevel=1,
    )
    return 0


cdef int give_way(Pool pool) except -1:
    """Before a transaction begins: one of the threads that wait goes first.

    Otherwise a thread that runs one transaction after the other, and lets go of the GIL only inside of them,
    would keep all others out for ever.  In a forked child nobody waits any more.
    """
    cdef unsigned passed = pool.passed
    while pool.waiting and pool.passed == passed and pool.p.depth == 0 and not pool.p.read_gate:
        with nogil:
            usleep(50)
        PyErr_CheckSignals()
    return 0


cdef str LOST = (
    "the pool file or its journal has been deleted, truncated or replaced while the pool was open; copy what can still "
    "be read, close the pool, put both files back or restore them from a backup, and open it again"
)


cdef int raise_if_failed(Pool pool) except -1:
    """Also inside an operation."""
    cdef int error = pool.p.journal.failed
    if error or pool.p.write_gate & PM_GATE_FAILED:
        raise errors.PoolFailedError(
            error or EIO,
            LOST if error == ESTALE else
            "a write or sync of the journal or the pool file failed; close the pool, mend the cause and "
            "open it again: nothing acknowledged is lost",
            pool.path,
        )
    return 0


cdef int pass_gate(Pool pool, bint write) except -1:
    cdef pm_pool *p = pool.p
    cdef uint32_t gate
    while True:
        gate = p.write_gate if write else p.read_gate
        if gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            raise_closed(pool)
        if write:
            raise_if_failed(pool)
        if gate == 0:
            return 0
        if write and gate & PM_GATE_READONLY:
            raise errors.ReadOnlyPoolError(f'{pool.path}: the pool was opened with flag="r"; nothing can be changed')
        if gate & PM_GATE_TX and p.owner != pm_this_thread():
            wait_for_transaction(pool)
            continue
        if gate & PM_GATE_TX and p.turn != pm_this_turn():
            pass_task(pool)
            continue
        if write and gate & PM_GATE_DOOMED:
            raise_doomed(pool)
        if write and gate & PM_GATE_IN_OP:
            raise RuntimeError("a pool cannot be changed from inside one of its own operations")
        return 0


cdef int check_read_slow(Persistent o) except -1:
    if o.pool is None:
        raise TypeError(f"this {type(o).__name__} was not created by pool.new()")
    if o.head == NULL:
        if o.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            raise_closed(o.pool)
        if o.p.write_gate & PM_GATE_READONLY:
            raise errors.StaleObjectError(
                f"this {type(o).__name__} does not exist any more since refresh(); fetch what you need from the root"
            )
        raise errors.StaleObjectError(
            f"this {type(o).__name__} was created in a transaction that has been undone; it does not exist any more"
        )
    return pass_gate(o.pool, False)


cdef int pool_check_read(Pool pool) except -1:
    if pool.p == NULL:
        raise errors.PoolClosedError("the pool is not open")
    if pool.p.read_gate:
        pass_gate(pool, False)
    return 0
