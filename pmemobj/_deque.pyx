"""PersistentDeque: the API of collections.deque on a chain of blocks in a pool (see pm_deque in layout.h).

A mutator goes as in _list.pyx: what is to be stored is prepared first, which may run user code; then the deque is
looked at, and one operation follows.  All cells are written with pm_store, so an operation may fail at any point;
where they are many it has a level of its own, in which a line is recorded once.

Iteration, search and comparison remember where the ends were, which an abort moves back, and how often items have been
added or removed, since an append and a pop leave the ends where they were.
"""

cimport cython
from cpython.object cimport Py_EQ, PyObject, PyObject_RichCompare
from libc.stdint cimport int64_t, uint64_t

from pmemobj._batch cimport FEW, Batch, batch_of, encode_batch, rewrite_abort, rewrite_begin, rewrite_end
from pmemobj._cengine cimport (
    pm_at, pm_deque_after, pm_deque_append, pm_deque_append_left, pm_deque_next, pm_deque_pop, pm_deque_previous,
    pm_deque_same, pm_deque_sound, pm_deque_walk, pm_deque_walk_cell, pm_known_cell, pm_offset, pm_pool,
    pm_replace, pm_store,
)
from pmemobj._core cimport (
    Persistent, Pool, bind, check_read, deque_cell, deque_cut, deque_drop, deque_grow_left, deque_grow_right,
    deque_push, made_proxy, object_new, op_abort, op_begin, op_end, plausible, pool_check_read,
    raise_damaged, register_proxy,
    slot_drop,
)
from pmemobj._layout cimport (
    PM_NO_MAXLEN, PM_OFFSET_MASK, PM_REF_PICKLE, PM_TYPE_DEQUE, pm_deque, pm_deque_block, pm_object,
)
from pmemobj._sequence cimport index_of, is_quiet, items_of, slot_equal
from pmemobj._values cimport encode, pm_immediate, pm_owned, prepare, slot_load

from collections import deque
from collections.abc import MutableSequence
from types import GenericAlias

from pmemobj import errors

__all__ = ["PersistentDeque"]


cdef extern from "Python.h":
    bint PyIndex_Check(object o) noexcept
    Py_ssize_t PyNumber_AsSsize_t(object o, object error) except? -1
    int PySlice_Unpack(object s, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t *step) except -1
    Py_ssize_t PySlice_AdjustIndices(Py_ssize_t length, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t step) noexcept
    int PyObject_RichCompareBool(object a, object b, int op) except -1
    int Py_ReprEnter(object o) except -1
    void Py_ReprLeave(object o) noexcept
    const Py_ssize_t PY_SSIZE_T_MAX


cdef inline pm_deque *deque_of(Persistent o) noexcept:
    """Valid after check_read(o), until Python code runs."""
    return <pm_deque *>o.head


cdef inline uint64_t size_of(PersistentDeque o) noexcept:
    return deque_of(o).right - deque_of(o).left


cdef inline Py_ssize_t length(PersistentDeque o) except -1:
    return plausible(o, size_of(o))


cdef inline uint64_t *walk_cell(PersistentDeque o, pm_deque_walk *walk, uint64_t position) except NULL:
    cdef uint64_t *found = pm_deque_walk_cell(o.p, deque_of(o), walk, position)
    if found == NULL:
        raise_damaged(o.pool, o.head, "its blocks are not what they must be")
    return found


cdef inline pm_deque_walk walk_of(PersistentDeque o) noexcept:
    cdef pm_deque_walk walk
    walk.left = walk.at = deque_of(o).left
    walk.right = deque_of(o).right
    walk.block = walk.generation = 0
    return walk


# --- operations

cdef int bound(Pool pool, pm_deque *d, bint left) except -1:
    """Drops items from one end while there are more than maxlen."""
    cdef uint64_t excess = d.right - d.left - d.maxlen if d.right - d.left > d.maxlen else 0
    while excess:
        if left:
            slot_drop(pool, deque_cell(pool, d, d.left)[0])
            pm_store(pool.p, &d.left, d.left + 1)
        else:
            slot_drop(pool, deque_cell(pool, d, d.right - 1)[0])
            pm_store(pool.p, &d.right, d.right - 1)
        excess -= 1
    return deque_cut(pool, d)


