# Snapshots: a pool opened with flag="r" (see _engine/snapshot/reader.h).  libpmemobj takes no part.
#
# Reading the journal goes on without the GIL; putting what was read into memory, and telling the proxies, is one
# step with it.  No method keeps an address across a call of user code without check_read() after it, so refresh()
# inside such a call does no harm.

import time

cdef enum:
    PATIENCE = 5                # seconds: the file is changed for no longer at a time, but by a recovery
    LOCK_TRIES = 100            # of a writer, while readers find their place, 5 ms apart
    CLOSE_TRIES = 60            # likewise


cdef int wait_a_little() except -1:
    with nogil:
        usleep(1000)
    return PyErr_CheckSignals()


cdef list processes_that_read(int fd):
    """Numbers of the processes that hold a snapshot of this file, as far as /proc shows them."""
    status = os.fstat(fd)
    found = []
    for pid in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if not pid.isdigit():
            continue
        try:
            for number in os.listdir(f"/proc/{pid}/fd"):
                other = os.stat(f"/proc/{pid}/fd/{number}")
                if (other.st_dev, other.st_ino) != (status.st_dev, status.st_ino):
                    continue
                with open(f"/proc/{pid}/fdinfo/{number}") as lines:
                    if any("OFDLCK" in line and " READ " in line for line in lines):
                        found.append(int(pid))
        except OSError:
            continue                        # gone, or somebody else's
    return sorted(set(found))


cdef int raise_held(Pool pool, str what) except -1:
    """Readers are in the way."""
    pids = processes_that_read(pool.fd)
    if pids == [os.getpid()]:
        who = "a reader in this process holds"
    elif pids:
        who = f"{'a reader' if len(pids) == 1 else 'readers'} (process {', '.join(map(str, pids))}) " + (
            "holds" if len(pids) == 1 else "hold")
    else:
        who = "readers hold"
    error = errors.PoolBusyError(
        EAGAIN, f"{what}, because {who} an older snapshot; they have to refresh() or close it", pool.path
    )
    error.pid = pids[0] if pids else None
    raise error


cdef int keep_readers_out(Pool pool) except -1:
    """For as long as the descriptor lives, or until let_readers_in(): the file itself is about to be changed."""
    cdef int i, error = EAGAIN
    for i in range(LOCK_TRIES):
        error = pf_lock_out_readers(pool.fd)
        if error != EAGAIN:
            break
        with nogil:
            usleep(5000)
        PyErr_CheckSignals()
    if error == EAGAIN:
        raise_held(pool, "the direct engine changes the pool file itself, which cannot be done")
    if error:
        raise OSError(error, f"cannot lock the pool: {os.strerror(error)}", pool.path)
    return 0


cdef int let_readers_in(Pool pool) noexcept:
    pf_unlock_change(pool.fd, PF_RECORDS)
    pf_unlock_change(pool.fd, PF_SNAPSHOTS)
    return 0


cdef int lock_out_readers(Pool pool) except -1:
    """Before a recovery.  Readers that have replayed the whole journal do not mind."""
    cdef int i, error = EAGAIN
    for i in range(LOCK_TRIES):
        error = pf_lock_change(pool.fd, PF_RECORDS, (pool.info.state >> 1) + 1, 0)
        if error != EAGAIN:
            break
        with nogil:
            usleep(5000)
        PyErr_CheckSignals()
    if error == EAGAIN:
        raise_held(pool, "the pool was not closed cleanly, and cannot be recovered")
    if error:
        raise OSError(error, f"cannot lock the pool: {os.strerror(error)}", pool.path)
    return 0


cdef int checkpoint_at_close(jr *journal) noexcept nogil:
    """A little patience with readers that are just finding their place."""
    cdef int i, error = JR_HELD
    for i in range(CLOSE_TRIES):
        error = jr_checkpoint(journal)
        if error != JR_HELD:
            break
        usleep(5000)
    return error


