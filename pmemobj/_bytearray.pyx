"""PersistentByteArray: the API of bytearray on a block in a pool (see pm_buffer in layout.h, and _buffer.pyx).

What only looks at the bytes is done by bytearray's own methods, on an object that has been lent the pool's memory for
the length of a call.  Meanwhile the bytes count as exported: user code that is called cannot move them.  What such
methods give are plain bytearrays.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytearray cimport (
    PyByteArray_AS_STRING, PyByteArray_CheckExact, PyByteArray_FromStringAndSize, PyByteArray_GET_SIZE,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport uint64_t

from pmemobj._buffer cimport (
    PersistentBuffer, Writing, buffer_of, bytes_of, export_begins, export_ends, look, must_not_move,
    overwrite, pm_append_byte, pm_buffer_at, pm_put_byte, splice,
)
from pmemobj._cengine cimport pm_at, pm_known_cell
from pmemobj._core cimport (
    Pool, bind, buffer_fill, check_read, made_proxy, object_new, op_abort, op_begin, op_end, plausible, pool_check_read,
    register_proxy,
)
from pmemobj._layout cimport PM_TYPE_BYTEARRAY, pm_buffer, pm_object
from pmemobj._sequence cimport index_of

from collections.abc import MutableSequence

__all__ = ["PersistentByteArray"]


cdef extern from "Python.h":
    bint PyIndex_Check(object o) noexcept
    bint PyObject_CheckBuffer(object o) noexcept
    bint PySlice_Check(object o) noexcept
    int PySlice_Unpack(object s, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t *step) except -1
    Py_ssize_t PySlice_AdjustIndices(Py_ssize_t length, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t step) noexcept
    void Py_INCREF(object o) noexcept
    const Py_ssize_t PY_SSIZE_T_MAX

cdef extern from *:
    """
    /* A bytearray with memory that is not its own: it is never resized, since it counts as exported. */
    static PyObject *pm_lent(const char *at, Py_ssize_t size)
    {
    #if PY_VERSION_HEX < 0x030f0000
        PyObject *o = PyByteArray_FromStringAndSize(NULL, 0);
        if (o != NULL && size) {
            PyByteArrayObject *lent = (PyByteArrayObject *)o;
            lent->ob_bytes = lent->ob_start = (char *)at;
            lent->ob_alloc = size + 1;
            lent->ob_exports = 1;
            Py_SET_SIZE(lent, size);
        }
        return o;
    #else
        return PyByteArray_FromStringAndSize(at, size);     /* whose fields are others */
    #endif
    }

    /* The memory is not this one's any more.  0: somebody has got an address of it, and keeps that. */
    static int pm_is_back(PyObject *o)
    {
    #if PY_VERSION_HEX < 0x030f0000
        PyByteArrayObject *lent = (PyByteArrayObject *)o;
        if (Py_SIZE(lent) == 0)
            return 1;
        if (lent->ob_exports != 1)
            return 0;
        lent->ob_bytes = lent->ob_start = NULL;
        lent->ob_alloc = 0;
        lent->ob_exports = 0;
        Py_SET_SIZE(lent, 0);
    #endif
        (void)o;
        return 1;
    }
    """
    object pm_lent(const char *at, Py_ssize_t size)
    bint pm_is_back(object o) noexcept

cdef extern from *:
    """
    /* For PySequence_GetItem and PySequence_SetItem, which have added the length to a negative index already. */
    static PyObject *pm_item_number(Py_ssize_t i)
    {
        if (i >= 0)
            return PyLong_FromSsize_t(i);
        PyErr_SetString(PyExc_IndexError, "bytearray index out of range");
        return NULL;
    }

    static PyObject *pm_sequence_item(PyObject *o, Py_ssize_t i)
    {
        PyObject *number = pm_item_number(i), *item = number == NULL ? NULL : PyObject_GetItem(o, number);
        Py_XDECREF(number);
        return item;
    }

    static int pm_sequence_set(PyObject *o, Py_ssize_t i, PyObject *value)
    {
        PyObject *number = pm_item_number(i);
        int failed = -1;
        if (number != NULL)
            failed = value == NULL ? PyObject_DelItem(o, number) : PyObject_SetItem(o, number, value);
        Py_XDECREF(number);
        return failed;
    }

    static void pm_make_sequence(PyTypeObject *type)
    {
        type->tp_as_sequence->sq_item = pm_sequence_item;
        type->tp_as_sequence->sq_ass_item = pm_sequence_set;
    }
    """
    void pm_make_sequence(PyTypeObject *type) noexcept


# --- reading

cdef object ask(PersistentByteArray self, str method, tuple arguments):
    """What a method of bytearray gives that does not change it.  May run user code."""
    cdef pm_buffer *b = look(self)
    lent = pm_lent(bytes_of(self), b.size)
    export_begins(self)
    try:
        return getattr(lent, method)(*arguments)
    finally:
        if pm_is_back(lent):
            export_ends(self)
        else:
            Py_INCREF(self)                 # nothing in Python does that; it would have to be kept for ever
            Py_INCREF(lent)


cdef bytearray part(PersistentByteArray self, Py_ssize_t lo, Py_ssize_t length):
    """Right after look()."""
    return PyByteArray_FromStringAndSize(bytes_of(self) + lo, length)


cdef bytearray everything(PersistentByteArray self):
    return part(self, 0, look(self).size)


cdef object plain_fill(object fill):
    """Some methods of bytearray take no other buffers."""
    return everything(fill) if isinstance(fill, PersistentByteArray) else fill


# --- changing

cdef int byte_of(object value) except -1:
    """User code.  Raises what bytearray does."""
    if type(value) is int and 0 <= value <= 255:
        return value
    return bytearray((value,))[0] if PyIndex_Check(value) else not_a_byte(value)


cdef int not_a_byte(object value) except -1:
    raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")


cdef const char *plain_bytes(object value) except NULL:
    """Of a bytes or bytearray object; until user code runs."""
    return PyBytes_AS_STRING(value) if PyBytes_CheckExact(value) else PyByteArray_AS_STRING(value)


cdef inline Py_ssize_t plain_size(object value) noexcept:
    return PyBytes_GET_SIZE(value) if PyBytes_CheckExact(value) else PyByteArray_GET_SIZE(value)


cdef inline bint is_plain(object value) noexcept:
    return PyBytes_CheckExact(value) or PyByteArray_CheckExact(value)


cdef int replace(PersistentByteArray self, uint64_t lo, uint64_t hi, object plain) except -1:
    """plain: bytes or a bytearray takes the place of lo..hi-1, right after look()."""
    return splice(self, lo, hi, plain_bytes(plain), plain_size(plain))


cdef int replace_all(PersistentByteArray self, bytearray plain) except -1:
    """After something that is done to a plain copy."""
    cdef pm_buffer *b = look(self)
    cdef const char *mine = bytes_of(self)
    cdef const char *other = PyByteArray_AS_STRING(plain)
    cdef uint64_t size = PyByteArray_GET_SIZE(plain), same = 0
    while same < size and same < b.size and mine[same] == other[same]:
        same += 1
    return splice(self, same, b.size, other + same, size - same)


cdef Py_ssize_t position(PersistentByteArray self, object key) except -1:
    """The index that the key means.  User code; after it, as after look()."""
    cdef Py_ssize_t i = index_of(key), size = look(self).size
    if i < 0:
        i += size
    if not 0 <= i < size:
        raise IndexError("bytearray index out of range")
    return i


cdef int put_byte(PersistentByteArray self, Py_ssize_t i, char value) except -1:
    if pm_put_byte(self.p, pm_buffer_at(self.p, buffer_of(self)) + i, <unsigned char>value):
        return 0
    return overwrite(self, i, &value, 1)


cdef int set_slice(PersistentByteArray self, object key, object values) except -1:
    """values: bytes or a bytearray; b"" deletes."""
    cdef Py_ssize_t start, stop, step, count
    PySlice_Unpack(key, &start, &stop, &step)
    count = PySlice_AdjustIndices(look(self).size, &start, &stop, step)
    if step == 1:
        return replace(self, start, start + count, values)
    if count == 0 and plain_size(values) == 0:
        return 0
    changed = everything(self)
    changed[key] = values                   # raises what has to be raised; the numbers in key have been asked for
    return replace_all(self, changed)


cdef object plain_values(PersistentByteArray self, object values):
    """What is assigned to a slice, as bytes or a bytearray.  May run user code; raises what bytearray does."""
    if is_plain(values):
        return values
    if isinstance(values, PersistentByteArray):
        return everything(values)
    copied = bytearray()
    copied[:] = values
    return copied


cdef slice plain_slice(object key):
    """Its numbers are asked for once, since that may run user code."""
    cdef Py_ssize_t start, stop, step
    PySlice_Unpack(key, &start, &stop, &step)
    return slice(None if key.start is None else start, None if key.stop is None else stop, step)


@cython.collection_type("sequence")
cdef class PersistentByteArray(PersistentBuffer):
    """A bytearray in a pool: ``pool.new(PersistentByteArray, ...)`` with the arguments of bytearray(), or a plain
    bytearray stored anywhere.

    It has the API of bytearray and raises what that raises.  What its methods give are plain bytearrays.

    ``memoryview(b)`` is the pool's own memory, read-only, without a copy.  While there is such a view the size cannot
    change and the pool cannot be closed (BufferError).  What it shows is the present contents: also changes of a
    transaction that is still open, and after its abort what was there before.  See writing() for a view to write to.

    Every mutator is atomic alone: when it raises, nothing has changed.  In a transaction it is undone with it.
    Mutators raise PoolFullError, ReadOnlyPoolError; every method raises PoolClosedError and StaleObjectError.
    """

    __hash__ = None
    maketrans = staticmethod(bytearray.maketrans)

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        """A new object of this pool, from the arguments of pool.new()."""
        return create(PersistentByteArray.__new__(cls), pool, bytearray(*args, **kwargs))

    @classmethod
    def fromhex(cls, string, /):
        """A plain bytearray from a text of hexadecimal numbers."""
        return bytearray.fromhex(string)

    # --- the buffer

    def __getbuffer__(self, Py_buffer *view, int flags):
        cdef pm_buffer *b = look(self)
        PyBuffer_FillInfo(view, self, <void *>bytes_of(self), b.size, True, flags)
        export_begins(self)

    def __releasebuffer__(self, Py_buffer *view):
        export_ends(self)

    def writing(self, key=None, /):
        """``with b.writing(slice(2, 8)) as view:`` gives a memoryview to write to, of the bytes that the slice names,
        or of all.

        The block is a transaction, or a savepoint inside one.  The view is a copy of the bytes, which are replaced by
        it when the block ends: all of them or, after an exception, none.  Until then b has its old contents, and
        its size cannot change.  The view cannot be used after the block.  Raises ValueError for a slice with a step.
        """
        cdef Writing made = Writing.__new__(Writing)
        cdef Py_ssize_t start, stop, step
        check_read(self)
        if key is None:
            key = slice(None)
        elif not PySlice_Check(key):
            raise TypeError(f"writing() takes a slice, not {type(key).__name__}")
        key = plain_slice(key)
        PySlice_Unpack(key, &start, &stop, &step)
        if step != 1:
            raise ValueError("writing() takes a slice of neighbours, without a step")
        made.of = self
        made.key = key
        made.begin = begin_writing
        return made

    # --- items

    def __len__(self):
        check_read(self)
        return plausible(self, buffer_of(self).size)

    def __getitem__(self, key):
        cdef Py_ssize_t i, stop, step, count
        if PyIndex_Check(key):
            i = position(self, key)
            return <unsigned char>bytes_of(self)[i]
        if not PySlice_Check(key):
            check_read(self)
            raise TypeError(f"bytearray indices must be integers or slices, not {type(key).__name__}")
        key = plain_slice(key)
        PySlice_Unpack(key, &i, &stop, &step)
        if step != 1:
            return ask(self, "__getitem__", (key,))
        count = PySlice_AdjustIndices(look(self).size, &i, &stop, step)
        return part(self, i, count)

    def __setitem__(self, key, value):
        cdef int byte
        if PyIndex_Check(key):
            byte = byte_of(value)
            put_byte(self, position(self, key), <char>byte)
        elif PySlice_Check(key):
            key = plain_slice(key)
            check_read(self)
            set_slice(self, key, plain_values(self, value))
        else:
            check_read(self)
            raise TypeError(f"bytearray indices must be integers or slices, not {type(key).__name__}")

    def __delitem__(self, key):
        cdef Py_ssize_t i
        if PyIndex_Check(key):
            i = position(self, key)
            splice(self, i, i + 1, b"", 0)
        elif PySlice_Check(key):
            set_slice(self, plain_slice(key), b"")
        else:
            check_read(self)
            raise TypeError(f"bytearray indices must be integers or slices, not {type(key).__name__}")

    def append(self, item, /):
        """Adds one byte at the end.  Atomic.  Raises ValueError or TypeError for what is none, BufferError."""
        cdef char byte = <char>byte_of(item)
        cdef pm_buffer *b = look(self)
        if b.start + b.size < b.cap and not self.exports and pm_append_byte(self.p, b, <unsigned char>byte):
            return
        splice(self, b.size, b.size, &byte, 1)

    def extend(self, iterable_of_ints, /):
        """Adds bytes, or the numbers of an iterable, at the end.  Atomic, also when the iterable raises."""
        check_read(self)
        if is_plain(iterable_of_ints):
            values = iterable_of_ints
        elif isinstance(iterable_of_ints, PersistentByteArray):
            values = everything(iterable_of_ints)
        else:
            values = bytearray()
            values.extend(iterable_of_ints)
        replace(self, look(self).size, buffer_of(self).size, values)

    def insert(self, Py_ssize_t index, item, /):
        """Puts one byte before position index, which is clamped to the array.  Atomic."""
        cdef char byte = <char>byte_of(item)
        cdef Py_ssize_t size = look(self).size
        if index < 0:
            index = index + size if index + size > 0 else 0
        elif index > size:
            index = size
        splice(self, index, index, &byte, 1)

    def pop(self, Py_ssize_t index=-1, /):
        """Removes one byte and returns it.  Atomic.  Raises IndexError, BufferError."""
        cdef Py_ssize_t size = look(self).size
        cdef unsigned char byte
        if size == 0:
            raise IndexError("pop from empty bytearray")
        if index < 0:
            index += size
        if not 0 <= index < size:
            raise IndexError("pop index out of range")
        byte = <unsigned char>bytes_of(self)[index]
        splice(self, index, index + 1, b"", 0)
        return byte

    def remove(self, value, /):
        """Removes the first byte of that value.  Atomic.  Raises ValueError if there is none, BufferError."""
        cdef int byte = byte_of(value)
        cdef Py_ssize_t i = ask(self, "find", (byte,))
        if i < 0:
            raise ValueError("value not found in bytearray")
        splice(self, i, i + 1, b"", 0)

    def clear(self):
        """Removes all bytes.  Atomic."""
        splice(self, 0, look(self).size, b"", 0)

    def reverse(self):
        """Reverses the order of the bytes in place.  Atomic."""
        changed = everything(self)
        changed.reverse()
        replace_all(self, changed)

    def resize(self, Py_ssize_t size, /):
        """Cuts the bytes to that number, or adds zeros at the end.  Atomic.  Raises ValueError, BufferError."""
        cdef uint64_t now = look(self).size
        if size < 0:
            raise ValueError(f"bytearray.resize(): new size must be >= 0, got {size}")
        if <uint64_t>size <= now:
            splice(self, size, now, b"", 0)
        elif <uint64_t>size - now >= self.p.size:
            must_not_move(self)
            splice(self, now, now, b"", size - now)     # PoolFullError
        else:
            replace(self, now, now, bytes(size - now))

    def __iadd__(self, other):
        check_read(self)
        if is_plain(other):
            values = other
        elif isinstance(other, PersistentByteArray):
            values = everything(other)
        else:
            values = bytearray()
            bytearray.__iadd__(values, other)   # not +=, which asks other first; what it gives may be anything
        replace(self, look(self).size, buffer_of(self).size, values)
        return self

    def __imul__(self, n):
        cdef Py_ssize_t times
        if not PyIndex_Check(n):
            check_read(self)
            return NotImplemented
        times = index_of(n)
        if times < 0:
            times = 0
        values = everything(self)
        if times == 0:
            splice(self, 0, buffer_of(self).size, b"", 0)
        elif values and times > 1:
            if times > PY_SSIZE_T_MAX // len(values):
                raise MemoryError
            values *= times - 1
            replace(self, look(self).size, buffer_of(self).size, values)
        return self

    # --- questions

    def __iter__(self):
        cdef ByteArrayIterator iterator
        check_read(self)
        iterator = ByteArrayIterator.__new__(ByteArrayIterator)
        iterator.array = self
        return iterator

    def __contains__(self, value):
        return ask(self, "__contains__", (value,))

    def __richcmp__(self, other, int op):
        return ask(self, ("__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__")[op], (other,))

    def __repr__(self):
        return f"{type(self).__name__}({bytes(everything(self))!r})"

    def __add__(self, other):
        check_read(self)
        return ask(self, "__add__", (other,)) if PyObject_CheckBuffer(other) else NotImplemented

    def __radd__(self, other):
        check_read(self)
        return NotImplemented               # bytes and bytearray take the buffer

    def __mul__(self, n):
        check_read(self)
        return ask(self, "__mul__", (n,)) if PyIndex_Check(n) else NotImplemented

    def __rmul__(self, n):
        check_read(self)
        return ask(self, "__mul__", (n,)) if PyIndex_Check(n) else NotImplemented

    def __mod__(self, values):
        return ask(self, "__mod__", (values,))

    def __rmod__(self, other):
        check_read(self)
        return NotImplemented

    def __alloc__(self):
        """Bytes that there is room for, and one, as bytearray counts them."""
        check_read(self)
        return buffer_of(self).cap + 1

    def copy(self):
        """A plain bytearray with these bytes."""
        return everything(self)

    def __reduce__(self):
        return bytearray, (bytes(everything(self)),)

    def decode(self, encoding="utf-8", errors="strict"):
        """The text that the bytes are in this encoding."""
        # Only these do not hand the very memory to code in Python, which could keep it.
        if encoding in ("utf-8", "ascii", "latin-1"):
            return ask(self, "decode", (encoding, errors))
        return everything(self).decode(encoding, errors)

    def hex(self, *args, **kwargs):
        """A text of hexadecimal numbers: hex([sep[, bytes_per_sep]])."""
        return everything(self).hex(*args, **kwargs)

    def count(self, sub, start=None, end=None, /):
        """How many separate places hold sub, between start and end."""
        return ask(self, "count", (sub, start, end))

    def find(self, sub, start=None, end=None, /):
        """The first place of sub between start and end, or -1."""
        return ask(self, "find", (sub, start, end))

    def rfind(self, sub, start=None, end=None, /):
        """The last place of sub between start and end, or -1."""
        return ask(self, "rfind", (sub, start, end))

    def index(self, sub, start=None, end=None, /):
        """As find(), but raises ValueError if sub is not there."""
        return ask(self, "index", (sub, start, end))

    def rindex(self, sub, start=None, end=None, /):
        """As rfind(), but raises ValueError if sub is not there."""
        return ask(self, "rindex", (sub, start, end))

    def startswith(self, prefix, start=None, end=None, /):
        """Do the bytes from start to end begin with prefix, or one of a tuple of them?"""
        return ask(self, "startswith", (prefix, start, end))

    def endswith(self, suffix, start=None, end=None, /):
        """Do the bytes from start to end end with suffix, or one of a tuple of them?"""
        return ask(self, "endswith", (suffix, start, end))

    def join(self, iterable_of_bytes, /):
        """The items of the iterable with these bytes in between."""
        return ask(self, "join", (iterable_of_bytes,))

    def partition(self, sep, /):
        """What is before the first sep, sep, and what is behind it."""
        return ask(self, "partition", (sep,))

    def rpartition(self, sep, /):
        """What is before the last sep, sep, and what is behind it."""
        return ask(self, "rpartition", (sep,))

    def split(self, sep=None, maxsplit=-1):
        """The parts between sep, or white space."""
        return ask(self, "split", (sep, maxsplit))

    def rsplit(self, sep=None, maxsplit=-1):
        """As split(), from the end."""
        return ask(self, "rsplit", (sep, maxsplit))

    def splitlines(self, keepends=False):
        """The lines, without their ends unless these are to be kept."""
        return ask(self, "splitlines", (keepends,))

    def replace(self, old, new, count=-1, /):
        """A copy with new in place of old, everywhere or so many times."""
        return ask(self, "replace", (old, new, count))

    def removeprefix(self, prefix, /):
        """A copy without the prefix, if it is there."""
        return ask(self, "removeprefix", (prefix,))

    def removesuffix(self, suffix, /):
        """A copy without the suffix, if it is there."""
        return ask(self, "removesuffix", (suffix,))

    def strip(self, bytes=None, /):
        """A copy without the given bytes, or white space, at both ends."""
        return ask(self, "strip", (bytes,))

    def lstrip(self, bytes=None, /):
        """A copy without the given bytes, or white space, at the start."""
        return ask(self, "lstrip", (bytes,))

    def rstrip(self, bytes=None, /):
        """A copy without the given bytes, or white space, at the end."""
        return ask(self, "rstrip", (bytes,))

    def translate(self, table, /, delete=b""):
        """A copy without the bytes to delete, and with the others looked up in a table of 256 bytes, or None."""
        check_read(self)
        return everything(self).translate(table, delete=delete)

    def center(self, width, fillchar=b" ", /):
        """A copy of that width, with these bytes in the middle."""
        return ask(self, "center", (width, plain_fill(fillchar)))

    def ljust(self, width, fillchar=b" ", /):
        """A copy of that width, with these bytes at the start."""
        return ask(self, "ljust", (width, plain_fill(fillchar)))

    def rjust(self, width, fillchar=b" ", /):
        """A copy of that width, with these bytes at the end."""
        return ask(self, "rjust", (width, plain_fill(fillchar)))

    def zfill(self, width, /):
        """A copy of that width, with zeros behind the sign."""
        return ask(self, "zfill", (width,))

    def expandtabs(self, tabsize=8):
        """A copy with spaces in place of tabs."""
        return ask(self, "expandtabs", (tabsize,))

    def capitalize(self):
        """A copy whose first byte is an upper case letter, and the others lower case, if they are ASCII letters."""
        return ask(self, "capitalize", ())

    def lower(self):
        """A copy with ASCII letters in lower case."""
        return ask(self, "lower", ())

    def upper(self):
        """A copy with ASCII letters in upper case."""
        return ask(self, "upper", ())

    def swapcase(self):
        """A copy with the case of ASCII letters changed."""
        return ask(self, "swapcase", ())

    def title(self):
        """A copy with each word of ASCII letters in title case."""
        return ask(self, "title", ())

    def isalnum(self):
        """Are there bytes, and all of them ASCII letters or digits?"""
        return ask(self, "isalnum", ())

    def isalpha(self):
        """Are there bytes, and all of them ASCII letters?"""
        return ask(self, "isalpha", ())

    def isascii(self):
        """Are all bytes ASCII?"""
        return ask(self, "isascii", ())

    def isdigit(self):
        """Are there bytes, and all of them ASCII digits?"""
        return ask(self, "isdigit", ())

    def islower(self):
        """Is there a lower case ASCII letter, and no upper case one?"""
        return ask(self, "islower", ())

    def isspace(self):
        """Are there bytes, and all of them ASCII white space?"""
        return ask(self, "isspace", ())

    def istitle(self):
        """Are all words of ASCII letters in title case, and is there one?"""
        return ask(self, "istitle", ())

    def isupper(self):
        """Is there an upper case ASCII letter, and no lower case one?"""
        return ask(self, "isupper", ())

    def _check(self):
        """Raises PoolDamagedError if the block is not where it can be."""
        look(self)


def begin_writing(PersistentByteArray array not None, key):
    """See Writing.begin in _buffer.pxd."""
    cdef Py_ssize_t start, stop, step, count
    PySlice_Unpack(key, &start, &stop, &step)
    count = PySlice_AdjustIndices(look(array).size, &start, &stop, step)
    copied = part(array, start, count)
    return start, copied, memoryview(copied)


cdef object create(PersistentByteArray made, Pool pool, bytearray plain):
    cdef uint64_t offset
    pool_check_read(pool)
    op_begin(pool)
    try:
        offset = object_new(pool, PM_TYPE_BYTEARRAY, sizeof(pm_buffer), False)
        buffer_fill(pool, <pm_buffer *>pm_at(pool.p, offset), PyByteArray_AS_STRING(plain), len(plain))
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    bind(made, pool, <pm_object *>pm_at(pool.p, offset))
    return made


# --- iterators

@cython.final
@cython.auto_pickle(False)
cdef class ByteArrayIterator:
    """Iterates over a persistent byte array."""
    cdef PersistentByteArray array      # None when exhausted
    cdef uint64_t at

    def __init__(self):
        raise TypeError("iter() of a persistent byte array makes these")

    def __iter__(self):
        return self

    def __next__(self):
        cdef unsigned char byte
        if self.array is None:
            raise StopIteration
        if self.at >= look(self.array).size:
            self.array = None
            raise StopIteration
        byte = <unsigned char>bytes_of(self.array)[self.at]
        self.at += 1
        return byte

    def __length_hint__(self):
        cdef uint64_t size
        if self.array is None:
            return 0
        size = look(self.array).size
        return size - self.at if self.at < size else 0

    def __reduce__(self):
        if self.array is None:
            return iter, ((),)
        return iter, (self.array,), self.at

    def __setstate__(self, Py_ssize_t at):
        self.at = max(at, 0)


# --- loading

cdef PyObject *make(Pool pool, pm_object *head, pm_known_cell *cell) except NULL:
    return made_proxy(PersistentByteArray, pool, head)


pm_make_sequence(<PyTypeObject *>PersistentByteArray)
register_proxy(PM_TYPE_BYTEARRAY, PersistentByteArray, make)
MutableSequence.register(PersistentByteArray)