cdef int push_left(Pool pool, pm_deque *d, uint64_t slot) except -1:
    deque_grow_left(pool, d)
    pm_store(pool.p, deque_cell(pool, d, d.left - 1), slot)
    pm_store(pool.p, &d.left, d.left - 1)
    return 0


cdef int add(PersistentDeque self, tuple items, bint left) except -1:
    """Adds the items one after the other at one end.  Of more than maxlen, the last ones."""
    cdef Pool pool = self.pool
    cdef pm_deque *d
    cdef Batch batch
    cdef Py_ssize_t i
    cdef bint own
    check_read(self)
    if deque_of(self).maxlen < <uint64_t>len(items):
        items = items[len(items) - <Py_ssize_t>deque_of(self).maxlen:]
    batch = batch_of(pool, items)
    check_read(self)
    d = deque_of(self)
    if batch.count == 0:
        return 0
    own = rewrite_begin(pool, batch.count > FEW)
    try:
        encode_batch(pool, batch)
        if left:
            for i in range(batch.count):
                push_left(pool, d, batch.slots[i])
        else:
            deque_push(pool, d, batch.slots, batch.count)
        bound(pool, d, not left)
    except BaseException:
        rewrite_abort(pool, own)
        raise
    self.changes += 1
    rewrite_end(pool, own)
    return 0


cdef tuple items_for(PersistentDeque self, object iterable):
    """The items of an iterable, at once when it is this deque."""
    return tuple(all_items(self)) if iterable is self else items_of(iterable, None)


cdef object take(PersistentDeque self, bint left):
    """What pm_deque_pop does not do."""
    cdef Pool pool = self.pool
    cdef uint64_t at, slot
    cdef pm_deque *d
    check_read(self)
    d = deque_of(self)
    if d.left == d.right:
        raise IndexError("pop from an empty deque")
    at = d.left if left else d.right - 1
    slot = deque_cell(pool, d, at)[0]
    value = slot_load(pool, slot)
    if not is_quiet(slot):
        check_read(self)
        d = deque_of(self)
        if d.left == d.right or at != (d.left if left else d.right - 1) or deque_cell(pool, d, at)[0] != slot:
            raise RuntimeError("deque mutated while an item was being popped")
    op_begin(pool)
    try:
        if left:
            pm_store(pool.p, &d.left, d.left + 1)
        else:
            pm_store(pool.p, &d.right, d.right - 1)
        slot_drop(pool, slot)
        deque_cut(pool, d)
    except BaseException:
        op_abort(pool)
        raise
    self.changes += 1
    op_end(pool)
    return value


cdef int shift(PersistentDeque o, uint64_t lo, uint64_t hi, bint up) except -1:
    """Moves the cells lo..hi-1 by one position, up or down."""
    cdef pm_pool *p = o.p
    cdef pm_deque_walk to, source
    cdef uint64_t slot
    to.block = to.generation = source.block = source.generation = 0
    while lo != hi:
        if up:
            hi -= 1
            slot = walk_cell(o, &source, hi)[0]
            pm_store(p, walk_cell(o, &to, hi + 1), slot)
        else:
            slot = walk_cell(o, &source, lo)[0]
            pm_store(p, walk_cell(o, &to, lo - 1), slot)
            lo += 1
    return 0


cdef int delete_at(PersistentDeque self, uint64_t i) except -1:
    """The shorter side closes the gap."""
    cdef Pool pool = self.pool
    cdef pm_deque *d = deque_of(self)
    cdef uint64_t size = size_of(self), at = d.left + i
    cdef bint front = i < size // 2
    cdef bint own = rewrite_begin(pool, (i if front else size - i) > FEW)
    try:
        slot_drop(pool, deque_cell(pool, d, at)[0])
        if front:
            shift(self, d.left, at, True)
            pm_store(pool.p, &d.left, d.left + 1)
        else:
            shift(self, at + 1, d.right, False)
            pm_store(pool.p, &d.right, d.right - 1)
        deque_cut(pool, d)
    except BaseException:
        rewrite_abort(pool, own)
        raise
    self.changes += 1
    rewrite_end(pool, own)
    return 0


