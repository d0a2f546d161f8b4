# Operations, levels (transactions and savepoints), commit.
#
# An operation is what one method call does to the pool.  Alone, it is committed by op_end; inside a level it
# becomes part of it.  Every level takes line images of what it changes first; the outermost one holds the
# pool's lock and, at its commit, frees what was released, publishes libpmemobj's reserved allocations and
# appends one record.  Publishing is the last step that may fail and be undone.

cdef enum:
    PUBLISH_WORDS = 8192        # room in a record for what publishing itself flushes, and
    ACTION_WORDS = 128          # for each action
    DIRECT_BYTES = 4 << 20      # large fresh ranges of this size together bypass the journal


cdef marks NOTHING
memset(&NOTHING, 0, sizeof(NOTHING))


cdef inline marks here(Pool pool) noexcept:
    cdef marks m
    m.images = pool.p.nimages
    m.ranges = pool.p.nranges
    m.frees = pool.nfrees
    m.actions = pool.nactions
    m.created = pool.ncreated
    return m


cdef void forget_since(Pool pool, marks start) noexcept:
    """Cancels what was reserved, released and created since; makes the proxies of the latter stale."""
    cdef pm_known_cell *cell
    pm_cache_undo(pool.p)
    pm_keys_forget(pool.p)
    pool.p.deque_generation += 1
    if pool.nactions > start.actions and not pool.p.write_gate & PM_GATE_DOOMED:     # later, then
        obj_cancel(pool, start.actions)
    pool.p.nranges = start.ranges
    pool.nfrees = start.frees
    while pool.ncreated > start.created:
        pool.ncreated -= 1
        cell = pm_known_find(&pool.known, pool.created[pool.ncreated])
        if cell != NULL:
            if cell.proxy != NULL:
                (<Persistent>cell.proxy).head = NULL
            pm_known_remove(&pool.known, cell)


# --- commit

cdef int raise_journal(Pool pool, int error) except -1:
    raise_if_failed(pool)
    if error == JR_HELD:
        raise_held(pool, "nothing has changed: the journal can grow no more, and it cannot be checkpointed")
    raise OSError(error, f"no room in the journal ({os.strerror(error)}); nothing has changed", pool.journal_path)


cdef int make_room(Pool pool, uint64_t words) except -1:
    cdef int error = jr_make_ready(pool.p.journal, words)
    if error:
        raise_journal(pool, error)
    return 0


cdef int commit_changes(Pool pool) except -1:
    """Everything changed becomes one record, or an error is raised and the caller undoes it."""
    cdef pm_pool *p = pool.p
    cdef uint64_t room
    cdef size_t i
    cdef int error
    if p.direct != NULL:
        return commit_directly(pool)
    for i in range(pool.nfrees):
        free_now(pool, pool.frees[i])
    if p.nranges:
        error = pm_settle_ranges(p, DIRECT_BYTES)
        if error:
            raise_journal(pool, error)
    room = pm_record_bound(p)
    if pool.nactions:
        room += PUBLISH_WORDS + ACTION_WORDS * pool.nactions
        make_room(pool, room)
        obj_publish(pool)
        if pm_record_bound(p) > room and jr_make_ready(p.journal, pm_record_bound(p)):
            p.write_gate |= PM_GATE_FAILED  # published, which cannot be undone, and not recorded
            raise_if_failed(pool)
    else:
        make_room(pool, room)
    pool.nfrees = 0
    if p.depth:
        p.nlog = 0                          # its words are lines of the dirty set as well
    pm_record(p)
    return 0


cdef int sync_now(Pool pool) except -1:
    cdef jr *journal = pool.p.journal
    cdef int error
    if pool.p.direct != NULL:               # durable already, unless that has failed
        return look_at_files(pool, True)
    pool.syncing += 1                       # close() waits for it
    with nogil:
        error = jr_sync(journal)
    pool.syncing -= 1
    if error:
        raise_if_failed(pool)
        if error == JR_HELD:
            raise_held(pool, "committed, but not durable yet: the journal can grow no more")
        raise OSError(
            error, f"committed, but not durable yet: no room in the journal ({os.strerror(error)})", pool.journal_path
        )
    return 0


cdef int after_commit(Pool pool, bint sync) except -1:
    """Outside of everything, the record is written: destroy orphans, make it durable if asked."""
    if pm_wants_care(pool.p):
        take_care(pool)
    if pool.norphans or pool.backlog:
        drain_as_room_permits(pool)
    expect_work(pool)
    if sync or pool.p.direct == NULL and pool.p.journal.sync == JR_SYNC_COMMIT:
        sync_now(pool)
    elif pool.p.direct != NULL:
        look_at_files(pool, False)
    return 0


# --- operations

