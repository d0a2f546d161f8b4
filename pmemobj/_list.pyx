"""PersistentList: the API of list on a vector of slots in a pool.

How a mutator goes:

 1. What is to be stored becomes a Batch: slots of what needs no memory, a Plan for the rest.  User code may run.
 2. check_read() and the bounds, from the list as it is now.  No Python code runs from here on.
 3. One operation: encode, make room, drop the slots that go: all that can fail.  Then move and write cells.

A few cells are written one by one with pm_store.  Many are snapshot first and then written plainly, which needs
a level; outside of transactions rewrite_begin() opens one.  Inside a transaction its own level serves, because
by (3) nothing fails once the first plain store is done.

Cells beyond the size are not always fresh: a pop() in the open transaction left a slot there that an abort
brings back.  Only cells beyond the capacity of before are.
"""

cimport cython
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy, memmove

from pmemobj._batch cimport (
    FEW, Batch, batch_of, encode_batch, new_slots, rewrite_abort, rewrite_begin, rewrite_end,
)
from pmemobj._cengine cimport (
    pm_fresh, pm_pool, pm_snapshot, pm_store, pm_vec, pm_vec_at, pm_vec_run,
)
from pmemobj._core cimport (
    Pool, check_read, op_abort, op_begin, op_end, register_class, slot_drop,
    vec_at, vec_free, vec_must_be_sound, vec_reserve, vec_shrink,
)
from pmemobj._layout cimport PM_SEG_WORDS, PM_TYPE_LIST
from pmemobj._sequence cimport (
    PersistentSequence, bad_index, cells_of, compare, create, find, index_of, initial_items, is_quiet, items_of,
    pm_item_append, pm_item_set, read_items,
)
from pmemobj._values cimport encode, pm_immediate, prepare, slot_load

from collections.abc import MutableSequence

__all__ = ["PersistentList"]


cdef extern from "Python.h":
    bint PyIndex_Check(object o) noexcept
    bint PyLong_CheckExact(object o) noexcept
    bint PySlice_Check(object o) noexcept
    int PySlice_Unpack(object s, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t *step) except -1
    Py_ssize_t PySlice_AdjustIndices(Py_ssize_t length, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t step) noexcept
    Py_ssize_t PyNumber_AsSsize_t(object o, object error) except? -1
    const Py_ssize_t PY_SSIZE_T_MAX


# --- cells

cdef void put_cells(pm_pool *p, pm_vec *v, uint64_t at, const uint64_t *slots, uint64_t count, bint plain) noexcept:
    """Writes cells below the size of before or after."""
    cdef uint64_t run, k
    cdef uint64_t *cell
    while count:
        cell = pm_vec_run(p, v, at, at + count, 1, &run)
        if plain:
            pm_snapshot(p, cell, 8 * run)
            memcpy(cell, slots, 8 * run)
        else:
            for k in range(run):
                pm_store(p, &cell[k], slots[k])
        at += run
        slots += run
        count -= run


cdef void append_cells(pm_pool *p, pm_vec *v, const uint64_t *slots, uint64_t count, uint64_t fresh_from) noexcept:
    """Writes cells from the size on, which the caller raises then; those from fresh_from on are new memory."""
    cdef uint64_t at = v.size, end = at + count, stop, run
    cdef uint64_t *cell
    while at < end:
        stop = fresh_from if at < fresh_from < end else end
        cell = pm_vec_run(p, v, at, stop, 1, &run)
        if p.depth and at < fresh_from:
            pm_snapshot(p, cell, 8 * run)
            memcpy(cell, slots, 8 * run)
        else:
            memcpy(cell, slots, 8 * run)
            pm_fresh(p, cell, 8 * run)
        at += run
        slots += run


cdef inline uint64_t run_before(pm_vec *v, uint64_t end) noexcept:
    """How many cells before `end` lie side by side."""
    return end if v.dir_cap == 0 else (end - 1) % PM_SEG_WORDS + 1


