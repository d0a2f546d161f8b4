# The direct engine, as the pool handle sees it: opening, recovery, commit, closing (see _engine/direct/direct.h).

# --- opening

cdef bint is_persistent_memory(str path) except -1:
    """What libpmem says of a mapping of the file: that decides how stores become durable, not a mount option.

    Under a trace all of it is, as flushes and fences are what is to be looked at, unless PMEM_IS_PMEM_FORCE=0."""
    if trace_on:
        return os.environ.get("PMEM_IS_PMEM_FORCE") != "0"
    cdef size_t length = 0
    cdef int answer = 0
    cdef void *at = pmem_map_file(os.fsencode(path), 0, 0, 0, &length, &answer)
    if at == NULL:
        return False
    pmem_unmap(at, length)
    return answer != 0


cdef int raise_no_space(Pool pool, int error) except -1:
    raise OSError(error, f"no disk space for the pool ({os.strerror(error)}); nothing has changed", pool.path)


cdef uint64_t look_every(int sync, double interval) noexcept:
    """Nanoseconds between two looks at the files: as often as the policy would have a journal synced."""
    if sync == JR_SYNC_INTERVAL:
        return <uint64_t>(interval * 1e9)
    return 0 if sync == JR_SYNC_COMMIT else DIRECT_NEVER


cdef int start_directly(Pool pool, int sync, double interval) except -1:
    """Makes the undo log and marks the pool live."""
    cdef jr_identity identity
    cdef bint synchronous = pool.media == &pm_persistent_memory and pf_maps_synchronously(pool.fd)
    cdef int error
    fill_identity(&identity, &pool.info)
    identity.epoch += 1
    if pm_pool_init(pool.p, pool.info.size):
        raise MemoryError("no address space for the table of changed pages")
    shut_gates(pool)
    name = os.fsencode(pool.journal_path)
    error = direct_start(
        pool.p, name, pool.fd, &identity, sync, look_every(sync, interval), pool.sizes["undo_log"], pool.media,
        synchronous,
    )
    if error:
        if pool.resizing:
            shut_gates(pool)
        raise OSError(error, f"cannot create the undo log: {reason(error, WRITABLE)}", pool.journal_path)
    return pool._mark_live(identity.epoch)


cdef int mapped_directly(Pool pool) except -1:
    cdef int error = direct_mapped(pool.p)
    return raise_no_space(pool, error) if error else 0


# --- recovery

cdef int take_report(Pool pool, int error, str message, const jr_report *report) except -1:
    """Raises what recovery by journal or undo log has found, or notes it."""
    if error == JR_EIO:
        raise OSError(report.os_error, message, pool.journal_path)
    if error:
        raise errors.JournalError(f"{pool.path}: {message}")
    if pool.info.state & PM_STATE_LIVE:
        pool.recovery = {
            "records": report.records, "bytes": report.bytes, "discarded_bytes": report.discarded_bytes,
            "seconds": report.seconds,
        }
    return 0


cdef int recover_directly(Pool pool, const jr_identity *identity) except -1:
    cdef jr_report report
    cdef undo_pending pending
    cdef bint live = pool.info.state & PM_STATE_LIVE
    cdef uint64_t generation_at = pool.info.generation_at
    name = os.fsencode(pool.journal_path)
    cdef const char *c_name = name
    cdef int error
    with nogil:
        error = undo_recover(c_name, pool.fd, pool.info.size, identity, live, generation_at, &report, &pending)
    try:
        take_report(pool, error, (<const char *>report.message).decode("utf-8", "replace"), &report)
        if pending.count:
            wanted = {pending.offsets[i] for i in range(pending.count)}
            free_pending(pool, wanted)
            error = undo_finish(c_name, pool.fd, generation_at)
            if error:
                raise OSError(error, f"ending the recovery: {os.strerror(error)}; open the pool again", pool.path)
    finally:
        free(pending.offsets)
    probe(pool.path, pool.fd, &pool.info)
    return 0


