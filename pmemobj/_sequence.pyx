"""Reading a persistent list or tuple: items, slices, iteration, search, comparison, repr.

Two rules keep every method safe against what user code (__eq__, __index__, decoders, a garbage collection) may
do to the very sequence meanwhile:

 1. Pointers and sizes are read after check_read() and used only until Python code may run.
 2. A loop that may run Python code keeps a position, not a pointer, and looks at the size at each step.
"""

cimport cython
from cpython.list cimport PyList_GET_SIZE, PyList_New
from cpython.object cimport Py_EQ, Py_GT, Py_LE, Py_LT, Py_NE, PyObject, PyObject_RichCompare
from libc.stdint cimport uint64_t

from pmemobj._cengine cimport pm_at, pm_inside, pm_pool, pm_vec
from pmemobj._core cimport (
    Persistent, Pool, bind, check_read, object_new, op_abort, op_begin, op_end, plausible, pool_check_read,
    raise_damaged, vec_at, vec_must_be_sound, vec_run,
)
from pmemobj._layout cimport (
    PM_OFFSET_MASK, PM_REF_OBJECT, PM_REF_PICKLE, PM_SEG_WORDS, PM_TYPE_LIST, PM_TYPE_TUPLE, pm_list, pm_object,
)
from pmemobj._values cimport (
    PM_IS_REFERENCE, PM_SLOT_KIND, Plan, fill_list, key_equal, pm_owned, pm_quick_value, prepare, slot_load,
    slot_load_slow,
)

import types

from pmemobj import errors


cdef extern from "Python.h":
    bint PyIndex_Check(object o) noexcept
    bint PyLong_CheckExact(object o) noexcept
    bint PySlice_Check(object o) noexcept
    int PySlice_Unpack(object s, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t *step) except -1
    Py_ssize_t PySlice_AdjustIndices(Py_ssize_t length, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t step) noexcept
    int PyObject_RichCompareBool(object a, object b, int op) except -1
    int Py_ReprEnter(object o) except -1
    void Py_ReprLeave(object o) noexcept
    PyObject *PyTuple_GET_ITEM_ "PyTuple_GET_ITEM"(object o, Py_ssize_t i) noexcept
    Py_ssize_t PyTuple_GET_SIZE_ "PyTuple_GET_SIZE"(object o) noexcept
    PyObject *PyList_GET_ITEM_ "PyList_GET_ITEM"(object o, Py_ssize_t i) noexcept
    const Py_ssize_t PY_SSIZE_T_MAX

cdef extern from *:
    """
    /* A list of known length that is only partly filled is cut to the part that is. */
    static inline void pm_cut_list(PyObject *list, Py_ssize_t n) { Py_SET_SIZE((PyVarObject *)list, n); }

    static inline PyObject **pm_list_items(PyObject *list) { return ((PyListObject *)list)->ob_item; }
    """
    void pm_cut_list(object items, Py_ssize_t n) noexcept
    PyObject **pm_list_items(object items) noexcept


# --- arguments

cdef inline str kind_of(PersistentSequence o):
    return "tuple" if o.head.type == PM_TYPE_TUPLE else "list"


cdef int bad_index(object key, PersistentSequence o) except -1:
    raise TypeError(f"{kind_of(o)} indices must be integers or slices, not {type(key).__name__}")


cdef tuple items_of(object iterable, str complaint):
    if type(iterable) is tuple:
        return iterable
    if type(iterable) is list:
        return tuple(<list>iterable)
    if complaint is None:
        return tuple([item for item in iterable])
    try:
        iterator = iter(iterable)
    except TypeError:
        raise TypeError(complaint) from None
    return tuple([item for item in iterator])


cdef tuple initial_items(str name, tuple args, dict kwargs):
    if kwargs:
        raise TypeError(f"{name}() takes no keyword arguments")
    if len(args) > 1:
        raise TypeError(f"{name} expected at most 1 argument, got {len(args)}")
    return items_of(args[0], None) if args else ()


# --- creation

