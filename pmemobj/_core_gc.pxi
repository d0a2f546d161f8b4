# Mark and sweep: finds the objects that keep one another alive although nothing leads to them.
#
#  1. Objects stand on pages of their own (see pm_object_alloc), so a walk over the chunks meets every one.
#  2. Live is what the root slot, the type table, a proxy or the limbo list leads to.  Marking reads only; it
#     holds the GIL from its begin to the end of the walk and allocates no Python object, so nothing moves.
#  3. Sweeping empties the garbage first, in operations of bounded size, and destroys it afterwards through
#     the ordinary path: while an object is being emptied no other piece of garbage can vanish.  A crash in
#     between leaves garbage, some of it empty, or objects in limbo, which the next open destroys.

cdef class _Marks:
    """Which objects have been met (or how often), and the slots still to be looked at."""
    cdef Pool pool
    cdef pm_known met               # offset -> count, kept in the place of the proxy
    cdef uint64_t *todo
    cdef size_t ntodo, todo_cap

    def __cinit__(self, Pool pool):
        self.pool = pool

    def __dealloc__(self):
        free(self.met.cells)
        free(self.todo)

    cdef int put(self, uint64_t word) except -1:
        cdef uint64_t *grown
        if self.ntodo == self.todo_cap:
            grown = <uint64_t *>realloc(self.todo, (2 * self.todo_cap + 256) * 8)
            if grown == NULL:
                no_memory()
            self.todo = grown
            self.todo_cap = 2 * self.todo_cap + 256
        self.todo[self.ntodo] = word
        self.ntodo += 1
        return 0

    cdef inline int slot(self, uint64_t slot) except -1:
        """Notes a slot if objects may be behind it."""
        cdef unsigned kind = <unsigned>(slot >> 48)
        if slot == 0 or slot & 7 or (kind != PM_REF_OBJECT and kind < PM_REF_TUPLE):
            return 0
        return self.put(slot)

    cdef int vector(self, pm_vec *v, unsigned stride, unsigned first) except -1:
        cdef uint64_t i
        cdef unsigned word
        cdef uint64_t *item
        for i in range(v.size):
            item = vec_at(self.pool, v, i, stride)
            for word in range(first, stride):
                self.slot(item[word])
        return 0

    cdef int deque(self, pm_deque *d) except -1:
        cdef uint64_t at = d.left, i
        cdef pm_deque_block *block
        while at != d.right:
            block = deque_must_be(self.pool, d, pm_deque_find(self.pool.p, d, at))
            for i in range(at - block.start, block.cap):
                if at == d.right:
                    break
                self.slot(block.cells[i])
                at += 1
        return 0

    cdef int leaves(self, pm_sorted *t) except -1:
        cdef uint64_t at, left = t.count
        cdef pm_leaf *leaf
        cdef pm_path path
        cdef unsigned i
        if not pm_place_of(self.pool.p, t, 0, False, &path) or (left == 0) != (path.height == 0):
            raise_tree_damaged(self.pool, t)
        at = path.nodes[path.height - 1] if path.height else 0
        while left:                         # a leaf that is not met is one whose objects would be taken for garbage
            leaf = leaf_must_be(self.pool, t, at)
            if not 0 < pm_leaf_size(leaf) <= left:
                raise_tree_damaged(self.pool, t)
            left -= pm_leaf_size(leaf)
            for i in range(PM_LEAF_KEYS):
                if leaf.used >> i & 1:
                    self.slot(leaf.keys[i])
                    if t.head.type == PM_TYPE_SORTED_DICT:
                        self.slot(leaf.values[i])
            at = leaf.next
        if at:
            raise_tree_damaged(self.pool, t)
        return 0

    cdef int contents(self, uint64_t offset) except -1:
        """Notes what the object refers to."""
        cdef pm_object *o = object_at_offset(self.pool, offset)
        cdef pm_instance *instance
        cdef uint64_t *fields
        cdef uint64_t i
        if o.type == PM_TYPE_LIST or o.type == PM_TYPE_TUPLE:
            return self.vector(&(<pm_list *>o).items, 1, 0)
        if PM_IS_TABLE(o.type):
            if o.type == PM_TYPE_DEFAULTDICT:
                self.slot((<pm_defaultdict *>o).factory)
            return self.vector(&(<pm_table *>o).entries, PM_TABLE_STRIDE(o.type), 1)
        if o.type == PM_TYPE_DEQUE:
            return self.deque(<pm_deque *>o)
        if o.type == PM_TYPE_SORTED_DICT or o.type == PM_TYPE_SORTED_SET:
            return self.leaves(<pm_sorted *>o)
        if o.type == PM_TYPE_BYTEARRAY:
            return 0
        if o.type == PM_TYPE_ARRAY:
            self.slot((<pm_array *>o).shape)
            return self.slot((<pm_array *>o).dtype)
        if o.type != PM_TYPE_OBJECT:
            raise errors.PoolDamagedError(f"{self.pool.path}: unknown object type {o.type} at {offset:#x}")
        instance = <pm_instance *>o
        fields = fields_of(self.pool, instance)
        for i in range(instance.cap):
            self.slot(fields[i])
        return 0

    cdef inline size_t count(self, uint64_t offset) noexcept:
        cdef pm_known_cell *cell = pm_known_find(&self.met, offset)
        return 0 if cell == NULL else <size_t>cell.proxy

    cdef int follow(self, bint deep) except -1:
        """Counts the objects behind the noted slots; deep: and what they lead to."""
        cdef uint64_t slot, i
        cdef uint64_t *block
        cdef size_t count
        while self.ntodo:
            self.ntodo -= 1
            slot = self.todo[self.ntodo]
            if slot >> 48 != PM_REF_OBJECT:
                if slot >> 48 > PM_REF_PICKLE:
                    raise errors.PoolDamagedError(f"{self.pool.path}: slot {slot:#x} has an unknown kind")
                block = value_block(self.pool, slot)
                if block[0] > 2 and slot >> 48 >= PM_REF_CUSTOM:
                    raise_damaged(self.pool, block, f"a value of a registered type has {block[0]} parts")
                for i in range(block[0]):
                    self.slot(block[1 + i])
                continue
            count = self.count(slot)
            if pm_known_set(&self.met, slot, <void *>(count + 1)):
                no_memory()
            if deep and count == 0:
                self.contents(slot)
        return 0

    cdef int roots(self) except -1:
        """Notes the two root slots."""
        self.slot(self.pool.p.root.root_slot)
        return self.slot(self.pool.p.root.types_slot)

    cdef int held(self) except -1:
        """Notes what proxies hold and what is in limbo."""
        cdef pm_known *known = &self.pool.known
        cdef uint64_t at = self.pool.p.root.limbo, left = self.pool.p.size // sizeof(pm_object)
        cdef size_t i
        if known.cells != NULL:
            for i in range(known.mask + 1):
                if known.cells[i].offset:
                    self.put(known.cells[i].offset)
        while at:
            self.put(at)
            at = object_at_offset(self.pool, at).limbo_next
            left -= 1
            if left == 0:
                raise errors.PoolDamagedError(f"{self.pool.path}: the list of limbo has no end")
        return 0

    cdef int objects(self) except -1:
        """Fills `todo` with the offset of every object there is."""
        cdef uint64_t found[PM_PAGE_OBJECTS]
        cdef uint64_t i
        cdef unsigned page
        cdef pm_allocation a
        memset(&a, 0, sizeof(a))
        while next_allocation(self.pool, &a):
            if a.type == PM_ALLOC_CHUNK:
                chunk_must_be_sound(self.pool, a.offset)
                for page in range(PM_CHUNK_PAGES):
                    for i in range(pm_chunk_objects(self.pool.p, a.offset, page, found)):
                        self.put(found[i])
        return 0