cdef void move_run(pm_pool *p, uint64_t *to, const uint64_t *source, uint64_t run, bint plain, bint up) noexcept:
    cdef uint64_t k, i
    if plain:
        pm_snapshot(p, to, 8 * run)
        memmove(to, source, 8 * run)
        return
    for k in range(run):
        i = run - 1 - k if up else k
        pm_store(p, &to[i], source[i])


cdef void move_cells(pm_pool *p, pm_vec *v, uint64_t to, uint64_t source, uint64_t count, bint plain) noexcept:
    """memmove over the borders of segments.  All cells are below the capacity."""
    cdef uint64_t run, other
    cdef uint64_t *here
    cdef uint64_t *there
    if to < source:
        while count:
            here = pm_vec_run(p, v, to, to + count, 1, &run)
            there = pm_vec_run(p, v, source, source + count, 1, &other)
            if other < run:
                run = other
            move_run(p, here, there, run, plain, False)
            to += run
            source += run
            count -= run
        return
    while count:
        run = run_before(v, to + count)
        other = run_before(v, source + count)
        if other < run:
            run = other
        if count < run:
            run = count
        count -= run
        move_run(p, pm_vec_at(p, v, to + count, 1), pm_vec_at(p, v, source + count, 1), run, plain, True)


# --- operations

cdef int shrink(PersistentList self) except -1:
    """Gives back room after a removal.  An operation of its own, which may fail and changes nothing then."""
    cdef pm_vec *v
    cdef Pool pool = self.pool
    try:
        check_read(self)                # the removal's sync let other threads run: one may have closed the pool
        v = cells_of(self)
        if v.dir_cap == 0:
            if v.cap <= FEW or 4 * v.size > v.cap:
                return 0
        elif v.size + 2 * PM_SEG_WORDS > v.cap:
            return 0
        op_begin(pool)
        try:
            if v.size:
                vec_shrink(pool, v, 1)
            else:
                vec_free(pool, v, 1)
        except BaseException:
            op_abort(pool)
            raise
        op_end(pool)
    except Exception:
        pass
    return 0


cdef int replace(PersistentList self, uint64_t lo, uint64_t hi, Batch batch) except -1:
    """Cells lo..hi-1 make way for the batch.  lo <= hi <= size, and nothing ran since these were found."""
    return replace_cells(self, lo, hi, batch.slots, batch.count, batch, None)


cdef int replace_cells(
    PersistentList self, uint64_t lo, uint64_t hi, uint64_t *slots, uint64_t count, Batch batch, object plan
) except -1:
    """Cells lo..hi-1 make way for `count` slots: of a batch, or one value with or without a plan, or none."""
    cdef Pool pool = self.pool
    cdef pm_pool *p = pool.p
    cdef pm_vec *v = cells_of(self)
    cdef uint64_t size = v.size, capacity = v.cap, i
    cdef uint64_t moved = size - hi if hi - lo != count else 0
    cdef uint64_t grown = size - (hi - lo) + count
    cdef bint plain = moved + count > FEW and lo < size
    cdef bint own
    if lo == hi and count == 0:
        return 0
    own = rewrite_begin(pool, plain)
    try:
        if batch is not None:
            encode_batch(pool, batch)
        if plan is not None:
            slots[0] = encode(pool, plan)
        if grown > capacity:
            vec_reserve(pool, v, grown, 1)
        vec_must_be_sound(pool, v, lo, grown if grown > size else size, 1)
        for i in range(lo, hi):
            slot_drop(pool, vec_at(pool, v, i, 1)[0])
    except BaseException:
        rewrite_abort(pool, own)
        raise
    if lo == size:
        append_cells(p, v, slots, count, capacity)
    else:
        if moved:
            move_cells(p, v, lo + count, hi, moved, plain)
        if count:
            put_cells(p, v, lo, slots, count, plain)
    if grown != size:
        pm_store(p, &v.size, grown)
    rewrite_end(pool, own)
    if grown < size:
        shrink(self)
    return 0


