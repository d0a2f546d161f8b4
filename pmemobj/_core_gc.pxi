# Following references, for the collection of garbage (_core_collect.pxi) and for tests.  Reads only, and makes no
# Python object.  Objects stand on pages of their own (see pm_object_alloc), so a walk over the chunks meets every one.

cdef enum:
    UNFOLD_AT_ONCE = 256            # values, until the time is asked for


cdef class _Marks:
    """Which objects have been met, and what is still to be looked at."""
    cdef Pool pool
    cdef pm_marks met
    cdef uint64_t *todo             # objects
    cdef size_t ntodo, todo_cap
    cdef uint64_t *blocks           # slots of values with slots inside
    cdef size_t nblocks, blocks_cap
    cdef uint64_t bytes_met         # of these values, since there were none left
    cdef pm_known gone              # values that have been freed meanwhile: what they held has been told

    def __cinit__(self, Pool pool):
        self.pool = pool

    def __dealloc__(self):
        pm_marks_free(&self.met)
        free(self.gone.cells)
        free(self.todo)
        free(self.blocks)

    cdef int put(self, uint64_t offset) except -1:
        """Notes an object."""
        return push_word(&self.todo, &self.ntodo, &self.todo_cap, offset)

    cdef inline int slot(self, uint64_t slot) except -1:
        """Notes a slot if objects may be behind it."""
        cdef unsigned kind = <unsigned>(slot >> 48)
        if slot == 0 or slot & 7:
            return 0
        if kind == PM_REF_OBJECT:
            return self.put(slot)
        return push_word(&self.blocks, &self.nblocks, &self.blocks_cap, slot) if kind >= PM_REF_TUPLE else 0

    cdef int vector(self, pm_vec *v, unsigned stride, unsigned first) except -1:
        cdef uint64_t i = 0, k, run
        cdef unsigned word
        cdef uint64_t *item
        while i < v.size:
            item = vec_run(self.pool, v, i, v.size, stride, &run)
            i += run
            for k in range(run):
                for word in range(first, stride):
                    self.slot(item[word])
                item += stride
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

    cdef bint unfold(self, uint64_t end = 0) except -1:
        """Notes the objects inside of the values that are noted.  False when the time is over; 0: there is no end."""
        cdef uint64_t slot, i, done = 0
        cdef uint64_t *block
        while self.nblocks:
            done += 1
            if end and done % UNFOLD_AT_ONCE == 0 and monotonic() >= end:
                return False
            self.nblocks -= 1
            slot = self.blocks[self.nblocks]
            if self.gone.cells != NULL and pm_known_find(&self.gone, slot & PM_OFFSET_MASK) != NULL:
                continue
            if slot >> 48 > PM_REF_PICKLE:
                raise errors.PoolDamagedError(f"{self.pool.path}: slot {slot:#x} has an unknown kind")
            block = value_block(self.pool, slot)
            if block[0] > 2 and slot >> 48 >= PM_REF_CUSTOM:
                raise_damaged(self.pool, block, f"a value of a registered type has {block[0]} parts")
            self.bytes_met += 8 + 8 * block[0]
            if self.bytes_met > self.pool.p.size:    # each block belongs to one slot, so none is met twice
                raise_damaged(self.pool, block, "a value holds itself")
            for i in range(block[0]):
                self.slot(block[1 + i])
        self.bytes_met = 0
        free(self.gone.cells)
        memset(&self.gone, 0, sizeof(self.gone))
        return True

    cdef int meet(self, uint64_t offset) except -1:
        """Marks the object, which lies inside the pool."""
        if pm_marks_add(&self.met, offset):
            no_memory()
        return 0

    cdef bint follow(self, uint64_t end) except -1:
        """Marks the noted objects, and what they lead to.  False when the time is over, which at least one object has
        been looked at in; 0: there is no end."""
        cdef uint64_t offset
        cdef bint first = True
        if not self.unfold(end):
            return False
        while self.ntodo:
            if end and not first and monotonic() >= end:
                return False
            self.ntodo -= 1
            offset = self.todo[self.ntodo]
            if not pm_marks_has(&self.met, offset):
                first = False
                self.contents(offset)       # which looks at the offset first
                self.meet(offset)
                if not self.unfold(end):
                    return False
        return True

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
        cdef pm_allocation a
        memset(&a, 0, sizeof(a))
        while next_allocation(self.pool, &a):
            if a.type == PM_ALLOC_CHUNK:
                self.objects_of(a.offset)
        return 0

    cdef int objects_of(self, uint64_t chunk) except -1:
        cdef uint64_t found[PM_PAGE_OBJECTS]
        cdef uint64_t i
        cdef unsigned page
        chunk_must_be_sound(self.pool, chunk)
        for page in range(PM_CHUNK_PAGES):
            for i in range(pm_chunk_objects(self.pool.p, chunk, page, found)):
                self.put(found[i])
        return 0