cdef int raise_snapshot(Pool pool, rd *r, rd_result result) except -1:
    if r == NULL or result == RD_TOO_LARGE and r.now.base == NULL:
        raise MemoryError("no memory for a snapshot")
    if result == RD_WAIT:
        raise errors.PoolBusyError(EAGAIN, "the pool file is being changed; try again", pool.path)
    if result == RD_POOL:
        probe(pool.path, pool.fd, &pool.info)
        raise errors.PoolFormatError(f"{pool.path}: the file changes while it is read")
    if result == RD_JOURNAL:
        message = (<const char *>r.report.message).decode("utf-8", "replace")
        if r.journal_error == JR_EIO:
            raise OSError(r.report.os_error, message, pool.journal_path)
        raise errors.JournalError(f"{pool.path}: {message}")
    if result == RD_OTHER_ENGINE:
        raise errors.PoolBusyError(
            EAGAIN, "a program that writes directly, without a journal, has the pool open: there can be no snapshot "
            "beside it; close the pool there", pool.path,
        )
    if result == RD_REPLACED:
        raise OSError(ESTALE, "another file has taken the place of this pool; close it and open it anew", pool.path)
    if result == RD_TOO_LARGE:
        raise OSError(EFBIG, "the pool has been enlarged a lot; close this handle and open it anew", pool.path)
    raise OSError(r.error, os.strerror(r.error), pool.path)


cdef int take_snapshot(Pool pool) except -1:
    """What _lock_and_recover, _start_journal and _map are for a writer."""
    cdef rd *r = NULL
    cdef rd_result result = RD_WAIT
    cdef int fd = pool.fd
    name, journal = os.fsencode(pool.path), os.fsencode(pool.journal_path)
    cdef const char *c_name = name
    cdef const char *c_journal = journal
    deadline = time.monotonic() + PATIENCE
    try:
        while result != RD_OK:
            with nogil:
                result = rd_open(&r, c_name, c_journal, fd)
            if result == RD_WAIT and time.monotonic() < deadline:
                wait_a_little()
            elif result != RD_OK:
                raise_snapshot(pool, r, result)
        if pm_pool_init(pool.p, r.now.size):
            raise MemoryError("no address space for the table of changed pages")
    except BaseException:
        if r != NULL:
            rd_close(r)
        raise
    pool.p.read_gate = pool.p.write_gate = PM_GATE_CLOSED
    pool.snapshot = r
    pool.info = r.info
    pool.p.journal = rd_no_journal()
    see_snapshot(pool)
    if r.now.state & PM_STATE_LIVE and r.now.follow.fd < 0:
        pool.recovery = {
            "records": r.report.records, "bytes": r.report.bytes, "discarded_bytes": r.report.discarded_bytes,
            "seconds": r.report.seconds,
        }
    return 0


cdef void see_snapshot(Pool pool) noexcept:
    cdef rd *r = <rd *>pool.snapshot
    pool.p.base = r.now.base
    pool.p.size = r.now.size
    pool.p.root = <pm_root *>pm_at(pool.p, r.info.root_offset)
    pool.p.chunk_phase = pf_chunk_phase(pool.p.base)
    pm_pool_placed(pool.p, pf_low(pool.p.base))


cdef void drop_snapshot(Pool pool) noexcept:
    cdef rd *r = <rd *>pool.snapshot
    with nogil:
        rd_close(r)
    pool.snapshot = NULL
    pool.p.journal = NULL


# --- refreshing

cdef struct seen:               # a proxy's object before a refresh
    uint64_t offset, born
    uint16_t type


cdef size_t seen_now(Pool pool, seen *out) noexcept:
    cdef pm_object *o
    cdef size_t i, n = 0
    if pool.known.cells == NULL:
        return 0
    for i in range(pool.known.mask + 1):
        if pool.known.cells[i].offset and pool.known.cells[i].proxy != NULL:
            o = <pm_object *>pm_at(pool.p, pool.known.cells[i].offset)
            out[n].offset = pool.known.cells[i].offset
            out[n].born = o.born
            out[n].type = o.type
            n += 1
    return n


cdef void tell_proxies(Pool pool, const seen *all, size_t count) noexcept:
    """Those whose object is gone, or has no place in the pool any more, are stale."""
    cdef pm_known_cell *cell
    cdef pm_object *o
    cdef size_t i
    for i in range(count):
        o = <pm_object *>pm_at(pool.p, all[i].offset)
        if (all[i].offset + sizeof(pm_object) <= pool.p.size and o.refs and o.born == all[i].born
                and o.type == all[i].type):
            continue
        cell = pm_known_find(&pool.known, all[i].offset)
        (<Persistent>cell.proxy).head = NULL
        pm_known_remove(&pool.known, cell)


