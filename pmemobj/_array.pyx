"""PersistentArray: an n-dimensional NumPy array whose memory is a block in a pool (see pm_array and _buffer.pyx).

 1. Items are read through plain, read-only ndarrays of the pool's memory.  Each holds an export for as long as it, or
    a view of it, lives.
 2. What is to be stored is made in memory of this process first, by NumPy, which may run user code and fail; then the
    bytes that differ are changed in one operation.  What reads the present contents to do so holds a transaction.
 3. NumPy is imported when an array is used, not before.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_SIMPLE, PyBUF_STRIDES, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.object cimport PyObject
from libc.math cimport isfinite
from libc.stdint cimport int8_t, int64_t, uint64_t
from libc.string cimport memcmp, memcpy

from pmemobj._array_numbers cimport ArrayNumbers
from pmemobj._batch cimport rewrite_begin, rewrite_end
from pmemobj._buffer cimport (
    Writing, buffer_of, bytes_of, export_begins, export_ends, is_many, look, must_not_move,
    overwrite, pm_buffer_at, pm_put_bytes, put_bytes, splice,
)
from pmemobj._cengine cimport pm_at, pm_known_cell, pm_pool, pm_store
from pmemobj._core cimport (
    Pool, bind, check_read, made_proxy, op_abort, op_begin, op_end, pool_check_read, raise_damaged, register_proxy,
)
from pmemobj._layout cimport PM_TYPE_ARRAY, pm_array, pm_buffer, pm_object
from pmemobj._values cimport new_array, slot_load

import ast
import importlib
import math
import operator

from pmemobj import _array_texts, errors
from pmemobj._values import set_describe_array

__all__ = ["PersistentArray"]


cdef extern from "Python.h":
    void Py_INCREF(object o) noexcept
    void Py_XDECREF(PyObject *o) noexcept
    long PyLong_AsLongAndOverflow(object o, int *overflow) noexcept         # of an exact int
    long long PyLong_AsLongLongAndOverflow(object o, int *overflow) noexcept
    int PyUnicode_KIND(object o) noexcept
    Py_ssize_t PyNumber_AsSsize_t(object o, void *raised) noexcept
    int PySlice_Unpack(object o, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t *step) except -1
    Py_ssize_t PySlice_AdjustIndices(Py_ssize_t length, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t step) noexcept

cdef enum:
    GAP = 256                   # bytes between two items that are still changed as one piece
    MOST_PIECES = 256           # of one assignment; more are changed as one range


# --- NumPy

cdef object np = None, np_ndarray = None, np_empty = None, np_intp = None
cdef dict dtypes = {}           # text in a pool -> dtype


cdef int need_numpy() except -1:
    global np, np_ndarray, np_empty, np_intp
    if np is None:
        try:
            np = importlib.import_module("numpy")
        except ImportError:
            raise ImportError("a PersistentArray needs NumPy: pip install 'pmemobj[arrays]'") from None
        np_ndarray = np.ndarray
        np_empty = np.empty
        np_intp = np.intp
    return 0


cdef str dtype_text(object dtype):
    """How a dtype is stored.  Raises TypeError for those that have no fixed size, or no description."""
    if dtype.hasobject or dtype.kind in "OT":
        raise TypeError(
            f"a NumPy array of dtype {dtype} cannot be stored in a pool, since its items are references to Python "
            "objects; store a list, or convert it to another dtype"
        )
    try:
        text = repr(np.lib.format.dtype_to_descr(dtype))
        if dtype_of_text(text) == dtype:
            return text
    except (TypeError, ValueError):
        pass
    raise TypeError(f"a NumPy array of dtype {dtype} cannot be stored in a pool: it has no description in words")


cdef object dtype_of_text(str text):
    dtype = dtypes.get(text)
    if dtype is None:
        dtype = np.lib.format.descr_to_dtype(ast.literal_eval(text))
        if len(dtypes) > 1000:
            dtypes.clear()
        dtypes[text] = dtype
    return dtype


cdef uint64_t address_of(object array) except? 0:
    cdef Py_buffer seen
    PyObject_GetBuffer(array, &seen, PyBUF_STRIDES)
    PyBuffer_Release(&seen)
    return <uint64_t>seen.buf


@cython.final
@cython.auto_pickle(False)
@cython.no_gc_clear             # __dealloc__ needs the array
cdef class Held:
    """What an ndarray of a pool's memory has as its base: as long as it lives, the memory stays where it is."""
    cdef PersistentArray of
    cdef bint counted

    def __init__(self):
        raise TypeError("np.asarray() of a PersistentArray makes these")

    def __dealloc__(self):
        if self.counted:
            export_ends(self.of)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, <void *>bytes_of(self.of), buffer_of(self.of).size, True, flags)


