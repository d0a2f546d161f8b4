# The pool handle and the verbs of containers.  Everything that changes a pool goes through these.
#
# A mutator reads:   check_read(self) -> encode what is to be stored -> op_begin(pool) -> pm_store / alloc /
# pm_fresh / slot_drop ... -> op_end(pool).  On an error between the last two: op_abort(pool), and the pool is
# as before op_begin.  Between op_begin and op_end no Python code may run and no Python object may be freed.

from cpython.object cimport PyObject
from cpython.pythread cimport PyThread_type_lock
from libc.stdint cimport int64_t, uint32_t, uint64_t

from pmemobj._cengine cimport (
    PM_GATE_IN_OP, jr, pf_info, pm_deque_cell, pm_is_mine, pm_known, pm_known_cell, pm_media, pm_op_commit_words,
    pm_pool, pm_probe, pm_vec, pm_vec_find, pm_vec_find_run,
)
from pmemobj._layout cimport pm_buffer, pm_deque, pm_deque_block, pm_inner, pm_leaf, pm_object, pm_sorted, pm_table


cdef struct freed:
    uint64_t offset, size


cdef struct marks:              # where the lists of a level or operation began
    size_t images, ranges, frees, actions, created


cdef struct level:
    uint64_t epoch
    marks start


ctypedef PyObject *(*make_proxy)(Pool pool, pm_object *head, pm_known_cell *cell) except NULL


cdef class Pool:
    cdef object __weakref__
    cdef pm_pool *p                 # lives as long as this handle, also when closed
    cdef void *pop                  # PMEMobjpool *, NULL when closed
    cdef uint64_t uuid_lo
    cdef int fd                     # our descriptor of the pool file; holds the lock
    cdef pf_info info
    cdef bint marked                # the file says that this handle's journal is live
    cdef readonly str path
    cdef str journal_path
    cdef PyThread_type_lock lock    # held while a transaction is open, once another thread waits for its end
    cdef bint locked
    cdef pm_known known
    cdef level *levels
    cdef size_t levels_cap
    cdef marks op                   # of the current operation
    cdef freed *frees               # blocks to be freed at commit
    cdef size_t nfrees, frees_cap
    cdef void *actions              # pobj_action[]: libpmemobj's reserved allocations and deferred frees
    cdef size_t nactions, actions_cap
    cdef uint64_t *gone             # allocations to be freed once the commit is made; the direct engine's
    cdef size_t ngone, gone_cap
    cdef size_t nleft                   # of those, that the next open has to free: the commit has failed
    cdef uint64_t *created          # objects created in the open transaction
    cdef size_t ncreated, created_cap
    cdef uint64_t *orphans          # objects that nobody refers to any more
    cdef size_t norphans, orphans_cap
    cdef uint64_t backlog           # rest of the limbo list found at open
    cdef bint draining
    cdef object collecting          # the _Collection that has begun, or None
    cdef uint64_t freed             # bytes that were given back since the handle was made
    cdef bint resizing              # between two mappings: other threads wait as for a transaction
    cdef char *old_base             # where the proxies' objects are until then
    cdef dict sizes                 # of the journal, and the budget of memory
    cdef unsigned waiting, passed   # threads that wait for a transaction's end; how many have ended waiting
    cdef unsigned syncing           # threads that use the journal or a snapshot without the GIL
    cdef void *snapshot             # rd *, of a pool opened for reading: see _core_reader.pxi
    cdef bint refreshing
    cdef unsigned copying           # backups and checks of this snapshot
    cdef uint64_t gates_before      # while check() holds the pool still
    cdef void *borrowed             # rd *, while a pool of the direct engine is copied
    cdef size_t exports             # addresses of its memory that others hold: see _core_buffer.pxi
    cdef char *remains              # what stays for them when it has been unmapped nevertheless, or NULL
    cdef uint64_t remains_size
    cdef char *copy                 # of it, on its way there
    cdef bint sync_at_commit        # transaction(sync=True)
    cdef object task                # weakref to the asyncio task that began the last transaction, or None
    cdef list callbacks             # per level: None or a Transaction; never gets shorter
    cdef readonly str engine        # "journal" or "direct"
    cdef readonly str engine_reason
    cdef const pm_media *media      # of the direct engine, or NULL
    cdef readonly object recovery   # what recovery did at open, or None
    cdef public object registry     # pool-wide codecs and classes (see registry.py)

    cdef int _lock_and_recover(self) except -1
    cdef int _choose_engine(self, str engine) except -1
    cdef int _start_journal(self, int sync, double interval) except -1
    cdef int _mark_live(self, uint64_t epoch) except -1
    cdef int _map(self) except -1
    cdef int _orphan_proxies(self) except -1
    cdef int _detach(self, bint clean) except -1
    cdef int _must_be_explicit(self) except -1