cdef int create(PersistentSequence o, Pool pool, unsigned type, tuple items) except -1:
    cdef Plan plan = None
    cdef uint64_t offset
    pool_check_read(pool)
    if items:
        plan = prepare(pool, items)
        plan.stored = None
        pool_check_read(pool)
    op_begin(pool)
    try:
        offset = object_new(pool, type, sizeof(pm_list), False)
        if plan is not None:
            fill_list(pool, plan, offset, items)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    bind(o, pool, <pm_object *>pm_at(pool.p, offset))
    return 0


# --- items

cdef list read_items(PersistentSequence o, uint64_t lo, uint64_t hi):
    cdef list result
    cdef uint64_t i = lo, run = 0, got = 0
    cdef uint64_t *cell
    cdef pm_vec *v
    cdef Pool pool
    check_read(o)
    pool = o.pool
    if hi > lo and hi - lo > pool.p.size // 8:
        raise_damaged(pool, o.head, f"it has {cells_of(o).size} items")
    result = PyList_New(hi - lo if hi > lo else 0)
    check_read(o)
    v = cells_of(o)
    if hi > v.size:
        hi = v.size
    while i < hi and got == run:
        cell = vec_run(pool, v, i, hi, 1, &run)
        got = pm_items_get(pool.p, cell, run, pm_list_items(result) + (i - lo))
        i += got
    pm_cut_list(result, i - lo if i > lo else 0)
    while True:
        check_read(o)
        v = cells_of(o)
        if i >= hi or i >= v.size:
            return result
        result.append(slot_load(pool, vec_at(pool, v, i, 1)[0]))
        i += 1


cdef list read_stepped(PersistentSequence o, Py_ssize_t start, Py_ssize_t step, Py_ssize_t count):
    cdef list result = []
    cdef pm_vec *v
    cdef Py_ssize_t k
    for k in range(count):
        check_read(o)
        v = cells_of(o)
        if <uint64_t>start >= v.size:
            break
        result.append(slot_load(o.pool, vec_at(o.pool, v, start, 1)[0]))
        if k + 1 < count:               # start + step may overflow after the last one
            start += step
    return result


cdef object get_item(PersistentSequence o, object key):
    """Any item or slice; what pm_item_at does not find."""
    cdef Py_ssize_t i
    cdef pm_vec *v
    if PyLong_CheckExact(key) or PyIndex_Check(key):
        i = index_of(key)
    elif PySlice_Check(key):
        return read_slice(o, key)
    else:
        check_read(o)
        bad_index(key, o)
    check_read(o)
    v = cells_of(o)
    if i < 0:
        i += v.size
    if <uint64_t>i >= v.size:
        raise IndexError(f"{kind_of(o)} index out of range")
    return slot_load(o.pool, vec_at(o.pool, v, i, 1)[0])


cdef object read_slice(PersistentSequence o, object key):
    cdef Py_ssize_t start, stop, step, count
    cdef list items
    PySlice_Unpack(key, &start, &stop, &step)
    check_read(o)
    count = PySlice_AdjustIndices(cells_of(o).size, &start, &stop, step)
    if step == 1:
        items = read_items(o, start, start + count)
    else:
        items = read_stepped(o, start, step, count)
    return tuple(items) if o.head.type == PM_TYPE_TUPLE else items


# --- search

cdef int slot_equal(Pool pool, uint64_t slot, object value) noexcept:
    """As key_equal, but a sequence also holds what has an __eq__ of its own: 2 for those."""
    cdef unsigned kind
    if PM_IS_REFERENCE(slot):
        kind = PM_SLOT_KIND(slot)
        if kind == PM_REF_OBJECT or kind > 8:
            return 1 if key_equal(pool, slot, value) == 1 else 2
    return key_equal(pool, slot, value)


cdef Py_ssize_t find(PersistentSequence o, object value, uint64_t lo, uint64_t hi) except -2:
    cdef uint64_t end, run, k
    cdef uint64_t *cell
    cdef pm_vec *v
    cdef Pool pool = o.pool
    cdef int equal
    while True:
        check_read(o)
        v = cells_of(o)
        end = hi if hi < v.size else v.size
        equal = 0
        while lo < end and equal == 0:
            cell = vec_run(pool, v, lo, end, 1, &run)
            for k in range(run):
                equal = slot_equal(pool, cell[k], value)
                if equal:
                    break
                lo += 1
        if equal == 0:
            return -1
        if equal == 1 or PyObject_RichCompareBool(slot_load(pool, vec_at(pool, v, lo, 1)[0]), value, Py_EQ):
            return lo
        lo += 1


