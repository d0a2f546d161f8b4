# Collecting garbage: objects that keep one another alive although nothing leads to them.  In steps, between which the
# pool is used as always.
#
#  1. Garbage stays garbage: nobody can get hold of an object to which nothing leads.  So what was garbage when the
#     collection began is looked for, and found whatever is changed meanwhile.
#  2. Live is what at that moment the root slot, the type table, a proxy or the limbo list led to.  A reference that is
#     taken away before the marking has come to it is told by object_drop(): the object is noted, so that everything
#     that was live is met.  The slots of a container are noted in one step, since they move inside of it without a
#     word; what they lead to is looked at in others, also values with slots inside, unless slot_drop() tells of them.
#  3. Objects that were born after the beginning are not judged.  Those that vanish are told by destroy(): their place
#     may be another object's soon.
#  4. Between two steps nothing is kept but offsets of objects.
#  5. Sweeping empties the garbage, in operations of bounded size, and lets it be destroyed through the ordinary path:
#     while an object is being emptied no other one can vanish (`draining`).  A crash in between leaves garbage, some of
#     it empty, or objects in limbo, which the next open destroys.  So nothing is lost for good, wherever it stops.

cdef enum phase:
    MARK, FIND, SWEEP


cdef class _Collection:
    """One that has begun.  Pool.collecting until its end, or until something fails: the next one begins anew then."""
    cdef Pool pool
    cdef phase at
    cdef _Marks live                # while marking; afterwards `met` says what was live
    cdef _Marks garbage             # todo: found; met: of these, what is still to be emptied
    cdef uint64_t births            # objects born from there on are not judged
    cdef uint64_t chunk             # the last one that was searched
    cdef size_t objects             # destroyed since the last report
    cdef uint64_t types[PM_TYPES]   # of these, how many of each type
    cdef uint64_t *classes          # their class numbers, if they are instances
    cdef size_t nclasses, classes_cap

    def __dealloc__(self):
        free(self.classes)

    cdef bint begin(self, Pool pool) except -1:
        self.pool = pool
        self.live = _Marks(pool)
        self.garbage = _Marks(pool)
        must_be_alone(pool, "gc")           # no Python object is made from here on
        self.births = pool.p.births
        self.live.roots()
        self.live.held()
        pool.collecting = self
        return self.live.unfold()

    cdef int dropped(self, uint64_t offset) except -1:
        """A slot that referred to the object is about to lose it."""
        if self.at == MARK and object_at_offset(self.pool, offset).born < self.births:
            self.live.put(offset)
        return 0

    cdef int value_gone(self, uint64_t offset) except -1:
        """A value with slots inside is being freed, and what it holds told: its memory is not to be looked at."""
        if self.at == MARK and self.live.nblocks and pm_known_set(&self.live.gone, offset, <void *><size_t>1):
            self.pool.collecting = None
        return 0

    cdef int vanishes(self, uint64_t offset) except -1:
        """The object, to which nothing refers, is about to be destroyed."""
        if self.at == MARK:                 # it is not to be looked at
            if pm_marks_add(&self.live.met, offset):
                self.pool.collecting = None
            return 0
        return self.done_with(offset) if pm_marks_has(&self.garbage.met, offset) else 0

    cdef int done_with(self, uint64_t offset) except -1:
        """A piece of garbage is empty, or destroyed through another one."""
        cdef pm_object *o = object_at_offset(self.pool, offset)
        pm_marks_remove(&self.garbage.met, offset)
        self.objects += 1
        self.types[o.type] += 1
        if o.type == PM_TYPE_OBJECT:
            push_word(&self.classes, &self.nclasses, &self.classes_cap, (<pm_instance *>o).class_id)
        return 0

    cdef bint find(self, uint64_t end) except -1:
        """Garbage is whatever was born before the beginning and has not been met.  Chunk by chunk, by address."""
        cdef pm_allocation a
        cdef size_t i, first
        memset(&a, 0, sizeof(a))
        while next_allocation(self.pool, &a):
            if a.type != PM_ALLOC_CHUNK or a.offset <= self.chunk:
                continue
            first = i = self.garbage.ntodo
            self.garbage.objects_of(a.offset)
            for i in range(first, self.garbage.ntodo):
                self.judge(self.garbage.todo[i], &first)
            self.garbage.ntodo = first
            self.chunk = a.offset
            if end and monotonic() >= end:
                return False
        return True

    cdef int judge(self, uint64_t offset, size_t *count) except -1:
        if not pm_marks_has(&self.live.met, offset) and object_at_offset(self.pool, offset).born < self.births:
            self.garbage.meet(offset)
            self.garbage.todo[count[0]] = offset
            count[0] += 1
        return 0

    cdef int sweep(self, uint64_t end) except -1:
        """Empties garbage, and destroys what is empty, until there is none or the time is over."""
        cdef Pool pool = self.pool
        cdef uint64_t budget, offset
        while self.garbage.ntodo:
            op_begin(pool)
            try:
                budget = DESTROY_ITEMS
                while self.garbage.ntodo and budget:
                    offset = self.garbage.todo[self.garbage.ntodo - 1]
                    if not pm_marks_has(&self.garbage.met, offset):
                        self.garbage.ntodo -= 1
                        continue
                    if empty_step(pool, offset, &budget):
                        self.done_with(offset)
                        self.garbage.ntodo -= 1
                    if budget:
                        budget -= 1
                op_finish(pool)
            except BaseException:
                op_abort(pool)
                raise
            if pm_wants_care(pool.p):
                take_care(pool)
            destroy_orphans(pool)
            PyErr_CheckSignals()
            if end and monotonic() >= end:
                break
        return 0

    cdef bint step(self, uint64_t end) except -1:
        """False: there is more to do."""
        if self.at == MARK:
            if not self.live.follow(end):
                return False
            self.at = FIND
            self.chunk = 0
        if self.at == FIND:
            if not self.find(end):
                return False
            self.live = None
            self.at = SWEEP
        self.pool.draining = True
        try:
            self.sweep(end)
        finally:
            self.pool.draining = False
        return self.garbage.ntodo == 0

    cdef tuple report(self):
        """How many objects were destroyed since the last report, and of each class: name of a container's class, or
        number of an object's -> count."""
        cdef size_t i, objects = self.objects
        found = {}
        for i in range(PM_TYPES):
            if self.types[i] and i != PM_TYPE_OBJECT:
                found[class_names[i]] = self.types[i]
        for i in range(self.nclasses):
            found[self.classes[i]] = found.get(self.classes[i], 0) + 1
        self.objects = self.nclasses = 0
        memset(self.types, 0, sizeof(self.types))
        return objects, found


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


def collect_garbage(Pool pool not None, double seconds):
    """(objects destroyed, bytes, how many of each class, is there no more to do); see pool.gc().  seconds: negative: no
    limit, a collection of its own from beginning to end."""
    cdef _Collection collection
    cdef uint64_t end = 0, freed
    cdef bint done = False
    must_be_alone(pool, "gc")
    if seconds >= 0:
        end = monotonic() + <uint64_t>(seconds * 1e9)
    else:
        pool.collecting = None
    pool._drain()
    must_be_alone(pool, "gc")
    if pool.collecting is None:
        collection = _Collection.__new__(_Collection)
        collection.begin(pool)
    collection = pool.collecting
    freed = pool.freed
    try:
        done = collection.step(end)
        if pool.p.depth == 0:
            after_commit(pool, False)
    except BaseException:
        pool.collecting = None
        raise
    if done:
        pool.collecting = None
    objects, classes = collection.report()
    return objects, pool.freed - freed, classes, done
