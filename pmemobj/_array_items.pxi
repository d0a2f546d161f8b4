# Changes of an array that need no ndarray of the pool's memory: of what numbers, Ellipsis, or one slice without a step
# lead to, which is contiguous.  What is not done here, or would raise, is left to assign().

cdef enum:
    SMALL_BYTES = 16384         # are kept on the stack
    MOST_AXES = 64              # of NumPy's arrays; a view may have more than the array


cdef str CHANGED = "the array was changed while something was being stored into it"


cdef struct part_of:            # of an array's bytes
    uint64_t lo, size
    Py_ssize_t rows             # items of its first axis; -1: there is no such axis, a number led to one of them
    Py_ssize_t axis             # of the array, from which on all is in the part


cdef bint row_number(object number, uint64_t rows, uint64_t *found) noexcept:
    """An exact int, or the integer of NumPy's that indices are, which is a position."""
    cdef Py_ssize_t i
    cdef int overflow = 0
    if type(number) is int:
        i = PyLong_AsLongAndOverflow(number, &overflow)
    elif type(number) is np_intp:
        i = PyNumber_AsSsize_t(number, NULL)
    else:
        return False
    if i < 0:
        i += <Py_ssize_t>rows
    found[0] = <uint64_t>i
    return not overflow and 0 <= i < <Py_ssize_t>rows


cdef bint is_plain_bound(object bound) noexcept:
    return bound is None or type(bound) is int


cdef bint find_part(PersistentArray self, const pm_array *a, object key, part_of *part) except -1:
    """False: the key is of another kind, or leads nowhere.  Runs no user code."""
    cdef uint64_t i, step = a.row, length
    cdef Py_ssize_t start, stop, by, k, n
    if key is ...:
        part[0] = part_of(0, a.buffer.size, rows_of(a) if self.axes else -1, 1 if self.axes else 0)
        return True
    if self.axes == 0 or step == 0:
        return False
    if type(key) is int or type(key) is np_intp:
        if not row_number(key, rows_of(a), &i):
            return False
        part[0] = part_of(i * step, step, -1, 1)
        return True
    if type(key) is slice:
        if not is_plain_bound(key.start) or not is_plain_bound(key.stop) or key.step is not None:
            return False
        PySlice_Unpack(key, &start, &stop, &by)
        n = PySlice_AdjustIndices(rows_of(a), &start, &stop, by)
        part[0] = part_of(<uint64_t>start * step, <uint64_t>n * step, n, 1)
        return True
    if type(key) is not tuple:
        return False
    n = len(<tuple>key)
    if not 0 < n <= self.axes or not row_number((<tuple>key)[0], rows_of(a), &i):
        return False
    part[0] = part_of(i * step, step, -1, n)
    for k in range(1, n):
        length = (<tuple>self.tail)[k - 1]
        step //= length                     # the row is not empty, so no axis is
        if not row_number((<tuple>key)[k], length, &i):
            return False
        part.lo += i * step
    part.size = step
    return True


cdef tuple shape_of_part(PersistentArray self, const part_of *part):
    rest = self.tail[part.axis - 1:] if part.axis else ()
    return rest if part.rows < 0 else (part.rows, *rest)


cdef union item_bytes:
    double d
    float f
    int8_t b
    int64_t q
    uint64_t u
    char bytes[16]


cdef bint encode_float(PersistentArray self, double value, item_bytes *to) noexcept:
    if self.width == 8:
        to.d = value
        return True
    if self.width != 4:
        return False
    to.f = <float>value
    return isfinite(to.f) or not isfinite(value)        # else NumPy warns


cdef bint encode_int(PersistentArray self, object value, item_bytes *to) noexcept:
    cdef unsigned bits = 8 * self.width
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        return False
    if self.kind == b"f":
        return -(<int64_t>1 << 53) <= number <= <int64_t>1 << 53 and encode_float(self, <double>number, to)
    to.q = number
    if self.kind == b"i":
        return number >> (bits - 1) == number >> 63
    return self.kind == b"u" and number >= 0 and (bits == 64 or number >> bits == 0)


cdef bint encode_number(PersistentArray self, object value, item_bytes *to) except -1:
    """An item, where NumPy would only copy it: of a number's type, from a number that fits."""
    cdef Py_buffer seen
    if self.kind == 0:
        return False
    if type(value) is float:
        return self.kind == b"f" and encode_float(self, value, to)
    if type(value) is int:
        return encode_int(self, value, to)
    if type(value) is bool:
        to.b = value is True
        return self.kind == b"b"
    if type(value) is not self.scalar:
        return False
    PyObject_GetBuffer(value, &seen, PyBUF_SIMPLE)
    try:
        if seen.len != self.width:
            return False
        memcpy(to.bytes, seen.buf, self.width)
    finally:
        PyBuffer_Release(&seen)
    return True


cdef int fill_part(PersistentArray self, const part_of *part, const item_bytes *item) except -1:
    cdef char few[SMALL_BYTES]
    cdef uint64_t done
    if part.size == self.width:
        if pm_put_bytes(self.p, pm_buffer_at(self.p, buffer_of(self)) + part.lo, item.bytes, self.width):
            return 0
        return overwrite(self, part.lo, item.bytes, self.width)
    for done in range(0, part.size, self.width):
        memcpy(few + done, item.bytes, self.width)
    return overwrite(self, part.lo, few, part.size)


cdef bint has_shape_of(PersistentArray self, const part_of *part, const Py_buffer *seen) except -1:
    cdef Py_ssize_t k = 0, axis
    if seen.ndim != self.axes - part.axis + (part.rows >= 0):
        return False
    if part.rows >= 0:
        if seen.shape[0] != part.rows:
            return False
        k = 1
    for axis in range(part.axis, self.axes):
        if seen.shape[k] != <Py_ssize_t>(<tuple>self.tail)[axis - 1]:
            return False
        k += 1
    return True