cdef class Persistent:
    """Base of the proxies: a Python object that stands for an object in a pool."""
    cdef object __weakref__
    cdef pm_object *head            # NULL: closed or stale
    cdef pm_pool *p
    cdef Pool pool                  # not an attribute for Python: a class may have one of that name


cdef int check_read_slow(Persistent o) except -1

cdef inline int check_read(Persistent o) except -1:
    """o is alive and this thread may look at it; the base pointers are valid until Python code runs."""
    if o.head == NULL or o.p.read_gate and not pm_is_mine(o.p, o.p.read_gate):
        return check_read_slow(o)
    return 0

cdef int pool_check_read(Pool pool) except -1

# --- what the pool says is looked at before it is followed (see pm_leads_inside in engine.h)

# PoolDamagedError about what lies there.
cdef int raise_damaged(Pool pool, const void *at, str what) except -1

cdef inline uint64_t *vec_at(Pool pool, const pm_vec *v, uint64_t i, unsigned stride) except NULL:
    """First word of item i."""
    cdef uint64_t *found = pm_vec_find(pool.p, v, i, stride)
    if found == NULL:
        raise_damaged(pool, v, "its items are not inside the pool")
    return found

cdef inline uint64_t *vec_run(
    Pool pool, const pm_vec *v, uint64_t i, uint64_t end, unsigned stride, uint64_t *run
) except NULL:
    """The same; run: how many items from there on, below `end`, lie side by side."""
    cdef uint64_t *found = pm_vec_find_run(pool.p, v, i, end, stride, run)
    if found == NULL:
        raise_damaged(pool, v, "its items are not inside the pool")
    return found

cdef inline Py_ssize_t plausible(Persistent o, uint64_t count) except -1:
    """A number of items that the pool could hold."""
    if count > o.p.size:
        raise_damaged(o.pool, o.head, "it counts more items than the pool can hold")
    return count

# All of it that an operation may touch: the items start..stop-1 of a vector; an index.
cdef int vec_must_be_sound(Pool pool, const pm_vec *v, uint64_t start, uint64_t stop, unsigned stride) except -1
cdef int index_must_be_sound(Pool pool, const pm_table *t) except -1
# The value that a reference, not to an object, leads to.
cdef uint64_t *value_block(Pool pool, uint64_t slot) except NULL
# The object at an offset: of a known type.
cdef pm_object *object_at_offset(Pool pool, uint64_t offset) except NULL

# Between the two the pool stands still: other threads wait as for a transaction, this one may only read.
cdef int copy_begins(Pool pool) except -1
cdef int copy_ends(Pool pool) except -1
cdef int check_begins(Pool pool) except -1
cdef int check_ends(Pool pool) except -1

# --- operations and levels

cdef int op_begin_slow(Pool pool) except -1
cdef int op_end_slow(Pool pool) except -1

cdef inline int op_begin(Pool pool) except -1:
    if pool.p.write_gate or pool.p.journal.failed:
        return op_begin_slow(pool)
    pool.p.write_gate = PM_GATE_IN_OP
    return 0

cdef inline int op_end(Pool pool) except -1:
    """Commits the operation, or leaves it to the open transaction.  On an error it has been undone."""
    if pm_op_commit_words(pool.p):
        return 0
    return op_end_slow(pool)

cdef void op_abort(Pool pool) noexcept

cdef int level_begin(Pool pool) except -1
cdef int level_commit(Pool pool) except -1
cdef void level_abort(Pool pool) noexcept

# The same for a method that runs user code in the level: nothing but its own end commits it, and callbacks run.
cdef uint64_t block_begin(Pool pool) except 0
cdef int block_commit(Pool pool, uint64_t epoch) except -1
cdef int block_abort(Pool pool, uint64_t epoch) except -1

# --- memory; all inside an operation

cdef uint64_t alloc(Pool pool, uint64_t size) except 0
cdef int release(Pool pool, uint64_t offset, uint64_t size) except -1

cdef int vec_reserve(Pool pool, pm_vec *v, uint64_t items, unsigned stride) except -1
cdef int vec_shrink(Pool pool, pm_vec *v, unsigned stride) except -1
cdef int vec_free(Pool pool, pm_vec *v, unsigned stride) except -1

