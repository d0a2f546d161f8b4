# Many entries at once: a new tree from sorted keys, and changes that are made together or not at all.

cdef enum:
    LEAF_FILL = 42              # entries of a leaf, and children of a node, in a tree built from sorted keys
    INNER_FILL = 48
    LEVEL_ITEMS = 256           # more changes than this are recorded by line, not by word


cdef inline uint64_t scalar_slot(Pool pool, Plan plan, object value) except 0:
    cdef uint64_t slot = 0
    if pm_immediate(value, &slot):
        return slot
    slot = pm_op_text(pool.p, value) if PyUnicode_CheckExact(value) else 0
    return slot or encode_value(pool, plan, value)


# --- building

cdef struct branch:             # a node of the level that is finished
    uint64_t node, key, count


cdef int build_inner(Pool pool, branch *below, uint64_t count, uint64_t nodes) except -1:
    """Makes `nodes` inner nodes of what is below, and puts them in its place."""
    cdef pm_pool *p = pool.p
    cdef uint64_t i, k, done = 0, size, offset
    cdef pm_inner *node
    cdef branch made
    for i in range(nodes):
        size = (count - done) // (nodes - i)
        offset = alloc(pool, sizeof(pm_inner))
        node = pm_inner_at(p, offset)
        memset(node, 0, sizeof(pm_inner))
        made.node = offset
        made.key = below[done].key
        made.count = 0
        for k in range(size):
            node.keys[k] = below[done + k].key if k else 0
            node.children[k] = below[done + k].node
            node.counts[k] = below[done + k].count
            made.count += below[done + k].count
        node.size = size
        renew_inner(p, node, True)
        pm_fresh(p, node, sizeof(pm_inner))
        done += size
        below[i] = made
    return 0


cdef int build_leaves(
    Pool pool, pm_sorted *t, Plan plan, list keys, list values, branch *leaves, uint64_t count
) except -1:
    cdef pm_pool *p = pool.p
    cdef uint64_t n = len(keys), i, done = 0, size, before = 0
    cdef unsigned k
    cdef pm_leaf *leaf
    for i in range(count):
        size = (n - done) // (count - i)
        leaves[i].node = new_leaf(pool, t, before, 0)
        leaf = pm_leaf_at(p, leaves[i].node)
        for k in range(size):
            leaf.order[k] = <uint8_t>k
            leaf.keys[k] = scalar_slot(pool, plan, keys[done + k])
            if has_values(t):
                leaf.values[k] = scalar_slot(pool, plan, values[done + k])
        leaf.used = (<uint64_t>1 << size) - 1
        renew_leaf(p, leaf, True)
        leaves[i].key = leaf.keys[0]
        leaves[i].count = size
        pm_fresh(p, leaf, pm_leaf_bytes(t))
        before = leaves[i].node
        done += size
    return 0


cdef int build(Pool pool, pm_sorted *t, Plan plan, list keys, list values) except -1:
    """Fills an empty tree from ascending keys; inside an operation."""
    cdef uint64_t n = len(keys), nodes = (n + LEAF_FILL - 1) // LEAF_FILL, below, height = 1
    cdef branch *made
    if n == 0:
        return 0
    if plan is not None:
        plan.stored = None
    made = <branch *>PyMem_Malloc(nodes * sizeof(branch))
    if made == NULL:
        raise MemoryError
    try:
        build_leaves(pool, t, plan, keys, values, made, nodes)
        while nodes > 1:
            below = nodes
            nodes = (below + INNER_FILL - 1) // INNER_FILL
            build_inner(pool, made, below, nodes)
            height += 1
        pm_store(pool.p, &t.root, made[0].node)
        pm_store(pool.p, &t.height, height)
        set_count(pool.p, t, n)
    finally:
        PyMem_Free(made)
    return 0


# --- collecting: everything that may run user code

@cython.final
@cython.auto_pickle(False)
cdef class Items:
    """Keys in ascending order, different from each other, with their values."""
    cdef list keys, values
    cdef Plan plan
    cdef bint simple                    # keys are compared in C, and nothing needs a plan


cdef int must_ascend(object a, object b) except -1:
    if not PyObject_RichCompareBool(a, b, Py_LT):
        raise TypeError(f"{a!r} and {b!r} are not equal, and neither is below the other")
    return 0


