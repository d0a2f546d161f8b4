# Changes of many keys at once, and new tables.

class _Undecided(Exception):
    """Inside the operation: only Python can tell whether a key is there.  All has to be looked up before."""


@cython.final
cdef class Batch:
    """Items to be stored at once: everything that runs user code is done before the operation."""
    cdef dict simple            # keys are exact str or int, values scalars; else None, and the following:
    cdef list keys, values
    cdef Plan plan
    cdef dict others            # position -> (hash, entry number or PM_NOT_FOUND), for keys that are not plain
    cdef uint64_t hash          # of the key that was looked up last

    cdef int collect(self, Pool pool, Persistent o, unsigned stride, dict items, bint careful) except -1:
        """`o` is the table to store into, or None for a new one.  Leaves out the second of two equal keys.
        careful: plain keys are looked up here, too."""
        cdef Py_ssize_t i
        cdef int64_t found
        if pm_is_simple(items):
            self.plan = Plan.__new__(Plan)
            if not careful:
                self.simple = items
        else:
            self.plan = prepare(pool, items)
        self.plan.stored = {}
        if self.simple is not None:
            return 0
        self.keys = list(items)
        self.values = list(items.values())
        self.others = None
        for i in range(len(self.keys)):
            if careful or not is_plain(self.keys[i]):
                break
        else:
            return 0
        self.others = {}
        by_hash = {}
        doubles = []
        for i in range(len(self.keys)):
            key = self.keys[i]
            if not careful and is_plain(key):
                continue
            found = PM_NOT_FOUND
            stable_hash(pool, key, &self.hash)
            if o is not None:
                found = find_other(o, stride, key, self.hash)
            for k in by_hash.setdefault(self.hash, []):
                if same_key(self.keys[k], key):
                    self.values[k] = self.values[i]
                    doubles.append(i)
                    break
            else:
                by_hash[self.hash].append(i)
                self.others[i] = (self.hash, found)
        for i in doubles:
            self.keys[i] = LEFT_OUT
        return 0

    cdef int64_t find(self, Pool pool, pm_table *t, unsigned stride, Py_ssize_t i) except -2:
        if self.others is not None and i in self.others:
            self.hash, found = self.others[i]
            return found
        stable_hash(pool, self.keys[i], &self.hash)
        found = find_plain(pool, t, stride, self.keys[i], self.hash)
        if found == PM_UNDECIDED:
            raise _Undecided
        return found

    cdef int replace(self, Pool pool, pm_table *t, unsigned stride, uint64_t number, Py_ssize_t i) except -1:
        cdef uint64_t *entry
        cdef uint64_t old, slot
        if stride == 3:
            slot = encode_value(pool, self.plan, self.values[i])
            entry = vec_at(pool, &t.entries, number, 3)
            old = entry[2]
            pm_store(pool.p, entry + 2, slot)
            slot_drop(pool, old)
        return 0

    cdef int store_simple(self, Pool pool, pm_table *t, unsigned stride) except -1:
        cdef uint64_t n = len(self.simple)
        if n > 1 and t.entries.cap == 0:
            return fill_table(pool, self.plan, <uint64_t>(<char *>t - pool.p.base), self.simple, stride == 3)
        if n > t.used and n > 1:
            table_make_room(pool, t, stride, n)
        for key, value in self.simple.items():
            if not pm_is_scalar(value):     # another thread's doing, while this one waited
                raise RuntimeError("the value changed while it was being stored")
            if stride == 3:
                store_simple(pool, t, 3, key, value)
            else:
                store_simple(pool, t, 2, key, value)
        return 0

    cdef int store(self, Pool pool, pm_table *t, unsigned stride) except -1:
        """Inside an operation."""
        cdef Py_ssize_t n, i
        cdef int64_t found
        cdef uint64_t key, value = 0
        if self.simple is not None:
            return self.store_simple(pool, t, stride)
        n = len(self.keys)
        if self.others is not None:         # while the entries still have the numbers that were found
            for i, (_, number) in self.others.items():
                if number >= 0:
                    self.replace(pool, t, stride, number, i)
        if <uint64_t>n > t.used and n > 1:
            table_make_room(pool, t, stride, n)
        for i in range(n):
            if self.keys[i] is LEFT_OUT:
                continue
            found = self.find(pool, t, stride, i)
            if found < 0:
                key = encode_value(pool, self.plan, self.keys[i])
                if stride == 3:
                    value = encode_value(pool, self.plan, self.values[i])
                table_insert(pool, t, stride, self.hash, key, value)
            elif self.others is None or i not in self.others:
                self.replace(pool, t, stride, found, i)
        return 0


cdef bint table_apply(Persistent o, unsigned stride, stamp seen, list numbers, dict items) except -1:
    try:
        return apply(o, stride, seen, numbers, items, False)
    except _Undecided:
        return apply(o, stride, seen, numbers, items, True)


cdef bint apply(Persistent o, unsigned stride, stamp seen, list numbers, dict items, bint careful) except -1:
    cdef Pool pool = o.pool
    cdef Batch batch = None
    cdef bint level
    cdef pm_table *t
    if items:
        batch = Batch.__new__(Batch)
        batch.collect(pool, o, stride, items, careful)
    check_read(o)
    if (numbers or batch is not None and batch.others is not None) and not same_stamp(o, seen):
        return False
    if not items and not numbers:
        return True
    # With both, a place may be given up and taken again, which the log of a single operation does not put back.
    level = (items and numbers) or len(items) + len(numbers) > LEVEL_ITEMS
    if level:
        level_begin(pool)
    try:
        op_begin(pool)
        try:
            t = table_of(o)
            for number in numbers:
                table_delete(pool, t, stride, number)
            if batch is not None:
                batch.store(pool, t, stride)
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


cdef int table_update(Persistent o, unsigned stride, dict items) except -1:
    cdef int _
    for _ in range(RETRIES):
        check_read(o)
        if table_apply(o, stride, stamp_of(o), [], items):
            return 0
    raise RuntimeError(f"this {type(o).__name__} is changed again and again while it is being updated")


cdef object table_new(Persistent o, Pool pool, unsigned type, dict items, object source):
    """Makes o, not bound yet, the proxy of a new table with these items, in limbo.  `source` is the builtin object
    that the items are from: where it contains itself, so does the new one."""
    try:
        return make_table(o, pool, type, items, source, False)
    except _Undecided:
        return make_table(o, pool, type, items, source, True)


cdef object make_table(Persistent o, Pool pool, unsigned type, dict items, object source, bint careful):
    cdef unsigned stride = PM_TABLE_STRIDE(type)
    cdef Batch batch = Batch.__new__(Batch)
    cdef uint64_t offset
    cdef bint level = len(items) > LEVEL_ITEMS
    pool_check_read(pool)
    batch.collect(pool, None, stride, items, careful)
    pool_check_read(pool)
    if level:
        level_begin(pool)
    try:
        op_begin(pool)
        try:
            offset = object_new(
                pool, type, sizeof(pm_defaultdict) if type == PM_TYPE_DEFAULTDICT else sizeof(pm_table), False)
            if type == PM_TYPE_DEFAULTDICT:
                (<pm_defaultdict *>pm_at(pool.p, offset)).factory = PM_IMMEDIATE(PM_IMM_NONE)
            batch.plan.stored[id(source)] = offset
            batch.store(pool, <pm_table *>pm_at(pool.p, offset), stride)
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