cdef bint add_what_came(Pool pool) except -1:
    """The second half of a refresh."""
    cdef rd *r = <rd *>pool.snapshot
    cdef seen *all = <seen *>malloc((pool.known.used + 1) * sizeof(seen))
    cdef size_t count
    cdef rd_result result
    if all == NULL:
        rd_cancel(r)
        raise MemoryError("no memory to refresh the pool")
    count = seen_now(pool, all)
    result = rd_finish(r)
    if result == RD_OK:
        see_snapshot(pool)
        pm_cache_free(pool.p)
        pm_keys_forget(pool.p)
        pool.p.deque_generation += 1
        pool.p.overwritten += 1
        tell_proxies(pool, all, count)
    free(all)
    if result != RD_OK:
        raise_snapshot(pool, r, result)
    if pool.registry is not None:
        pool.registry.catch_up(pool)
    return True


cdef bint refresh_snapshot(Pool pool) except -1:
    """True when something may have changed."""
    cdef rd *r = <rd *>pool.snapshot
    cdef rd_result result = RD_WAIT
    pool_check_read(pool)
    while pool.refreshing:
        wait_a_little()
        pool_check_read(pool)
    if pool.copying:
        raise errors.PoolBusyError(
            EAGAIN, "this snapshot is being copied by backup(); refresh it afterwards", pool.path
        )
    must_not_be_exported(pool, "refresh()")
    deadline = time.monotonic() + PATIENCE
    pool.refreshing = True
    pool.syncing += 1                       # close() waits for it
    try:
        while True:
            with nogil:
                result = rd_prepare(r)
            if result == RD_WAIT and time.monotonic() < deadline:
                wait_a_little()
            elif result == RD_SAME:
                return False
            elif result == RD_OK:
                if pool.p.read_gate or pool.exports:    # by another thread meanwhile
                    rd_cancel(r)
                    pool_check_read(pool)
                    must_not_be_exported(pool, "refresh()")
                return add_what_came(pool)
            else:
                raise_snapshot(pool, r, result)
    finally:
        pool.syncing -= 1
        pool.refreshing = False


# --- copying

cdef rd *what_to_copy(Pool pool) noexcept:
    return <rd *>(pool.borrowed if pool.snapshot == NULL else pool.snapshot)


cdef int hold_for_copy(Pool pool, int more) except -1:
    if more > 0:
        pool_check_read(pool)
        while pool.refreshing:
            wait_a_little()
        if pool.snapshot == NULL:
            pool.borrowed = rd_borrow(pool.fd, pool.p.base, pool.p.size)
            if pool.borrowed == NULL:
                raise MemoryError("no memory for a backup")
    elif pool.borrowed != NULL:
        rd_give_back(<rd *>pool.borrowed)
        pool.borrowed = NULL
    pool.copying += more
    return 0


cdef uint64_t data_bytes(Pool pool) except? 0:
    cdef rd *r = what_to_copy(pool)
    cdef uint64_t bytes
    pool_check_read(pool)
    pool.syncing += 1
    with nogil:
        bytes = rd_data_bytes(r)
    pool.syncing -= 1
    return bytes


cdef tuple copy_slice(Pool pool, int out, uint64_t at, uint64_t limit):
    cdef rd *r = what_to_copy(pool)
    cdef uint64_t copied = 0
    cdef int error
    pool_check_read(pool)
    if pool.snapshot == NULL and (pool.p.nimages or pool.nactions or pool.nfrees):
        raise errors.TransactionError(f"{pool.path}: progress() has changed the pool while it is copied")
    pool.syncing += 1
    with nogil:
        error = rd_copy(r, out, &at, limit, &copied)
    pool.syncing -= 1
    if error:
        raise OSError(error, os.strerror(error))
    return at, copied


# --- what makes a copy another pool

def copy_identity(Pool pool not None):
    """(size, [(offset, bytes)]): the file's length, and what makes a copy of the pool a clean one with a UUID of its
    own, for libpmemobj too."""
    cdef uint64_t state
    cdef const pf_info *info = &pool.info
    pool_check_read(pool)
    if pool.snapshot != NULL:
        info = &(<rd *>pool.snapshot).info
    header = bytearray(PyBytes_FromStringAndSize(pool.p.base, PMDK_HEADER_BYTES))
    pf_set_uuid(header, os.urandom(16), os.urandom(16))
    state = info.state & ~<uint64_t>PM_STATE_LIVE
    return pool.p.size, [
        (0, bytes(header)),
        (info.root_offset + PM_ROOT_UUID_AT, os.urandom(16)),
        (info.root_offset + PM_ROOT_STATE_AT, PyBytes_FromStringAndSize(<char *>&state, 8)),
    ]