cdef int op_begin_slow(Pool pool) except -1:
    pass_gate(pool, True)
    if pool.p.write_gate & PM_GATE_DIRECT:
        direct_level_begin(pool.p)
    pool.p.write_gate |= PM_GATE_IN_OP
    pool.op = here(pool)                    # outside of transactions all of it is 0
    return 0


cdef inline void op_close(pm_pool *p) noexcept:
    p.nlog = 0
    p.fresh_words = 0
    p.write_gate &= ~<uint32_t>PM_GATE_IN_OP


cdef int op_finish(Pool pool) except -1:
    """Commits the operation, or leaves it to the open level.  On an error it is still to be aborted."""
    if not pool.p.write_gate & PM_GATE_TX:
        commit_changes(pool)
        if pool.p.direct != NULL:
            end_alone(pool)
    op_close(pool.p)
    return 0


cdef void expect_work(Pool pool) noexcept:
    """What is left to do at the end of the next operation; nothing, and it may take the hot path."""
    pool.p.pending = pool.backlog != 0 or pool.norphans != 0 or pool.p.journal.sync == JR_SYNC_COMMIT


cdef int op_end_slow(Pool pool) except -1:
    """Inside a transaction; or with blocks to free, something to publish, orphans, or a sync to wait for."""
    if pool.p.write_gate & PM_GATE_TX:      # it cannot fail here: if it is doomed, what comes next says so
        op_close(pool.p)
        return 0
    try:
        op_finish(pool)
    except BaseException:
        op_abort(pool)
        raise
    after_commit(pool, False)
    return 0


cdef void op_abort(Pool pool) noexcept:
    """Undoes the operation."""
    cdef bint alone = not pool.p.write_gate & PM_GATE_TX
    pm_log_undo(pool.p, 0)
    pool.p.fresh_words = 0
    if alone and pool.p.direct != NULL:
        direct_abort(pool.p)
    forget_since(pool, NOTHING if alone else pool.op)
    if alone and pool.p.direct != NULL:
        end_alone(pool)
    pool.p.write_gate &= ~<uint32_t>PM_GATE_IN_OP
    if pool.p.depth == 0 and pool.p.ndirty:
        pm_forget_undone(pool.p)


# --- levels

cdef int level_begin(Pool pool) except -1:
    cdef pm_pool *p = pool.p
    cdef level *grown
    if p == NULL or p.write_gate or p.journal.failed:
        if p == NULL:
            pool_check_read(pool)
        pass_gate(pool, True)
    if p.depth == pool.levels_cap:
        grown = <level *>realloc(pool.levels, (2 * pool.levels_cap + 8) * sizeof(level))
        if grown == NULL:
            no_memory()
        pool.levels = grown
        pool.levels_cap = 2 * pool.levels_cap + 8
    if p.depth == <size_t>PyList_GET_SIZE(pool.callbacks):
        pool.callbacks.append(None)         # what may fail comes before the gates close
    if p.depth == 0:
        p.owner = pm_this_thread()
        p.turn = pm_this_turn()
        p.read_gate |= PM_GATE_TX
        p.write_gate = p.write_gate & ~<uint32_t>PM_GATE_DIRECT | PM_GATE_TX
    p.last_epoch += 1
    p.epoch = p.last_epoch
    pool.levels[p.depth].epoch = p.epoch
    pool.levels[p.depth].start = here(pool)
    p.depth += 1
    if p.depth == 1:
        try:
            note_task(pool)                 # may run Python code; other threads wait already
        except BaseException:
            leave_level(pool)
            raise
    return 0


cdef void leave_level(Pool pool) noexcept:
    """The innermost level has been kept or undone."""
    cdef pm_pool *p = pool.p
    p.depth -= 1
    pool.callbacks[p.depth] = None
    if p.depth:
        p.epoch = pool.levels[p.depth - 1].epoch
        return
    p.nimages = 0
    pool.ncreated = 0
    p.owner = NULL
    p.read_gate &= ~<uint32_t>PM_GATE_TX
    p.write_gate &= ~<uint32_t>PM_GATE_TX
    if p.direct != NULL:
        p.write_gate |= PM_GATE_DIRECT
    if pool.locked:
        pool.locked = False
        PyThread_release_lock(pool.lock)


cdef void level_abort(Pool pool) noexcept:
    """Undoes the innermost level."""
    cdef marks start = pool.levels[pool.p.depth - 1].start
    if pool.p.direct != NULL and pool.p.depth == 1:
        direct_abort(pool.p)
    else:
        pm_images_undo(pool.p, start.images)
    forget_since(pool, start)
    leave_level(pool)
    if pool.p.depth == 0:
        pool.sync_at_commit = False
        undone(pool)