@cython.final
@cython.auto_pickle(False)
cdef class Peek:
    """The same for the one that is never handed out."""
    cdef const char *at
    cdef uint64_t size

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, <void *>self.at, self.size, True, flags)


# --- what an array is

cdef inline pm_array *array_of(PersistentArray o) noexcept:
    """Valid after look(o), until Python code runs."""
    return <pm_array *>o.head


cdef int describe(PersistentArray self) except -1:
    """Reads what never changes.  May import NumPy, and so run user code."""
    need_numpy()
    check_read(self)
    if self.dtype_of is not None:
        return 0
    shape, text = slot_load(self.pool, array_of(self).shape), slot_load(self.pool, array_of(self).dtype)
    check_read(self)
    try:
        if type(shape) is not tuple or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape) or len(shape) > 32:
            raise ValueError("its shape")
        dtype = dtype_of_text(text)
        if dtype.hasobject or dtype.itemsize * math.prod(shape[1:]) != array_of(self).row:
            raise ValueError("its size")
    except Exception:
        raise_damaged(self.pool, self.head, "it is no description of an array")
    self.axes = len(shape)
    self.tail = shape[1:]
    self.is_solid = dtype.itemsize > 0 and dtype.names is None
    if dtype.isnative and dtype.kind in "biufc" and dtype.itemsize <= (16 if dtype.kind == "c" else 8):
        self.kind = ord(dtype.kind)
        self.width = dtype.itemsize
        self.scalar = dtype.type
    self.dtype_of = dtype
    return 0


cdef pm_array *ready(PersistentArray self) except NULL:
    """Its head, as after look(), and all that is known of it."""
    cdef pm_array *a
    if self.dtype_of is None or np is None:
        describe(self)
    look(self)
    a = array_of(self)
    if (a.buffer.size % a.row if a.row else a.buffer.size) or (self.axes == 0 and a.buffer.size != a.row):
        raise_damaged(self.pool, a, "its size is not that of a number of rows")
    return a


cdef uint64_t rows_of(const pm_array *a) noexcept:
    return a.buffer.size // a.row if a.row else a.rows


cdef tuple shape_of(PersistentArray self):
    cdef pm_array *a = ready(self)
    return (rows_of(a), *self.tail) if self.axes else ()


cdef object view_of(PersistentArray self):
    """A read-only ndarray of the memory."""
    cdef Held held
    shape = shape_of(self)
    held = Held.__new__(Held)
    held.of = self
    held.counted = True
    export_begins(self)
    return np.ndarray(shape, self.dtype_of, held)


cdef object item_of(PersistentArray self, object key):
    """A number or text at a position: exact ints for all axes.  What it gives is a copy, never a view."""
    cdef pm_array *a = ready(self)
    cdef Peek peek
    if self.peek == NULL or self.peek_at != bytes_of(self) or self.peek_size != a.buffer.size:
        peek = Peek.__new__(Peek)
        peek.at = bytes_of(self)
        peek.size = a.buffer.size
        made = np.ndarray(shape_of(self), self.dtype_of, peek)
        Py_XDECREF(self.peek)
        Py_INCREF(made)
        self.peek = <PyObject *>made
        self.peek_at = peek.at
        self.peek_size = peek.size
    return (<object>self.peek)[key] if self.kind else text_of(self, <object>self.peek, key)