cdef bint copy_part(PersistentArray self, const part_of *part, object value) except -1:
    """From a plain ndarray of the same type and shape that is no memory of ours."""
    cdef Py_buffer seen
    cdef const char *mine = bytes_of(self)
    if value.dtype is not self.dtype_of:
        return False
    try:
        PyObject_GetBuffer(value, &seen, PyBUF_C_CONTIGUOUS)
    except (BufferError, ValueError):
        return False
    try:
        if not has_shape_of(self, part, &seen) or <uint64_t>seen.len != part.size:
            return False
        if <const char *>seen.buf < mine + buffer_of(self).size and mine < <const char *>seen.buf + seen.len:
            return False
        overwrite(self, part.lo, <const char *>seen.buf, part.size)
    finally:
        PyBuffer_Release(&seen)
    return True


cdef bint store_part(PersistentArray self, object key, object value) except -1:
    """False: nothing has been done."""
    cdef pm_array *a = ready(self)
    cdef part_of part
    cdef item_bytes item
    cdef Py_buffer seen
    if not self.is_solid or not find_part(self, a, key, &part) or part.size == 0:
        return False
    if type(value) is np_ndarray:
        if copy_part(self, &part, value):
            return True
    elif part.size <= SMALL_BYTES and encode_number(self, value, &item):
        fill_part(self, &part, &item)
        return True
    # NumPy makes the bytes, where user code may run.
    if part.rows < 0 and part.axis == self.axes and key is not ...:
        values = np.zeros(1, self.dtype_of)
        values[0] = value                   # one item: for it NumPy takes more values than for an array
    else:
        values = np.zeros(shape_of_part(self, &part), self.dtype_of)
        values[...] = value
    PyObject_GetBuffer(values, &seen, PyBUF_SIMPLE)
    try:
        store(self, part.lo, <const char *>seen.buf, part.size)
    finally:
        PyBuffer_Release(&seen)
    return True


# --- a part with other items in between

cdef struct axis_of:
    uint64_t length
    int64_t stride


cdef void put_axis(
    pm_pool *p, bint many, char *to, const char **source, uint64_t run, const axis_of *axis, Py_ssize_t axes
) noexcept:
    cdef uint64_t i
    if axes == 0:
        put_bytes(p, many, to, source[0], run)
        source[0] += run
        return
    for i in range(axis.length):
        put_axis(p, many, to + <int64_t>i * axis.stride, source, run, axis + 1, axes - 1)


cdef int put_spread(PersistentArray self, uint64_t at, object part, object values) except -1:
    """The items of `values`, which are contiguous, take the place of those of a view of ours, which begins there.  The
    view is not needed any more, only what it said of its axes."""
    cdef axis_of axes[MOST_AXES]
    cdef uint64_t size = values.nbytes, run = values.dtype.itemsize
    cdef Py_ssize_t n = 0
    cdef const char *source
    cdef Py_buffer seen
    cdef bint many, own
    for length, stride in zip(part.shape, part.strides):
        axes[n] = axis_of(length, stride)
        n += 1
    while n and axes[n - 1].stride == <int64_t>run:     # one piece
        run *= axes[n - 1].length
        n -= 1
    part = None
    look(self)
    must_be_inside(self, at, run, axes, n)
    PyObject_GetBuffer(values, &seen, PyBUF_SIMPLE)
    try:
        source = <const char *>seen.buf
        many = is_many(size)
        own = rewrite_begin(self.pool, many)
        put_axis(self.p, many, pm_buffer_at(self.p, buffer_of(self)) + at, &source, run, axes, n)
        rewrite_end(self.pool, own)
    finally:
        PyBuffer_Release(&seen)
    return 0


cdef int must_be_inside(
    PersistentArray self, uint64_t at, uint64_t run, const axis_of *axis, Py_ssize_t axes
) except -1:
    """User code may have taken rows away since the part was found."""
    cdef uint64_t first = at, behind = at + run
    cdef Py_ssize_t k
    for k in range(axes):
        if axis[k].stride < 0:
            first += <uint64_t>((axis[k].length - 1) * axis[k].stride)
        else:
            behind += (axis[k].length - 1) * axis[k].stride
    if first > at or behind > buffer_of(self).size:
        raise RuntimeError(CHANGED)
    return 0


cdef bint is_plain_operand(object value) except -1:
    """What NumPy computes with without asking anybody."""
    if type(value) is int or type(value) is float:
        return True
    return type(value) is np_ndarray and value.dtype.kind in "biufc"


cdef bint change_few(PersistentArray self, object function, object other) except -1:
    """What function(copy, other) makes of all items takes their place, if they are few, and still what they were:
    NumPy may let other threads run, and a warning user code.  False: nothing has been done."""
    cdef pm_array *a = ready(self)
    cdef uint64_t size = a.buffer.size
    cdef char before[SMALL_BYTES]
    cdef Py_buffer seen
    if self.kind == 0 or not 0 < size <= SMALL_BYTES or not is_plain_operand(other):
        return False
    changed = np_empty(shape_of(self), self.dtype_of)
    PyObject_GetBuffer(changed, &seen, PyBUF_SIMPLE)
    try:
        memcpy(before, bytes_of(self), size)
        memcpy(seen.buf, before, size)
        function(changed, other)
        a = ready(self)
        if a.buffer.size != size or memcmp(bytes_of(self), before, size) != 0:
            return False
        overwrite(self, 0, <const char *>seen.buf, size)
    finally:
        PyBuffer_Release(&seen)
    return True