cdef bint empty_step(Pool pool, uint64_t offset, uint64_t *budget) except -1:
    """Inside an operation: drops slots of a piece of garbage.  True when it has none left."""
    cdef pm_object *o = object_at_offset(pool, offset)
    cdef pm_instance *instance
    cdef uint64_t *fields
    cdef pm_vec *v
    cdef uint64_t i
    if o.type == PM_TYPE_SORTED_DICT or o.type == PM_TYPE_SORTED_SET:
        drop_leaves(pool, <pm_sorted *>o, budget)
        return (<pm_sorted *>o).height == 0
    if PM_IS_BUFFER(o.type):
        return True
    if o.type == PM_TYPE_OBJECT:
        instance = <pm_instance *>o
        fields = fields_of(pool, instance)
        for i in range(instance.cap):
            if fields[i]:
                slot_drop(pool, fields[i])
                pm_store(pool.p, &fields[i], 0)
        return True
    if o.type == PM_TYPE_DEQUE:
        deque_drop(pool, <pm_deque *>o, budget)
        return (<pm_deque *>o).first == 0
    if o.type == PM_TYPE_LIST or o.type == PM_TYPE_TUPLE:
        v = &(<pm_list *>o).items
        drop_items(pool, v, 1, 0, budget)
    else:
        v = &(<pm_table *>o).entries
        drop_items(pool, v, PM_TABLE_STRIDE(o.type), 1, budget)
    return v.size == 0