cdef class _Counts(_Marks):
    """And how often each object is referred to."""
    cdef pm_known counts            # offset -> count, kept in the place of the proxy

    def __dealloc__(self):
        free(self.counts.cells)

    cdef size_t of(self, uint64_t offset) noexcept:
        cdef pm_known_cell *cell = pm_known_find(&self.counts, offset)
        return 0 if cell == NULL else <size_t>cell.proxy

    cdef int put(self, uint64_t offset) except -1:
        if pm_known_set(&self.counts, offset, <void *>(self.of(offset) + 1)):
            no_memory()
        return 0


cdef int push_word(uint64_t **words, size_t *count, size_t *cap, uint64_t word) except -1:
    cdef uint64_t *grown
    if count[0] == cap[0]:
        grown = <uint64_t *>realloc(words[0], (2 * cap[0] + 256) * 8)
        if grown == NULL:
            no_memory()
        words[0] = grown
        cap[0] = 2 * cap[0] + 256
    words[0][count[0]] = word
    count[0] += 1
    return 0


cdef uint64_t monotonic() noexcept:
    """Nanoseconds."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1000000000 + <uint64_t>now.tv_nsec


cdef int must_be_alone(Pool pool, str name) except -1:
    pool_check_read(pool)
    if pool.p.write_gate:
        pass_gate(pool, True)
    if pool.p.depth:
        raise errors.TransactionError(f"{name}() inside a transaction")
    if pool.draining:
        raise RuntimeError(f"{name}() while objects are being destroyed")
    return 0


def check_references(Pool pool not None):
    """Compares every object's reference count with the slots that refer to it; returns the number of objects.

    Raises PoolDamagedError.  For tests: it looks at unreachable objects too.
    """
    cdef _Marks every
    cdef _Counts counted
    cdef uint64_t at
    cdef size_t i, limbo = 0, unreferred = 0
    cdef pm_object *o
    must_be_alone(pool, "check_references")
    counted = _Counts(pool)
    every = _Marks(pool)
    every.objects()
    counted.roots()
    for i in range(every.ntodo):
        counted.contents(every.todo[i])
        counted.unfold()
    counted.unfold()
    faults = []
    for i in range(every.ntodo):
        at = every.todo[i]
        o = object_at_offset(pool, at)
        if o.refs != counted.of(at):
            faults.append(f"the object at {at:#x} (type {o.type}) counts {o.refs} references, has {counted.of(at)}")
        if (o.refs == 0) != bool(o.flags & PM_IN_LIMBO):
            faults.append(f"the object at {at:#x} (type {o.type}) is wrongly in limbo, or wrongly not")
        if o.refs == 0:
            unreferred += 1
        pm_known_set(&counted.counts, at, NULL)
    for i in range(counted.counts.mask + 1 if counted.counts.cells != NULL else 0):
        if counted.counts.cells[i].offset and counted.counts.cells[i].proxy != NULL:
            faults.append(f"a slot refers to {counted.counts.cells[i].offset:#x}, which is no object in use")
    at = pool.p.root.limbo
    while at and limbo <= unreferred:
        limbo += 1
        at = object_at_offset(pool, at).limbo_next
    if limbo != unreferred:
        faults.append(f"{unreferred} objects have no reference, but {limbo} are in limbo")
    if faults:
        raise errors.PoolDamagedError(f"{pool.path}: " + "; ".join(faults[:10]))
    return every.ntodo