cdef void undo_all(Pool pool) noexcept:
    """Undoes whatever transaction is open, whoever began it."""
    while pool.p.depth:
        level_abort(pool)


cdef int level_commit(Pool pool) except -1:
    """Ends the innermost level: a savepoint becomes part of the level around it, the outermost one is
    committed.  On an error it has been undone."""
    cdef pm_pool *p = pool.p
    cdef bint sync = pool.sync_at_commit
    if p.depth > 1:
        leave_level(pool)
        return 0
    try:
        if p.journal.failed:
            raise_if_failed(pool)
        commit_changes(pool)
    except BaseException:
        p.nlog = 0
        level_abort(pool)
        raise
    leave_level(pool)
    pool.sync_at_commit = False
    after_commit(pool, sync)
    return 0


# --- transactions

class _Leave(BaseException):
    """Unwinds to the block of the transaction whose abort() was called."""


@cython.freelist(8)
cdef class Transaction:
    """``with pool.transaction() as tx:``: all of the block happens, or nothing; see Pool.transaction."""

    cdef readonly Pool pool
    cdef bint sync
    cdef uint32_t depth             # 0: not open
    cdef bint explicit              # opened by begin(), not by a with statement
    cdef list when_committed, when_aborted
    cdef Transaction undone_after   # while abort_to() undoes several

    def __init__(self, *args, **kwargs):
        raise TypeError("use pool.transaction()")

    def __enter__(self):
        if self.pool is None:
            raise TypeError("use pool.transaction()")
        if self.depth:
            if self.pool.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
                raise_closed(self.pool)
            raise errors.TransactionError("this transaction is open already; ask the pool for another one")
        if self.pool.waiting:
            give_way(self.pool)
        level_begin(self.pool)
        self.depth = self.pool.p.depth
        self.when_committed = None
        self.when_aborted = None
        self.pool.callbacks[self.depth - 1] = self
        if self.sync:
            self.pool.sync_at_commit = True
        return self

    def __exit__(self, kind, value, traceback):
        cdef Pool pool = self.pool
        cdef uint32_t depth = self.depth
        self.depth = 0
        if pool.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            if kind is None:
                raise_closed(pool)
            return kind is _Leave and value.args[0] is self
        if pool.p.depth < depth or pool.callbacks[depth - 1] is not self:
            raise errors.TransactionError("this transaction has been ended inside its block")
        if not self._is_mine(depth):
            abort_to(pool, depth - 1)
            if kind is None:
                raise errors.TransactionError(
                    "this block was entered by another thread or asyncio task than it is left by; it is undone"
                )
            return kind is _Leave and value.args[0] is self
        if kind is None and pool.p.depth > depth:
            abort_to(pool, depth - 1)
            raise errors.TransactionError("a transaction begun inside this block was not ended; all is undone")
        if kind is None:
            commit_level_and_tell(pool)
            return False
        abort_to(pool, depth - 1)
        return kind is _Leave and value.args[0] is self

    cdef bint _is_mine(self, uint32_t depth) except -1:
        try:
            return owns_transaction(self.pool)
        except BaseException:               # Ctrl-C: the block is at its end, whatever comes
            abort_to(self.pool, depth - 1)
            raise

    def begin(self):
        """Begins the transaction without a ``with`` statement; commit() or abort() must end it."""
        self.__enter__()
        self.explicit = True

    def commit(self):
        """Ends what begin() began and keeps it.  Raises as the end of a ``with`` block would."""
        self._must_be_open()
        if not self.explicit:
            raise errors.TransactionError("the end of the with block commits this transaction")
        self.explicit = False
        self.__exit__(None, None, None)

    def abort(self):
        """Undoes the transaction.

        In a ``with`` block: leaves the block; execution goes on after it.  After begin(): ends the transaction.
        """
        cdef uint32_t depth = self.depth
        self._must_be_open()
        if not self.explicit:
            raise _Leave(self)
        self.explicit = False
        self.depth = 0
        abort_to(self.pool, depth - 1)

    def on_commit(self, function):
        """Calls function() after the outermost transaction has committed."""
        self._must_be_open()
        if self.when_committed is None:
            self.when_committed = []
        self.when_committed.append(function)
        return function

    def on_abort(self, function):
        """Calls function() after this block, or one around it, has been undone."""
        self._must_be_open()
        if self.when_aborted is None:
            self.when_aborted = []
        self.when_aborted.append(function)
        return function

    def _must_be_open(self):
        if self.depth == 0:
            raise errors.TransactionError("this transaction is not open")
        if self.pool.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            raise_closed(self.pool)
        if self.pool.p.depth < self.depth or self.pool.callbacks[self.depth - 1] is not self:
            self.depth = 0
            self.explicit = False
            raise errors.TransactionError("this transaction has been ended already")
        if not owns_transaction(self.pool):
            raise errors.TransactionError("this transaction was begun by another thread or asyncio task")

    def __call__(self, function):
        """As a decorator: each call of the function is one transaction.

        Raises TypeError for coroutine functions and generators: they run after their call has returned.
        """
        import functools
        import inspect

        cdef Pool pool = self.pool
        cdef bint sync = self.sync
        for is_lazy in inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction:
            if is_lazy(function):
                raise TypeError(
                    f"{function!r} runs after its call has returned, so a transaction around the call holds nothing "
                    "of it; use a with block inside it, without await or yield"
                )

        @functools.wraps(function)
        @cython.binding(True)               # so that it can be a method, and carry a name
        def inside_transaction(*args, **kwargs):
            with new_transaction(pool, sync):
                return function(*args, **kwargs)
        return inside_transaction