cdef int insert_at(PersistentDeque self, uint64_t i, uint64_t slot, object plan) except -1:
    """The shorter side makes room."""
    cdef Pool pool = self.pool
    cdef pm_pool *p = pool.p
    cdef pm_deque *d = deque_of(self)
    cdef uint64_t size = size_of(self)
    cdef bint front = i < size // 2
    cdef bint own = rewrite_begin(pool, (i if front else size - i) > FEW)
    try:
        if plan is not None:
            slot = encode(pool, plan)
        if front:
            deque_grow_left(pool, d)
            shift(self, d.left, d.left + i, False)
            pm_store(p, deque_cell(pool, d, d.left + i - 1), slot)
            pm_store(p, &d.left, d.left - 1)
        else:
            deque_grow_right(pool, d, 1)
            shift(self, d.left + i, d.right, True)
            pm_store(p, deque_cell(pool, d, d.left + i), slot)
            pm_store(p, &d.right, d.right + 1)
    except BaseException:
        rewrite_abort(pool, own)
        raise
    self.changes += 1
    rewrite_end(pool, own)
    return 0


cdef int rotate(PersistentDeque self, uint64_t steps, bint right) except -1:
    """Moves so many slots from one end to the other."""
    cdef Pool pool = self.pool
    cdef pm_deque *d = deque_of(self)
    cdef uint64_t slot
    cdef bint own = rewrite_begin(pool, steps > FEW)
    try:
        while steps:
            if right:
                slot = deque_cell(pool, d, d.right - 1)[0]
                push_left(pool, d, slot)
                pm_store(pool.p, &d.right, d.right - 1)
            else:
                slot = deque_cell(pool, d, d.left)[0]
                deque_push(pool, d, &slot, 1)
                pm_store(pool.p, &d.left, d.left + 1)
            deque_cut(pool, d)
            steps -= 1
    except BaseException:
        rewrite_abort(pool, own)
        raise
    self.changes += 1
    rewrite_end(pool, own)
    return 0


cdef int reverse(PersistentDeque self) except -1:
    cdef Pool pool = self.pool
    cdef pm_pool *p = pool.p
    cdef pm_deque *d = deque_of(self)
    cdef pm_deque_walk front = walk_of(self), back = walk_of(self)
    cdef uint64_t lo = d.left, hi = d.right, slot
    cdef uint64_t *one
    cdef uint64_t *other
    cdef bint own
    if hi - lo < 2:
        return 0
    own = rewrite_begin(pool, hi - lo > FEW)
    try:
        while lo + 1 < hi:
            hi -= 1
            one = walk_cell(self, &front, lo)
            other = walk_cell(self, &back, hi)
            slot = one[0]
            pm_store(p, one, other[0])
            pm_store(p, other, slot)
            lo += 1
    except BaseException:
        rewrite_abort(pool, own)
        raise
    rewrite_end(pool, own)
    return 0


cdef int clear(PersistentDeque self) except -1:
    cdef Pool pool = self.pool
    cdef uint64_t budget = ~<uint64_t>0
    cdef bint own
    if deque_of(self).first == 0:
        return 0
    own = rewrite_begin(pool, size_of(self) > FEW)
    try:
        deque_drop(pool, deque_of(self), &budget)
    except BaseException:
        rewrite_abort(pool, own)
        raise
    self.changes += 1
    rewrite_end(pool, own)
    return 0


cdef int set_cell(PersistentDeque self, Py_ssize_t i, object value) except -1:
    """What pm_replace does not do."""
    cdef Pool pool = self.pool
    cdef uint64_t slot
    cdef uint64_t *cell
    cdef object plan = None
    if not pm_immediate(value, &slot):
        plan = prepare(pool, value)
        check_read(self)
        if not 0 <= i < length(self):
            raise IndexError("deque index out of range")
    op_begin(pool)
    try:
        if plan is not None:
            slot = encode(pool, plan)
        cell = deque_cell(pool, deque_of(self), deque_of(self).left + i)
        slot_drop(pool, cell[0])
        pm_store(pool.p, cell, slot)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


# --- reading

cdef Py_ssize_t position(PersistentDeque self, object key) except -1:
    """The index that the key means.  User code."""
    cdef Py_ssize_t i
    if not PyIndex_Check(key):
        check_read(self)
        raise TypeError(f"sequence index must be integer, not '{type(key).__name__}'")
    i = index_of(key)
    check_read(self)
    if i < 0:
        i += length(self)
    if not 0 <= i < length(self):
        raise IndexError("deque index out of range")
    return i