cdef Items items_in_order(Pool pool, dict given, object function):
    cdef Items items = Items.__new__(Items)
    cdef Py_ssize_t i, n = len(given)
    cdef pm_sought k
    cdef pm_sought other
    cdef bint quick = function is None
    items.keys = list(given)
    for key in items.keys:
        pm_sought_set(&k, key)
        if function is None:
            must_have_place(key, &k)
        if k.kind == PM_SOUGHT_OTHER:
            quick = False
    items.keys.sort(key=function)
    if function is None:
        for i in range(1, n):
            pm_sought_set(&k, items.keys[i - 1])
            pm_sought_set(&other, items.keys[i])
            if not quick or k.kind != other.kind:
                must_ascend(items.keys[i - 1], items.keys[i])
    if n == 1 and not quick:
        key = items.keys[0] if function is None else function(items.keys[0])
        PyObject_RichCompareBool(key, key, Py_LT)       # TypeError: it cannot be compared at all
    items.values = [given[key] for key in items.keys]
    items.simple = quick
    for value in items.values:
        if not pm_is_scalar(value):
            items.simple = False
            break
    if not items.simple:
        items.plan = prepare(pool, tuple(items.keys) + tuple(items.values))
    return items


# --- whole operations

cdef object new_tree(Persistent o, Pool pool, unsigned type_number, dict given, object function):
    """Makes o, not bound yet, the proxy of a new tree with these items, in limbo."""
    cdef uint64_t offset
    cdef bint level = len(given) > LEVEL_ITEMS
    cdef pm_sorted *t
    cdef Items items
    cdef object name = None if function is None else name_of_key(function)
    pool_check_read(pool)
    items = items_in_order(pool, given, function)
    pool_check_read(pool)
    if level:
        level_begin(pool)
    try:
        op_begin(pool)
        try:
            offset = object_new(pool, type_number, sizeof(pm_sorted), False)
            t = <pm_sorted *>pm_at(pool.p, offset)
            if name is not None:
                pm_store(pool.p, &t.key_name, scalar_slot(pool, None, name))
            build(pool, t, items.plan, items.keys, items.values)
        except BaseException:
            op_abort(pool)
            raise
        op_end(pool)
    except BaseException:
        if level:
            level_abort(pool)
        raise
    if level:
        level_commit(pool)
    bind(o, pool, <pm_object *>pm_at(pool.p, offset))
    return o


cdef bint store_simple(Persistent o, Items items) except -1:
    """All of the items in one operation.  False: Python has to compare; nothing has been done."""
    cdef Pool pool = o.pool
    cdef pm_sorted *t = tree_of(o)
    cdef pm_path path
    cdef pm_sought k
    cdef Py_ssize_t i, n = len(items.keys)
    cdef uint64_t *cell
    cdef uint64_t old, slot
    cdef bint level = n > LEVEL_ITEMS, done = True
    if level:
        level_begin(pool)
    try:
        op_begin(pool)
        try:
            if t.height == 0:
                build(pool, t, None, items.keys, items.values)
            else:
                for i in range(n):
                    pm_sought_set(&k, items.keys[i])
                    if not pm_find_place(pool.p, t, &k, &path):
                        done = False
                        break
                    if not path.found:
                        slot = scalar_slot(pool, None, items.keys[i])
                        old = scalar_slot(pool, None, items.values[i]) if has_values(t) else 0
                        tree_insert(pool, t, &path, slot, old)
                    elif has_values(t):
                        cell = value_cell(pool.p, &path)
                        old = cell[0]
                        slot = scalar_slot(pool, None, items.values[i])
                        pm_store(pool.p, cell, slot)
                        slot_drop(pool, old)
        except BaseException:
            op_abort(pool)
            raise
        if done:
            op_end(pool)
        else:
            op_abort(pool)
    except BaseException:
        if level:
            level_abort(pool)
        raise
    if level:
        if done:
            level_commit(pool)
        else:
            level_abort(pool)
    return done


cdef bint build_if_empty(Persistent o, Items items) except -1:
    """Nothing runs between the look at the tree and the operation."""
    cdef Pool pool = o.pool
    cdef bint level = len(items.keys) > LEVEL_ITEMS
    if tree_of(o).height:
        return False
    if level:
        level_begin(pool)
    try:
        op_begin(pool)
        try:
            build(pool, tree_of(o), items.plan, items.keys, items.values)
        except BaseException:
            op_abort(pool)
            raise
        op_end(pool)
    except BaseException:
        if level:
            level_abort(pool)
        raise
    if level:
        level_commit(pool)
    return True


