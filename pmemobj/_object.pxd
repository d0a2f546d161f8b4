# PersistentObject and the classes of a pool's type table.

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

from pmemobj._cengine cimport pm_pool
from pmemobj._core cimport Persistent, Pool
from pmemobj._layout cimport pm_object


cdef extern from "_engine/objects/names.h":
    enum:
        PM_NO_FIELD
        PM_OF_CLASS
        PM_TYPED

    ctypedef struct pm_name:
        PyObject *name
        Py_ssize_t field, settable
        unsigned kinds

    ctypedef struct pm_names:
        unsigned version
        size_t mask, used
        pm_name *cells

    unsigned pm_type_version(object type) noexcept
    bint pm_is_type(object o, unsigned version) noexcept
    pm_name *pm_name_cell(const pm_names *names, object name) noexcept
    Py_ssize_t pm_field_of(const pm_names *names, object o, object name) noexcept
    Py_ssize_t pm_settable_field_of(const pm_names *names, object o, object name) noexcept
    Py_ssize_t pm_typed_field_of(const pm_names *names, object name, object value) noexcept
    uint64_t *pm_field_at(const pm_pool *p, pm_object *head, Py_ssize_t field) noexcept


cdef class ClassInfo:
    """What this process knows of one entry of the type table.

    names: the names of the fields, in order.  Names are only ever appended to the stored record, and taken off
    by an undone transaction; so `names` may be longer than the record, but what both have is equal, and the
    surplus belongs to fields that are not set in any object.  It is cut off before the next name is added.
    """
    cdef readonly str module, qualname
    cdef readonly object cls        # None: not looked for yet
    cdef uint32_t class_id
    cdef uint64_t record            # offset of the record, a pm_list: module, qualname, names of the fields
    cdef list names
    cdef dict index                 # name -> field
    # The fast way: fields that no data descriptor (property) of the class stands before, and those attributes of
    # the class that have been asked for and under whose names nothing is stored.
    cdef pm_names fast
    cdef list class_names           # of the latter
    # While the class's version tag is this: has the class a _v__init__ of its own, or a __p_version__ above 0?
    cdef unsigned looked_at
    cdef bint own_init, special
    cdef int64_t wanted             # its __p_version__
    cdef Py_ssize_t version_field   # where objects have theirs; -1: none has one yet

    cdef int clear_cells(self, size_t size) except -1
    cdef int learn(self, str name, object o, int kinds=*) except -1
    cdef int cut(self, Py_ssize_t count) except -1
    cdef int refresh(self, object cls) except -1
    cdef int add_cell(self, object name, Py_ssize_t field, Py_ssize_t settable, unsigned kinds) except -1
    cdef int add_field(self, str name, Py_ssize_t field, int kinds) except -1
    cdef int met_in_class(self, object o, str name) except -1
    cdef Py_ssize_t field_of(self, object cls, str name) except -2


cdef class ClassTable:
    """The type table of an open pool as this process knows it; base of PoolRegistry."""
    cdef list infos                 # by class_id; may be longer than the stored table, see ClassInfo
    cdef dict by_class, by_name

    cdef int keep(self, ClassInfo info) except -1
    cdef ClassInfo info(self, Pool pool, uint32_t class_id)
    cdef ClassInfo info_for(self, Pool pool, object cls)
    cdef ClassInfo add(self, Pool pool, object cls, str module, str qualname, list names)


cdef class PersistentObject(Persistent):
    cdef dict __dict__              # the volatile attributes; NULL while there are none: never use it by this name
    cdef PyObject *info             # ClassInfo, owned; not_ready before the first use after a load
    cdef pm_names *fast             # of info
