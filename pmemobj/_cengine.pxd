# The C engine: one open pool and the verbs that change it (_engine/engine.h, slab.h, vec.h, known.h, proxy.h),
# its journal and its file (_engine/journal/journal.h, poolfile.h, locks.h), snapshots (reader.h).

from libc.stddef cimport size_t
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from pmemobj._layout cimport pm_chunk, pm_deque, pm_deque_block, pm_object, pm_root, pm_table, pm_vec


cdef extern from "_engine/journal/journal.h" nogil:
    enum:
        JR_SYNC_COMMIT
        JR_SYNC_INTERVAL
        JR_SYNC_MANUAL
        JR_OK
        JR_EIO
        JR_EMISSING
        JR_EMISMATCH
        JR_EDAMAGED
        JR_EVERSION
        JR_HELD

    struct jr_identity:
        uint8_t pool_uuid[16]
        uint64_t epoch
        uint64_t run_id
        bint live
        uint64_t applied, ranges, root_at

    struct jr_options:
        int sync
        uint64_t interval_ns, first_segment, max_segment, limit, ring, memory

    struct jr_stats:
        uint64_t records, bytes_appended, syncs, checkpoints, bytes_applied, segments, journal_bytes, waits

    struct jr_report:
        int os_error
        uint64_t records, bytes, last_seq, discarded_bytes
        double seconds
        char message[512]

    struct jr:
        int failed
        int sync

    int jr_recover(const char *path, int pool_fd, uint64_t pool_size, const jr_identity *pool,
                   jr_report *report)
    int jr_start(jr **out, const char *path, int pool_fd, uint64_t pool_size, const jr_identity *identity,
                 const jr_options *options)
    int jr_make_ready(jr *j, uint64_t words)
    bint jr_is_untouched(jr *j)
    int jr_sync(jr *j)
    int jr_checkpoint(jr *j)
    int jr_begin_holes(jr *j)
    void jr_end_holes(jr *j)
    void jr_stop(jr *j, int clean)
    void jr_orphan(jr *j)
    uint64_t jr_holder(const char *path)
    void jr_get_stats(jr *j, jr_stats *out)

cdef extern from "_engine/files/poolfile.h" nogil:
    enum:
        PMDK_HEADER_BYTES
        PM_ROOT_UUID_AT
        PM_ROOT_STATE_AT

    enum pf_kind:
        PF_OK
        PF_EMPTY
        PF_NOT_A_POOL
        PF_TRUNCATED
        PF_WRONG_LAYOUT
        PF_NO_ROOT
        PF_DAMAGED
        PF_OLDER
        PF_NEWER
        PF_IO_ERROR

    struct pf_info:
        uint64_t size, root_offset, generation_at, run_id, version, incompat, state, applied, ranges
        uint64_t heap_offset, heap_size
        uint8_t uuid[16]
        char layout[1024]
        int os_error

    pf_kind pf_probe(int fd, pf_info *info)
    bint pf_maps_synchronously(int fd)
    uint64_t pf_chunk_phase(const char *base)
    uint64_t pf_low(const char *base)
    int pf_prepare(int fd, uint64_t size)
    void pf_punch_zeros(int fd, uint64_t size)
    int pf_grow(int fd, pf_info *info, uint64_t size)
    int pf_stand_in(int fd, char *base, uint64_t size)
    void pf_stand_in_ends(char *base, uint64_t size)
    void pf_set_uuid(char *header, const uint8_t *pool, const uint8_t *file)
    int pf_set_state(int fd, const pf_info *info, uint64_t state)

cdef extern from "_engine/files/io.h" nogil:
    int io_open(int *fd, const char *path, int flags, unsigned mode)
    void io_close(int fd)
    int io_fdatasync(int fd)
    int io_fsync(int fd)
    int io_ftruncate(int fd, long long length)
    int io_link(const char *source, const char *to)
    int io_unlink(const char *path)
    int io_sync_directory_of(const char *path)