cdef list all_items(PersistentDeque self):
    return [item for item in walk(self, False)]


cdef int64_t find(PersistentDeque self, object value, uint64_t lo, uint64_t hi, bint removing) except -2:
    """The first index from lo to hi - 1 whose item equals the value, or -1.  User code may run, but not change it."""
    cdef pm_deque_walk walk
    cdef uint64_t end, slot, changes = self.changes
    cdef int equal
    check_read(self)
    walk = walk_of(self)
    end = walk.left + (hi if hi < size_of(self) else size_of(self))
    walk.at += lo
    while walk.at < end:
        slot = walk_cell(self, &walk, walk.at)[0]
        equal = slot_equal(self.pool, slot, value)
        if equal == 2:
            equal = PyObject_RichCompareBool(slot_load(self.pool, slot), value, Py_EQ)
            check_read(self)
            if changes != self.changes or not pm_deque_same(deque_of(self), &walk):
                if removing:
                    raise IndexError("deque mutated during remove()")
                raise RuntimeError("deque mutated during iteration")
        if equal:
            return walk.at - walk.left
        walk.at += 1
    return -1


cdef object plain_maxlen(PersistentDeque self):
    return None if deque_of(self).maxlen == PM_NO_MAXLEN else deque_of(self).maxlen


cdef uint64_t maxlen_of(object maxlen) except? 0:
    cdef Py_ssize_t most
    if maxlen is None:
        return PM_NO_MAXLEN
    if not isinstance(maxlen, int):
        raise TypeError("an integer is required")
    most = maxlen
    if most < 0:
        raise ValueError("maxlen must be non-negative")
    return most


cdef object plain(object other):
    """The items of a deque of either kind as a list; else None."""
    if isinstance(other, PersistentDeque):
        return all_items(other)
    return list(other) if isinstance(other, deque) else None