# A fresh index for a table of up to `items` entries; room in it for one more entry, whose cell the probe is left at;
# its end, True when nothing is left of it.
cdef int index_build(Pool pool, pm_table *t, unsigned stride, uint64_t items) except -1
cdef int index_make_room(Pool pool, pm_table *t, unsigned stride, uint64_t hash, pm_probe *probe) except -1
cdef bint index_drop(Pool pool, pm_table *t, uint64_t budget) except -1

cdef inline uint64_t *deque_cell(Pool pool, const pm_deque *d, uint64_t position) except NULL:
    """Of an item, or of what is to be one."""
    cdef uint64_t *found = pm_deque_cell(pool.p, d, position)
    if found == NULL:
        raise_damaged(pool, d, "its blocks are not what they must be")
    return found

# The block of a deque at this offset; the one behind it or before it.
cdef pm_deque_block *deque_must_be(Pool pool, const pm_deque *d, pm_deque_block *block) except NULL
cdef pm_deque_block *deque_block_at(Pool pool, const pm_deque *d, uint64_t offset) except NULL
# Blocks of a deque.  grow: there is a cell for position right, or left - 1 (of an empty deque the positions change);
# the block is given back by cut, which is called after left or right have moved towards each other.
cdef int deque_grow_right(Pool pool, pm_deque *d, uint64_t items) except -1
cdef int deque_grow_left(Pool pool, pm_deque *d) except -1
cdef int deque_cut(Pool pool, pm_deque *d) except -1
cdef int deque_push(Pool pool, pm_deque *d, const uint64_t *slots, uint64_t count) except -1
# Drops the last items and gives back their blocks; with all items gone, the last block too.
cdef int deque_drop(Pool pool, pm_deque *d, uint64_t *budget) except -1

# The block of a byte array or array: is it where it can be; of a new one; given back.
cdef int buffer_must_be_sound(Pool pool, const pm_buffer *b) except -1
cdef uint64_t buffer_room(uint64_t size) noexcept nogil
cdef uint64_t buffer_block(Pool pool, uint64_t size) except 0
cdef int buffer_fill(Pool pool, pm_buffer *b, const char *source, uint64_t size) except -1
cdef bint buffer_fill_by_file(Pool pool, uint64_t offset, const char *source, uint64_t size) noexcept
cdef int buffer_free(Pool pool, pm_buffer *b) except -1
# Nobody holds an address any more.
cdef void last_export_ended(Pool pool) noexcept

# Sorted containers: a node that the pool names, sound; the next number of a version; the root, having one child, makes
# way for it; the last leaf goes, with what it owns.
cdef int raise_tree_damaged(Pool pool, const pm_sorted *t) except -1
cdef pm_leaf *leaf_must_be(Pool pool, const pm_sorted *t, uint64_t offset) except NULL
cdef pm_inner *inner_must_be(Pool pool, const pm_sorted *t, uint64_t offset) except NULL
cdef uint64_t next_version() noexcept
cdef int lower_root(Pool pool, pm_sorted *t) except -1
cdef int drop_last_leaf(Pool pool, pm_sorted *t) except -1

# --- objects and slots; all but the first inside an operation

cdef object proxy_of(Pool pool, uint64_t offset)     # runs no user code
cdef int bind(Persistent o, Pool pool, pm_object *head) except -1
cdef uint64_t object_new(Pool pool, unsigned type, uint64_t size, bint owned) except 0
cdef int object_keep(Pool pool, uint64_t offset) except -1
cdef int object_drop(Pool pool, uint64_t offset) except -1
cdef int slot_drop_slow(Pool pool, uint64_t slot) except -1
cdef uint64_t owned_size(unsigned kind, const uint64_t *block) noexcept nogil

cdef inline int slot_drop(Pool pool, uint64_t slot) except -1:
    """The slot is being overwritten: gives back what it owns or refers to."""
    if slot == 0 or slot & 7:
        return 0
    return slot_drop_slow(pool, slot)

# Proxies of this type of objects are plain instances of the class, which adds no field to Persistent.
cdef int register_class(unsigned type, object cls) except -1
# Or they are made by a function: it gets where in `known` the proxy belongs, runs no user code and starts no
# garbage collection.
cdef int register_proxy(unsigned type, object cls, make_proxy make) except -1
# Such a function, of a class that adds fields which may begin with 0.
cdef PyObject *made_proxy(type cls, Pool pool, pm_object *head) except NULL
cdef void proxy_lost(PyObject *handle, uint64_t offset) noexcept
