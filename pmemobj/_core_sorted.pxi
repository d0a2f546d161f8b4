# Sorted dicts and sets (see pm_sorted in layout.h): what the core has to know of them.

cdef extern from "_engine/objects/sorted.h":
    ctypedef struct pm_path:
        unsigned height, at
        int found
        uint64_t nodes[16]
        unsigned child[16]

    pm_leaf *pm_leaf_at(const pm_pool *p, uint64_t offset) noexcept
    pm_inner *pm_inner_at(const pm_pool *p, uint64_t offset) noexcept
    unsigned pm_leaf_size(const pm_leaf *leaf) noexcept
    uint64_t pm_leaf_bytes(const pm_sorted *t) noexcept
    bint pm_leaf_is_sound(const pm_pool *p, const pm_sorted *t, uint64_t offset) noexcept
    bint pm_inner_is_sound(const pm_pool *p, uint64_t offset) noexcept
    bint pm_place_of(const pm_pool *p, const pm_sorted *t, uint64_t rank, bint end, pm_path *path) noexcept
    bint pm_last_place(const pm_pool *p, const pm_sorted *t, pm_path *path) noexcept

# Of the tree that was changed last.  A reader meets the trees of several writers, so each begins somewhere else.
cdef uint64_t last_version = int.from_bytes(os.urandom(6), "little") << 16


cdef uint64_t next_version() noexcept:
    global last_version
    last_version += 1
    return last_version


cdef int raise_tree_damaged(Pool pool, const pm_sorted *t) except -1:
    return raise_damaged(pool, t, "its tree makes no sense")


cdef pm_leaf *leaf_must_be(Pool pool, const pm_sorted *t, uint64_t offset) except NULL:
    if not pm_leaf_is_sound(pool.p, t, offset):
        raise_tree_damaged(pool, t)
    return pm_leaf_at(pool.p, offset)


cdef pm_inner *inner_must_be(Pool pool, const pm_sorted *t, uint64_t offset) except NULL:
    if not pm_inner_is_sound(pool.p, offset):
        raise_tree_damaged(pool, t)
    return pm_inner_at(pool.p, offset)


cdef int lower_root(Pool pool, pm_sorted *t) except -1:
    """A root with one child makes way for it."""
    cdef pm_pool *p = pool.p
    cdef uint64_t offset
    while t.height > 1 and inner_must_be(pool, t, t.root).size == 1:
        offset = t.root
        pm_store(p, &t.root, pm_inner_at(p, offset).children[0])
        pm_store(p, &t.height, t.height - 1)
        release(pool, offset, sizeof(pm_inner))
    return 0


cdef int drop_last_leaf(Pool pool, pm_sorted *t) except -1:
    """Inside an operation: the last leaf goes, with what its entries own, and the nodes that it leaves empty."""
    cdef pm_pool *p = pool.p
    cdef pm_path path
    cdef pm_leaf *leaf
    cdef pm_inner *inner
    cdef unsigned i, size, level
    if t.height == 0:
        return 0
    if not pm_last_place(p, t, &path):
        raise_tree_damaged(pool, t)
    leaf = pm_leaf_at(p, path.nodes[path.height - 1])
    size = pm_leaf_size(leaf)
    for i in range(size):
        slot_drop(pool, leaf.keys[leaf.order[i]])
        if t.head.type == PM_TYPE_SORTED_DICT:
            slot_drop(pool, leaf.values[leaf.order[i]])
    if leaf.prev:
        pm_store(p, &leaf_must_be(pool, t, leaf.prev).next, 0)
    release(pool, path.nodes[path.height - 1], pm_leaf_bytes(t))
    pm_store(p, &t.count, t.count - size)
    pm_store(p, &t.version, next_version())
    for level in range(path.height - 1):
        inner = pm_inner_at(p, path.nodes[level])
        pm_store(p, &inner.counts[path.child[level]], inner.counts[path.child[level]] - size)
    level = path.height - 1
    while level:
        level -= 1
        inner = pm_inner_at(p, path.nodes[level])
        pm_store(p, &inner.size, inner.size - 1)
        if inner.size:
            return lower_root(pool, t)
        release(pool, path.nodes[level], sizeof(pm_inner))
    pm_store(p, &t.root, 0)
    pm_store(p, &t.height, 0)
    return 0


cdef int drop_leaves(Pool pool, pm_sorted *t, uint64_t *budget) except -1:
    """The same with leaves one after the other, until the budget of slots has been used up or nothing is left."""
    while t.height and budget[0]:
        drop_last_leaf(pool, t)
        budget[0] -= min(budget[0], <uint64_t>2 * PM_LEAF_KEYS)
    return 0


cdef uint64_t node_bytes(pm_pool *p, pm_sorted *t, uint64_t node, uint64_t height) noexcept:
    cdef uint64_t total = taken_by(sizeof(pm_inner)), i
    cdef pm_inner *inner
    if height <= 1:
        return taken_by(pm_leaf_bytes(t)) if height else 0
    if height > PM_SORTED_HEIGHT or not pm_inner_is_sound(p, node):
        return 0
    inner = pm_inner_at(p, node)
    if height == 2:
        return total + inner.size * taken_by(pm_leaf_bytes(t))
    for i in range(inner.size):
        if total > p.size:                  # nodes that lead to themselves
            return total
        total += node_bytes(p, t, inner.children[i], height - 1)
    return total