cdef object text_of(PersistentArray self, object array, object key):
    """What NumPy gives of it, which is no damaged text."""
    try:
        value = array[key]
    except SystemError:
        raise_if_no_text(self)
        raise
    if isinstance(value, str) and PyUnicode_KIND(value) == 4:
        raise_if_no_text(self)
    return value


cdef int raise_if_no_text(PersistentArray self) except -1:
    if _array_texts.has_invalid_text(view_of(self)):
        raise_damaged(self.pool, self.head, "a text in it has a character that there is none")
    return 0


cdef object in_words(PersistentArray self, object function):
    """What NumPy makes of all items."""
    view = view_of(self)
    if view.dtype.kind in "UV":
        raise_if_no_text(self)
    return function(view)


cdef bint is_one_item(PersistentArray self, object key) noexcept:
    """Integers that lead to one item, which is not a structure: NumPy's are views."""
    if self.dtype_of is None or self.dtype_of.kind == "V":
        return False
    if type(key) is int:
        return self.axes == 1
    if type(key) is not tuple or len(<tuple>key) != self.axes:
        return False
    for number in <tuple>key:
        if type(number) is not int:
            return False
    return self.axes > 0


# --- changing

cdef object new_transaction(PersistentArray self):
    """Nobody else changes the pool until its end."""
    check_read(self)
    return self.pool.transaction()


cdef int store(PersistentArray self, uint64_t lo, const char *source, uint64_t size) except -1:
    """source: contiguous memory of this process, or a part of the pool's that is not this array's."""
    cdef pm_buffer *b = look(self)
    if lo + size > b.size:
        raise RuntimeError(CHANGED)
    return overwrite(self, lo, source, size)


cdef int store_array(PersistentArray self, uint64_t lo, object source) except -1:
    """All of a contiguous ndarray."""
    cdef uint64_t address = address_of(source), size = source.nbytes
    return store(self, lo, <const char *>address, size)


cdef object whole_key(PersistentArray self, object key):
    """A key that gives an array in every case, of no axis where the key leads to one item.  Names of fields do so."""
    if self.dtype_of.names is not None and (
            isinstance(key, str) or isinstance(key, list) and key and isinstance(key[0], str)):
        return key
    keys = key if isinstance(key, tuple) else (key,)
    for one in keys:
        if one is ...:
            return keys
    return (*keys, ...)


cdef tuple bounds_of(object part):
    """Address of the first byte, and of what is behind the last one, of an array that has items."""
    low = high = address_of(part)
    for length, stride in zip(part.shape, part.strides):
        if stride < 0:
            low += (length - 1) * stride
        else:
            high += (length - 1) * stride
    return low, high + part.dtype.itemsize


cdef bint is_view_of(object part, object view) except -1:
    return np.may_share_memory(part, view)


cdef object values_for(object part, object value):
    """An array like the part, with the values that an assignment would put there.  User code; NumPy's errors."""
    made = np.zeros(part.shape, part.dtype)
    made[...] = value
    return made


cdef int assign(PersistentArray self, object key, object value) except -1:
    cdef uint64_t lo
    describe(self)
    key = whole_key(self, key)
    view = view_of(self)
    part = view[key]
    if part.size == 0 or part.dtype.itemsize == 0:
        values_for(part, value)
        look(self)
        return 0
    if not is_view_of(part, view):
        return scatter(self, key, value)
    if part.dtype.names is not None:        # whose fields may have room in between
        return assign_between(self, key, value)
    if type(value) is not np.ndarray or value.dtype != part.dtype or value.shape != part.shape or \
            not value.flags.c_contiguous or is_view_of(value, view):
        value = values_for(part, value)
    lo = address_of(part) - address_of(view)
    if not part.flags.c_contiguous:
        return put_spread(self, lo, part, value)
    part = view = None                      # from here on it may move
    return store_array(self, lo, value)


