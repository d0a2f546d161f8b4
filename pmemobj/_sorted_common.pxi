# What sorted dicts and sets share: positions, bounds, verification.

cdef Py_ssize_t position(Persistent o, object index) except -1:
    """The number of an entry from an index, which may count from the end."""
    cdef Py_ssize_t i = number_of(index), size
    check_read(o)
    size = length(o)
    if i < 0:
        i += size
    if not 0 <= i < size:
        raise IndexError(f"{type(o).__name__} index out of range")
    return i


cdef Py_ssize_t number_of(object index) except? -1:
    return PyNumber_AsSsize_t(index, IndexError)


cdef object place_by_key(Persistent o, object key, bint right, bint by_key):
    check_read(o)
    function = key_function(o)
    if function is not None and not by_key:
        key = function(key)
        check_read(o)
    return bound(o, key, function, right)


cdef object outermost(Persistent o, object key, bint largest):
    check_read(o)
    first, end = ranks(o, None if largest else key, key if largest else None, False, False, False)
    if first >= end:
        raise ValueError("empty tree" if tree_of(o).count == 0 else "no key satisfies the conditions")
    return item_at(o, end - 1 if largest else first, KEYS)


cdef object index_of(Persistent o, object key, object start, object stop):
    cdef pm_path path
    cdef Py_ssize_t found
    check_read(o)
    if look_up(o, key, &path):
        found = pm_rank_of(o.p, &path)
        low, high, _ = slice(start, stop).indices(length(o))
        if low <= found < high:
            return found
    raise ValueError(f"{key!r} is not in {type(o).__name__}")


cdef object item_at(Persistent o, uint64_t rank, int what):
    cdef SortedIterator it = walk(o, rank, rank + 1, what, False)
    for item in it:
        return item
    raise IndexError(f"{type(o).__name__} index out of range")


cdef SortedIterator walk_all(Persistent o, int what, bint backwards):
    check_read(o)
    return walk(o, 0, tree_of(o).count, what, backwards)


cdef object walk_range(Persistent o, object lowest, object highest, object inclusive, bint backwards, bint by_key):
    with_lowest, with_highest = inclusive
    first, end = ranks(o, lowest, highest, not with_lowest, not with_highest, by_key)
    return walk(o, first, end, KEYS, backwards)


cdef object walk_slice(Persistent o, object start, object stop, bint backwards):
    check_read(o)
    first, end, _ = slice(start, stop).indices(length(o))
    check_read(o)
    return walk(o, min(first, tree_of(o).count), min(max(first, end), tree_of(o).count), KEYS, backwards)


# --- verification

cdef object check_node(Persistent o, uint64_t node, uint64_t height, bint is_last, list leaves, object where):
    """Returns (entries below it, slot of the smallest key below it)."""
    cdef pm_sorted *t = tree_of(o)
    cdef pm_inner *inner
    cdef pm_leaf *leaf
    cdef pm_headed headed
    cdef uint64_t i, total = 0, smallest = 0
    if height == 1:
        leaf = pm_leaf_at(o.p, node)
        assert leaf.used >> PM_LEAF_KEYS == 0, f"{where}: a leaf uses {leaf.used:#x}"
        assert leaf.used, f"{where}: an empty leaf"
        if node != t.root and not is_last:
            assert pm_leaf_size(leaf) >= PM_LEAF_MIN, f"{where}: a leaf of {pm_leaf_size(leaf)} entries"
        places = {leaf.order[i] for i in range(pm_leaf_size(leaf))}
        assert places == {i for i in range(PM_LEAF_KEYS) if leaf.used >> i & 1}, f"{where}: a leaf's order is wrong"
        headed = pm_leaf_headed(leaf)
        assert pm_heads_wrong(o.p, &headed) == 0, f"{where}: a leaf's heads are wrong"
        leaves.append(node)
        return pm_leaf_size(leaf), leaf.keys[leaf.order[0]]
    inner = pm_inner_at(o.p, node)
    assert inner.size <= PM_INNER_CHILDREN, f"{where}: a node of {inner.size} children"
    if node == t.root:
        assert inner.size >= 2, f"{where}: the root has {inner.size} children"
    elif not is_last:
        assert inner.size >= PM_INNER_MIN, f"{where}: a node of {inner.size} children"
    for i in range(inner.size):
        count, key = check_node(o, inner.children[i], height - 1, is_last and i + 1 == inner.size, leaves, where)
        assert count == inner.counts[i], f"{where}: {inner.counts[i]} entries are counted, there are {count}"
        if i:
            assert key == inner.keys[i], f"{where}: a node has {inner.keys[i]:#x}, not the smallest key {key:#x}"
        else:
            smallest = key
        total += inner.counts[i]
    headed = pm_inner_headed(inner)
    assert pm_heads_wrong(o.p, &headed) == 0, f"{where}: a node's heads are wrong"
    return total, smallest


cdef object check_tree(Persistent o):
    cdef pm_sorted *t
    cdef pm_leaf *leaf
    cdef uint64_t before = 0, node, last = 0
    cdef unsigned i
    check_read(o)
    t = tree_of(o)
    where = f"{type(o).__name__} at {<uint64_t>(<char *>o.head - o.p.base):#x}"
    assert t.height <= PM_SORTED_HEIGHT, f"{where}: height {t.height}"
    assert (t.height == 0) == (t.root == 0) == (t.count == 0), f"{where}: {t.count} entries, height {t.height}"
    if t.height == 0:
        return
    leaves = []
    count, _ = check_node(o, t.root, t.height, True, leaves, where)
    assert count == t.count, f"{where}: {t.count} entries are counted, there are {count}"
    for node in leaves:
        leaf = pm_leaf_at(o.p, node)
        assert leaf.prev == before, f"{where}: the leaf at {node:#x} comes after {before:#x}, not {leaf.prev:#x}"
        assert before == 0 or pm_leaf_at(o.p, before).next == node, f"{where}: the leaf at {before:#x} is not linked"
        before = node
        for i in range(pm_leaf_size(leaf)):
            if last and t.key_name == 0:
                order = pm_compare_slots(o.p, last, leaf.keys[leaf.order[i]])
                assert order == -1 or order == PM_UNORDERED, f"{where}: keys are not in order in {node:#x}"
            last = leaf.keys[leaf.order[i]]
    assert pm_leaf_at(o.p, before).next == 0, f"{where}: there is a leaf after the last one"