cdef extern from "_engine/files/io_faults.h" nogil:
    ctypedef enum iof_kind "enum iof_kind":
        IOF_KINDS

    const char *const iof_names[]

    struct iof_rule:
        uint32_t kinds
        uint64_t number
        bint sticky
        bint cut
        int error
        char file[256]

    void iof_install()
    void iof_remove()
    void iof_arm(const iof_rule *rule)
    void iof_pretend_syncs(bint on)
    uint64_t iof_count(iof_kind kind)
    uint64_t iof_matched()
    uint64_t iof_hits(iof_kind *first)

cdef extern from "_engine/files/io_trace.h" nogil:
    struct iot_entry:
        iof_kind kind
        uint64_t number, began, ended, offset, length, done
        size_t address
        int flags, error
        char *file
        char *to
        char *data

    void iot_start(bint with_data)
    void iot_stop()
    size_t iot_entries(const iot_entry **entries)

cdef extern from "_engine/files/locks.h" nogil:
    int pf_lock(int fd)
    int pf_lock_running(int fd)
    enum pf_range:
        PF_RECORDS
        PF_SNAPSHOTS
    int pf_lock_change(int fd, pf_range range, uint64_t epoch, uint64_t seq)
    void pf_unlock_change(int fd, pf_range range)
    int pf_has_strangers(int fd, uint64_t epoch)
    int pf_lock_out_readers(int fd)

cdef extern from "_engine/snapshot/reader.h" nogil:
    enum rd_result:
        RD_OK
        RD_SAME
        RD_WAIT
        RD_SYSTEM
        RD_POOL
        RD_JOURNAL
        RD_OTHER_ENGINE
        RD_REPLACED
        RD_TOO_LARGE

    struct follow:
        int fd

    struct rd_image:
        char *base
        uint64_t size
        uint64_t state
        follow follow

    struct rd:
        rd_image now
        pf_info info
        jr_report report
        int journal_error, error

    jr *rd_no_journal()
    rd_result rd_open(rd **out, const char *path, const char *journal, int fd)
    rd_result rd_prepare(rd *r)
    rd_result rd_finish(rd *r)
    void rd_cancel(rd *r)
    void rd_close(rd *r)
    void rd_orphan(rd *r)
    int rd_copy(rd *r, int out, uint64_t *at, uint64_t limit, uint64_t *copied)
    uint64_t rd_data_bytes(rd *r)
    rd *rd_borrow(int fd, char *base, uint64_t size)
    void rd_give_back(rd *r)

cdef extern from "_engine/memory/heapwalk.h" nogil:
    ctypedef struct pm_allocation:
        uint64_t offset, size, type, zone, chunk

    int pm_next_allocation(const char *base, uint64_t pool_size, pm_allocation *a)
    bint pm_is_allocation(const char *base, uint64_t pool_size, uint64_t offset, uint64_t size, uint64_t type)

cdef extern from "_engine/memory/heapcheck.h" nogil:
    enum:
        PM_HEAP_FAULT

    int pm_check_heap_of_file(int fd, uint64_t size, char *fault, size_t room)
    int pm_check_heap_in_memory(const char *base, uint64_t size, char *fault, size_t room)

cdef extern from "_engine/memory/drop.h" nogil:
    int pm_cover_holes(pm_pool *p, int fd)
    bint pm_wants_care(const pm_pool *p)
    void pm_relieve(pm_pool *p)
    bint pm_fill_by_file(pm_pool *p, uint64_t offset, const char *source, uint64_t length)
    int pm_drop_all(pm_pool *p)
    uint64_t pm_changed_bytes(const pm_pool *p)
    void pm_forget_undone(pm_pool *p)
    void pm_shrink_tables(pm_pool *p)

cdef extern from "_engine/memory/zones.h" nogil:
    struct pm_zone_totals:
        uint64_t metadata, used, unused

    int get_zone_totals "pm_zone_totals"(const pm_pool *p, pm_zone_totals *out)

cdef extern from "_engine/memory/remains.h" nogil:
    char *pm_remains_new(uint64_t size)
    int pm_remains_put(char *copy, char *at, uint64_t size)
    void pm_remains_free(char *at, uint64_t size)