cdef int assign_between(PersistentArray self, object key, object value) except -1:
    """What lies in between is written, too, and must be what it is."""
    cdef uint64_t lo
    transaction = new_transaction(self)
    with transaction:
        view = view_of(self)
        lo, covered, part = copy_of_part(self, view[key], view)
        view = None
        part[...] = value
        transaction._must_be_open()
        store_array(self, lo, covered)
    return 0


cdef tuple copy_of_part(PersistentArray self, object part, object view):
    """(position of the first byte, a copy of the bytes that the part spans, the same part of that copy)."""
    if part.size == 0 or part.dtype.itemsize == 0:
        return 0, np.zeros(0, np.uint8), np.zeros(part.shape, part.dtype)
    low, high = bounds_of(part)
    lo = low - address_of(view)
    covered = np.array(np.ndarray(high - low, np.uint8, view.base, lo))
    return lo, covered, np.ndarray(part.shape, part.dtype, covered, address_of(part) - low, part.strides)


cdef object positions_of(object shape, object key):
    """The number, counted over the whole array, of each item that the key names."""
    found, step = 0, 1
    for axis in range(len(shape) - 1, -1, -1):
        numbers = np.arange(shape[axis], dtype=np.intp).reshape([-1 if i == axis else 1 for i in range(len(shape))])
        found = found + np.broadcast_to(numbers, shape)[key] * step
        step *= shape[axis]
    return found


cdef int scatter(PersistentArray self, object key, object value) except -1:
    """Fancy and boolean indices: pieces of neighbours, or if they are many, all from the first to the last."""
    transaction = new_transaction(self)
    with transaction:
        view = view_of(self)
        positions = positions_of(view.shape, key).ravel()
        values = values_for(view[key], value).ravel()
        if positions.size != values.size:
            raise RuntimeError("the index is another one each time it is asked for")
        order = np.argsort(positions, kind="stable")
        positions, values = positions[order], values[order]
        last = np.append(np.diff(positions) != 0, True)     # of those named more than once
        positions, values = positions[last], values[last]
        ends = np.flatnonzero(np.diff(positions) * view.itemsize > GAP) + 1
        if ends.size >= MOST_PIECES:
            ends = ends[:0]
        flat, view = view.reshape(-1), None
        pieces = []
        for numbers, items in zip(np.split(positions, ends), np.split(values, ends)):
            piece = flat[numbers[0]:numbers[numbers.size - 1] + 1].copy()
            piece[numbers - numbers[0]] = items
            pieces.append((numbers[0], piece))
        flat = None
        transaction._must_be_open()
        for first, piece in pieces:
            store_array(self, first * piece.itemsize, piece)
    return 0


cdef object change_copy(PersistentArray self, object function, tuple arguments):
    """What a function makes of a copy of all items takes their place."""
    transaction = new_transaction(self)
    with transaction:
        describe(self)
        changed = view_of(self).copy()
        function(changed, *arguments)
        transaction._must_be_open()
        store_array(self, 0, changed)
    return self


cdef int set_rows(PersistentArray self, uint64_t rows) except -1:
    cdef pm_array *a = ready(self)
    cdef uint64_t now = rows_of(a)
    if self.axes == 0:
        raise ValueError("an array without axes has no rows")
    if a.row == 0:
        op_begin(self.pool)
        pm_store(self.p, &a.rows, rows)
        return op_end(self.pool)
    if rows <= now:
        return splice(self, rows * a.row, a.buffer.size, b"", 0)
    if rows - now > self.p.size // a.row:
        must_not_move(self)
        raise errors.PoolFullError(f"{self.pool.path}: {rows} rows are more than the pool can hold")
    zeros = np.zeros((rows - now) * a.row, np.uint8)
    return splice(self, a.buffer.size, a.buffer.size, <const char *>address_of(zeros), zeros.nbytes)


