"""PersistentObject: instances of the user's own classes.

 1. A field is found by the number that its name has in the class's record (_object_classes.pxi); an object holds
    as many fields as it ever needed, 0 stands for "not set".
 2. Names that begin with _v_ or _p_ and data descriptors of the class (properties) are none of ours: they go
    the way of every Python object, into __dict__ or to the descriptor.
 3. The fast way: the name, compared by address, is in ClassInfo.fast (_engine/names.h), which holds only while
    the type's version tag is what it was, so that a property that appears later is seen.  Everything else goes
    through get_slow, set_slow and delete.
 4. A loaded object whose class has a _v__init__ of its own starts with `not_ready` for its ClassInfo, which has no
    names, so that its first use goes the slow way and runs it: loading itself runs no user code.
"""

from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from pmemobj._cengine cimport (
    pm_at, pm_fresh, pm_offset, pm_pool, pm_put, pm_replace, pm_store, pm_vec, pm_vec_at,
)
from pmemobj._core cimport (
    Persistent, Pool, Unresolved, alloc, bind, check_read, object_new, op_abort, op_begin, op_end,
    register_proxy, register_resolver, release, slot_drop, vec_reserve,
)
from pmemobj._layout cimport *
from pmemobj._values cimport (
    PM_IS_REFERENCE, PM_REFERENCE, PM_SLOT_KIND, encode, pm_immediate, pm_owned, pm_quick_value, prepare, slot_load,
    slot_load_slow,
)

import importlib
import sys
import types

from pmemobj import errors

cdef extern from *:
    """
    /* What the class has under a name; borrowed. */
    static inline PyObject *pm_type_lookup(PyObject *type, PyObject *name)
    {
        return _PyType_Lookup((PyTypeObject *)type, name);
    }

    static inline int pm_is_data_descriptor(PyObject *o)
    {
        return Py_TYPE(o)->tp_descr_set != NULL;
    }

    /* An object without volatile attributes needs no dict; the interpreter makes one when it gets the first. */
    static inline void pm_drop_dict(PyObject *o) { Py_CLEAR(*_PyObject_GetDictPtr(o)); }

    static inline PyObject *pm_dict_of(PyObject *o) { return *_PyObject_GetDictPtr(o); }

    static inline int pm_is_interned(PyObject *text) { return PyUnicode_CHECK_INTERNED(text) != 0; }

    static inline PyObject *pm_tp_new(PyObject *base, PyObject *type, PyObject *arguments, PyObject *keywords)
    {
        return ((PyTypeObject *)base)->tp_new((PyTypeObject *)type, arguments, keywords);
    }

    static inline int pm_tp_init(PyObject *o, PyObject *arguments, PyObject *keywords)
    {
        return Py_TYPE(o)->tp_init(o, arguments, keywords);
    }
    """
    void pm_drop_dict(object o) noexcept
    PyObject *pm_dict_of(object o) noexcept
    bint pm_is_interned(object text) noexcept
    PyObject *pm_type_lookup(object type, object name) noexcept
    bint pm_is_data_descriptor(PyObject *o) noexcept
    object pm_tp_new(object base, object type, object arguments, object keywords)
    int pm_tp_init(object o, object arguments, object keywords) except -1

cdef extern from "Python.h":
    bint PyType_Check(object o) noexcept
    bint PyType_IsSubtype(PyTypeObject *a, PyTypeObject *b) noexcept
    object PyObject_GenericGetAttr(object o, object name)
    int PyObject_GenericSetAttr(object o, object name, PyObject *value) except -1
    int PyGC_Disable() noexcept
    int PyGC_Enable() noexcept

cdef enum:
    MANY_FIELDS = 64            # a new object has room for those of its class, unless it has more of them

#: Attributes whose names begin so are kept in the Python object only.
VOLATILE = ("_v_", "_p_")

include "_object_classes.pxi"

cdef ClassInfo not_ready = ClassInfo.__new__(ClassInfo)
not_ready.names = []
not_ready.class_names = []
not_ready.index = {}
not_ready.clear_cells(1)


class _Attributes(dict):
    """A copy of an object's persistent attributes.  It cannot be changed, since that would change nothing."""

    def _refuse(self, *args, **kwargs):
        raise TypeError("vars() of a persistent object is a copy; use setattr() and delattr() on the object itself")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self):
        return dict, (dict(self),)


cdef inline uint64_t *field_at(PersistentObject o, Py_ssize_t field) noexcept:
    """Where the field is, or NULL when the object is too short for it."""
    cdef pm_instance *instance = <pm_instance *>o.head
    if field >= instance.cap:
        return NULL
    return <uint64_t *>(o.p.base + instance.fields) + field