# --- comparison

cdef inline Py_ssize_t other_size(object other, PersistentSequence persistent) except -1:
    if persistent is not None:
        check_read(persistent)
        return cells_of(persistent).size
    if isinstance(other, list):
        return PyList_GET_SIZE(other)
    return PyTuple_GET_SIZE_(other)


cdef object by_size(Py_ssize_t a, Py_ssize_t b, int op):
    if op == Py_EQ:
        return a == b
    if op == Py_NE:
        return a != b
    if op == Py_LT:
        return a < b
    if op == Py_LE:
        return a <= b
    if op == Py_GT:
        return a > b
    return a >= b


cdef object compare(PersistentSequence o, object other, int op):
    """Item by item like the builtins; either side may change while it is compared."""
    cdef PersistentSequence persistent = None
    cdef uint64_t slot, theirs
    cdef Py_ssize_t i = 0, size, others
    cdef int equal
    check_read(o)
    if isinstance(other, PersistentSequence):
        persistent = other
        check_read(persistent)
        if persistent.head.type != o.head.type:
            return NotImplemented
    elif not isinstance(other, tuple if o.head.type == PM_TYPE_TUPLE else list):
        return NotImplemented
    others = other_size(other, persistent)
    check_read(o)
    size = cells_of(o).size
    if size != others and (op == Py_EQ or op == Py_NE):
        return op == Py_NE
    while True:
        others = other_size(other, persistent)
        check_read(o)
        size = cells_of(o).size
        if i >= size or i >= others:
            return by_size(size, others, op)
        slot = vec_at(o.pool, cells_of(o), i, 1)[0]
        if persistent is not None:
            theirs = vec_at(persistent.pool, cells_of(persistent), i, 1)[0]
            # Equal words are equal values: a NaN is never inline, a block belongs to one slot only.
            if slot == theirs and o.p == persistent.p:
                i += 1
                continue
            right = slot_load(persistent.pool, theirs)
            if not is_quiet(theirs):
                check_read(o)
                if i >= <Py_ssize_t>cells_of(o).size:
                    continue
                slot = vec_at(o.pool, cells_of(o), i, 1)[0]
        elif isinstance(other, list):
            right = <object>PyList_GET_ITEM_(other, i)
        else:
            right = <object>PyTuple_GET_ITEM_(other, i)
        equal = slot_equal(o.pool, slot, right)
        if equal == 0 and (op == Py_EQ or op == Py_NE):
            return op == Py_NE
        if equal != 1:
            left = slot_load(o.pool, slot)
            if equal == 0 or not PyObject_RichCompareBool(left, right, Py_EQ):
                if equal != 0:                      # somebody's __eq__ may have made them shorter
                    others = other_size(other, persistent)
                    check_read(o)
                    size = cells_of(o).size
                    if i >= size or i >= others:
                        return by_size(size, others, op)
                if op == Py_EQ:
                    return False
                if op == Py_NE:
                    return True
                return PyObject_RichCompare(left, right, op)
        i += 1


# --- the base