cdef int add_rows(PersistentArray self, object rows) except -1:
    """rows: an array of one axis more than a row, of our type; contiguous."""
    cdef pm_array *a = ready(self)
    if a.row == 0:
        return set_rows(self, rows_of(a) + <uint64_t>len(rows))
    if is_view_of(rows, np.ndarray(a.buffer.size, np.uint8, Held_for(self))):
        rows = rows.copy()
    a = ready(self)
    return splice(self, a.buffer.size, a.buffer.size, <const char *>address_of(rows), rows.nbytes)


cdef Held Held_for(PersistentArray self):
    cdef Held held = Held.__new__(Held)
    held.of = self
    return held


include "_array_items.pxi"


cdef object plain(object value):
    return view_of(value) if isinstance(value, PersistentArray) else value


cdef class PersistentArray(ArrayNumbers):
    """A NumPy array in a pool: ``pool.new(PersistentArray, data, dtype=None)``, ``pool.new(PersistentArray,
    shape=(3, 4), dtype=float)`` of zeros, or a plain ndarray stored anywhere.

    ``np.asarray(a)``, and every index that gives an array, is the pool's own memory, read-only, without a copy.  While
    there is such an array the number of rows cannot change and the pool cannot be closed (BufferError).  What it shows
    is the present contents: also changes of a transaction that is still open, and after its abort what was there
    before.  Arithmetic and functions give plain ndarrays.

    Items are changed by ``a[...] = x`` with any index that NumPy has, by in-place operators, and by writing().  Each
    is atomic alone: when it raises, nothing has changed.  In a transaction it is undone with it.  The number of rows,
    the first axis, is changed by append(), extend() and resize(); the other axes and the dtype never.  Any dtype of
    a fixed size will do: numbers, texts, times, structures; those with Python objects are refused with a TypeError.

    Mutators raise what NumPy raises, PoolFullError, ReadOnlyPoolError; everything raises PoolClosedError and
    StaleObjectError.
    """

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        """A new object of this pool, from the arguments of pool.new()."""
        need_numpy()
        return create(PersistentArray.__new__(cls), pool, arguments(*args, **kwargs))

    def __dealloc__(self):
        Py_XDECREF(self.peek)

    # --- as NumPy sees it

    def __array__(self, dtype=None, copy=None):
        """The items as an ndarray: the pool's memory, read-only, unless a copy is asked for or another dtype."""
        view = view_of(self)
        if dtype is not None and np.dtype(dtype) != view.dtype:
            if copy is False:
                raise ValueError("Unable to avoid copy while creating an array as requested.")
            return view.astype(dtype)
        return view.copy() if copy else view

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        describe(self)
        if method == "at":
            if not isinstance(inputs[0], PersistentArray):
                return ufunc.at(inputs[0], *[plain(value) for value in inputs[1:]])
            more = tuple([plain(value) for value in inputs[1:]])
            change_copy(inputs[0], ufunc.at, more)
            return None
        inputs = tuple([plain(value) for value in inputs])
        for name in kwargs:
            if name != "out":
                kwargs[name] = plain(kwargs[name])
        out = kwargs.get("out", ())
        if not any([isinstance(array, PersistentArray) for array in out]):
            return getattr(ufunc, method)(*inputs, **kwargs)
        return into(getattr(ufunc, method), inputs, kwargs, out)

    @property
    def shape(self):
        """The lengths of the axes."""
        return shape_of(self)

    @property
    def dtype(self):
        """The type of the items."""
        describe(self)
        return self.dtype_of

    @property
    def ndim(self):
        """The number of axes."""
        describe(self)
        return self.axes

    @property
    def size(self):
        """The number of items."""
        return math.prod(shape_of(self))

    @property
    def itemsize(self):
        """Bytes of an item."""
        describe(self)
        return self.dtype_of.itemsize

    @property
    def nbytes(self):
        """Bytes of all items."""
        return ready(self).buffer.size

    @property
    def T(self):
        """As np.asarray(a).T."""
        return view_of(self).T

    def __getattr__(self, str name):
        # Only what looks at an ndarray: those that change it are methods of their own, or cannot be done.
        if name not in READING:
            raise AttributeError(f"'PersistentArray' object has no attribute '{name}'")
        return getattr(view_of(self), name)

    def __dir__(self):
        return sorted({*object.__dir__(self), *READING})

    # --- items

    def __len__(self):
        cdef pm_array *a = ready(self)
        if self.axes == 0:
            raise TypeError("len() of unsized object")
        return rows_of(a)

    def __getitem__(self, key):
        return item_of(self, key) if is_one_item(self, key) else text_of(self, view_of(self), key)

    def __setitem__(self, key, value):
        if not store_part(self, key, value):
            assign(self, key, value)

    def __delitem__(self, key):
        check_read(self)
        raise ValueError("cannot delete array elements; resize() cuts rows off the end")

    def __iter__(self):
        return iter(view_of(self))

    def __contains__(self, value):
        return value in view_of(self)

    def writing(self, key=..., /):
        """``with a.writing(np.s_[2:8, ::2]) as view:`` gives an ndarray to write to, of the items that the index names,
        or of all.

        The block is a transaction, or a savepoint inside one.  The view is a copy of the items, which are replaced by
        it when the block ends: all of them or, after an exception, none.  Until then the array has its old contents,
        and its number of rows cannot change.  Raises IndexError for an index of which NumPy makes no view (fancy and
        boolean ones).
        """
        cdef Writing made = Writing.__new__(Writing)
        check_read(self)
        made.of = self
        made.key = key
        made.begin = begin_writing
        return made

    def append(self, row, /):
        """Adds one row, an item of the first axis, at the end.  Atomic.

        Takes constant time, over many: the block grows by an eighth.  Raises ValueError when it has another shape,
        BufferError while memory of the array is in use, PoolFullError.
        """
        describe(self)
        if self.axes == 0:
            raise ValueError("an array without axes has no rows")
        made = np.zeros((1, *self.tail), self.dtype_of)
        made[0] = row
        add_rows(self, made)

    def extend(self, rows, /):
        """Adds rows, the items of an array or sequence, at the end.  Atomic.  Raises as append()."""
        describe(self)
        if self.axes == 0:
            raise ValueError("an array without axes has no rows")
        rows = np.asarray(rows)
        if rows.ndim == 0:
            raise ValueError("extend() takes an array or sequence of rows; append() takes one")
        made = np.zeros((len(rows), *self.tail), self.dtype_of)
        if rows.shape[1:] != self.tail and len(rows):
            raise ValueError(f"rows of the shape {rows.shape[1:]} cannot be added to those of {self.tail}")
        if len(rows):
            made[...] = rows
        rows = None                         # it may be of our own memory
        add_rows(self, made)

    def resize(self, rows, /):
        """Cuts the array to that number of rows, or adds rows of zeros at the end.  Atomic.

        rows: a number; or a whole shape, the same as before but for its first number.  Raises ValueError,
        BufferError while memory of the array is in use, PoolFullError.
        """
        describe(self)
        if isinstance(rows, tuple):
            if len(rows) != self.axes or rows[1:] != self.tail:
                raise ValueError(f"an array of the shape {shape_of(self)} cannot get the shape {rows}: only the first "
                                 "axis changes")
            if not rows:
                return
            rows = rows[0]
        rows = operator.index(rows)
        if rows < 0:
            raise ValueError("negative dimensions are not allowed")
        if rows >= 1 << 48:
            raise errors.PoolFullError(f"{self.pool.path}: {rows} rows are more than a pool can hold")
        set_rows(self, rows)

    def fill(self, value, /):
        """All items become that value.  Atomic."""
        self[...] = value

    def _p_change(self, function, other):
        """What function(copy, other) makes of a copy of the items takes their place.  Atomic."""
        other = plain(other)
        return self if change_few(self, function, other) else change_copy(self, function, (other,))

    def sort(self, axis=-1, kind=None, order=None):
        """Sorts the items along an axis, in place.  Atomic.  The arguments are those of ndarray.sort()."""
        change_copy(self, sort_in_place, (axis, kind, order))

    # --- copies

    def copy(self):
        """A plain ndarray with these items."""
        return view_of(self).copy()

    def __reduce__(self):
        return self.copy().__reduce__()

    def tolist(self):
        """The items as a list, of lists if there are several axes; of Python's numbers and texts."""
        return in_words(self, operator.methodcaller("tolist"))

    def __repr__(self):
        text = in_words(self, repr)
        name = type(self).__name__
        return name + text[5:].replace("\n", "\n" + " " * (len(name) - 5))

    def __str__(self):
        return in_words(self, str)

    def __format__(self, str spec not None):
        return in_words(self, lambda view: format(view, spec))

    def _check(self):
        """Raises PoolDamagedError if the block, the description or a text is not what it can be."""
        ready(self)
        raise_if_no_text(self)