# A level without a Transaction object of its own, for a method that runs user code in it.  Its end is the method's:
# this stands where the with block's Transaction would, and is replaced when it is to keep callbacks.
cdef Transaction block = Transaction.__new__(Transaction)
block.depth = 1


cdef uint64_t block_begin(Pool pool) except 0:
    if pool.waiting:
        give_way(pool)
    level_begin(pool)
    pool.callbacks[pool.p.depth - 1] = block
    return pool.p.epoch


cdef uint32_t block_depth(Pool pool, uint64_t epoch) noexcept:
    """The number of levels with this one, or 0 if it has been ended by what ran inside."""
    cdef uint32_t depth
    if not pool.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
        for depth in range(pool.p.depth, 0, -1):
            if pool.levels[depth - 1].epoch == epoch:
                return depth
    return 0


cdef int block_commit(Pool pool, uint64_t epoch) except -1:
    cdef uint32_t depth = block_depth(pool, epoch)
    if depth == 0:
        if pool.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            raise_closed(pool)
        raise errors.TransactionError("the transaction of pool.new() has been ended inside it")
    if pool.p.depth > depth:
        abort_to(pool, depth - 1)
        raise errors.TransactionError("a transaction begun inside pool.new() was not ended; all is undone")
    return commit_level_and_tell(pool)


cdef int block_abort(Pool pool, uint64_t epoch) except -1:
    cdef uint32_t depth = block_depth(pool, epoch)
    return abort_to(pool, depth - 1) if depth else 0


cdef Transaction new_transaction(Pool pool, bint sync):
    cdef Transaction made = Transaction.__new__(Transaction)
    made.pool = pool
    made.sync = sync
    return made


cdef int run_all(list functions) except -1:
    """Runs each; the first error is raised when all have run."""
    first = None
    for function in functions:
        try:
            function()
        except BaseException as error:
            if first is None:
                first = error
    if first is not None:
        raise first
    return 0


cdef int commit_level_and_tell(Pool pool) except -1:
    """Commits the innermost level and runs its callbacks, or hands them to the level around it."""
    cdef uint32_t depth = pool.p.depth
    cdef Transaction ended = pool.callbacks[depth - 1]
    cdef Transaction around, made
    if ended is None or (ended.when_committed is None and ended.when_aborted is None):
        level_commit(pool)
        return 0
    if depth > 1:
        around = pool.callbacks[depth - 2]
        if around is None or around is block:
            made = new_transaction(pool, False)
            made.depth = 0 if around is None else depth - 1
            around = pool.callbacks[depth - 2] = made
        around.when_committed = (around.when_committed or []) + (ended.when_committed or [])
        around.when_aborted = (around.when_aborted or []) + (ended.when_aborted or [])
        level_commit(pool)
        return 0
    try:
        level_commit(pool)
    except BaseException:
        if pool.p.depth < depth and not pool.p.journal.failed:
            run_all(ended.when_aborted or [])
        raise
    run_all(ended.when_committed or [])
    return 0


cdef int abort_to(Pool pool, uint32_t depth) except -1:
    """Undoes levels until only `depth` are open, innermost first, then runs their callbacks.  Nothing is allocated
    before all of them are undone, since a failure would leave a level open."""
    cdef Transaction ended, first = None, last = None
    while pool.p.depth > depth:
        ended = pool.callbacks[pool.p.depth - 1]
        if ended is not None and ended.when_aborted is not None:
            if last is None:
                first = ended
            else:
                last.undone_after = ended
            last = ended
        level_abort(pool)
    if pool.p.depth == 0:
        drain_quietly(pool)
    if first is not None:
        functions = []
        while first is not None:
            functions += first.when_aborted
            ended = first
            first = ended.undone_after
            ended.undone_after = None
        run_all(functions)
    return 0


cdef void drain_quietly(Pool pool) noexcept:
    try:
        if pool.norphans and is_idle(pool.p):
            drain(pool)
    except BaseException:
        pass
