# PersistentObject and the classes of a pool's type table.

from cpython.object cimport PyObject
from libc.stdint cimport uint32_t, uint64_t

from pmemobj._core cimport Persistent, Pool


cdef struct name_cell:          # of a hash table by the address of an interned name
    PyObject *name              # NULL: empty; owned by ClassInfo.names
    Py_ssize_t field


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
    # The fast way to a field, valid for the type with this version tag only: names that its data descriptors
    # (properties) do not stand before.
    cdef unsigned version
    cdef name_cell *cells
    cdef size_t mask

    cdef int clear_cells(self, size_t size) except -1
    cdef int learn(self, str name, object o) except -1
    cdef int cut(self, Py_ssize_t count) except -1
    cdef int refresh(self, object cls) except -1
    cdef int add_cell(self, str name, Py_ssize_t field) except -1
    cdef Py_ssize_t field_of(self, object cls, str name) except -2


cdef class ClassTable:
    """The type table of an open pool as this process knows it; base of PoolRegistry."""
    cdef list infos                 # by class_id; may be longer than the stored table, see ClassInfo
    cdef dict by_class, by_name

    cdef int keep(self, ClassInfo info) except -1
    cdef ClassInfo info(self, Pool pool, uint32_t class_id)
    cdef ClassInfo info_for(self, Pool pool, object cls)
    cdef ClassInfo add(self, Pool pool, object cls, str module, str qualname)


cdef class PersistentObject(Persistent):
    cdef dict __dict__              # the volatile attributes
    cdef PyObject *info             # ClassInfo, owned; not_ready before the first use after a load