cdef int set_cell(PersistentList self, uint64_t i, uint64_t slot, object plan) except -1:
    """Overwrites a cell with a slot, or with what the plan makes."""
    cdef Pool pool = self.pool
    cdef uint64_t *cell = vec_at(pool, cells_of(self), i, 1)
    cdef uint64_t old = cell[0]
    op_begin(pool)
    if plan is None and old & 7:
        pm_store(pool.p, cell, slot)
    else:
        try:
            if plan is not None:
                slot = encode(pool, plan)
            pm_store(pool.p, cell, slot)
            slot_drop(pool, old)
        except BaseException:
            op_abort(pool)
            raise
    op_end(pool)
    return 0


cdef int clear(PersistentList self) except -1:
    cdef Pool pool = self.pool
    cdef pm_vec *v = cells_of(self)
    cdef uint64_t i
    if v.cap == 0:
        return 0
    vec_must_be_sound(pool, v, 0, v.cap, 1)
    op_begin(pool)
    try:
        for i in range(v.size):
            slot_drop(pool, vec_at(pool, v, i, 1)[0])
        vec_free(pool, v, 1)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef int set_slice(PersistentList self, object key, object value) except -1:
    cdef Py_ssize_t start, stop, step, raw_start, raw_stop, count, size
    cdef Batch batch
    PySlice_Unpack(key, &raw_start, &raw_stop, &step)
    check_read(self)
    start, stop = raw_start, raw_stop
    PySlice_AdjustIndices(cells_of(self).size, &start, &stop, step)
    if step == 1:
        batch = batch_of(self.pool, items_of_self(self, value, "can only assign an iterable"))
        check_read(self)
        size = cells_of(self).size      # the iterable may have changed this list: as the builtin, clamp
        if start > size:
            start = size
        if stop < start:
            stop = start
        elif stop > size:
            stop = size
        return replace(self, start, stop, batch)
    batch = batch_of(self.pool, items_of_self(self, value, "must assign iterable to extended slice"))
    check_read(self)
    start, stop = raw_start, raw_stop
    count = PySlice_AdjustIndices(cells_of(self).size, &start, &stop, step)
    if batch.count != count:
        raise ValueError(
            f"attempt to assign sequence of size {batch.count} to extended slice of size {count}")
    return set_stepped(self, start, step, batch)


cdef int set_stepped(PersistentList self, Py_ssize_t start, Py_ssize_t step, Batch batch) except -1:
    cdef Pool pool = self.pool
    cdef uint64_t *cell
    cdef uint64_t old
    cdef Py_ssize_t k
    if batch.count == 0:
        return 0
    op_begin(pool)
    try:
        encode_batch(pool, batch)
        for k in range(batch.count):
            cell = vec_at(pool, cells_of(self), start + k * step, 1)
            old = cell[0]
            pm_store(pool.p, cell, batch.slots[k])
            slot_drop(pool, old)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef int set_item(PersistentList self, object key, object value) except -1:
    """Any item or slice; what pm_item_set does not do."""
    cdef Py_ssize_t i
    cdef uint64_t slot
    cdef pm_vec *v
    cdef object plan = None
    if not PyLong_CheckExact(key) and not PyIndex_Check(key):
        check_read(self)
        if not PySlice_Check(key):
            bad_index(key, self)
        return set_slice(self, key, value)
    i = index_of(key)
    check_read(self)
    if not -<Py_ssize_t>cells_of(self).size <= i < <Py_ssize_t>cells_of(self).size:
        raise IndexError("list assignment index out of range")
    if not pm_immediate(value, &slot):
        plan = prepare(self.pool, value)
        check_read(self)
    v = cells_of(self)
    if i < 0:
        i += v.size
    if <uint64_t>i >= v.size:
        raise IndexError("list assignment index out of range")
    return set_cell(self, i, slot, plan)