#: Attributes of ndarrays that only look.
READING = frozenset(
    "all any argmax argmin argpartition argsort astype choose clip compress conj conjugate cumprod cumsum diagonal dot "
    "flags flat flatten imag item max mean min nonzero prod ravel real repeat reshape round searchsorted squeeze std "
    "strides sum swapaxes take tobytes tofile trace transpose var view".split()
)


def sort_in_place(array, axis, kind, order):
    array.sort(axis=axis, kind=kind, order=order)


def into(function, inputs, kwargs, out):
    """A ufunc with persistent arrays among those to be filled: copies are, and then stored, all of them or none."""
    cdef PersistentArray array
    first = next(array for array in out if isinstance(array, PersistentArray))
    transaction = new_transaction(first)
    with transaction:
        kwargs["out"] = copies = tuple([view_of(o).copy() if isinstance(o, PersistentArray) else o for o in out])
        function(*inputs, **kwargs)
        inputs = None
        transaction._must_be_open()
        for o, copied in zip(out, copies):
            if isinstance(o, PersistentArray):
                assign(o, ..., copied)
    return out[0] if len(out) == 1 else out


def begin_writing(PersistentArray array not None, key):
    """See Writing.begin in _buffer.pxd."""
    describe(array)
    view = view_of(array)
    part = view[whole_key(array, key)]
    if part.size and part.dtype.itemsize and not is_view_of(part, view):
        raise IndexError("writing() takes an index of which NumPy makes a view: numbers, slices, names of fields")
    return copy_of_part(array, part, view)


