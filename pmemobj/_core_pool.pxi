# Creating, opening, recovering, closing.  pool.py decides what to do; this does it.
#
# Order at open: lock the file -> look at its raw bytes -> replay the journal -> make the next epoch's journal ->
# mark the pool live in that epoch -> only then let libpmemobj map it.
# Order at close: last record -> checkpoint -> mark the pool clean -> remove the journal -> unlock.

from cpython.bytes cimport PyBytes_FromStringAndSize

import fcntl
import time

JOURNAL_SUFFIX = "-journal"
SYNC_POLICIES = {"commit": JR_SYNC_COMMIT, "interval": JR_SYNC_INTERVAL, "manual": JR_SYNC_MANUAL}
MIN_SIZE = 8 << 20                          # PMEMOBJ_MIN_POOL

cdef uint64_t NONE_SLOT = 16 << 3 | 4       # PM_IMM_NONE; the root of a new pool


def create_file(str path, uint64_t size, unsigned mode):
    """Makes an empty, clean pool of `size` bytes (sparse) at `path`, which has no file yet.

    Built under a temporary name and linked to its own when it is whole and synced.  Raises FileExistsError.
    """
    cdef PMEMobjpool *pop
    cdef pm_root *root
    cdef int off = 0, fd, error_number
    cdef PMEMoid oid
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.new")
    try:
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:                # about the name that the caller knows
        raise OSError(error.errno, error.strerror, path) from None
    try:
        os.ftruncate(fd, size)
        error_number = pf_prepare(fd, size)
        if error_number:
            raise OSError(error_number, os.strerror(error_number), path)
        pmemobj_ctl_set(NULL, b"fallocate.at_create", &off)
        pmemobj_ctl_set(NULL, b"sds.at_create", &off)
        pm_opening()                        # no msync for each flush: one fsync at the end serves them all
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
        pf_punch_zeros(fd, size)
        os.fsync(fd)
        os.link(temporary, path)
    finally:
        os.close(fd)
        os.unlink(temporary)
    fd = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def check_policy(str sync, double sync_interval):
    """Raises ValueError for what is not a sync policy."""
    if sync not in SYNC_POLICIES:
        raise ValueError(f"sync must be one of {', '.join(map(repr, SYNC_POLICIES))}, not {sync!r}")
    if not 0 < sync_interval <= 3600:
        raise ValueError(f"sync_interval must be in seconds, above 0 and at most 3600, not {sync_interval!r}")


