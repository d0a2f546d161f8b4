# What PersistentList and PersistentTuple have in common: reading a pm_list.

from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from pmemobj._cengine cimport pm_pool, pm_vec
from pmemobj._core cimport Persistent, Pool
from pmemobj._layout cimport pm_list, pm_object


cdef extern from "_engine/objects/items.h":
    uint64_t *pm_item_at(const pm_pool *p, pm_object *head, object index) noexcept
    PyObject *pm_item_next(pm_pool *p, pm_object *head, uint64_t *at) noexcept
    PyObject *pm_item_previous(pm_pool *p, pm_object *head, uint64_t *left) noexcept
    bint pm_item_set(pm_pool *p, pm_object *head, object index, object value) noexcept
    bint pm_item_append(pm_pool *p, pm_object *head, object value) noexcept
    uint64_t pm_items_get(pm_pool *p, const uint64_t *cells, uint64_t count, PyObject **to) noexcept


cdef class PersistentSequence(Persistent):
    pass


cdef inline pm_vec *cells_of(PersistentSequence o) noexcept:
    """Valid after check_read(o), until Python code runs."""
    return &(<pm_list *>o.head).items

cdef inline bint is_quiet(uint64_t slot) noexcept:
    """Loading the slot runs no Python code and no garbage collection: not an object, tuple or registered type."""
    return slot & 7 or <uint64_t>((slot >> 48) - 1) < 8

cdef extern from *:
    """
    /* An int or something with __index__ (user code); IndexError when it does not fit. */
    static inline Py_ssize_t pm_index_of(PyObject *key)
    {
        if (PyLong_CheckExact(key)) {
            Py_ssize_t i = PyLong_AsSsize_t(key);
            if (i != -1 || !PyErr_Occurred())
                return i;
            PyErr_Clear();
        }
        return PyNumber_AsSsize_t(key, PyExc_IndexError);
    }
    """
    Py_ssize_t index_of "pm_index_of"(object key) except? -1

cdef int bad_index(object key, PersistentSequence o) except -1

# Items lo..hi-1; what is beyond the end when its turn comes is left out.
cdef list read_items(PersistentSequence o, uint64_t lo, uint64_t hi)
# Is this the value?  1 yes, 0 no, 2 only Python can tell.
cdef int slot_equal(Pool pool, uint64_t slot, object value) noexcept
# The first position in lo..hi-1 whose item equals value, or -1.  Runs user code; compares what is there then.
cdef Py_ssize_t find(PersistentSequence o, object value, uint64_t lo, uint64_t hi) except -2
# One of the six comparisons, or NotImplemented.  Runs user code.
cdef object compare(PersistentSequence o, object other, int op)
# The items of an iterable as a tuple.  complaint: the TypeError's text when it is not iterable.
cdef tuple items_of(object iterable, str complaint)
# The one optional argument of a constructor, as a tuple.
cdef tuple initial_items(str name, tuple args, dict kwargs)
# Makes the object that o, a new proxy, stands for.
cdef int create(PersistentSequence o, Pool pool, unsigned type, tuple items) except -1