cdef int delete_slice(PersistentList self, object key) except -1:
    cdef Py_ssize_t start, stop, step, count
    PySlice_Unpack(key, &start, &stop, &step)
    check_read(self)
    count = PySlice_AdjustIndices(cells_of(self).size, &start, &stop, step)
    if count == 0:
        return 0
    if step < 0:
        start += (count - 1) * step
        step = -step
    if count == <Py_ssize_t>cells_of(self).size:
        return clear(self)
    if step == 1:
        return replace_cells(self, start, start + count, NULL, 0, None, None)
    return delete_stepped(self, start, step, count)


cdef int delete_stepped(PersistentList self, uint64_t start, uint64_t step, uint64_t count) except -1:
    """Drops every step-th cell from start on and closes the gaps."""
    cdef Pool pool = self.pool
    cdef pm_vec *v = cells_of(self)
    cdef uint64_t size = v.size, k, hole, until
    cdef bint plain = size - start > FEW
    cdef bint own
    vec_must_be_sound(pool, v, start, size, 1)
    own = rewrite_begin(pool, plain)
    try:
        for k in range(count):
            slot_drop(pool, vec_at(pool, v, start + k * step, 1)[0])
    except BaseException:
        rewrite_abort(pool, own)
        raise
    for k in range(count):
        hole = start + k * step
        until = hole + step if k + 1 < count else size
        move_cells(pool.p, v, hole - k, hole + 1, until - hole - 1, plain)
    pm_store(pool.p, &v.size, size - count)
    rewrite_end(pool, own)
    shrink(self)
    return 0


cdef int append(PersistentList self, object value) except -1:
    """What pm_item_append does not do."""
    cdef uint64_t slot
    cdef object plan = None
    check_read(self)
    if not pm_immediate(value, &slot):
        plan = prepare(self.pool, value)
        check_read(self)
    return replace_cells(self, cells_of(self).size, cells_of(self).size, &slot, 1, None, plan)


cdef int extend(PersistentList self, object iterable) except -1:
    cdef Batch batch
    check_read(self)
    batch = batch_of(self.pool, items_of_self(self, iterable, None))
    check_read(self)
    return replace(self, cells_of(self).size, cells_of(self).size, batch)


cdef tuple items_of_self(PersistentList self, object iterable, str complaint):
    """items_of(), in one go when it is this very list."""
    if iterable is self:
        check_read(self)
        return tuple(read_items(self, 0, cells_of(self).size))
    return items_of(iterable, complaint)


# --- sort and reverse

cdef int copy_cells(pm_pool *p, pm_vec *v, uint64_t *slots) noexcept:
    cdef uint64_t i = 0, run
    cdef uint64_t *cell
    while i < v.size:
        cell = pm_vec_run(p, v, i, v.size, 1, &run)
        memcpy(slots + i, cell, 8 * run)
        i += run
    return 0


cdef bint cells_are(pm_pool *p, pm_vec *v, const uint64_t *slots, uint64_t count) noexcept:
    cdef uint64_t i = 0, run
    cdef uint64_t *cell
    if v.size != count:
        return False
    while i < count:
        cell = pm_vec_run(p, v, i, count, 1, &run)
        if memcmp(slots + i, cell, 8 * run) != 0:
            return False
        i += run
    return True


cdef int permute(PersistentList self, const uint64_t *slots, uint64_t count) except -1:
    """Writes the list's own slots in another order."""
    cdef Pool pool = self.pool
    cdef bint plain = count > FEW
    cdef bint own
    if cells_are(pool.p, cells_of(self), slots, count):
        return 0
    own = rewrite_begin(pool, plain)
    put_cells(pool.p, cells_of(self), 0, slots, count, plain)
    rewrite_end(pool, own)
    return 0


