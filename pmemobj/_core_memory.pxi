# The memory of this process that a pool takes: pages that have been changed (see _engine/memory/drop.h), and the
# lists of a transaction.  Everything here runs between operations, outside of transactions.

cdef enum:
    KEPT_ITEMS = 65536          # of a list after a huge transaction


cdef void *shrunk(void *items, size_t count, size_t *cap, size_t size) noexcept:
    """The list again, without the room that an ordinary transaction does not need."""
    cdef void *smaller = NULL
    if count <= KEPT_ITEMS and cap[0] > 2 * KEPT_ITEMS:
        smaller = realloc(items, KEPT_ITEMS * size)
    if smaller == NULL:
        return items
    cap[0] = KEPT_ITEMS
    return smaller


cdef void shrink_lists(Pool pool) noexcept:
    pm_shrink_tables(pool.p)
    pool.frees = <freed *>shrunk(pool.frees, pool.nfrees, &pool.frees_cap, sizeof(freed))
    pool.actions = shrunk(pool.actions, pool.nactions, &pool.actions_cap, sizeof(pobj_action))
    pool.created = <uint64_t *>shrunk(pool.created, pool.ncreated, &pool.created_cap, 8)
    pool.orphans = <uint64_t *>shrunk(pool.orphans, pool.norphans, &pool.orphans_cap, 8)


cdef void take_care(Pool pool) noexcept:
    """After a commit."""
    if pool.p.depth:
        return
    shrink_lists(pool)
    pm_relieve(pool.p)


cdef void undone(Pool pool) noexcept:
    """After the outermost transaction has been undone."""
    pm_forget_undone(pool.p)
    shrink_lists(pool)


def drop_pages(Pool pool not None):
    """Brings the pool file up to date and gives back the memory of all changed pages.  For tests."""
    must_be_alone(pool, "drop_pages")
    cdef int error = pm_drop_all(pool.p)
    if error:
        pass_gate(pool, True)
        raise OSError(error, os.strerror(error), pool.path)


def changed_bytes(Pool pool not None):
    """About: bytes of the pages that have been changed and not been dropped since."""
    pool_check_read(pool)
    return pm_changed_bytes(pool.p)
