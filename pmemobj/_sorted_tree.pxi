# Changes of the B+-tree (see pm_sorted in layout.h, sorted.h).
#
#  1. Everything here runs inside an operation, is undone with it, and runs no Python code.
#  2. Nodes in use are changed word by word with pm_store; new ones are filled plainly, then pm_fresh.
#  3. The number of entries below each node is right again at the end of each function that says so.
#  4. Whoever puts a key into a node says so to its heads (see heads.h), after the node's other words are right.

cdef inline bint has_values(pm_sorted *t) noexcept:
    return t.head.type == PM_TYPE_SORTED_DICT


cdef void set_count(pm_pool *p, pm_sorted *t, uint64_t count) noexcept:
    pm_store(p, &t.count, count)
    pm_store(p, &t.version, next_version())


# --- heads

cdef inline void renew_leaf(pm_pool *p, pm_leaf *leaf, bint fresh) noexcept:
    cdef pm_headed node = pm_leaf_headed(leaf)
    pm_heads_renew(p, &node, fresh)


cdef inline void renew_inner(pm_pool *p, pm_inner *inner, bint fresh) noexcept:
    cdef pm_headed node = pm_inner_headed(inner)
    pm_heads_renew(p, &node, fresh)


cdef inline void leaf_has(pm_pool *p, pm_leaf *leaf, unsigned position) noexcept:
    """A new key."""
    cdef pm_headed node = pm_leaf_headed(leaf)
    pm_heads_add(p, &node, position)


cdef inline void inner_has(pm_pool *p, pm_inner *inner, unsigned at) noexcept:
    cdef pm_headed node = pm_inner_headed(inner)
    pm_heads_add(p, &node, at)


# --- leaves