@cython.collection_type("sequence")
cdef class PersistentDeque(Persistent):
    """A deque in a pool: ``pool.new(PersistentDeque, iterable=(), maxlen=None)``, or a plain deque stored anywhere.

    It has the API of collections.deque and raises what that raises.  Items come and go at both ends in constant time,
    whatever its size: nothing is ever copied to make it larger.  With maxlen, an item too many pushes out one at
    the other end.  ``+``, ``*`` and copy() give plain deques.

    Every mutator is atomic alone: when it raises, also halfway through an iterable, nothing has changed.  In a
    transaction it is undone with it.  Mutators raise TypeError for what cannot be stored, PoolFullError,
    ReadOnlyPoolError; every method raises PoolClosedError and StaleObjectError.
    """

    cdef uint64_t changes               # how often items have been added or removed; not stored

    __hash__ = None
    __class_getitem__ = classmethod(GenericAlias)

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        """A new object of this pool, from the arguments of pool.new()."""
        iterable, maxlen = arguments(*args, **kwargs)
        return create(PersistentDeque.__new__(cls), pool, iterable, maxlen)

    # --- the ends

    def append(self, value, /):
        """Adds one item at the right end.  Atomic.  Raises TypeError if it cannot be stored, PoolFullError."""
        if pm_deque_append(self.p, self.head, value):
            self.changes += 1
        else:
            add(self, (value,), False)

    def appendleft(self, value, /):
        """Adds one item at the left end.  Atomic.  Raises as append()."""
        if pm_deque_append_left(self.p, self.head, value):
            self.changes += 1
        else:
            add(self, (value,), True)

    def pop(self):
        """Removes the rightmost item and returns it.  Atomic.  Raises IndexError."""
        cdef PyObject *value = pm_deque_pop(self.p, self.head, False)
        if value == NULL:
            return take(self, False)
        self.changes += 1
        return pm_owned(value)

    def popleft(self):
        """Removes the leftmost item and returns it.  Atomic.  Raises IndexError."""
        cdef PyObject *value = pm_deque_pop(self.p, self.head, True)
        if value == NULL:
            return take(self, True)
        self.changes += 1
        return pm_owned(value)

    def extend(self, iterable, /):
        """Adds the items of an iterable at the right end.  Atomic: when the iterable raises, nothing has changed."""
        check_read(self)
        add(self, items_for(self, iterable), False)

    def extendleft(self, iterable, /):
        """Adds the items of an iterable at the left end, one after the other, so that their order is reversed.

        Atomic: when the iterable raises, nothing has changed.
        """
        check_read(self)
        add(self, items_for(self, iterable), True)

    # --- the middle

    def __getitem__(self, key):
        cdef Py_ssize_t i = position(self, key)
        return slot_load(self.pool, deque_cell(self.pool, deque_of(self), deque_of(self).left + i)[0])

    def __setitem__(self, key, value):
        cdef Py_ssize_t i = position(self, key)
        if not pm_replace(self.p, deque_cell(self.pool, deque_of(self), deque_of(self).left + i), value):
            set_cell(self, i, value)

    def __delitem__(self, key):
        delete_at(self, position(self, key))

    def insert(self, Py_ssize_t index, value, /):
        """Puts one item before position index, which is clamped to the deque.  Atomic.

        Takes time proportional to the number of items on the shorter side of it.  Raises IndexError when there are
        maxlen items already, otherwise as append().
        """
        cdef uint64_t slot
        cdef Py_ssize_t size
        cdef object plan = None
        check_read(self)
        if not pm_immediate(value, &slot):
            plan = prepare(self.pool, value)
            check_read(self)
        if size_of(self) >= deque_of(self).maxlen:
            raise IndexError("deque already at its maximum size")
        size = length(self)
        if index < 0:
            index = index + size if index + size > 0 else 0
        elif index > size:
            index = size
        insert_at(self, index, slot, plan)

    def remove(self, value, /):
        """Removes the first item that equals value.  Atomic.

        Raises ValueError if there is none, IndexError when a comparison has changed the deque.
        """
        cdef int64_t i = find(self, value, 0, PY_SSIZE_T_MAX, True)
        if i < 0:
            raise ValueError("deque.remove(x): x not in deque")
        delete_at(self, i)

    def clear(self):
        """Removes all items.  Atomic."""
        check_read(self)
        clear(self)

    def rotate(self, Py_ssize_t n=1, /):
        """Moves n items from the right end to the left one, or -n the other way.  Atomic.

        Takes time proportional to the number of steps, of which no more than half of the items are ever needed.
        """
        cdef Py_ssize_t size
        check_read(self)
        size = length(self)
        if size < 2:
            return
        n %= size
        if n < 0:                           # C division
            n += size
        if n > size - n:
            rotate(self, size - n, False)
        elif n:
            rotate(self, n, True)

    def reverse(self):
        """Reverses the order of the items in place.  Atomic."""
        check_read(self)
        reverse(self)

    # --- questions

    @property
    def maxlen(self):
        """The largest number of items, or None."""
        check_read(self)
        return plain_maxlen(self)

    def __len__(self):
        check_read(self)
        return length(self)

    def __contains__(self, value):
        return find(self, value, 0, PY_SSIZE_T_MAX, False) >= 0

    def index(self, value, start=0, stop=9223372036854775807, /):
        """The first position of value at or after start and before stop.  Raises ValueError if it is not there."""
        cdef Py_ssize_t lo, hi, step
        cdef int64_t found
        if not PyIndex_Check(start) or not PyIndex_Check(stop):
            raise TypeError("slice indices must be integers or have an __index__ method")
        PySlice_Unpack(slice(start, stop), &lo, &hi, &step)
        check_read(self)
        PySlice_AdjustIndices(length(self), &lo, &hi, 1)
        found = find(self, value, lo, hi, False) if lo < hi else -1
        if found < 0:
            raise ValueError(f"{value!r} is not in deque")
        return found

    def count(self, value, /):
        """How many items equal value."""
        cdef Py_ssize_t total = 0
        cdef int64_t at = find(self, value, 0, PY_SSIZE_T_MAX, False)
        while at >= 0:
            total += 1
            at = find(self, value, at + 1, PY_SSIZE_T_MAX, False)
        return total

    def __iter__(self):
        return walk(self, False)

    def __reversed__(self):
        return walk(self, True)

    def copy(self):
        """A plain deque of the items, with the same maxlen."""
        check_read(self)
        return deque(all_items(self), plain_maxlen(self))

    def __reduce__(self):
        check_read(self)
        return deque, ((), plain_maxlen(self)), None, iter(all_items(self))

    def __richcmp__(self, other, int op):
        if self is other and op == Py_EQ:
            check_read(self)
            return True
        check_read(self)
        items = plain(other)
        return NotImplemented if items is None else PyObject_RichCompare(all_items(self), items, op)

    def __repr__(self):
        check_read(self)
        name = type(self).__name__
        if Py_ReprEnter(self):
            return "[...]"
        try:
            most = "" if deque_of(self).maxlen == PM_NO_MAXLEN else f", maxlen={deque_of(self).maxlen}"
            return f"{name}({all_items(self)!r}{most})"
        finally:
            Py_ReprLeave(self)

    # --- operators

    def __add__(self, other):
        check_read(self)
        items = plain(other)
        return NotImplemented if items is None else deque(all_items(self) + items, plain_maxlen(self))

    def __radd__(self, other):
        check_read(self)
        if not isinstance(other, deque):
            return NotImplemented
        return deque(list(other) + all_items(self), other.maxlen)

    def __mul__(self, n):
        check_read(self)
        return self.copy() * n if PyIndex_Check(n) else NotImplemented

    def __rmul__(self, n):
        check_read(self)
        return self.copy() * n if PyIndex_Check(n) else NotImplemented

    def __iadd__(self, iterable):
        check_read(self)
        add(self, items_for(self, iterable), False)
        return self

    def __imul__(self, n):
        cdef Py_ssize_t times, enough
        if not PyIndex_Check(n):
            return NotImplemented
        times = PyNumber_AsSsize_t(n, OverflowError)
        check_read(self)
        if times <= 0:
            clear(self)
        elif times > 1 and length(self):
            if deque_of(self).maxlen != PM_NO_MAXLEN:
                enough = deque_of(self).maxlen // size_of(self) + 2     # more would push out themselves
                times = min(times, enough)
            add(self, tuple(all_items(self)) * (times - 1), False)
        return self

    def _check(self):
        """Raises PoolDamagedError if the blocks or a slot of this object are not what they must be."""
        check_read(self)
        check_blocks(self)