# --- making one

def arguments(data=None, dtype=None, *, shape=None):
    """The array of which pool.new() makes a copy."""
    if isinstance(data, PersistentArray):
        data = view_of(data)
    if shape is not None:
        if data is not None:
            raise TypeError("PersistentArray takes data, or the shape of an array of zeros, not both")
        return np.zeros(shape, float if dtype is None else dtype)
    return np.asarray(() if data is None else data, dtype)


def describe_array(value):
    """(contiguous ndarray, address, bytes, number of rows, bytes of a row, shape, dtype's text), or None if it is none.

    Raises TypeError for one that cannot be stored.
    """
    if type(value).__module__ != "numpy":
        return None
    need_numpy()
    if type(value) is not np.ndarray:
        return None
    text = dtype_text(value.dtype)
    value = np.asarray(value, order="C")
    rows = value.shape[0] if value.ndim else 1
    row = math.prod(value.shape[1:]) * value.dtype.itemsize
    return value, address_of(value), value.nbytes, rows, row, value.shape, text


cdef object create(PersistentArray made, Pool pool, object array):
    cdef uint64_t offset
    described = describe_array(array if type(array) is np.ndarray else np.asarray(array))
    pool_check_read(pool)
    op_begin(pool)
    try:
        offset = new_array(pool, described, False)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    bind(made, pool, <pm_object *>pm_at(pool.p, offset))
    return made


cdef PyObject *make(Pool pool, pm_object *head, pm_known_cell *cell) except NULL:
    return made_proxy(PersistentArray, pool, head)


register_proxy(PM_TYPE_ARRAY, PersistentArray, make)
set_describe_array(describe_array)