cdef inline bint is_stored(PersistentObject o, Py_ssize_t field) noexcept:
    """The class's record has a name for the field: the transaction that gave it one has not been undone.  An object
    should have no more room than that; but a field without a name would be lost."""
    return <uint64_t>field + RECORD_HEAD < items_of(o.pool, (<ClassInfo>o.info).record).size


# --- readiness

cdef void set_info(PersistentObject o, ClassInfo info) noexcept:
    cdef PyObject *old = o.info
    Py_INCREF(info)
    o.info = <PyObject *>info
    o.fast = &info.fast
    Py_XDECREF(old)


cdef bint has_init(object cls) noexcept:
    """The class has a _v__init__ of its own."""
    return pm_type_lookup(cls, "_v__init__") != pm_type_lookup(PersistentObject, "_v__init__")


cdef int make_ready(PersistentObject o) except -1:
    """The first use after a load: runs _v__init__."""
    check_read(o)
    set_info(o, (<ClassTable?>o.pool.registry).info(o.pool, (<pm_instance *>o.head).class_id))
    try:
        o._v__init__()
    except BaseException:
        set_info(o, not_ready)
        raise
    return 0


cdef inline bint is_dunder(str name) noexcept:
    return name.startswith("__") and name.endswith("__")


cdef int be_ready(PersistentObject o, str name) except -1:
    """Before a use of that attribute.  Special names of the class (__class__, ...) are asked for by everybody and
    are no use."""
    if o.info == <PyObject *>not_ready and o.pool is not None:
        if not is_dunder(name) or pm_type_lookup(type(o), name) == NULL:
            make_ready(o)
    return 0


cdef str exact_name(object name):
    if type(name) is str:
        return name
    if not isinstance(name, str):
        raise TypeError(f"attribute name must be string, not {type(name).__name__!r}")
    return str.__str__(name)


# --- reading

cdef object get_slow(PersistentObject o, object given):
    cdef str name = exact_name(given)
    cdef ClassInfo info
    cdef uint64_t *at
    cdef Py_ssize_t field
    be_ready(o, name)
    if name == "__dict__":
        return attributes(o)
    info = <ClassInfo>o.info
    field = info.field_of(type(o), name)
    if field >= 0:
        check_read(o)                           # may wait for another thread's transaction, which may add names
        field = info.field_of(type(o), name)
        at = field_at(o, field) if field >= 0 else NULL
        if not pm_is_type(o, info.fast.version):
            info.refresh(type(o))
        if at != NULL and at[0]:
            return slot_load(o.pool, at[0])
    elif info is not not_ready and pm_type_lookup(type(o), name) != NULL:
        info.met_in_class(o, name)
    try:
        return PyObject_GenericGetAttr(o, name)
    except AttributeError:
        if o.pool is not None and not is_dunder(name):
            check_read(o)
        raise


cdef object attributes(PersistentObject o):
    """Every attribute that is set, in the order in which the class got their names."""
    cdef ClassInfo info
    cdef uint64_t *at
    cdef Py_ssize_t field = 0
    check_read(o)
    info = (<ClassTable?>o.pool.registry).info(o.pool, (<pm_instance *>o.head).class_id)
    found = {}
    while field < len(info.names):
        at = field_at(o, field)
        if at != NULL and at[0]:
            name = info.names[field]
            found[name] = slot_load(o.pool, at[0])
            check_read(o)
        field += 1
    return _Attributes(found)


# --- changing

cdef int reserve_field(Pool pool, pm_instance *instance, uint64_t field, uint64_t names) except -1:
    """Inside an operation: room for the field, and for the others of the class if they are not too many."""
    cdef pm_pool *p = pool.p
    cdef uint64_t wanted = field + field // 2 + 4, offset
    cdef uint64_t *fields
    if field < instance.cap:
        return 0
    if names > field and names < wanted + 64:
        wanted = names
    if wanted >> 32:
        raise OverflowError("an object cannot have more than 2**32 - 1 attributes")
    offset = alloc(pool, wanted * 8)
    fields = <uint64_t *>pm_at(p, offset)
    memset(fields, 0, wanted * 8)
    if instance.cap:
        memcpy(fields, pm_at(p, instance.fields), <uint64_t>instance.cap * 8)
        release(pool, instance.fields, <uint64_t>instance.cap * 8)
    pm_fresh(p, fields, wanted * 8)
    pm_store(p, &instance.fields, offset)
    pm_store(p, &instance.class_id, instance.class_id | wanted << 32)
    return 0