cdef bint texts_are(PersistentList self, list items) except -1:
    """Are the list's texts, whose cells do not tell, still what was read?"""
    cdef Py_ssize_t i
    cdef uint64_t slot
    for i in range(len(items)):
        slot = vec_at(self.pool, cells_of(self), i, 1)[0]
        if is_quiet(slot) and isinstance(items[i], str) and slot_load(self.pool, slot) != items[i]:
            return False
    return True


cdef int sort(PersistentList self, object key, bint reverse) except -1:
    """Sorts positions, so that slots move as they are; the list is looked at again before they do."""
    cdef Batch before = Batch.__new__(Batch), after = Batch.__new__(Batch)
    cdef list items, keys, order
    cdef Py_ssize_t count, i
    cdef uint64_t overwritten
    check_read(self)
    count = cells_of(self).size
    vec_must_be_sound(self.pool, cells_of(self), 0, count, 1)
    before.slots = new_slots(count)
    after.slots = new_slots(count)
    copy_cells(self.p, cells_of(self), before.slots)
    overwritten = self.p.overwritten
    items = read_items(self, 0, count)
    keys = items if key is None else [key(item) for item in items]
    order = list(range(count))
    if len(items) == count:
        order.sort(key=keys.__getitem__, reverse=reverse)
    check_read(self)
    vec_must_be_sound(self.pool, cells_of(self), 0, cells_of(self).size, 1)
    if not cells_are(self.p, cells_of(self), before.slots, count) or \
            self.p.overwritten != overwritten and not texts_are(self, items):
        raise ValueError("list modified during sort")
    for i in range(count):
        after.slots[i] = before.slots[<Py_ssize_t>order[i]]
    # Between the look and the writes no Python code runs.
    permute(self, after.slots, count)
    return 0


# --- the class