cdef int raise_busy(str path, int fd) except -1:
    """libpmemobj's own flock shows in /proc/locks who holds the pool."""
    status = os.fstat(fd)
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    holder = "another process"
    try:
        with open("/proc/locks") as locks:
            for line in locks:
                fields = line.split()
                if "FLOCK" in fields and device in fields:
                    pid = int(fields[fields.index("FLOCK") + 3])
                    holder = "this process" if pid == os.getpid() else f"process {pid}"
    except (OSError, ValueError, IndexError):
        pass
    raise errors.PoolBusyError(EAGAIN, f"the pool is open in {holder}; close it there first", path)


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
    elif kind == PF_NEWER:
        why = (f"made by a newer version of pmemobj (format {info.version}, features {info.incompat:#x}; this one "
               f"reads format {PM_FORMAT_VERSION}); update pmemobj")
    else:
        why = "its root block is damaged; restore it from a backup"
    raise errors.PoolFormatError(f"{path}: cannot be opened: {why}")


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
        free(self.created)
        free(self.orphans)
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    # --- opening

    def _attach(self, str path, *, str sync, double sync_interval, bint readonly, dict journal, uint64_t max_size=0):
        """Opens the existing pool at `path` (absolute, links resolved), and enlarges it to max_size."""
        check_policy(sync, sync_interval)
        if self.fd >= 0:
            raise RuntimeError(f"this handle has {self.path} open")
        self.path = path
        self.journal_path = path + JOURNAL_SUFFIX
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._lock_and_recover()
            if not readonly:
                enlarge(self, max_size)
            self.sizes = journal
            self._start_journal(SYNC_POLICIES[sync], sync_interval)
            self._map()
        except BaseException:
            # Without a record the file is still all there is: leave it as clean as it was found.
            self._detach(self.p.journal != NULL and jr_is_untouched(self.p.journal))
            raise
        self.p.read_gate = 0
        self.p.write_gate = PM_GATE_READONLY if readonly else 0
        self.p.known = &self.known
        self.backlog = 0 if readonly else self.p.root.limbo
        expect_work(self)

    cdef int _lock_and_recover(self) except -1:
        cdef jr_identity identity
        cdef jr_report report
        cdef int error = pf_lock(self.fd)
        if error == EAGAIN:
            raise_busy(self.path, self.fd)
        if error:
            raise OSError(error, f"cannot lock the pool: {os.strerror(error)}", self.path)
        try:                                # another program of libpmemobj has only this one
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise_busy(self.path, self.fd)
        probe(self.path, self.fd, &self.info)
        live = self.info.state & PM_STATE_LIVE
        if not live and not os.path.lexists(self.journal_path):
            return 0
        memcpy(identity.pool_uuid, self.info.uuid, 16)
        identity.epoch = self.info.state >> 1
        identity.run_id = self.info.run_id
        name = os.fsencode(self.journal_path)
        cdef const char *c_name = name
        cdef int fd = self.fd
        cdef uint64_t size = self.info.size
        memset(&report, 0, sizeof(report))
        if live:
            with nogil:
                error = jr_recover(c_name, fd, size, &identity, &report)
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
        if error == JR_EIO:
            raise OSError(report.os_error, message, self.journal_path)
        if error:
            raise errors.JournalError(f"{self.path}: {message}")
        if live:
            self.recovery = {
                "records": report.records, "bytes": report.bytes, "discarded_bytes": report.discarded_bytes,
                "seconds": report.seconds,
            }
        probe(self.path, self.fd, &self.info)
        return 0

    cdef int _start_journal(self, int sync, double interval) except -1:
        cdef jr_identity identity
        cdef jr_options options
        cdef jr *journal = NULL
        cdef int error
        cdef uint64_t state
        memcpy(identity.pool_uuid, self.info.uuid, 16)
        identity.epoch = (self.info.state >> 1) + 1
        identity.run_id = self.info.run_id
        options.sync = sync
        options.interval_ns = <uint64_t>(interval * 1e9)
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
            raise OSError(error, f"cannot create the journal: {os.strerror(error)}", self.journal_path)
        self.p.journal = journal
        state = identity.epoch << 1 | PM_STATE_LIVE
        error = pf_set_state(self.fd, &self.info, state)
        if error:
            raise OSError(error, f"cannot mark the pool as open: {os.strerror(error)}", self.path)
        self.info.state = state
        return 0

    cdef int _map(self) except -1:
        cdef PMEMoid oid
        fcntl.flock(self.fd, fcntl.LOCK_UN)     # libpmemobj takes it on its own descriptor
        pm_opening()
        try:
            self.pop = obj_open(self.path)
        except BaseException:
            pm_open_failed()
            raise
        self.p.base = <char *>self.pop
        self.p.chunk_phase = pf_chunk_phase(self.p.base)
        if pm_opened(self.p):
            raise MemoryError()
        cdef int error = pm_cover_holes(self.p, self.fd)
        if error:
            raise OSError(error, f"cannot map the pool: {os.strerror(error)}", self.path)
        oid = obj_root(<PMEMobjpool *>self.pop, PM_ROOT_SIZE, self.path)
        if oid.off != self.info.root_offset:
            raise errors.PoolDamagedError(f"{self.path}: the root block is not where the file's header says")
        self.uuid_lo = oid.pool_uuid_lo
        self.p.root = <pm_root *>pm_at(self.p, oid.off)
        return 0

    # --- closing

    def _close(self):
        """Writes what is left, leaves the pool clean, forgets everything.  Idempotent."""
        cdef pm_pool *p = self.p
        if p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            return
        pass_gate(self, False)              # another thread's transaction: wait for its end
        if p.depth:
            raise errors.TransactionError(f"{self.path}: a transaction is open; end it before closing the pool")
        if p.write_gate & PM_GATE_IN_OP:
            raise RuntimeError("a pool cannot be closed from inside one of its own operations")
        error = None
        try:
            if not (p.journal.failed or p.write_gate & PM_GATE_FAILED):
                if self.norphans and not p.write_gate:
                    drain(self)
                if p.ndirty:
                    make_room(self, pm_record_bound(p))
                    pm_record(p)
        except BaseException as e:
            error = e
        p.read_gate = p.write_gate = PM_GATE_CLOSED
        self._orphan_proxies()
        while self.syncing:
            time.sleep(0.001)
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
        cdef int error = 0
        if self.pop != NULL:
            pm_closing(p)
            pmemobj_close(<PMEMobjpool *>self.pop)
            self.pop = NULL
        p.base = NULL
        p.root = NULL
        if journal != NULL:
            with nogil:
                error = jr_checkpoint(journal) if clean else 0
            if clean and not error:
                error = pf_set_state(self.fd, &self.info, self.info.state & ~<uint64_t>PM_STATE_LIVE)
            jr_stop(journal, clean and not error)
            p.journal = NULL
        pm_pool_fini(p)
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if error:
            raise errors.PoolFailedError(
                error, "the last changes could not be written to the pool file; they are in the journal, and the "
                "next open brings them back", self.path,
            )
        return 0

    def _abandon(self):
        """Undoes an open transaction, whoever began it: the handle is about to go, or the interpreter."""
        if not self.p.read_gate & (PM_GATE_CLOSED | PM_GATE_FORKED):
            undo_all(self)

    def _forked(self):
        """In a forked child: nothing of this handle may touch the file, and the parent's locks are let go."""
        cdef pm_pool *p = self.p
        if p.read_gate & PM_GATE_CLOSED:
            return
        p.read_gate = p.write_gate = PM_GATE_FORKED
        self._orphan_proxies()
        jr_orphan(p.journal)
        # A lock lives as long as any descriptor or mapping that came from the locked one, so both must go; and
        # libpmemobj must forget the pool, or could not open it here again.  Its mapping is private: nothing of
        # this reaches the file.
        pm_closing(p)
        pmemobj_close(<PMEMobjpool *>self.pop)
        self.pop = NULL
        p.base = NULL
        p.root = NULL
        os.close(self.fd)
        self.fd = -1

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
        savepoints.  Other threads' access to the pool waits until the outermost block has ended.

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
        """True while a transaction of this thread is open."""
        pool_check_read(self)
        return self.p.depth > 0

    def sync(self):
        """Returns when everything committed so far is durable, also against power loss."""
        pool_check_read(self)
        if self.p.depth:
            raise errors.TransactionError("sync() inside a transaction; use transaction(sync=True)")
        sync_now(self)

    def checkpoint(self):
        """Brings the pool file up to date with the journal, which is then empty."""
        cdef jr *journal
        cdef int error
        pool_check_read(self)
        if self.p.depth:
            raise errors.TransactionError("checkpoint() inside a transaction")
        journal = self.p.journal
        error = jr_checkpoint(journal)
        if error:
            pass_gate(self, True)
            raise OSError(error, os.strerror(error), self.path)

    # --- figures

    def _journal_stats(self):
        cdef jr_stats stats
        pool_check_read(self)
        jr_get_stats(self.p.journal, &stats)
        return stats

    def _journal_policy(self):
        pool_check_read(self)
        return {number: name for name, number in SYNC_POLICIES.items()}[self.p.journal.sync]

    def _allocated(self):
        """(bytes in use by blocks, bytes taken from libpmemobj, number of large blocks).  Walks the heap."""
        cdef PMEMoid oid
        cdef uint64_t used = 0, taken = 0, large = 0, size
        pool_check_read(self)
        oid = pmemobj_first(<PMEMobjpool *>self.pop)
        while oid.off:
            size = pmemobj_alloc_usable_size(oid)
            taken += size
            if pmemobj_type_num(oid) == PM_ALLOC_CHUNK:
                used += pm_chunk_in_use(self.p, oid.off)
            else:
                used += size
                large += 1
            oid = pmemobj_next(oid)
        return used, taken, large

    def _limbo(self):
        """Number of objects that no slot refers to."""
        cdef uint64_t at, count = 0
        pool_check_read(self)
        at = self.p.root.limbo
        while at:
            count += 1
            at = (<pm_object *>pm_at(self.p, at)).limbo_next
        return count

    def _drain(self):
        """Destroys everything in limbo that no proxy holds."""
        pool_check_read(self)
        while self.norphans or self.backlog:
            if self.p.write_gate:
                pass_gate(self, True)
                return
            drain(self)

    def __reduce_ex__(self, protocol):
        raise TypeError("a pool handle cannot be pickled; pass the path and open the pool where it is needed")