def arguments(iterable=(), maxlen=None):
    """Those of deque()."""
    return iterable, maxlen


cdef object create(PersistentDeque made, Pool pool, object iterable, object maxlen):
    cdef uint64_t most = maxlen_of(maxlen), offset
    cdef tuple items = items_of(iterable, None)
    cdef Batch batch
    cdef bint own
    pool_check_read(pool)
    if <uint64_t>len(items) > most:
        items = items[len(items) - <Py_ssize_t>most:]
    batch = batch_of(pool, items)
    pool_check_read(pool)
    own = rewrite_begin(pool, batch.count > FEW)
    try:
        offset = object_new(pool, PM_TYPE_DEQUE, sizeof(pm_deque), False)
        pm_store(pool.p, &(<pm_deque *>pm_at(pool.p, offset)).maxlen, most)
        encode_batch(pool, batch)
        deque_push(pool, <pm_deque *>pm_at(pool.p, offset), batch.slots, batch.count)
    except BaseException:
        rewrite_abort(pool, own)
        raise
    rewrite_end(pool, own)
    bind(made, pool, <pm_object *>pm_at(pool.p, offset))
    return made


# --- verification

cdef int damaged(PersistentDeque o, str what) except -1:
    raise errors.PoolDamagedError(
        f"{o.pool.path}: the deque at {<uint64_t>(<char *>o.head - o.p.base):#x}: {what}")


