# Sorted dicts and sets are copied node by node: each keeps its fill.

cdef extern from "_engine/objects/sorted.h":
    pm_leaf *pm_leaf_at(const pm_pool *p, uint64_t offset) noexcept
    pm_inner *pm_inner_at(const pm_pool *p, uint64_t offset) noexcept
    unsigned pm_leaf_size(const pm_leaf *leaf) noexcept
    uint64_t pm_leaf_bytes(const pm_sorted *t) noexcept


cdef uint64_t copy_leaf(Copier c, pm_sorted *t, uint64_t offset, uint64_t *before, uint64_t *smallest) except 0:
    cdef pm_leaf *leaf = leaf_must_be(c.source, t, offset)
    cdef uint64_t new = alloc(c.target, pm_leaf_bytes(t)), used = leaf.used
    cdef pm_leaf *to = pm_leaf_at(c.target.p, new)
    cdef unsigned i
    if not 0 < pm_leaf_size(leaf) <= c.left:    # and so nodes that lead to themselves end somewhere
        raise_tree_damaged(c.source, t)
    c.left -= pm_leaf_size(leaf)
    memcpy(to, leaf, pm_leaf_bytes(t))
    to.next = 0
    to.prev = before[0]
    for i in range(PM_LEAF_KEYS):
        if used >> i & 1:
            to.keys[i] = c.slot(leaf.keys[i])
            if t.head.type == PM_TYPE_SORTED_DICT:
                to.values[i] = c.slot(leaf.values[i])
        else:
            to.keys[i] = 0
            if t.head.type == PM_TYPE_SORTED_DICT:
                to.values[i] = 0
    pm_fresh(c.target.p, to, pm_leaf_bytes(t))
    if before[0]:
        pm_store(c.target.p, &pm_leaf_at(c.target.p, before[0]).next, new)
    before[0] = new
    smallest[0] = to.keys[to.order[0]]
    c.copied += pm_leaf_bytes(t)
    c.next_step()
    return new


cdef uint64_t copy_node(
    Copier c, pm_sorted *t, uint64_t offset, uint64_t height, uint64_t *before, uint64_t *smallest
) except 0:
    """The copy of a node and all below it.  before: the leaf that was copied last; smallest: the copy's first key."""
    cdef uint64_t new, key = 0, i
    cdef pm_inner *inner
    cdef pm_inner *to
    if height == 1:
        return copy_leaf(c, t, offset, before, smallest)
    inner = inner_must_be(c.source, t, offset)
    new = alloc(c.target, sizeof(pm_inner))
    to = pm_inner_at(c.target.p, new)
    memcpy(to, inner, sizeof(pm_inner))
    pm_fresh(c.target.p, to, sizeof(pm_inner))
    for i in range(inner.size):
        pm_store(c.target.p, &to.children[i], copy_node(c, t, inner.children[i], height - 1, before, &key))
        pm_store(c.target.p, &to.keys[i], key if i else 0)
        if i == 0:
            smallest[0] = key
    c.copied += sizeof(pm_inner)
    return new


cdef int copy_sorted(Copier c, pm_sorted *t, uint64_t new) except -1:
    cdef pm_sorted *to = <pm_sorted *>pm_at(c.target.p, new)
    cdef uint64_t before = 0, key = 0
    if t.height > PM_SORTED_HEIGHT:
        raise_tree_damaged(c.source, t)
    c.left = t.count
    pm_store(c.target.p, &to.key_name, c.slot(t.key_name))
    pm_store(c.target.p, &to.version, t.version)
    if t.height == 0:
        return 0
    pm_store(c.target.p, &to.root, copy_node(c, t, t.root, t.height, &before, &key))
    pm_store(c.target.p, &to.height, t.height)
    pm_store(c.target.p, &to.count, t.count)
    if c.left:
        raise_tree_damaged(c.source, t)
    return 0