cdef void put_order(pm_pool *p, pm_leaf *leaf, const uint8_t *order) noexcept:
    cdef unsigned i
    cdef uint64_t word
    for i in range(PM_LEAF_KEYS // 8):
        memcpy(&word, order + 8 * i, 8)
        if (<uint64_t *>leaf.order)[i] != word:
            pm_store(p, <uint64_t *>leaf.order + i, word)


cdef void leaf_put(pm_pool *p, pm_sorted *t, pm_leaf *leaf, unsigned at, uint64_t key, uint64_t value) noexcept:
    """There is room."""
    cdef uint8_t order[PM_LEAF_KEYS]
    cdef unsigned position = pm_free_position(leaf.used), size = pm_leaf_size(leaf)
    pm_store(p, &leaf.keys[position], key)
    if has_values(t):
        pm_store(p, &leaf.values[position], value)
    memcpy(order, leaf.order, PM_LEAF_KEYS)
    memmove(order + at + 1, order + at, size - at)
    order[at] = <uint8_t>position
    put_order(p, leaf, order)
    pm_store(p, &leaf.used, leaf.used | <uint64_t>1 << position)
    leaf_has(p, leaf, position)


cdef void leaf_take(pm_pool *p, pm_leaf *leaf, unsigned at, unsigned count) noexcept:
    """Entries at..at+count-1 are no longer in this leaf."""
    cdef uint8_t order[PM_LEAF_KEYS]
    cdef unsigned size = pm_leaf_size(leaf), i
    cdef uint64_t used = leaf.used
    for i in range(at, at + count):
        used &= ~(<uint64_t>1 << leaf.order[i])
    if at + count < size:
        memcpy(order, leaf.order, PM_LEAF_KEYS)
        memmove(order + at, order + at + count, size - at - count)
        put_order(p, leaf, order)
    pm_store(p, &leaf.used, used)


cdef void leaf_move(
    pm_pool *p, pm_sorted *t, pm_leaf *source, unsigned at, unsigned count, pm_leaf *to, bint in_front
) noexcept:
    """Entries of a leaf join its neighbour, which has room for them."""
    cdef uint8_t order[PM_LEAF_KEYS]
    cdef unsigned size = pm_leaf_size(to), i, position, start = 0 if in_front else size
    cdef uint64_t used = to.used, before = used
    memcpy(order, to.order, PM_LEAF_KEYS)
    if in_front:
        memmove(order + count, order, size)
    for i in range(count):
        position = pm_free_position(used)
        used |= <uint64_t>1 << position
        order[start + i] = <uint8_t>position
        pm_store(p, &to.keys[position], source.keys[source.order[at + i]])
        if has_values(t):
            pm_store(p, &to.values[position], source.values[source.order[at + i]])
    put_order(p, to, order)
    pm_store(p, &to.used, used)
    for i in range(PM_LEAF_KEYS):
        if (used & ~before) >> i & 1:
            leaf_has(p, to, i)
    leaf_take(p, source, at, count)


cdef inline uint64_t smallest_of(pm_leaf *leaf) noexcept:
    return leaf.keys[leaf.order[0]]


cdef uint64_t new_leaf(Pool pool, pm_sorted *t, uint64_t prev, uint64_t next_) except 0:
    """Linked between its neighbours; the caller fills it and calls pm_fresh for all of it."""
    cdef pm_pool *p = pool.p
    cdef uint64_t offset = alloc(pool, pm_leaf_bytes(t))
    cdef pm_leaf *leaf = pm_leaf_at(p, offset)
    memset(leaf, 0, pm_leaf_bytes(t))
    leaf.prev = prev
    leaf.next = next_
    if prev:
        pm_store(p, &pm_leaf_at(p, prev).next, offset)
    if next_:
        pm_store(p, &leaf_must_be(pool, t, next_).prev, offset)
    return offset


# --- inner nodes

cdef void shift_children(pm_pool *p, pm_inner *node, unsigned at, int by) noexcept:
    """Moves children at..size-1 on or back by so many places, with their heads."""
    cdef unsigned count = <unsigned>node.size - at, i, k
    for i in range(count):
        k = at + (count - 1 - i if by > 0 else i)
        pm_store(p, &node.heads[k + by], node.heads[k])
        pm_store(p, &node.keys[k + by], node.keys[k])
        pm_store(p, &node.children[k + by], node.children[k])
        pm_store(p, &node.counts[k + by], node.counts[k])


cdef void put_child(pm_pool *p, pm_inner *node, unsigned at, uint64_t key, uint64_t child, uint64_t count) noexcept:
    pm_store(p, &node.keys[at], key)
    pm_store(p, &node.children[at], child)
    pm_store(p, &node.counts[at], count)


cdef void set_smallest(pm_pool *p, pm_path *path, int level, uint64_t key) noexcept:
    """The smallest key below nodes[level + 1] is another one now."""
    cdef pm_inner *node
    while level >= 0:
        if path.child[level]:
            node = pm_inner_at(p, path.nodes[level])
            pm_store(p, &node.keys[path.child[level]], key)
            inner_has(p, node, path.child[level])
            return
        level -= 1


cdef int add_root(Pool pool, pm_sorted *t, uint64_t key, uint64_t right) except -1:
    """The root has been divided: `right` is its second half."""
    cdef pm_pool *p = pool.p
    cdef uint64_t offset
    cdef pm_inner *node
    if t.height == PM_SORTED_HEIGHT:
        raise OverflowError("a sorted container cannot hold more entries")
    offset = alloc(pool, sizeof(pm_inner))
    node = pm_inner_at(p, offset)
    memset(node, 0, sizeof(pm_inner))
    node.size = 2
    node.children[0] = t.root
    node.children[1] = right
    node.keys[1] = key
    node.counts[0] = pm_node_count(p, t.root, t.height == 1)
    node.counts[1] = pm_node_count(p, right, t.height == 1)
    renew_inner(p, node, True)
    pm_fresh(p, node, sizeof(pm_inner))
    pm_store(p, &t.root, offset)
    pm_store(p, &t.height, t.height + 1)
    return 0


cdef int divided(
    Pool pool, pm_sorted *t, pm_path *path, int level, uint64_t key, uint64_t right, bint append
) except -1:
    """What was nodes[level + 1] has been divided, `right` is its second half and `key` the smallest below it.  Puts
    it into nodes[level]; all numbers of entries are right then.  append: the entry to come is the last of all."""
    cdef pm_pool *p = pool.p
    cdef pm_inner *node
    cdef pm_inner *half
    cdef uint64_t offset, up
    cdef unsigned at, keep, i
    cdef bint is_leaf = level + 2 == <int>path.height
    if level < 0:
        return add_root(pool, t, key, right)
    node = pm_inner_at(p, path.nodes[level])
    at = path.child[level]
    pm_store(p, &node.counts[at], pm_node_count(p, node.children[at], is_leaf))
    at += 1
    if node.size < PM_INNER_CHILDREN:
        shift_children(p, node, at, 1)
        put_child(p, node, at, key, right, pm_node_count(p, right, is_leaf))
        pm_store(p, &node.size, node.size + 1)
        inner_has(p, node, at)
        return 0
    offset = alloc(pool, sizeof(pm_inner))
    half = pm_inner_at(p, offset)
    memset(half, 0, sizeof(pm_inner))
    keep = PM_INNER_CHILDREN if append else PM_INNER_CHILDREN // 2
    for i in range(keep, PM_INNER_CHILDREN):
        half.keys[i - keep] = node.keys[i]
        half.children[i - keep] = node.children[i]
        half.counts[i - keep] = node.counts[i]
    half.size = PM_INNER_CHILDREN - keep
    up = key if append else half.keys[0]
    if at <= keep and not append:
        renew_inner(p, half, True)
        pm_fresh(p, half, sizeof(pm_inner))
        pm_store(p, &node.size, keep)
        shift_children(p, node, at, 1)
        put_child(p, node, at, key, right, pm_node_count(p, right, is_leaf))
        pm_store(p, &node.size, keep + 1)
    else:
        at -= keep
        i = <unsigned>half.size
        while i > at:
            half.keys[i] = half.keys[i - 1]
            half.children[i] = half.children[i - 1]
            half.counts[i] = half.counts[i - 1]
            i -= 1
        half.keys[at] = key
        half.children[at] = right
        half.counts[at] = pm_node_count(p, right, is_leaf)
        half.size += 1
        renew_inner(p, half, True)
        pm_fresh(p, half, sizeof(pm_inner))
        pm_store(p, &node.size, keep)
    if not append:
        renew_inner(p, node, False)
    return divided(pool, t, path, level - 1, up, offset, append)


# --- inserting

cdef int divide_leaf(Pool pool, pm_sorted *t, pm_path *path, uint64_t key) except -1:
    """Makes room in the full leaf of the path, for a key that is to come there, and finds the path anew."""
    cdef pm_pool *p = pool.p
    cdef uint64_t offset = pm_path_leaf(path), right, rank = pm_rank_of(p, path)
    cdef pm_leaf *leaf = pm_leaf_at(p, offset)
    cdef pm_leaf *half
    cdef unsigned keep = PM_LEAF_KEYS // 2, i, position
    cdef uint64_t moved = 0
    cdef bint append = leaf.next == 0 and path.at == PM_LEAF_KEYS
    right = new_leaf(pool, t, offset, leaf.next)
    half = pm_leaf_at(p, right)
    if not append:
        for i in range(PM_LEAF_KEYS - keep):
            position = leaf.order[keep + i]
            moved |= <uint64_t>1 << position
            half.order[i] = <uint8_t>i
            half.keys[i] = leaf.keys[position]
            if has_values(t):
                half.values[i] = leaf.values[position]
        half.used = (<uint64_t>1 << (PM_LEAF_KEYS - keep)) - 1
        key = half.keys[0]
    renew_leaf(p, half, True)
    pm_fresh(p, half, pm_leaf_bytes(t))
    if not append:
        pm_store(p, &leaf.used, leaf.used & ~moved)
        renew_leaf(p, leaf, False)
    divided(pool, t, path, <int>path.height - 2, key, right, append)
    if not (pm_last_place(p, t, path) if append else pm_place_of(p, t, rank, True, path)):
        raise_tree_damaged(pool, t)
    return 0


cdef void count_entry(pm_pool *p, pm_sorted *t, pm_path *path, int by) noexcept:
    cdef unsigned level
    cdef uint64_t *count
    for level in range(path.height - 1):
        count = &pm_inner_at(p, path.nodes[level]).counts[path.child[level]]
        pm_store(p, count, count[0] + by)
    set_count(p, t, t.count + by)


cdef int tree_insert(Pool pool, pm_sorted *t, pm_path *path, uint64_t key, uint64_t value) except -1:
    """A new entry at the place where its key was not found; the tree owns both slots from now on."""
    cdef pm_pool *p = pool.p
    cdef uint64_t offset
    cdef pm_leaf *leaf
    if t.height == 0:
        offset = new_leaf(pool, t, 0, 0)
        leaf = pm_leaf_at(p, offset)
        leaf.used = 1
        leaf.keys[0] = key
        if has_values(t):
            leaf.values[0] = value
        renew_leaf(p, leaf, True)
        pm_fresh(p, leaf, pm_leaf_bytes(t))
        pm_store(p, &t.root, offset)
        pm_store(p, &t.height, 1)
        set_count(p, t, 1)
        return 0
    if pm_leaf_size(pm_leaf_at(p, pm_path_leaf(path))) == PM_LEAF_KEYS:
        divide_leaf(pool, t, path, key)
        if pm_leaf_size(pm_leaf_at(p, pm_path_leaf(path))) == PM_LEAF_KEYS:
            raise_tree_damaged(pool, t)     # counts are wrong
    leaf_put(p, t, pm_leaf_at(p, pm_path_leaf(path)), path.at, key, value)
    count_entry(p, t, path, 1)
    return 0


# --- deleting

cdef int remove_leaf(Pool pool, pm_sorted *t, uint64_t offset) except -1:
    """Takes an empty leaf out of the chain."""
    cdef pm_pool *p = pool.p
    cdef pm_leaf *leaf = pm_leaf_at(p, offset)
    if leaf.prev:
        pm_store(p, &leaf_must_be(pool, t, leaf.prev).next, leaf.next)
    if leaf.next:
        pm_store(p, &leaf_must_be(pool, t, leaf.next).prev, leaf.prev)
    release(pool, offset, pm_leaf_bytes(t))
    return 0


cdef int remove_child(Pool pool, pm_sorted *t, pm_path *path, int level, unsigned at) except -1:
    """The child, which has given away all it had, leaves nodes[level]; or the tree, with level -1."""
    cdef pm_pool *p = pool.p
    cdef pm_inner *node
    if level < 0:
        pm_store(p, &t.root, 0)
        pm_store(p, &t.height, 0)
        return 0
    node = pm_inner_at(p, path.nodes[level])
    shift_children(p, node, at + 1, -1)
    pm_store(p, &node.size, node.size - 1)
    if node.size == 0:
        release(pool, path.nodes[level], sizeof(pm_inner))
        return remove_child(pool, t, path, level - 1, path.child[level - 1] if level else 0)
    if level == 0:
        return lower_root(pool, t)
    if node.size < PM_INNER_MIN:
        fill_inner(pool, t, path, level)
    return 0


cdef void inner_move(pm_pool *p, pm_inner *source, unsigned at, unsigned count, pm_inner *to, unsigned place) noexcept:
    cdef unsigned i
    if place < to.size:
        shift_children(p, to, place, count)
    for i in range(count):
        put_child(p, to, place + i, source.keys[at + i], source.children[at + i], source.counts[at + i])
    pm_store(p, &to.size, to.size + count)
    if at + count < source.size:
        shift_children(p, source, at + count, -<int>count)
    pm_store(p, &source.size, source.size - count)


cdef int fill_inner(Pool pool, pm_sorted *t, pm_path *path, int level) except -1:
    """nodes[level], with few children, gets some of a neighbour or becomes one with it."""
    cdef pm_pool *p = pool.p
    cdef pm_inner *parent = pm_inner_at(p, path.nodes[level - 1])
    cdef unsigned at = path.child[level - 1], half
    cdef pm_inner *left
    cdef pm_inner *right
    cdef uint64_t offset
    if parent.size == 1:
        return 0
    if at + 1 == parent.size:
        at -= 1
    left = inner_must_be(pool, t, parent.children[at])
    offset = parent.children[at + 1]
    right = inner_must_be(pool, t, offset)
    pm_store(p, &right.keys[0], parent.keys[at + 1])
    half = <unsigned>(left.size + right.size) // 2
    if left.size + right.size <= PM_INNER_CHILDREN * 3 // 4:
        inner_move(p, right, 0, <unsigned>right.size, left, <unsigned>left.size)
        renew_inner(p, left, False)
        release(pool, offset, sizeof(pm_inner))
        pm_store(p, &parent.counts[at], pm_node_count(p, parent.children[at], False))
        return remove_child(pool, t, path, level - 1, at + 1)
    if left.size < half:
        inner_move(p, right, 0, half - <unsigned>left.size, left, <unsigned>left.size)
    else:
        inner_move(p, left, half, <unsigned>left.size - half, right, 0)
    renew_inner(p, left, False)
    renew_inner(p, right, False)
    pm_store(p, &parent.keys[at + 1], right.keys[0])
    inner_has(p, parent, at + 1)
    pm_store(p, &parent.counts[at], pm_node_count(p, parent.children[at], False))
    pm_store(p, &parent.counts[at + 1], pm_node_count(p, offset, False))
    return 0


cdef int fill_leaf(Pool pool, pm_sorted *t, pm_path *path) except -1:
    """The same for the leaf of the path."""
    cdef pm_pool *p = pool.p
    cdef int level = <int>path.height - 2
    cdef uint64_t offset = pm_path_leaf(path)
    cdef pm_inner *parent
    cdef pm_leaf *left
    cdef pm_leaf *right
    cdef unsigned at, lefts, rights, half
    if level < 0 or pm_inner_at(p, path.nodes[level]).size == 1:
        if pm_leaf_at(p, offset).used == 0:
            remove_leaf(pool, t, offset)
            remove_child(pool, t, path, level, 0)
        return 0
    parent = pm_inner_at(p, path.nodes[level])
    at = path.child[level]
    if at + 1 == parent.size:
        at -= 1
    left = leaf_must_be(pool, t, parent.children[at])
    offset = parent.children[at + 1]
    right = leaf_must_be(pool, t, offset)
    lefts = pm_leaf_size(left)
    rights = pm_leaf_size(right)
    half = (lefts + rights) // 2
    if lefts + rights <= PM_LEAF_KEYS * 3 // 4:
        leaf_move(p, t, right, 0, rights, left, False)
        remove_leaf(pool, t, offset)
        pm_store(p, &parent.counts[at], lefts + rights)
        return remove_child(pool, t, path, level, at + 1)
    if lefts < half:
        leaf_move(p, t, right, 0, half - lefts, left, False)
    else:
        leaf_move(p, t, left, half, lefts - half, right, True)
    pm_store(p, &parent.keys[at + 1], smallest_of(right))
    inner_has(p, parent, at + 1)
    pm_store(p, &parent.counts[at], half)
    pm_store(p, &parent.counts[at + 1], lefts + rights - half)
    return 0


cdef int tree_delete(Pool pool, pm_sorted *t, pm_path *path) except -1:
    """Deletes the entry at this place, with what its slots own."""
    cdef pm_pool *p = pool.p
    cdef pm_leaf *leaf = pm_leaf_at(p, pm_path_leaf(path))
    cdef unsigned position = leaf.order[path.at]
    slot_drop(pool, leaf.keys[position])
    if has_values(t):
        slot_drop(pool, leaf.values[position])
    leaf_take(p, leaf, path.at, 1)
    count_entry(p, t, path, -1)
    if path.at == 0 and leaf.used:
        set_smallest(p, path, <int>path.height - 2, smallest_of(leaf))
    if pm_leaf_size(leaf) < PM_LEAF_MIN:
        fill_leaf(pool, t, path)
    return 0