@cython.collection_type("sequence")
cdef class PersistentSequence(Persistent):
    """What persistent lists and tuples share: everything that only reads."""

    __class_getitem__ = classmethod(types.GenericAlias)

    def __len__(self):
        check_read(self)
        return plausible(self, cells_of(self).size)

    def __getitem__(self, key):
        cdef uint64_t *at = pm_item_at(self.p, self.head, key)
        cdef PyObject *value
        if at == NULL:
            return get_item(self, key)
        value = pm_quick_value(self.p, at[0])
        return slot_load_slow(self.pool, at[0]) if value == NULL else pm_owned(value)

    def __contains__(self, value):
        return find(self, value, 0, PY_SSIZE_T_MAX) >= 0

    def __iter__(self):
        cdef SequenceIterator iterator
        check_read(self)
        iterator = SequenceIterator.__new__(SequenceIterator)
        iterator.sequence = self
        return iterator

    def __reversed__(self):
        cdef SequenceReverseIterator iterator = SequenceReverseIterator.__new__(SequenceReverseIterator)
        check_read(self)
        iterator.sequence = self
        iterator.left = cells_of(self).size
        return iterator

    def __repr__(self):
        cdef object name = type(self).__name__
        check_read(self)
        if Py_ReprEnter(self):
            return f"{name}((...))" if self.head.type == PM_TYPE_TUPLE else f"{name}([...])"
        try:
            return f"{name}({read_slice(self, slice(None))!r})"
        finally:
            Py_ReprLeave(self)

    def __add__(self, other):
        if isinstance(other, PersistentSequence):
            check_read(<PersistentSequence>other)
            check_read(self)
            if (<PersistentSequence>other).head.type != self.head.type:
                return NotImplemented
            return read_slice(self, slice(None)) + read_slice(other, slice(None))
        check_read(self)
        if not isinstance(other, tuple if self.head.type == PM_TYPE_TUPLE else list):
            return NotImplemented
        return read_slice(self, slice(None)) + other

    def __radd__(self, other):
        check_read(self)
        if not isinstance(other, tuple if self.head.type == PM_TYPE_TUPLE else list):
            return NotImplemented
        return other + read_slice(self, slice(None))

    def __mul__(self, n):
        if not PyIndex_Check(n):
            return NotImplemented
        return read_slice(self, slice(None)) * n

    def __rmul__(self, n):
        if not PyIndex_Check(n):
            return NotImplemented
        return read_slice(self, slice(None)) * n

    def index(self, value, start=0, stop=9223372036854775807, /):
        """The first position of value at or after start and before stop, as for the builtin.

        Raises ValueError if it is not there.
        """
        cdef Py_ssize_t lo, hi, step, found
        PySlice_Unpack(slice(clamped(start), clamped(stop)), &lo, &hi, &step)
        check_read(self)
        PySlice_AdjustIndices(cells_of(self).size, &lo, &hi, 1)
        found = find(self, value, lo, hi) if lo < hi else -1
        if found < 0:
            check_read(self)
            if self.head.type == PM_TYPE_TUPLE:
                raise ValueError("tuple.index(x): x not in tuple")
            raise ValueError(f"{value!r} is not in list")
        return found

    def count(self, value, /):
        """How many items equal value."""
        cdef Py_ssize_t total = 0, at = find(self, value, 0, PY_SSIZE_T_MAX)
        while at >= 0:
            total += 1
            at = find(self, value, at + 1, PY_SSIZE_T_MAX)
        return total

    def _check(self):
        """Raises PoolDamagedError if the vector or a slot of this object is not what it must be."""
        check_read(self)
        check_cells(self)


cdef object clamped(object bound):
    if not PyIndex_Check(bound):
        raise TypeError("slice indices must be integers or have an __index__ method")
    return bound


cdef int damaged(PersistentSequence o, str what) except -1:
    raise errors.PoolDamagedError(
        f"{o.pool.path}: the {kind_of(o)} at {<uint64_t>(<char *>o.head - o.p.base):#x}: {what}")