cdef int set_slow(PersistentObject o, object given, object value) except -1:
    cdef str name = exact_name(given)
    cdef Pool pool = o.pool
    cdef ClassInfo info
    cdef PyObject *descriptor
    cdef pm_instance *instance
    cdef uint64_t *at
    cdef uint64_t slot, old
    cdef Py_ssize_t field
    cdef object plan = None
    be_ready(o, name)
    if name == "__class__" or name == "__dict__":
        raise TypeError(f"the {name} of a persistent object cannot be assigned")
    descriptor = pm_type_lookup(type(o), name)
    if name.startswith(VOLATILE) or (descriptor != NULL and pm_is_data_descriptor(descriptor)):
        return PyObject_GenericSetAttr(o, name, <PyObject *>value)
    check_read(o)
    if not pm_immediate(value, &slot):
        plan = prepare(pool, value)
        check_read(o)
    name = sys.intern(name)
    info = <ClassInfo>o.info
    info.cut(items_of(pool, info.record).size - RECORD_HEAD)
    found = info.index.get(name)
    if not pm_is_type(o, info.fast.version):
        info.refresh(type(o))
    op_begin(pool)
    try:
        if found is None:
            field = len(info.names)
            append_slot(pool, info.record, name)
            info.learn(name, o)
        else:
            field = found
        if plan is not None:
            slot = encode(pool, plan)
        instance = <pm_instance *>o.head
        reserve_field(pool, instance, field, len(info.names))
        at = field_at(o, field)
        old = at[0]
        pm_store(pool.p, at, slot)
        slot_drop(pool, old)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


cdef int delete(PersistentObject o, object given) except -1:
    cdef str name = exact_name(given)
    cdef Pool pool = o.pool
    cdef uint64_t *at = NULL
    cdef uint64_t old
    cdef Py_ssize_t field
    be_ready(o, name)
    if name == "__class__" or name == "__dict__":
        raise TypeError(f"the {name} of a persistent object cannot be deleted")
    if name.startswith(VOLATILE) or pool is None:
        return PyObject_GenericSetAttr(o, name, NULL)
    check_read(o)
    field = (<ClassInfo>o.info).field_of(type(o), name)
    if field >= 0:
        at = field_at(o, field)
    if at == NULL or at[0] == 0:
        PyObject_GenericSetAttr(o, name, NULL)      # a descriptor's business, or AttributeError
        return 0
    op_begin(pool)
    try:
        old = at[0]
        pm_store(pool.p, at, 0)
        slot_drop(pool, old)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    return 0


# --- the class