cdef int check_blocks(PersistentDeque o) except -1:
    cdef pm_pool *p = o.p
    cdef pm_deque *d = deque_of(o)
    cdef pm_deque_block *block = pm_deque_sound(p, d.first)
    cdef uint64_t before = 0, end = 0, i, slot
    if size_of(o) > d.maxlen:
        damaged(o, f"{size_of(o)} items, but at most {d.maxlen} may be in it")
    if (d.first == 0) != (d.last == 0) or (d.first == 0 and d.left != d.right):
        damaged(o, f"items {d.left:#x} to {d.right:#x} in blocks {d.first:#x} to {d.last:#x}")
    if d.first and (block == NULL or d.left < block.start):
        damaged(o, "items outside of all blocks")
    while block != NULL:
        if block.prev != before:
            damaged(o, f"the block at {pm_offset(p, block):#x} does not follow the one before it")
        end = block.start + block.cap
        if d.left != d.right and (block.start >= d.right or end <= d.left):
            damaged(o, f"the block at {pm_offset(p, block):#x} holds no item")
        for i in range(block.cap):
            slot = block.cells[i]
            if d.left <= block.start + i < d.right and not slot & 7:
                if slot == 0 or slot >> 48 > PM_REF_PICKLE or (slot & PM_OFFSET_MASK) >= p.size:
                    damaged(o, f"item {block.start + i - d.left} is {slot:#x}, which is not a slot")
        before = pm_offset(p, block)
        block = pm_deque_after(p, block)
    if before != d.last:
        damaged(o, "the last block is another one")
    if d.first and d.right > end:
        damaged(o, "items outside of all blocks")
    return 0


# --- iterators

@cython.auto_pickle(False)
cdef class DequeIterator:
    """Iterates over a persistent deque, from either end: DequeIterator(deque)."""
    cdef PersistentDeque deque          # None when exhausted
    cdef PersistentDeque whose          # the same, then too
    cdef uint64_t changes               # of the deque, when this began
    cdef pm_deque_walk walk
    cdef bint backwards

    def __init__(self, PersistentDeque o not None, /):
        begin(self, o, False)

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject *value
        cdef PersistentDeque o = self.deque
        cdef uint64_t at
        if o is None:
            raise StopIteration
        if self.changes != o.changes:
            value = NULL
        elif self.backwards:
            value = pm_deque_previous(o.p, o.head, &self.walk)
        else:
            value = pm_deque_next(o.p, o.head, &self.walk)
        if value != NULL:
            return pm_owned(value)
        check_read(o)
        if self.changes != o.changes or not pm_deque_same(deque_of(o), &self.walk):
            raise RuntimeError("deque mutated during iteration")
        if self.walk.at == (self.walk.left if self.backwards else self.walk.right):
            self.deque = None
            raise StopIteration
        at = self.walk.at - 1 if self.backwards else self.walk.at
        self.walk.at = at if self.backwards else at + 1
        return slot_load(o.pool, walk_cell(o, &self.walk, at)[0])

    def __length_hint__(self):
        if self.deque is None:
            return 0
        check_read(self.deque)
        length(self.deque)
        return self.walk.at - self.walk.left if self.backwards else self.walk.right - self.walk.at

    def __reduce__(self):
        if self.whose is None:          # made by __new__() alone
            return iter, ((),)
        given = self.walk.right - self.walk.at if self.backwards else self.walk.at - self.walk.left
        return _resumed, (self.whose, given, self.backwards)


@cython.final
@cython.auto_pickle(False)
cdef class DequeReverseIterator(DequeIterator):
    """Iterates backwards over a persistent deque: DequeReverseIterator(deque)."""

    def __init__(self, PersistentDeque o not None, /):
        begin(self, o, True)


def _resumed(items, given, backwards):
    """An iterator of a deque that has given so many items: what a copy or a pickle of one becomes."""
    iterator = reversed(items) if backwards else iter(items)
    for _ in range(min(given, len(items))):
        next(iterator)
    return iterator


cdef int begin(DequeIterator iterator, PersistentDeque o, bint backwards) except -1:
    check_read(o)
    iterator.deque = iterator.whose = o
    iterator.changes = o.changes
    iterator.walk = walk_of(o)
    iterator.backwards = backwards
    if backwards:
        iterator.walk.at = iterator.walk.right
    return 0


cdef DequeIterator walk(PersistentDeque o, bint backwards):
    cdef DequeIterator iterator
    if backwards:
        iterator = DequeReverseIterator.__new__(DequeReverseIterator)
    else:
        iterator = DequeIterator.__new__(DequeIterator)
    begin(iterator, o, backwards)
    return iterator


cdef PyObject *make(Pool pool, pm_object *head, pm_known_cell *cell) except NULL:
    return made_proxy(PersistentDeque, pool, head)


register_proxy(PM_TYPE_DEQUE, PersistentDeque, make)
MutableSequence.register(PersistentDeque)