cdef int check_cells(PersistentSequence o) except -1:
    cdef pm_pool *p = o.p
    cdef pm_vec *v = cells_of(o)
    cdef uint64_t i, slot, segments
    cdef uint64_t *directory
    if o.head.type != PM_TYPE_LIST and o.head.type != PM_TYPE_TUPLE:
        damaged(o, f"its type number is {o.head.type}")
    if v.size > v.cap:
        damaged(o, f"{v.size} items, but room for {v.cap}")
    if (v.cap == 0) != (v.data == 0):
        damaged(o, f"room for {v.cap} items, but its block is at {v.data:#x}")
    if v.data & 7 or v.data >= p.size:
        damaged(o, f"its block is at {v.data:#x}")
    vec_must_be_sound(o.pool, v, 0, 0, 1)
    if v.dir_cap:
        segments = v.cap // PM_SEG_WORDS
        if v.cap % PM_SEG_WORDS or segments > v.dir_cap:
            damaged(o, f"a directory for {v.dir_cap} segments, but room for {v.cap} items")
        directory = <uint64_t *>pm_at(p, v.data)
        for i in range(segments):
            if directory[i] == 0 or directory[i] & 7 or directory[i] >= p.size:
                damaged(o, f"segment {i} is at {directory[i]:#x}")
    elif v.cap > PM_SEG_WORDS:
        damaged(o, f"one block of {v.cap} items")
    for i in range(v.size):
        slot = vec_at(o.pool, v, i, 1)[0]
        if slot & 7:
            continue
        if slot == 0 or slot >> 48 > PM_REF_PICKLE or (slot & PM_OFFSET_MASK) >= p.size:
            damaged(o, f"item {i} is {slot:#x}, which is not a slot")
        if PM_SLOT_KIND(slot) == PM_REF_OBJECT and not pm_inside(p, slot, sizeof(pm_object)):
            damaged(o, f"item {i} is {slot:#x}, which is not a slot")
        if PM_SLOT_KIND(slot) == PM_REF_OBJECT and (<pm_object *>pm_at(p, slot & PM_OFFSET_MASK)).refs == 0:
            damaged(o, f"item {i} refers to the object at {slot:#x}, which counts no reference")
    return 0


# --- iterators

@cython.final
@cython.auto_pickle(False)
cdef class SequenceIterator:
    """Iterates over a persistent list or tuple; ends where the sequence ends at that time."""
    cdef PersistentSequence sequence    # None when exhausted
    cdef uint64_t at

    def __init__(self):
        raise TypeError("iter() of a persistent sequence makes these")

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject *value
        if self.sequence is None:
            raise StopIteration
        value = pm_item_next(self.sequence.p, self.sequence.head, &self.at)
        if value != NULL:
            return pm_owned(value)
        check_read(self.sequence)
        if self.at >= cells_of(self.sequence).size:
            self.sequence = None
            raise StopIteration
        self.at += 1
        return slot_load(self.sequence.pool, vec_at(self.sequence.pool, cells_of(self.sequence), self.at - 1, 1)[0])

    def __length_hint__(self):
        if self.sequence is None:
            return 0
        check_read(self.sequence)
        return cells_of(self.sequence).size - self.at if self.at < cells_of(self.sequence).size else 0

    def __reduce__(self):
        if self.sequence is None:
            return iter, ((),)
        return iter, (self.sequence,), self.at

    def __setstate__(self, Py_ssize_t at):
        self.at = max(at, 0)


@cython.final
@cython.auto_pickle(False)
cdef class SequenceReverseIterator:
    """Iterates backwards over a persistent list or tuple."""
    cdef PersistentSequence sequence    # None when exhausted
    cdef uint64_t left

    def __init__(self):
        raise TypeError("reversed() of a persistent sequence makes these")

    def __iter__(self):
        return self

    def __next__(self):
        cdef PyObject *value
        if self.sequence is None:
            raise StopIteration
        value = pm_item_previous(self.sequence.p, self.sequence.head, &self.left)
        if value != NULL:
            return pm_owned(value)
        check_read(self.sequence)
        if not 0 < self.left <= cells_of(self.sequence).size:
            self.sequence = None
            raise StopIteration
        self.left -= 1
        return slot_load(self.sequence.pool, vec_at(self.sequence.pool, cells_of(self.sequence), self.left, 1)[0])

    def __length_hint__(self):
        if self.sequence is None:
            return 0
        check_read(self.sequence)
        return self.left if self.left <= cells_of(self.sequence).size else 0

    def __reduce__(self):
        if self.sequence is None:
            return reversed, ((),)
        return reversed, (self.sequence,), <Py_ssize_t>self.left - 1

    def __setstate__(self, Py_ssize_t at):
        if self.sequence is not None:
            check_read(self.sequence)
            self.left = min(max(at, -1), <Py_ssize_t>cells_of(self.sequence).size - 1) + 1
