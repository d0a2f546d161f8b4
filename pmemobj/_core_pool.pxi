# Creating, opening, recovering, closing.  pool.py decides what to do; this does it.
#
# Order at open: lock the file -> look at its raw bytes -> replay the journal, or undo by the undo log, whichever the
# last session has left -> make the next epoch's journal or undo log -> mark the pool live in that epoch -> only then
# let libpmemobj map it.
# Order at close: last record -> checkpoint -> mark the pool clean -> remove the journal -> unlock.

from cpython.bytes cimport PyBytes_FromStringAndSize

import fcntl

JOURNAL_SUFFIX = "-journal"

cdef str WRITABLE = (
    "a pool is written to while it is open, and its journal lies beside it: allow writing to the file and to its "
    "directory, or copy the pool to where you may write"
)
SYNC_POLICIES = {"commit": JR_SYNC_COMMIT, "interval": JR_SYNC_INTERVAL, "manual": JR_SYNC_MANUAL}
MIN_SIZE = 8 << 20                          # PMEMOBJ_MIN_POOL

cdef uint64_t NONE_SLOT = 16 << 3 | 4       # PM_IMM_NONE; the root of a new pool


cdef int file_call(int error, str path) except -1:
    """Raises what a call of io.h gave, about the name that the caller knows."""
    if error:
        raise OSError(error, os.strerror(error), path)
    return 0


def sync_file(int descriptor, str path not None):
    """Everything in the file, or the names in the directory, is on the disk; `path` is what an OSError names."""
    cdef int error
    with nogil:
        error = io_fsync(descriptor)
    file_call(error, path)


cdef str reason(int error, str advice):
    """What the system says, and what to do about a missing permission."""
    text = os.strerror(error)
    return f"{text}; {advice}" if error in (EACCES, EPERM, EROFS) else text


def create_file(str path, uint64_t size, unsigned mode):
    """Makes an empty, clean pool of `size` bytes (sparse) at `path`, which has no file yet.

    Built under a temporary name and linked to its own when it is whole and synced.  Raises FileExistsError.
    """
    raw = os.fsencode(path)
    cdef const char *c_path = raw
    cdef int error
    for _ in range(5):
        if build_and_link(path, size, mode):
            break
    else:
        raise OSError(EAGAIN, "somebody takes away the temporary files of its creation", path)
    with nogil:
        error = io_sync_directory_of(c_path)
    file_call(error, path)