cdef extern from "_engine/memory/trim.h" nogil:
    int pm_trim_heap(pm_pool *p)
    int pm_trim_chunk(pm_pool *p, uint64_t offset)

cdef extern from "_engine/objects/known.h" nogil:
    ctypedef struct pm_known_cell:
        uint64_t offset
        void *proxy

    ctypedef struct pm_known:
        pm_known_cell *cells
        size_t mask, used

    pm_known_cell *pm_known_find(const pm_known *t, uint64_t offset)
    pm_known_cell *pm_known_place(pm_known *t, uint64_t offset)
    int pm_known_set(pm_known *t, uint64_t offset, void *proxy)
    void pm_known_remove(pm_known *t, pm_known_cell *cell)

cdef extern from "_engine/objects/marks.h" nogil:
    ctypedef struct pm_marks:
        pass

    bint pm_marks_has(const pm_marks *m, uint64_t offset)
    int pm_marks_add(pm_marks *m, uint64_t offset)
    void pm_marks_remove(pm_marks *m, uint64_t offset)
    void pm_marks_free(pm_marks *m)

cdef extern from "_engine/direct/undo.h" nogil:
    enum undo_kind:
        UNDO_ALLOCATED
        UNDO_FREE

    struct undo_pending:
        uint64_t *offsets
        uint64_t count

    bint undo_is_log(const char *path)
    uint64_t undo_holder(const char *path)
    int undo_recover(const char *path, int pool_fd, uint64_t pool_size, const jr_identity *pool, bint live,
                     uint64_t generation_at, jr_report *report, undo_pending *pending)
    int undo_note_run(const char *path, uint64_t run_id)
    int undo_finish(const char *path, int pool_fd, uint64_t generation_at)

cdef extern from "_engine/direct/direct.h" nogil:
    struct direct:
        int error

    const uint64_t DIRECT_NEVER

    int direct_start(pm_pool *p, const char *path, int pool_fd, const jr_identity *identity, int sync,
                     uint64_t look_every, uint64_t log_bytes, const pm_media *media, bint synchronous)
    int direct_mapped(pm_pool *p)
    int direct_before_reserve(pm_pool *p, uint64_t bytes)
    int direct_reserved(pm_pool *p, uint64_t offset, uint64_t bytes)
    int direct_trim(pm_pool *p)
    int direct_look(pm_pool *p)
    int direct_look_if_due(pm_pool *p)
    void direct_leave_file(pm_pool *p)
    int direct_sync(pm_pool *p)
    void direct_stop(pm_pool *p, bint clean)
    void direct_orphan(pm_pool *p)
    void direct_level_begin(pm_pool *p)
    void direct_level_end(pm_pool *p)
    int direct_note(pm_pool *p, undo_kind kind, const uint64_t *offsets, uint64_t count)
    int direct_settle(pm_pool *p)
    void direct_commit(pm_pool *p)
    void direct_abort(pm_pool *p)
    void direct_get_stats(pm_pool *p, jr_stats *out)

cdef extern from "_engine/engine.h" nogil:
    enum:
        PM_GATE_TX
        PM_GATE_CLOSED
        PM_GATE_FORKED
        PM_GATE_READONLY
        PM_GATE_FAILED
        PM_GATE_IN_OP
        PM_GATE_DIRECT
        PM_GATE_DOOMED
        PM_GATE_WRITABLE

    ctypedef struct pm_media:
        pass

    const pm_media pm_persistent_memory, pm_page_cache

    ctypedef struct pm_pool:
        char *base
        uint64_t size, low, room
        pm_root *root
        uint64_t chunk_phase
        uint32_t read_gate, write_gate
        uint32_t depth
        uint32_t pending
        uint64_t epoch, last_epoch
        uint64_t births
        void *owner
        uint64_t turn
        jr *journal
        size_t nlog, nimages, ndirty, nranges
        size_t fresh_words
        uint64_t overwritten, key_generation, deque_generation
        pm_known *known
        direct *direct

    uint64_t pm_offset(const pm_pool *p, const void *at)
    void *pm_at(const pm_pool *p, uint64_t offset)
    void pm_pool_placed(pm_pool *p, uint64_t low)
    bint pm_leads_inside(const pm_pool *p, uint64_t offset)
    bint pm_inside(const pm_pool *p, uint64_t offset, uint64_t bytes)
    bint pm_inside_all(const pm_pool *p, uint64_t offset, uint64_t count, uint64_t size)
    int pm_pool_init(pm_pool *p, uint64_t size)
    void pm_pool_fini(pm_pool *p)
    void pm_store(pm_pool *p, void *at, uint64_t value)
    void pm_fresh(pm_pool *p, const void *at, uint64_t length)
    void pm_snapshot(pm_pool *p, const void *at, uint64_t length)
    void pm_log_undo(pm_pool *p, size_t mark)
    void pm_images_undo(pm_pool *p, size_t mark)
    int pm_settle_ranges(pm_pool *p, uint64_t direct)
    uint64_t pm_record_bound(const pm_pool *p)
    uint64_t pm_dirty_end(const pm_pool *p)
    void pm_record(pm_pool *p)
    void pm_opening(const pm_media *media)
    int pm_opened(pm_pool *p)
    int pm_open_failed()
    void pm_closing(pm_pool *p)