@cython.collection_type("sequence")
cdef class PersistentList(PersistentSequence):
    """A list that lives in a pool: ``pool.new(PersistentList, iterable)``, or a plain list stored anywhere in it.

    It has the API of list and raises what list raises.  Slices, ``+``, ``*`` and copy() give plain lists.  Every
    mutator is atomic alone: when it raises, also halfway through an iterable, nothing has changed.  In a
    transaction it is undone with it.  Items that are plain lists, dicts or sets are stored as persistent copies.

    Mutators raise TypeError for what cannot be stored, PoolFullError, ReadOnlyPoolError; every method raises
    PoolClosedError and StaleObjectError.
    """

    __hash__ = None

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        """A new object of this pool, from the arguments of pool.new()."""
        cdef tuple items = initial_items("PersistentList", args, kwargs)
        cdef PersistentList made = PersistentList.__new__(cls)
        create(made, pool, PM_TYPE_LIST, items)
        return made

    # Here and not in the base: a class that sets its hash does not inherit the comparisons.
    def __richcmp__(self, other, int op):
        return compare(self, other, op)

    def __setitem__(self, key, value):
        if not pm_item_set(self.p, self.head, key, value):
            set_item(self, key, value)

    def __delitem__(self, key):
        cdef Py_ssize_t i
        if not PyIndex_Check(key):
            check_read(self)
            if not PySlice_Check(key):
                bad_index(key, self)
            delete_slice(self, key)
            return
        i = index_of(key)
        check_read(self)
        if i < 0:
            i += cells_of(self).size
        if <uint64_t>i >= cells_of(self).size:
            raise IndexError("list assignment index out of range")
        replace_cells(self, i, i + 1, NULL, 0, None, None)

    def append(self, value, /):
        """Adds one item at the end.  Atomic.  Raises TypeError if it cannot be stored, PoolFullError."""
        if pm_item_append(self.p, self.head, value):
            return
        append(self, value)

    def insert(self, Py_ssize_t index, value, /):
        """Puts one item before position index, which is clamped to the list.  Atomic.

        Takes time proportional to the number of items behind it.  Raises as append().
        """
        cdef uint64_t slot
        cdef Py_ssize_t size
        cdef object plan = None
        check_read(self)
        if not pm_immediate(value, &slot):
            plan = prepare(self.pool, value)
            check_read(self)
        size = cells_of(self).size
        if index < 0:
            index = index + size if index + size > 0 else 0
        elif index > size:
            index = size
        replace_cells(self, index, index, &slot, 1, None, plan)

    def extend(self, iterable, /):
        """Adds the items of an iterable at the end.

        The iterable is read to its end first; if it raises, or an item cannot be stored, nothing has changed.
        """
        extend(self, iterable)

    def pop(self, Py_ssize_t index=-1, /):
        """Removes the item at index and returns it.  Atomic.  Raises IndexError."""
        cdef uint64_t slot
        cdef pm_vec *v
        check_read(self)
        v = cells_of(self)
        if v.size == 0:
            raise IndexError("pop from empty list")
        if index < 0:
            index += v.size
        if <uint64_t>index >= v.size:
            raise IndexError("pop index out of range")
        slot = vec_at(self.pool, v, index, 1)[0]
        value = slot_load(self.pool, slot)
        if not is_quiet(slot):
            check_read(self)
            v = cells_of(self)
            if <uint64_t>index >= v.size or vec_at(self.pool, v, index, 1)[0] != slot:
                raise RuntimeError("list modified while an item was being popped")
        replace_cells(self, index, index + 1, NULL, 0, None, None)
        return value

    def remove(self, value, /):
        """Removes the first item that equals value.  Atomic.  Raises ValueError if there is none."""
        cdef Py_ssize_t i = find(self, value, 0, PY_SSIZE_T_MAX)
        check_read(self)
        if i < 0:
            raise ValueError("list.remove(x): x not in list")
        if <uint64_t>i < cells_of(self).size:       # an __eq__ may have shortened the list
            replace_cells(self, i, i + 1, NULL, 0, None, None)

    def clear(self):
        """Removes all items.  Atomic."""
        check_read(self)
        clear(self)

    def reverse(self):
        """Reverses the order of the items in place.  Atomic."""
        cdef Batch after = Batch.__new__(Batch)
        cdef uint64_t size, i, slot
        check_read(self)
        size = cells_of(self).size
        vec_must_be_sound(self.pool, cells_of(self), 0, size, 1)
        after.slots = new_slots(size)
        copy_cells(self.p, cells_of(self), after.slots)
        for i in range(size // 2):
            slot = after.slots[i]
            after.slots[i] = after.slots[size - 1 - i]
            after.slots[size - 1 - i] = slot
        permute(self, after.slots, size)

    def sort(self, *, key=None, reverse=False):
        """Sorts in place, stably; key and reverse as for list.sort.

        Atomic: if the key function or a comparison raises, the order has not changed.
        Raises ValueError if the list was modified meanwhile.
        """
        sort(self, key, reverse)

    def copy(self):
        """A plain list of the items."""
        check_read(self)
        return read_items(self, 0, cells_of(self).size)

    def __reduce__(self):
        return list, (), None, iter(self.copy())

    def __iadd__(self, iterable):
        extend(self, iterable)
        return self

    def __imul__(self, n):
        cdef Py_ssize_t times
        cdef Batch batch
        if not PyIndex_Check(n):
            return NotImplemented
        times = PyNumber_AsSsize_t(n, OverflowError)
        check_read(self)
        if times <= 0:
            clear(self)
        elif times > 1 and cells_of(self).size:
            batch = batch_of(self.pool, tuple(read_items(self, 0, cells_of(self).size)) * (times - 1))
            check_read(self)
            replace(self, cells_of(self).size, cells_of(self).size, batch)
        return self


register_class(PM_TYPE_LIST, PersistentList)
MutableSequence.register(PersistentList)