cdef int free_pending(Pool pool, set wanted) except -1:
    """Frees those of the allocations at these offsets that libpmemobj still knows.  May be repeated."""
    cdef PMEMobjpool *pop
    cdef PMEMoid oid
    cdef int error
    probe(pool.path, pool.fd, &pool.info)
    error = undo_note_run(os.fsencode(pool.journal_path), pool.info.run_id)
    if error:
        raise OSError(error, f"noting the recovery: {os.strerror(error)}; open the pool again", pool.journal_path)
    fcntl.flock(pool.fd, fcntl.LOCK_UN)     # libpmemobj takes it on its own descriptor
    pm_opening(&pm_persistent_memory if is_persistent_memory(pool.path) else &pm_page_cache)
    try:
        pop = obj_open(pool.path, True)
        found = []
        oid = pmemobj_first(pop)
        while oid.off:
            if oid.off in wanted:
                found.append(oid.off)
            oid = pmemobj_next(oid)
        for offset in found:
            oid = pmemobj_root(pop, PM_ROOT_SIZE)
            oid.off = offset
            pmemobj_free(&oid)
        pmemobj_close(pop)
    finally:
        error = pm_open_failed()
    if not error:                           # a sync after one that failed would prove nothing
        error = io_fdatasync(pool.fd)
    if error:
        raise OSError(error, f"ending the recovery: {os.strerror(error)}; open the pool again", pool.path)
    try:
        fcntl.flock(pool.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise_busy(pool.path)
    return 0


# --- operations and levels

cdef int raise_doomed(Pool pool) except -1:
    """The undo log could not take what had to go into it."""
    cdef int error = pool.p.direct.error
    if pool.p.journal.failed:
        pass_gate(pool, True)
    raise OSError(
        error, f"no room for the undo log ({os.strerror(error)}): what is open has to be undone; an operation that "
        "stands alone already is", pool.journal_path,
    )


cdef void end_alone(Pool pool) noexcept:
    """The level of an operation that stands alone is over."""
    direct_level_end(pool.p)
    pool.ncreated = 0


cdef uint64_t reserve_directly(Pool pool, pobj_action *action, size_t size, uint64_t type_num) except 0:
    """As obj_reserve, with disk space for it."""
    cdef uint64_t offset
    cdef int error
    if pool.p.write_gate & PM_GATE_DOOMED:
        raise_doomed(pool)
    error = direct_before_reserve(pool.p, size)
    if error:
        raise_no_space(pool, error)
    offset = obj_reserve(pool, action, size, type_num)
    error = direct_reserved(pool.p, offset, size)
    if error:
        pmemobj_cancel(<PMEMobjpool *>pool.pop, action, 1)
        raise_no_space(pool, error)
    return offset


cdef int push_gone(Pool pool, uint64_t offset) except -1:
    """To be freed when the commit has been made."""
    cdef uint64_t *grown
    if pool.ngone == pool.gone_cap:
        grown = <uint64_t *>realloc(pool.gone, (2 * pool.gone_cap + 64) * 8)
        if grown == NULL:
            no_memory()
        pool.gone = grown
        pool.gone_cap = 2 * pool.gone_cap + 64
    pool.gone[pool.ngone] = offset
    pool.ngone += 1
    return 0


cdef int note_allocations(Pool pool) except -1:
    """What is reserved and what is to be freed go into the log: after a kill, what has not come to its end is freed."""
    cdef pobj_action *actions = <pobj_action *>pool.actions
    cdef uint64_t offsets[8]
    cdef size_t done = 0, count, i
    cdef int error = 0
    while done < pool.nactions and not error:
        count = min(pool.nactions - done, <size_t>8)
        for i in range(count):
            offsets[i] = actions[done + i].heap.offset
        error = direct_note(pool.p, UNDO_ALLOCATED, offsets, count)
        done += count
    if not error and pool.ngone:
        error = direct_note(pool.p, UNDO_FREE, pool.gone, pool.ngone)
    if error and pool.p.journal.failed:
        raise_doomed(pool)
    if error:
        raise_no_space(pool, error)
    return 0


cdef void free_allocation(Pool pool, uint64_t offset) noexcept:
    cdef PMEMoid oid
    oid.pool_uuid_lo = pool.uuid_lo
    oid.off = offset
    pmemobj_free(&oid)


cdef int commit_directly(Pool pool) except -1:
    """What commit_changes does for the journal: all that has changed is committed and durable, or an error is raised
    and the caller undoes it."""
    cdef pm_pool *p = pool.p
    cdef size_t i, count
    if p.write_gate & PM_GATE_DOOMED:
        raise_doomed(pool)
    pool.ngone = 0
    for i in range(pool.nfrees):
        free_now(pool, pool.frees[i])
    if pool.nactions or pool.ngone:
        note_allocations(pool)
    if direct_settle(p):
        raise_doomed(pool)
    count = pool.nactions
    if count:
        try:
            obj_publish(pool)
        except BaseException:
            if p.write_gate & PM_GATE_FAILED:   # a part of it: the next open undoes that
                p.journal.failed = EIO
            raise
        if p.journal.failed:
            # a sync that libpmemobj asked for: what it has published may be lost, so there is no commit.  Here it is
            # taken back; at the next open, as after a kill, the notes in the log say what is to be freed
            for i in range(count):
                free_allocation(pool, (<pobj_action *>pool.actions)[i].heap.offset)
            raise_doomed(pool)
    pool.nfrees = 0
    direct_commit(p)
    if p.journal.failed:
        pool.nleft = pool.ngone         # only the next open can see whether the file has the commit; it frees them then
    else:
        for i in range(pool.ngone):
            free_allocation(pool, pool.gone[i])
    return 0


# --- outside of levels

cdef int look_at_files(Pool pool, bint always) except -1:
    """Raises PoolFailedError when the pool has failed, or a file of it is not there any more."""
    if direct_look(pool.p) if always else direct_look_if_due(pool.p):
        raise_if_failed(pool)
    return 0


cdef int trim_directly(Pool pool) except -1:
    cdef int error = direct_trim(pool.p)
    if error:
        raise OSError(error, f"cannot give space back: {os.strerror(error)}", pool.path)
    return 0


# --- closing

cdef int stop_directly(Pool pool, bint clean) noexcept:
    """After libpmemobj has unmapped the pool.  0 or an errno."""
    cdef int error = direct_sync(pool.p) if clean else 0
    if clean and not error:
        error = pf_set_state(pool.fd, &pool.info, pool.info.state & ~<uint64_t>PM_STATE_LIVE)
    direct_stop(pool.p, clean and not error)
    return error