cdef extern from "_engine/objects/op.h":
    void *pm_this_thread() noexcept
    uint64_t pm_this_turn() noexcept
    bint pm_has_context() noexcept
    bint pm_is_mine(const pm_pool *p, uint32_t gate) noexcept
    int pm_op_commit_words(pm_pool *p) noexcept

cdef extern from "_engine/objects/cache.h":
    void pm_cache_forget(pm_pool *p, uint64_t offset) noexcept
    void pm_cache_undo(pm_pool *p) noexcept
    void pm_cache_free(pm_pool *p) noexcept

cdef extern from "_engine/objects/text.h":
    bint pm_replace(pm_pool *p, uint64_t *at, object value) noexcept

cdef extern from "_engine/memory/slab.h" nogil:
    enum:
        PM_PAGE_OBJECTS

    bint pm_chunk_is_sound(const pm_pool *p, uint64_t offset)
    bint pm_lists_are_sound(const pm_pool *p)
    uint64_t pm_small_alloc(pm_pool *p, uint64_t size)
    uint64_t pm_object_alloc(pm_pool *p, uint64_t size)
    int pm_small_free(pm_pool *p, uint64_t offset, uint64_t *empty_chunk)
    uint64_t pm_usable(uint64_t size)
    uint64_t pm_whole_chunks(uint64_t size)
    int pm_chunk_add(pm_pool *p, uint64_t offset)
    uint64_t pm_span_alloc(pm_pool *p, unsigned pages)
    unsigned pm_span_pages(uint64_t size)
    int pm_span_free(pm_pool *p, uint64_t offset, unsigned pages, uint64_t *empty_chunk)
    unsigned pm_chunk_span(const pm_chunk *chunk, unsigned first)
    uint64_t pm_chunk_in_use(pm_pool *p, uint64_t offset)
    uint64_t pm_chunk_objects(const pm_pool *p, uint64_t offset, unsigned page_number, uint64_t *offsets)

cdef extern from "_engine/objects/proxy.h":
    ctypedef struct pm_spares:
        pass

    void (*pm_proxy_lost)(PyObject *pool, uint64_t offset) noexcept
    PyObject *pm_proxy_alloc(pm_spares *spares, PyTypeObject *type) except NULL
    void pm_proxy_bind(PyObject *o, PyObject *pool, pm_pool *p, pm_object *head, pm_known_cell *cell) noexcept

cdef extern from "_engine/vec.h" nogil:
    uint64_t *pm_vec_at(const pm_pool *p, const pm_vec *v, uint64_t i, unsigned stride)
    uint64_t *pm_vec_run(const pm_pool *p, const pm_vec *v, uint64_t i, uint64_t end, unsigned stride,
                         uint64_t *run)
    uint64_t *pm_vec_find(const pm_pool *p, const pm_vec *v, uint64_t i, unsigned stride)
    uint64_t *pm_vec_find_run(const pm_pool *p, const pm_vec *v, uint64_t i, uint64_t end, unsigned stride,
                              uint64_t *run)
    bint pm_vec_is_sound(const pm_pool *p, const pm_vec *v, uint64_t start, uint64_t stop, unsigned stride)

