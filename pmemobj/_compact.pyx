"""Copies what the root of one pool leads to into another, empty one.

 1. The source stands still meanwhile: other threads wait as for a transaction, this one may only read it.
 2. The destination is nobody else's yet, so it need not be consistent before the end: an object is made when the
    first slot that refers to it is copied, and filled later; its count goes up with each further slot.
 3. The source may be damaged: what it says is verified before it is followed, and raises PoolDamagedError.
 4. Blocks and vectors are taken as large as their contents need, deleted entries are left out, indexes are built anew.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from cpython.exc cimport PyErr_CheckSignals

from pmemobj._cengine cimport (
    pm_at, pm_deque_find, pm_fresh, pm_inside_all, pm_known, pm_known_cell, pm_known_find, pm_known_set, pm_pool,
    pm_store, pm_vec, pm_vec_run,
)
from pmemobj._core cimport (
    Pool, alloc, buffer_fill, buffer_must_be_sound, copy_begins, copy_ends, deque_must_be, deque_push, index_build,
    inner_must_be, leaf_must_be, object_at_offset, object_keep, object_new, op_abort, op_begin, op_end, owned_size,
    pool_check_read, raise_damaged, raise_tree_damaged, value_block, vec_must_be_sound, vec_reserve,
)
from pmemobj._layout cimport *
from pmemobj._values cimport PM_IS_REFERENCE, PM_SLOT_KIND

from pmemobj import errors

cdef enum:
    STEP_SLOTS = 2048               # copied in one operation
    STEP_ITEMS = 256                # of a deque
    DEEPEST = 10_000                # tuples in tuples; a level takes less than 300 bytes of the stack


cdef class Copier:
    cdef Pool source, target
    cdef pm_known made              # offset of an object -> offset of its copy
    cdef uint64_t *todo             # pairs of them, still to be filled
    cdef size_t ntodo, todo_cap
    cdef uint64_t copied            # bytes
    cdef unsigned depth             # of the tuple at work
    cdef uint64_t left              # entries of the sorted container at work that are not copied yet
    cdef object progress
    cdef bint in_operation

    def __cinit__(self, Pool source not None, Pool target not None, progress):
        self.source = source
        self.target = target
        self.progress = progress

    def __dealloc__(self):
        free(self.made.cells)
        free(self.todo)

    cdef int next_step(self) except -1:
        """Ends one operation and begins the next."""
        op_end(self.target)
        self.in_operation = False
        PyErr_CheckSignals()
        if self.progress is not None:
            self.progress(self.copied)
        op_begin(self.target)
        self.in_operation = True
        return 0

    cdef uint64_t object(self, uint64_t offset) except 0:
        """The copy of an object, one of whose slots has been copied."""
        cdef pm_known_cell *cell = pm_known_find(&self.made, offset)
        cdef pm_object *o
        cdef uint64_t size, new
        cdef uint64_t *grown
        if cell != NULL:
            new = <uint64_t>cell.proxy
            object_keep(self.target, new)
            return new
        o = object_at_offset(self.source, offset)
        if o.type == PM_TYPE_LIST or o.type == PM_TYPE_TUPLE:
            size = sizeof(pm_list)
        elif PM_IS_TABLE(o.type):
            size = sizeof(pm_defaultdict) if o.type == PM_TYPE_DEFAULTDICT else sizeof(pm_table)
        elif o.type == PM_TYPE_DEQUE:
            size = sizeof(pm_deque)
        elif PM_IS_BUFFER(o.type):
            size = sizeof(pm_array) if o.type == PM_TYPE_ARRAY else sizeof(pm_buffer)
        elif o.type == PM_TYPE_OBJECT:
            size = sizeof(pm_instance)
        elif o.type == PM_TYPE_SORTED_DICT or o.type == PM_TYPE_SORTED_SET:
            size = sizeof(pm_sorted)
        else:
            raise errors.PoolDamagedError(f"{self.source.path}: unknown object type {o.type} at {offset:#x}")
        new = object_new(self.target, o.type, size, True)
        self.copied += size
        if self.ntodo + 2 > self.todo_cap:
            grown = <uint64_t *>realloc(self.todo, (2 * self.todo_cap + 256) * 8)
            if grown == NULL:
                raise MemoryError()
            self.todo = grown
            self.todo_cap = 2 * self.todo_cap + 256
        if pm_known_set(&self.made, offset, <void *>new):
            raise MemoryError()
        self.todo[self.ntodo] = offset
        self.todo[self.ntodo + 1] = new
        self.ntodo += 2
        return new

    cdef uint64_t slot(self, uint64_t slot) except? 1:
        """The slot for the copy of what a slot holds."""
        cdef unsigned kind = PM_SLOT_KIND(slot)
        cdef uint64_t offset = slot & PM_OFFSET_MASK, new, size, i
        cdef uint64_t *block
        cdef uint64_t *to
        if slot == 0 or not PM_IS_REFERENCE(slot):
            return slot
        if kind == PM_REF_OBJECT:
            return self.object(offset)
        if kind > PM_REF_PICKLE:
            raise errors.PoolDamagedError(f"{self.source.path}: slot {slot:#x} has an unknown kind")
        block = value_block(self.source, slot)
        size = owned_size(kind, block)
        new = alloc(self.target, size)
        to = <uint64_t *>pm_at(self.target.p, new)
        if kind < PM_REF_TUPLE:
            memcpy(to, block, size)
        else:
            to[0] = block[0]
            self.depth += 1
            if self.depth > DEEPEST:
                raise_damaged(self.source, block, "it is nested deeper than anything that can be stored")
            for i in range(block[0]):
                to[1 + i] = self.slot(block[1 + i])
            self.depth -= 1
        pm_fresh(self.target.p, to, size)
        self.copied += size
        return slot ^ offset ^ new

    cdef int vector(
        self, pm_vec *v, uint64_t new, size_t field, unsigned stride, unsigned first, uint64_t live
    ) except -1:
        """Fills the vector at `field` of the copy; of entries (first = 1) the deleted ones are left out."""
        cdef pm_vec *to = <pm_vec *>(<char *>pm_at(self.target.p, new) + field)
        cdef uint64_t i = 0, run, space = 0, n = 0, filled = 0
        cdef uint64_t *item
        cdef uint64_t *start = NULL
        cdef uint64_t _
        cdef unsigned word
        if live == 0:
            return 0
        vec_must_be_sound(self.source, v, 0, v.size, stride)
        vec_reserve(self.target, to, live, stride)
        self.next_step()
        while i < v.size:
            item = pm_vec_run(self.source.p, v, i, v.size, stride, &run)
            i += run
            for _ in range(run):
                if first == 0 or item[1]:
                    if space == 0:
                        if n == live:
                            raise errors.PoolDamagedError(
                                f"{self.source.path}: a table counts {live} entries, has more"
                            )
                        start = pm_vec_run(self.target.p, to, n, live, stride, &space)
                        if space > STEP_SLOTS // 4:
                            space = STEP_SLOTS // 4
                        filled = 0
                    for word in range(first):
                        start[filled + word] = item[word]
                    for word in range(first, stride):
                        start[filled + word] = self.slot(item[word])
                    filled += stride
                    self.copied += stride * 8
                    space -= 1
                    n += 1
                    if space == 0:
                        pm_fresh(self.target.p, start, filled * 8)
                        self.next_step()
                item += stride
        if n != live:
            raise errors.PoolDamagedError(f"{self.source.path}: a table counts {live} entries, has {n}")
        pm_store(self.target.p, &to.size, live)
        return 0

    cdef int deque(self, pm_deque *d, uint64_t new) except -1:
        cdef pm_deque *to = <pm_deque *>pm_at(self.target.p, new)
        cdef uint64_t at = d.left, left = d.right - d.left, run, i
        cdef uint64_t slots[STEP_ITEMS]
        cdef pm_deque_block *block
        pm_store(self.target.p, &to.maxlen, d.maxlen)
        while left:
            block = deque_must_be(self.source, d, pm_deque_find(self.source.p, d, at))
            run = min(left, block.start + block.cap - at, <uint64_t>STEP_ITEMS)
            for i in range(run):
                slots[i] = self.slot(block.cells[at + i - block.start])
            deque_push(self.target, to, slots, run)
            self.copied += 8 * run
            at += run
            left -= run
            self.next_step()
        return 0

    cdef int buffer(self, pm_buffer *b, uint64_t new) except -1:
        """The block; the copy is an object that is reachable, so its head is changed word by word."""
        cdef pm_buffer *to = <pm_buffer *>pm_at(self.target.p, new)
        cdef pm_buffer made = to[0]
        buffer_must_be_sound(self.source, b)
        if b.size:
            buffer_fill(self.target, &made, <const char *>pm_at(self.source.p, b.data + b.start), b.size)
            pm_store(self.target.p, &to.size, made.size)
            pm_store(self.target.p, &to.cap, made.cap)
            pm_store(self.target.p, &to.data, made.data)
            self.copied += made.cap
        if b.head.type == PM_TYPE_ARRAY:
            self.array(<pm_array *>b, <pm_array *>to)
        return 0

    cdef int array(self, pm_array *a, pm_array *to) except -1:
        pm_store(self.target.p, &to.row, a.row)
        pm_store(self.target.p, &to.rows, a.rows)
        pm_store(self.target.p, &to.shape, self.slot(a.shape))
        pm_store(self.target.p, &to.dtype, self.slot(a.dtype))
        return 0

    cdef int table(self, pm_table *t, uint64_t new, unsigned stride) except -1:
        cdef pm_table *to = <pm_table *>pm_at(self.target.p, new)
        self.vector(&t.entries, new, <size_t>(<char *>&to.entries - <char *>to), stride, 1, t.used)
        pm_store(self.target.p, &to.used, t.used)
        if t.used > PM_TABLE_SMALL:
            index_build(self.target, to, stride, t.used)
        return 0

    cdef int instance(self, pm_instance *o, uint64_t new) except -1:
        cdef pm_instance *to = <pm_instance *>pm_at(self.target.p, new)
        cdef uint64_t *fields
        cdef uint64_t *copies
        cdef uint64_t offset, i
        pm_store(self.target.p, &to.class_id, o.class_id | <uint64_t>o.cap << 32)
        if o.cap == 0:
            return 0
        if o.fields & 7 or not pm_inside_all(self.source.p, o.fields, o.cap, 8):
            raise_damaged(self.source, o, "its fields are not inside the pool")
        fields = <uint64_t *>pm_at(self.source.p, o.fields)
        offset = alloc(self.target, <uint64_t>o.cap * 8)
        copies = <uint64_t *>pm_at(self.target.p, offset)
        for i in range(o.cap):
            copies[i] = self.slot(fields[i])
        pm_fresh(self.target.p, copies, <uint64_t>o.cap * 8)
        self.copied += <uint64_t>o.cap * 8
        pm_store(self.target.p, &to.fields, offset)
        return 0

    cdef int fill(self, uint64_t offset, uint64_t new) except -1:
        cdef pm_object *o = <pm_object *>pm_at(self.source.p, offset)
        cdef pm_list *to = <pm_list *>pm_at(self.target.p, new)
        cdef pm_vec *v
        if o.type == PM_TYPE_LIST or o.type == PM_TYPE_TUPLE:
            v = &(<pm_list *>o).items
            return self.vector(v, new, <size_t>(<char *>&to.items - <char *>to), 1, 0, v.size)
        if o.type == PM_TYPE_OBJECT:
            return self.instance(<pm_instance *>o, new)
        if o.type == PM_TYPE_DEQUE:
            return self.deque(<pm_deque *>o, new)
        if PM_IS_BUFFER(o.type):
            return self.buffer(<pm_buffer *>o, new)
        if o.type == PM_TYPE_SORTED_DICT or o.type == PM_TYPE_SORTED_SET:
            return copy_sorted(self, <pm_sorted *>o, new)
        if o.type == PM_TYPE_DEFAULTDICT:
            pm_store(self.target.p, &(<pm_defaultdict *>to).factory, self.slot((<pm_defaultdict *>o).factory))
        return self.table(<pm_table *>o, new, PM_TABLE_STRIDE(o.type))

    cdef int copy_all(self) except -1:
        cdef uint64_t offset, new, types, root
        types = self.slot(self.source.p.root.types_slot)
        root = self.slot(self.source.p.root.root_slot)
        pm_store(self.target.p, &self.target.p.root.types_slot, types)
        pm_store(self.target.p, &self.target.p.root.root_slot, root)
        while self.ntodo:
            self.ntodo -= 2
            offset = self.todo[self.ntodo]
            new = self.todo[self.ntodo + 1]
            self.fill(offset, new)
            self.next_step()
        return 0

    def run(self):
        """Copies everything; the target is empty.  Gives the bytes that were copied."""
        pool_check_read(self.target)
        copy_begins(self.source)
        try:
            op_begin(self.target)
            self.in_operation = True
            try:
                self.copy_all()
                op_end(self.target)
                self.in_operation = False
            except BaseException:
                if self.in_operation:
                    op_abort(self.target)
                raise
        finally:
            copy_ends(self.source)
        return self.copied


include "_compact_sorted.pxi"