cdef int update_tree(Persistent o, dict given) except -1:
    """Stores all of the items, or none."""
    cdef Pool pool = o.pool
    cdef Items items
    cdef uint64_t epoch
    if len(given) == 0:
        return 0
    check_read(o)                           # what has given them may have closed the pool
    items = items_in_order(pool, given, key_function(o))
    check_read(o)
    if build_if_empty(o, items):
        return 0
    if items.simple and tree_of(o).key_name == 0 and store_simple(o, items):
        return 0
    epoch = block_begin(pool)
    try:
        for key, value in zip(items.keys, items.values):
            store(o, key, value, False)
    except BaseException:
        block_abort(pool, epoch)
        raise
    block_commit(pool, epoch)
    return 0


cdef uint64_t store(Persistent o, object key, object value, bint only_new) except 0:
    """The entry of a key, which may be of any kind; its value's slot, or 1 in a set.  only_new: a key that is there
    keeps its value."""
    cdef Pool pool = o.pool
    cdef uint64_t slot = 0, key_slot = 0, old
    cdef uint64_t *cell
    cdef pm_path path
    cdef pm_sought k
    cdef bint keeps_values = has_values(tree_of(o))
    cdef object plan = None, key_plan = None
    if keeps_values and not pm_immediate(value, &slot):
        plan = prepare(pool, value)
    pm_sought_set(&k, key)
    if not pm_immediate(key, &key_slot):
        key_plan = prepare(pool, key)
    check_read(o)
    find_place(o, key, &path)
    if not path.found and tree_of(o).count == 0 and k.kind == PM_SOUGHT_OTHER:
        function = key_function(o)
        given = key if function is None else function(key)
        PyObject_RichCompareBool(given, given, Py_LT)   # TypeError: it cannot be compared at all
        check_read(o)
        find_place(o, key, &path)
    if path.found and (only_new or not keeps_values):
        return value_cell(o.p, &path)[0] if keeps_values else 1
    op_begin(pool)
    try:
        if plan is not None:
            slot = encode(pool, plan)
        if path.found:
            cell = value_cell(o.p, &path)
            old = cell[0]
            pm_store(o.p, cell, slot)
            slot_drop(pool, old)
        else:
            if key_plan is not None:
                key_slot = encode(pool, key_plan)
            tree_insert(pool, tree_of(o), &path, key_slot, slot)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return slot if keeps_values else 1


cdef int remove_at(Persistent o, pm_path *path) except -1:
    cdef Pool pool = o.pool
    op_begin(pool)
    try:
        tree_delete(pool, tree_of(o), path)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef int remove_ranks(Persistent o, object numbers) except -1:
    """Removes the entries of these numbers, given in descending order, all or none.  No user code runs."""
    cdef Pool pool = o.pool
    cdef pm_path path
    cdef uint64_t rank
    cdef bint level = len(numbers) > LEVEL_ITEMS
    if level:
        level_begin(pool)
    try:
        op_begin(pool)
        try:
            for rank in numbers:
                place_of(o, rank, False, &path)
                tree_delete(pool, tree_of(o), &path)
        except BaseException:
            op_abort(pool)
            raise
        op_end(pool)
    except BaseException:
        if level:
            level_abort(pool)
        raise
    if level:
        level_commit(pool)
    return 0


cdef int clear_by_leaf(Persistent o) except -1:
    """All of it in one operation, which needs no room in the pool."""
    cdef Pool pool = o.pool
    op_begin(pool)
    try:
        while tree_of(o).height:
            drop_last_leaf(pool, tree_of(o))
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef int clear_tree(Persistent o) except -1:
    """The nodes become those of an object that nobody refers to, and go with it step by step."""
    cdef Pool pool = o.pool
    cdef pm_pool *p = pool.p
    cdef pm_sorted *t = tree_of(o)
    cdef pm_sorted *heir
    cdef uint64_t offset
    if t.height == 0:
        return 0
    if t.height == 1:
        return clear_by_leaf(o)
    op_begin(pool)
    try:
        offset = object_new(pool, t.head.type, sizeof(pm_sorted), True)
        heir = <pm_sorted *>pm_at(p, offset)
        pm_store(p, &heir.count, t.count)
        pm_store(p, &heir.root, t.root)
        pm_store(p, &heir.height, t.height)
        pm_store(p, &t.root, 0)
        pm_store(p, &t.height, 0)
        set_count(p, t, 0)
        object_drop(pool, offset)
    except (errors.PoolFullError, OSError):
        op_abort(pool)
        return clear_by_leaf(o)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0