cdef class PersistentObject(Persistent):
    """Base class of objects that live in a pool: subclass it, and make instances with ``pool.new(Class, ...)``.

    Attributes are set, read and deleted as usual and hold what a container of the pool can hold.  Each assignment is
    atomic; use ``with self._p_mm.transaction():`` to make several of them one change.  An abort brings the former
    values back, and an object created in the undone block raises StaleObjectError.

    ``__init__`` runs once, when the object is created; if it fails, nothing is left behind.  ``_v__init__`` runs
    before it, and again each time the object has been loaded anew, before its first use: it sets up volatile
    attributes, whose names begin with ``_v_`` (or ``_p_``) and which are never stored.

    The class is stored by its module and qualified name: keep it importable under that name.
    """

    def __cinit__(self):
        set_info(self, not_ready)
        pm_drop_dict(self)

    def __dealloc__(self):
        Py_XDECREF(self.info)

    def __init__(self):
        if self.pool is None:
            raise TypeError(
                f"{type(self).__name__} objects live in a pool: use pool.new({type(self).__name__}, ...)"
            )

    def _v__init__(self):
        """Sets up volatile attributes; called at creation, and before the first use after each load."""

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        cdef PersistentObject o
        cdef ClassInfo info
        cdef pm_object *head
        cdef uint64_t names
        with pool.transaction():
            made = pm_tp_new(cls, cls, args, kwargs)
            if type(made) is not cls or (<PersistentObject>made).pool is not None:
                raise TypeError(f"{cls.__name__}.__new__() must return a new {cls.__name__}")
            o = made
            info = (<ClassTable?>pool.registry).info_for(pool, cls)
            op_begin(pool)
            try:
                head = <pm_object *>pm_at(pool.p, object_new(pool, PM_TYPE_OBJECT, sizeof(pm_instance), False))
                pm_store(pool.p, &(<pm_instance *>head).class_id, info.class_id)
                names = items_of(pool, info.record).size - RECORD_HEAD
                if 0 < names <= MANY_FIELDS:
                    reserve_field(pool, <pm_instance *>head, names - 1, names)
            except BaseException:
                op_abort(pool)
                raise
            op_end(pool)
            bind(o, pool, head)
            set_info(o, info)
            if has_init(cls):
                o._v__init__()
            pm_tp_init(o, args, kwargs)
        return o

    def __getattribute__(self, name):
        cdef Py_ssize_t field = pm_field_of(self.fast, self, name)
        cdef uint64_t *at = pm_field_at(self.p, self.head, field)
        cdef PyObject *value
        if at != NULL and at[0]:
            value = pm_quick_value(self.p, at[0])
            return slot_load_slow(self.pool, at[0]) if value == NULL else pm_owned(value)
        if field == PM_OF_CLASS:
            return PyObject_GenericGetAttr(self, name)
        return get_slow(self, name)

    def __setattr__(self, name, value):
        cdef Py_ssize_t field = pm_field_of(self.fast, self, name)
        cdef uint64_t *at = pm_field_at(self.p, self.head, field)
        cdef uint64_t slot
        # Nothing to allocate or to give back: nothing can fail.
        if at != NULL:
            if at[0]:
                if pm_replace(self.p, at, value):
                    return
            elif pm_immediate(value, &slot) and is_stored(self, field) and pm_put(self.p, at, slot):
                return
        set_slow(self, name, value)

    def __delattr__(self, name):
        delete(self, name)

    def _check(self):
        """Raises PoolDamagedError if the object is not what it must be."""
        cdef ClassInfo info
        cdef Py_ssize_t field
        check_read(self)
        info = (<ClassTable?>self.pool.registry).info(self.pool, (<pm_instance *>self.head).class_id)
        if info.cls is not type(self) and names_of(type(self)) != (info.module, info.qualname):
            raise errors.PoolDamagedError(f"{self!r} is an object of {info.module}.{info.qualname}")
        for field in range(items_of(self.pool, info.record).size - RECORD_HEAD, (<pm_instance *>self.head).cap):
            if field_at(self, field)[0]:
                raise errors.PoolDamagedError(f"{self!r} has a field {field}, which has no name")

    def __dir__(self):
        names = set(object.__dir__(self))
        volatile = <object>pm_dict_of(self) if pm_dict_of(self) != NULL else None
        if volatile:
            names.update(volatile)
        return sorted(names)

    def __repr__(self):
        cls = type(self)
        name = f"{cls.__module__}.{cls.__qualname__}"
        if self.head == NULL:
            return f"<{name} object, {'not in a pool' if self.pool is None else 'stale, or its pool is closed'}>"
        return f"<{name} object at {pm_offset(self.p, self.head):#x} in pool {self.pool.path!r}>"


# --- loading

cdef PersistentObject made(object cls, Pool pool, pm_object *head, ClassInfo info):
    """The proxy of a stored object.  Runs no user code."""
    cdef PersistentObject o = pm_tp_new(PersistentObject, cls, (), {})
    bind(o, pool, head)
    if not has_init(cls):
        set_info(o, info)
    return o


cdef object make(Pool pool, pm_object *head):
    cdef ClassInfo info
    cdef Persistent o
    cdef int collecting = PyGC_Disable()        # a collection could run user code, which could free the object
    try:
        info = (<ClassTable?>pool.registry).info(pool, (<pm_instance *>head).class_id)
        if info.cls is not None:
            return made(info.cls, pool, head, info)
        o = Unresolved.__new__(Unresolved)
        bind(o, pool, head)
        return o
    finally:
        if collecting:
            PyGC_Enable()


cdef object resolve(Unresolved o):
    cdef Pool pool = o.pool
    cdef ClassTable table = <ClassTable?>pool.registry
    cdef ClassInfo info
    cdef uint32_t class_id
    if o.real is None:
        check_read(o)
        class_id = (<pm_instance *>o.head).class_id
        info = table.info(pool, class_id)
        cls = find_class(pool, info.module, info.qualname) if info.cls is None else info.cls
        if o.real is None:                      # the import may have come here for the same object
            check_read(o)
            info = table.info(pool, class_id)
            if info.cls is None:
                info.cls = cls
                table.by_class[cls] = info
            o.real = made(info.cls, pool, o.head, info)
            o.head = NULL
    return o.real


register_proxy(PM_TYPE_OBJECT, make)
register_resolver(resolve)