cdef bint build_and_link(str path, uint64_t size, unsigned mode) except -1:
    """False if somebody has taken the temporary file for a leftover (see leftovers.py)."""
    cdef int fd, error
    directory, name = os.path.split(path)
    raw_temporary = os.fsencode(os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.new"))
    error = io_open(&fd, raw_temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
    if error:
        raise OSError(error, reason(error, "a pool needs a directory in which you may create files"), path)
    try:
        try:
            error = pf_lock(fd)
            if error == EAGAIN:
                return False
            file_call(error, path)
            file_call(io_ftruncate(fd, size), path)
            file_call(pf_prepare(fd, size), path)
            build(os.fsdecode(raw_temporary), path, mode)
            pf_punch_zeros(fd, size)
            with nogil:
                error = io_fsync(fd)
            file_call(error, path)
        finally:
            io_close(fd)                    # and unlocked: it may be opened as soon as it has its name
        error = io_link(raw_temporary, os.fsencode(path))
        if error != ENOENT:
            file_call(error, path)
        return error == 0
    finally:
        io_unlink(raw_temporary)            # one that stays does no harm


cdef int build(str temporary, str path, unsigned mode) except -1:
    """Lets libpmemobj fill the file, which has its length, and puts our root block there."""
    cdef PMEMobjpool *pop
    cdef pm_root *root
    cdef PMEMoid oid
    cdef int off = 0
    pmemobj_ctl_set(NULL, b"fallocate.at_create", &off)
    pmemobj_ctl_set(NULL, b"sds.at_create", &off)
    pm_opening(NULL)                        # no msync for each flush: one fsync at the end serves them all
    try:
        pop = obj_create(temporary, mode)
        try:
            oid = obj_root(pop, PM_ROOT_SIZE, path)
            root = <pm_root *>(<char *>pop + oid.off)
            root.magic = PM_ROOT_MAGIC
            root.version = PM_FORMAT_VERSION
            uuid = os.urandom(16)
            memcpy(root.uuid, <char *>uuid, 16)
            root.root_slot = NONE_SLOT
        finally:
            pmemobj_close(pop)
    finally:
        pm_open_failed()
    return 0


def check_policy(str sync, double sync_interval):
    """Raises ValueError for what is not a sync policy."""
    if sync not in SYNC_POLICIES:
        raise ValueError(f"sync must be one of {', '.join(map(repr, SYNC_POLICIES))}, not {sync!r}")
    if not 0 < sync_interval <= 3600:
        raise ValueError(f"sync_interval must be in seconds, above 0 and at most 3600, not {sync_interval!r}")


def journal_holder(str path):
    """Process id of who made the journal or undo log at `path` and has not ended it; 0: nobody, or there is none."""
    return jr_holder(os.fsencode(path)) or undo_holder(os.fsencode(path))


ALREADY_OPEN = "the pool is open already"     # pool.py finds out by whom


cdef int raise_busy(str path) except -1:
    raise errors.PoolBusyError(EAGAIN, ALREADY_OPEN, path)


cdef void fill_identity(jr_identity *identity, const pf_info *info) noexcept:
    memcpy(identity.pool_uuid, info.uuid, 16)
    identity.epoch = info.state >> 1
    identity.run_id = info.run_id
    identity.live = info.state & PM_STATE_LIVE
    identity.applied = info.applied
    identity.ranges = info.ranges
    identity.root_at = info.root_offset


cdef int probe(str path, int fd, pf_info *info) except -1:
    cdef pf_kind kind = pf_probe(fd, info)
    if kind == PF_OK:
        return 0
    if kind == PF_IO_ERROR:
        raise OSError(info.os_error, os.strerror(info.os_error), path)
    if kind == PF_EMPTY:
        why = "the file is empty; remove it and create the pool anew"
    elif kind == PF_NOT_A_POOL:
        why = "not a libpmemobj pool"
    elif kind == PF_TRUNCATED:
        why = f"truncated: {info.size} bytes are left, less than its own header says; restore it from a backup"
    elif kind == PF_WRONG_LAYOUT:
        layout = info.layout.decode("utf-8", "replace")
        why = f"a libpmemobj pool of another program (layout {layout!r})"
    elif kind == PF_NO_ROOT:
        why = "its creation was never finished; remove it and create the pool anew"
    elif kind == PF_OLDER:
        why = (f"made by a development version of pmemobj (format {info.version}; this one reads format "
               f"{PM_FORMAT_VERSION}); read it with that version, and store what it holds in a new pool")
    elif kind == PF_NEWER:
        why = (f"made by a newer version of pmemobj (format {info.version}, features {info.incompat:#x}; this one "
               f"reads format {PM_FORMAT_VERSION}); update pmemobj")
    else:
        why = "its root block is damaged; restore it from a backup"
    raise errors.PoolFormatError(f"{path}: cannot be opened: {why}")


cdef int heap_is_sound(Pool pool) except -1:
    """libpmemobj believes what it reads, so it is looked at before.  The file has everything by now."""
    cdef char fault[256]
    cdef int error, fd = pool.fd
    cdef uint64_t size = pool.info.size
    with nogil:
        error = pm_check_heap_of_file(fd, size, fault, sizeof(fault))
    if error == PM_HEAP_FAULT:
        message = (<const char *>fault).decode("ascii")
        raise errors.PoolDamagedError(f"{pool.path}: {message}; restore it from a backup")
    return file_call(error, pool.path)


cdef class Pool:
    """The handle of an open pool.  Use pmemobj.open() or pmemobj.create()."""

    def __cinit__(self, *args, **kwargs):
        self.fd = -1
        self.callbacks = []
        self.lock = PyThread_allocate_lock()
        self.p = <pm_pool *>malloc(sizeof(pm_pool))
        if self.lock == NULL or self.p == NULL:
            raise MemoryError()
        memset(self.p, 0, sizeof(pm_pool))
        self.p.read_gate = self.p.write_gate = PM_GATE_CLOSED

    def __dealloc__(self):
        if self.p != NULL:
            pm_cache_free(self.p)
            pm_keys_release(self.p)
            pm_pool_fini(self.p)
        free(self.p)
        free(self.known.cells)
        free(self.levels)
        free(self.frees)
        free(self.actions)
        free(self.gone)
        free(self.created)
        free(self.orphans)
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    # --- opening

    def _attach(
        self, str path, *, str engine, str sync, double sync_interval, bint readonly, dict journal, uint64_t max_size=0
    ):
        """Opens the existing pool at `path` (absolute, links resolved), and enlarges it to max_size."""
        cdef int fd, error
        check_policy(sync, sync_interval)
        if self.fd >= 0:
            raise RuntimeError(f"this handle has {self.path} open")
        self.marked = False
        self.path = path
        self.journal_path = path + JOURNAL_SUFFIX
        error = io_open(&fd, os.fsencode(path), os.O_RDONLY if readonly else os.O_RDWR, 0)
        if error:
            raise OSError(error, reason(error, "" if readonly else WRITABLE), path)
        self.fd = fd
        try:
            if readonly:
                take_snapshot(self)
            else:
                self._lock_and_recover()
                if after_recovery is not None:
                    after_recovery(path)
                self._choose_engine(engine)
                enlarge(self, max_size)
                self.sizes = journal
                if self.media == NULL:
                    let_readers_in(self)
                    self._start_journal(SYNC_POLICIES[sync], sync_interval)
                else:
                    keep_readers_out(self)
                    start_directly(self, SYNC_POLICIES[sync], sync_interval)
                self._map()
        except BaseException:
            # Without a record the file is still all there is: leave it as clean as it was found.  Unless it cannot
            # be told what its state word is on disk: then the journal stays, which is right with either.
            try:
                self._detach(self.marked and jr_is_untouched(self.p.journal))
            except errors.PoolFailedError:
                pass                        # likewise; the first error is the one to tell
            raise
        self.p.read_gate = 0
        self.p.write_gate = PM_GATE_READONLY if readonly else 0 if self.media == NULL else PM_GATE_DIRECT
        self.p.known = &self.known
        self.p.births = (self.info.state >> 1) << PM_BORN_BITS
        self.backlog = 0 if readonly else self.p.root.limbo
        expect_work(self)

    cdef int _lock_and_recover(self) except -1:
        cdef jr_identity identity
        cdef jr_report report
        cdef int error = pf_lock(self.fd)
        if error == EAGAIN:
            raise_busy(self.path)
        if error:
            raise OSError(error, f"cannot lock the pool: {os.strerror(error)}", self.path)
        try:                                # another program of libpmemobj has only this one
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise_busy(self.path)
        probe(self.path, self.fd, &self.info)
        live = self.info.state & PM_STATE_LIVE
        if not live and not os.path.lexists(self.journal_path):
            return 0
        fill_identity(&identity, &self.info)
        name = os.fsencode(self.journal_path)
        cdef const char *c_name = name
        cdef int fd = self.fd
        cdef uint64_t size = self.info.size
        if undo_is_log(c_name):
            keep_readers_out(self)
            return recover_directly(self, &identity)
        memset(&report, 0, sizeof(report))
        if live:
            lock_out_readers(self)
            with nogil:
                error = jr_recover(c_name, fd, size, &identity, &report)
                pf_unlock_change(fd, PF_RECORDS)
        else:
            # Closed cleanly, so whole by itself: nothing may come from a journal any more.  What the last
            # session left behind is empty; so must be what an open made that went no further.
            identity.epoch -= 1
            with nogil:
                error = jr_recover(c_name, fd, size, &identity, &report)
            if error == JR_EMISMATCH:
                identity.epoch += 1
                with nogil:
                    error = jr_recover(c_name, fd, size, &identity, &report)
        message = (<const char *>report.message).decode("utf-8", "replace")
        if error == JR_EDAMAGED and not live:
            message = (f"the pool was closed cleanly and is whole without a journal, but {self.journal_path} is not "
                       "the empty one that may be left of that; move it away")
        take_report(self, error, message, &report)
        probe(self.path, self.fd, &self.info)
        return 0

    cdef int _choose_engine(self, str engine) except -1:
        """Sets engine, engine_reason and, for the direct engine, media."""
        cdef bint dax = engine != "journal" and is_persistent_memory(self.path)
        self.media = NULL
        self.engine = "direct" if dax or engine == "direct" else "journal"
        if self.engine == "direct":
            self.media = &pm_persistent_memory if dax else &pm_page_cache
        if engine != "auto":
            self.engine_reason = f'engine="{engine}" was asked for'
        elif dax:
            self.engine_reason = "the file is on persistent memory"
        else:
            self.engine_reason = "the file is not on persistent memory"
        return 0

    cdef int _start_journal(self, int sync, double interval) except -1:
        cdef jr_identity identity
        cdef jr_options options
        cdef jr *journal = NULL
        cdef int error
        fill_identity(&identity, &self.info)
        identity.epoch += 1
        options.sync = sync
        options.interval_ns = <uint64_t>(interval * 1e9)
        if pf_has_strangers(self.fd, identity.epoch):
            raise_held(self, "its number of sessions has come round while they did")
        options.first_segment = self.sizes["first_segment"]
        options.max_segment = self.sizes["max_segment"]
        options.limit = self.sizes["limit"]
        options.memory = self.sizes["memory"]
        options.ring = 0 if sync == JR_SYNC_COMMIT else self.sizes["ring"]
        if pm_pool_init(self.p, self.info.size):
            raise MemoryError("no address space for the table of changed pages")
        shut_gates(self)
        name = os.fsencode(self.journal_path)
        error = jr_start(&journal, name, self.fd, self.info.size, &identity, &options)
        if error:
            raise OSError(error, f"cannot create the journal: {reason(error, WRITABLE)}", self.journal_path)
        self.p.journal = journal
        return self._mark_live(identity.epoch)

    cdef int _mark_live(self, uint64_t epoch) except -1:
        cdef uint64_t state = epoch << 1 | PM_STATE_LIVE
        cdef int error = pf_lock_running(self.fd) or pf_set_state(self.fd, &self.info, state)
        if error:
            raise OSError(error, f"cannot mark the pool as open: {os.strerror(error)}", self.path)
        self.info.state = state
        self.marked = True
        return 0

    cdef int _map(self) except -1:
        cdef PMEMoid oid
        cdef int error
        heap_is_sound(self)
        fcntl.flock(self.fd, fcntl.LOCK_UN)     # libpmemobj takes it on its own descriptor
        pm_opening(self.media)
        try:
            self.pop = obj_open(self.path, self.media != NULL)
        except BaseException:
            error = pm_open_failed()
            if error:
                self.p.journal.failed = error
            raise
        self.p.base = <char *>self.pop
        self.p.chunk_phase = pf_chunk_phase(self.p.base)
        pm_pool_placed(self.p, pf_low(self.p.base))
        error = pm_opened(self.p)
        if error:
            raise OSError(error, os.strerror(error), self.path)
        error = pm_cover_holes(self.p, self.fd) if self.media == NULL else 0
        if error:
            raise OSError(error, f"cannot map the pool: {os.strerror(error)}", self.path)
        oid = obj_root(<PMEMobjpool *>self.pop, PM_ROOT_SIZE, self.path)
        if oid.off != self.info.root_offset:
            raise errors.PoolDamagedError(f"{self.path}: the root block is not where the file's header says")
        self.uuid_lo = oid.pool_uuid_lo
        self.p.root = <pm_root *>pm_at(self.p, oid.off)
        return mapped_directly(self) if self.media != NULL else 0

    # --- closing

    def _close(self, bint last=False):
        """Writes what is left, leaves the pool clean, forgets everything.  Idempotent.

        last: the handle or the interpreter ends, so that memory in use is no reason to stay open.
        """
        cdef pm_pool *p = self.p
        if p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            return
        pass_gate(self, False)              # another thread's transaction: wait for its end
        if p.depth:
            raise errors.TransactionError(f"{self.path}: a transaction is open; end it before closing the pool")
        if p.write_gate & PM_GATE_IN_OP:
            raise RuntimeError("a pool cannot be closed from inside one of its own operations")
        if not last:
            must_not_be_exported(self, "close()")
        error = None
        if p.direct != NULL:                # before anything is looked at that may be behind the end of the file
            direct_look(p)
        try:
            if not (p.journal.failed or p.write_gate & PM_GATE_FAILED):
                if self.norphans and is_idle(p):
                    drain_as_room_permits(self)
                if p.ndirty and p.direct == NULL:
                    make_room(self, pm_record_bound(p))
                    pm_record(p)
        except BaseException as e:
            error = e
        copy_exported(self)
        p.read_gate = p.write_gate = PM_GATE_CLOSED
        self._orphan_proxies()
        while self.syncing:                 # nothing may end this wait: the pool is half closed
            with nogil:
                usleep(1000)
        self._detach(error is None)
        if error is not None:
            raise error

    cdef int _orphan_proxies(self) except -1:
        """Every proxy is told that its pool is gone; what was made of its memory is forgotten."""
        cdef size_t i
        pm_keys_release(self.p)
        if self.known.cells != NULL:
            for i in range(self.known.mask + 1):
                if self.known.cells[i].offset and self.known.cells[i].proxy != NULL:
                    (<Persistent>self.known.cells[i].proxy).head = NULL
            free(self.known.cells)
            self.known.cells = NULL
            self.known.mask = self.known.used = 0
        pm_cache_free(self.p)
        self.norphans = 0
        return 0

    cdef int _detach(self, bint clean) except -1:
        """Unmaps, ends the journal, unlocks.  clean: the journal holds everything, so the file can have it."""
        cdef pm_pool *p = self.p
        cdef jr *journal = p.journal
        cdef char *base = p.base
        cdef int error = 0
        self.collecting = None
        if self.pop != NULL:
            if p.direct == NULL:
                pm_closing(p)
            else:
                direct_leave_file(p)
            pmemobj_close(<PMEMobjpool *>self.pop)
            keep_copy(self, base)
            if p.direct != NULL:            # what that flushed had to reach the file
                pm_closing(p)
            self.pop = NULL
        p.base = NULL
        p.root = NULL
        if self.snapshot != NULL:
            drop_snapshot(self)
            keep_copy(self, base)
        elif p.direct != NULL:
            error = stop_directly(self, clean)
        elif journal != NULL:
            with nogil:
                error = checkpoint_at_close(journal) if clean else 0
            if error == JR_HELD:            # readers need the file as it is: the next open recovers
                clean = False
                error = 0
            if clean and not error:
                error = pf_set_state(self.fd, &self.info, self.info.state & ~<uint64_t>PM_STATE_LIVE)
            jr_stop(journal, clean and not error)
            p.journal = NULL
        pm_pool_fini(p)
        if self.fd >= 0:
            io_close(self.fd)
            self.fd = -1
        if error and error != ESTALE and self.media != NULL:
            raise errors.PoolFailedError(
                error, "the pool file could not be synced; the next open finds what was committed", self.path
            )
        if error:
            raise errors.PoolFailedError(
                error, LOST if error == ESTALE else
                "the last changes could not be written to the pool file; they are in the journal, and the "
                "next open brings them back", self.path,
            )
        return 0

    def _abandon(self):
        """Undoes an open transaction, whoever began it: the handle is about to go, or the interpreter."""
        if not self.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            undo_all(self)

    def _forked(self):
        """In a forked child: nothing of this handle may touch the file, and the parent's locks are let go.

        Another thread of the parent may have been about to open or close it.
        """
        cdef pm_pool *p = self.p
        cdef char *base = p.base
        if self.fd < 0:
            return
        p.read_gate = p.write_gate = PM_GATE_FORKED
        if p.direct != NULL:
            direct_orphan(p)                # which maps its memory in this process, too
        copy_exported(self)
        self._orphan_proxies()
        if self.snapshot != NULL:
            rd_orphan(<rd *>self.snapshot)
            self.snapshot = NULL
        elif p.direct == NULL and p.journal != NULL:
            jr_orphan(p.journal)
        # A lock lives as long as any descriptor or mapping that came from the locked one, so both must go; and
        # libpmemobj must forget the pool, or could not open it here again.  Its mapping is private, by now: nothing
        # of this reaches the file.
        if self.pop != NULL:
            pm_closing(p)
            pmemobj_close(<PMEMobjpool *>self.pop)
            self.pop = NULL
        keep_copy(self, base)
        p.base = NULL
        p.root = NULL
        io_close(self.fd)
        self.fd = -1

    def _must_be_usable(self):
        if self.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            raise_closed(self)

    @property
    def closed(self):
        """True once the pool is closed, and in a forked child."""
        return bool(self.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED))

    @property
    def uuid(self):
        """16 bytes that tell this pool, and its copies, from all others."""
        return PyBytes_FromStringAndSize(<char *>self.info.uuid, 16)

    # --- transactions

    def transaction(self, *, bint sync=False):
        """A transaction as a context manager or decorator: all of its block happens, or nothing.

        Any exception undoes the block and propagates; so does ``tx.abort()``, silently.  Nested blocks are exact
        savepoints.  Other threads' access to the pool waits until the outermost block has ended; other asyncio tasks
        of this thread get TransactionError, so do not await inside.

        sync: the outermost block is durable (against power loss) when it ends, whatever the pool's policy.
        """
        pool_check_read(self)
        return new_transaction(self, sync)

    def begin(self):
        """Begins a transaction, or a savepoint inside one; end it with commit() or abort()."""
        if self.waiting:
            give_way(self)
        level_begin(self)

    def commit(self):
        """Ends the innermost transaction begun by begin() and keeps what it did."""
        self._must_be_explicit()
        commit_level_and_tell(self)

    def abort(self):
        """Ends the innermost transaction begun by begin() and undoes it."""
        self._must_be_explicit()
        abort_to(self, self.p.depth - 1)

    cdef int _must_be_explicit(self) except -1:
        pool_check_read(self)
        if self.p.depth == 0:
            raise errors.TransactionError("no transaction is open; call begin() first")
        innermost = self.callbacks[self.p.depth - 1]
        if innermost is not None and (<Transaction>innermost).depth:
            raise errors.TransactionError("the innermost transaction belongs to a with block, which ends it")
        return 0

    @property
    def in_transaction(self):
        """True while a transaction of this thread, and asyncio task, is open."""
        try:
            pool_check_read(self)
        except errors.TransactionError:     # another task's
            return False
        return self.p.depth > 0

    def sync(self):
        """Returns when everything committed so far is durable, also against power loss."""
        pool_check_read(self)
        if self.snapshot != NULL:
            pass_gate(self, True)
        if self.p.depth:
            raise errors.TransactionError("sync() inside a transaction; use transaction(sync=True)")
        sync_now(self)

    def checkpoint(self):
        """Brings the pool file up to date with the journal, which is then empty.

        Raises PoolBusyError while a reader holds an older snapshot.
        """
        cdef jr *journal
        cdef int error
        pool_check_read(self)
        if self.snapshot != NULL:
            pass_gate(self, True)
        if self.p.depth:
            raise errors.TransactionError("checkpoint() inside a transaction")
        if self.p.direct != NULL:           # it always is
            sync_now(self)
            return
        journal = self.p.journal
        error = jr_checkpoint(journal)
        if error:
            raise_if_failed(self)
            if error == JR_HELD:
                raise_held(self, "the pool file cannot be brought up to date")
            raise OSError(error, os.strerror(error), self.path)

    # --- figures

    def _journal_stats(self):
        cdef jr_stats stats
        pool_check_read(self)
        if self.snapshot != NULL:
            return None
        if self.p.direct != NULL:
            direct_get_stats(self.p, &stats)
        else:
            jr_get_stats(self.p.journal, &stats)
        return stats

    def _medium(self):
        """What a store must reach to be durable: "disk", "persistent memory", or "said to be persistent memory" when
        only the environment (PMEM_IS_PMEM_FORCE=1) says so."""
        pool_check_read(self)
        if self.media != &pm_persistent_memory:
            return "disk"
        return "persistent memory" if pf_maps_synchronously(self.fd) else "said to be persistent memory"

    def _journal_policy(self):
        pool_check_read(self)
        if self.snapshot != NULL:
            return None
        return {number: name for name, number in SYNC_POLICIES.items()}[self.p.journal.sync]

    def _allocated(self):
        """(bytes in use by blocks, bytes taken from libpmemobj, number of large blocks).  Walks the heap."""
        cdef pm_allocation found
        cdef uint64_t used = 0, taken = 0, large = 0
        pool_check_read(self)
        memset(&found, 0, sizeof(found))
        while next_allocation(self, &found):
            taken += found.size
            if found.type == PM_ALLOC_CHUNK:
                chunk_must_be_sound(self, found.offset)
                used += pm_chunk_in_use(self.p, found.offset)
            else:
                used += found.size
                large += 1
        return used, taken, large

    def _limbo(self):
        """Number of objects that no slot refers to."""
        cdef uint64_t at, count = 0
        pool_check_read(self)
        at = self.p.root.limbo
        while at:
            count += 1
            at = object_at_offset(self, at).limbo_next
            if count > self.p.size // sizeof(pm_object):
                raise errors.PoolDamagedError(f"{self.path}: the list of limbo has no end")
        return count

    def _drain(self):
        """Destroys everything in limbo that no proxy holds."""
        pool_check_read(self)
        while self.norphans or self.backlog:
            if not is_idle(self.p):
                pass_gate(self, True)
                return
            drain(self)

    # --- snapshots

    def _refresh(self):
        """See pool.py."""
        pool_check_read(self)
        return self.snapshot != NULL and refresh_snapshot(self)

    def _is_snapshot(self):
        pool_check_read(self)
        return self.snapshot != NULL

    def _data_bytes(self):
        """What _copy_slice copies altogether."""
        return data_bytes(self)

    def _copy_slice(self, int out, uint64_t at, uint64_t limit):
        """Copies the snapshot from `at` on, up to `limit` bytes that are no holes; (where to go on, bytes copied)."""
        return copy_slice(self, out, at, limit)

    def _hold_for_copy(self, int more):
        """1: there is no refresh until the same with -1; under the direct engine, the caller has a transaction open."""
        hold_for_copy(self, more)

    def __reduce_ex__(self, protocol):
        raise TypeError("a pool handle cannot be pickled; pass the path and open the pool where it is needed")