cdef int sweep(Pool pool, uint64_t *garbage, size_t count) except -1:
    cdef uint64_t budget
    cdef size_t done = 0
    while done < count:
        op_begin(pool)
        try:
            budget = DESTROY_ITEMS
            while done < count and budget:
                if empty_step(pool, garbage[done], &budget):
                    done += 1
                if budget:
                    budget -= 1
            op_finish(pool)
        except BaseException:
            op_abort(pool)
            raise
        if pm_wants_care(pool.p):
            take_care(pool)
        PyErr_CheckSignals()
    return 0


cdef int must_be_alone(Pool pool, str name) except -1:
    pool_check_read(pool)
    if pool.p.write_gate:
        pass_gate(pool, True)
    if pool.p.depth:
        raise errors.TransactionError(f"{name}() inside a transaction")
    if pool.draining:
        raise RuntimeError(f"{name}() while objects are being destroyed")
    return 0


def collect_garbage(Pool pool not None):
    """Destroys every object that nothing leads to; returns their number.  See pool.gc()."""
    cdef _Marks live, every
    cdef size_t i, count = 0
    must_be_alone(pool, "gc")
    pool._drain()
    must_be_alone(pool, "gc")
    live = _Marks(pool)
    every = _Marks(pool)
    must_be_alone(pool, "gc")               # no Python object is made from here to the sweep
    live.roots()
    live.held()
    live.follow(True)
    every.objects()
    for i in range(every.ntodo):
        if live.count(every.todo[i]) == 0:
            every.todo[count] = every.todo[i]
            count += 1
    pool.draining = True
    try:
        sweep(pool, every.todo, count)
    finally:
        pool.draining = False
    if pool.p.depth == 0:
        after_commit(pool, False)
    return count


def check_references(Pool pool not None):
    """Compares every object's reference count with the slots that refer to it; returns the number of objects.

    Raises PoolDamagedError.  For tests: it looks at unreachable objects too.
    """
    cdef _Marks counted, every
    cdef uint64_t at
    cdef size_t i, limbo = 0, unreferred = 0
    cdef pm_object *o
    must_be_alone(pool, "check_references")
    counted = _Marks(pool)
    every = _Marks(pool)
    every.objects()
    counted.roots()
    for i in range(every.ntodo):
        counted.contents(every.todo[i])
        counted.follow(False)
    faults = []
    for i in range(every.ntodo):
        at = every.todo[i]
        o = object_at_offset(pool, at)
        if o.refs != counted.count(at):
            faults.append(f"the object at {at:#x} (type {o.type}) counts {o.refs} references, has {counted.count(at)}")
        if (o.refs == 0) != bool(o.flags & PM_IN_LIMBO):
            faults.append(f"the object at {at:#x} (type {o.type}) is wrongly in limbo, or wrongly not")
        if o.refs == 0:
            unreferred += 1
        pm_known_set(&counted.met, at, NULL)
    for i in range(counted.met.mask + 1 if counted.met.cells != NULL else 0):
        if counted.met.cells[i].offset and counted.met.cells[i].proxy != NULL:
            faults.append(f"a slot refers to {counted.met.cells[i].offset:#x}, which is no object in use")
    at = pool.p.root.limbo
    while at and limbo <= unreferred:
        limbo += 1
        at = object_at_offset(pool, at).limbo_next
    if limbo != unreferred:
        faults.append(f"{unreferred} objects have no reference, but {limbo} are in limbo")
    if faults:
        raise errors.PoolDamagedError(f"{pool.path}: " + "; ".join(faults[:10]))
    return every.ntodo