cdef extern from "_engine/objects/deque.h":
    pm_deque_block *pm_deque_block_at(const pm_pool *p, uint64_t offset) noexcept nogil
    pm_deque_block *pm_deque_sound(const pm_pool *p, uint64_t offset) noexcept nogil
    pm_deque_block *pm_deque_after(const pm_pool *p, const pm_deque_block *block) noexcept nogil
    pm_deque_block *pm_deque_before(const pm_pool *p, const pm_deque_block *block) noexcept nogil
    pm_deque_block *pm_deque_find(const pm_pool *p, const pm_deque *d, uint64_t position) noexcept nogil
    uint64_t *pm_deque_cell(const pm_pool *p, const pm_deque *d, uint64_t position) noexcept nogil
    bint pm_deque_append(pm_pool *p, pm_object *head, object value) noexcept
    bint pm_deque_append_left(pm_pool *p, pm_object *head, object value) noexcept
    PyObject *pm_deque_pop(pm_pool *p, pm_object *head, bint left) noexcept

    ctypedef struct pm_deque_walk:
        uint64_t left, right, at, block, generation

    bint pm_deque_same(const pm_deque *d, const pm_deque_walk *walk) noexcept
    uint64_t *pm_deque_walk_cell(const pm_pool *p, const pm_deque *d, pm_deque_walk *walk, uint64_t position) noexcept
    PyObject *pm_deque_next(pm_pool *p, pm_object *head, pm_deque_walk *walk) noexcept
    PyObject *pm_deque_previous(pm_pool *p, pm_object *head, pm_deque_walk *walk) noexcept

cdef extern from "_engine/objects/table.h" nogil:
    enum:
        PM_SEGMENT_LOG
        PM_NOT_FOUND
        PM_DAMAGED

    ctypedef struct pm_probe:
        uint64_t hash, segment, mask, at
        uint64_t *cells

    uint64_t PM_SEGMENT(uint64_t offset, unsigned log, unsigned depth)
    unsigned PM_SEGMENT_CELLS(uint64_t segment)
    unsigned PM_SEGMENT_DEPTH(uint64_t segment)
    uint64_t pm_tag(uint64_t hash)
    uint64_t pm_tag_home(uint64_t tag, unsigned log, unsigned depth)
    uint64_t *pm_directory(const pm_pool *p, const pm_table *t)
    bint pm_segment_is_sound(const pm_pool *p, uint64_t segment)
    bint pm_index_is_sound(const pm_pool *p, const pm_table *t)
    uint64_t pm_table_segment(const pm_pool *p, const pm_table *t, uint64_t tag)
    uint64_t pm_segment_limit(uint64_t tag, unsigned log, unsigned depth)
    void pm_probe_start(const pm_pool *p, const pm_table *t, uint64_t hash, pm_probe *probe)
    void pm_probe_free(const pm_pool *p, const pm_table *t, uint64_t hash, pm_probe *probe)
    bint pm_probe_has_room(const pm_table *t, const pm_probe *probe)
    int64_t pm_table_next(const pm_pool *p, const pm_table *t, unsigned stride, pm_probe *probe)
    void pm_cells_put(uint64_t *cells, unsigned log, unsigned depth, uint64_t cell)
    void pm_cells_count(const uint64_t *cells, unsigned log, unsigned depth, uint64_t *count)
    void pm_cells_move(const pm_pool *p, uint64_t segment, uint64_t low, uint64_t high)
    void pm_table_append(pm_pool *p, pm_table *t, unsigned stride, const pm_probe *probe, uint64_t key, uint64_t value)
    void pm_table_forget(pm_pool *p, const pm_table *t, uint64_t hash, uint64_t number)

cdef extern from "_engine/prefetch.h" nogil:
    void pm_prefetch(const void *at)

cdef extern from "_engine/objects/keys.h":
    void pm_keys_forget(pm_pool *p) noexcept
    void pm_keys_release(pm_pool *p) noexcept
