"""PersistentObject: instances of the user's own classes.

 1. A field is found by the number that its name has in the class's record (_object_classes.pxi); an object holds
    as many fields as it ever needed, 0 stands for "not set".
 2. Names that begin with _v_ or _p_ and data descriptors of the class (properties) are none of ours: they go
    the way of every Python object, into __dict__ or to the descriptor.
 3. The fast way: the name, compared by address, is in ClassInfo.fast (_engine/objects/names.h), which holds only while
    the type's version tag is what it was, so that a property that appears later is seen.  Everything else goes
    through get_slow, set_slow and delete.
 4. A loaded object whose class has a _v__init__ of its own, or another __p_version__ than the object, starts with
    `not_ready` for its ClassInfo, which has no names, so that its first use goes the slow way and runs it: loading
    itself runs no user code.
 5. An object's version is a field without a Python name, VERSION_FIELD, which objects of version 0 do not have.
"""

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from pmemobj._cengine cimport (
    PM_GATE_READONLY, pm_at, pm_fresh, pm_inside, pm_inside_all, pm_known_cell, pm_leads_inside,
    pm_offset, pm_pool, pm_proxy_bind, pm_proxy_lost,
    pm_replace, pm_snapshot, pm_store, pm_vec,
)
from pmemobj._core cimport (
    Persistent, Pool, alloc, bind, block_abort, block_begin, block_commit, check_read, object_new,
    op_abort, op_begin, op_end, pool_check_read, proxy_lost, raise_damaged, register_proxy, release, slot_drop,
    vec_at, vec_reserve,
)
from pmemobj._layout cimport *
from pmemobj._values cimport (
    PM_REFERENCE, encode, pm_immediate, pm_owned, pm_quick_value, prepare, slot_load,
    slot_load_slow,
)

import sys
import types
import weakref

from pmemobj import errors
from pmemobj import fields as typed_fields

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

    static inline int pm_is_method(PyObject *o)
    {
        return Py_TYPE(o)->tp_descr_get != NULL;
    }

    static inline PyObject *pm_dict_of(PyObject *o) { return *_PyObject_GetDictPtr(o); }

    static inline int pm_is_interned(PyObject *text) { return PyUnicode_CHECK_INTERNED(text) != 0; }

    /* A __p_version__, which was verified when the class was made; 0 if there is something else now. */
    static inline int64_t pm_version_number(PyObject *o)
    {
        int overflow = 0;
        int64_t n = o != NULL && PyLong_CheckExact(o) ? PyLong_AsLongLongAndOverflow(o, &overflow) : 0;
        return n < 0 || n > INT32_MAX ? 0 : n;
    }

    static inline PyObject *pm_tp_new(PyObject *base, PyObject *type, PyObject *arguments, PyObject *keywords)
    {
        return ((PyTypeObject *)base)->tp_new((PyTypeObject *)type, arguments, keywords);
    }

    static inline int pm_tp_init(PyObject *o, PyObject *arguments, PyObject *keywords)
    {
        return Py_TYPE(o)->tp_init(o, arguments, keywords);
    }
    """
    PyObject *pm_dict_of(object o) noexcept
    bint pm_is_interned(object text) noexcept
    int64_t pm_version_number(PyObject *o) noexcept
    PyObject *pm_type_lookup(object type, object name) noexcept
    bint pm_is_data_descriptor(PyObject *o) noexcept
    bint pm_is_method(PyObject *o) noexcept
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

cdef str VERSION_FIELD = "<version>"            # DO NOT CHANGE: on media
cdef tuple OF_CLASS = ("__class__", "__dict__", "__p_version__", VERSION_FIELD)

cdef extern from *:
    """
    /* PersistentObject as Cython lays it out.  An object without volatile attributes has no dict; the interpreter
     * makes one when it gets the first. */
    typedef struct pm_object_proxy {
        pm_proxy base;
        PyObject *dict;
        PyObject *info;             /* owned */
        struct pm_names *fast;
    } pm_object_proxy;

    #define pm_check_object()                                                                        \
        do {                                                                                         \
            typedef struct __pyx_obj_7pmemobj_7_object_PersistentObject theirs;                      \
            PM_SAME_FIELD(pm_object_proxy, dict, theirs, __dict__);                                  \
            PM_SAME_FIELD(pm_object_proxy, info, theirs, info);                                      \
            PM_SAME_FIELD(pm_object_proxy, fast, theirs, fast);                                      \
            _Static_assert(sizeof(pm_object_proxy) == sizeof(theirs), "Cython's layout");            \
        } while (0)

    static pm_spares pm_object_spares;
    static PyObject *pm_no_info;        /* what a new object has, a ClassInfo */
    static struct pm_names *pm_no_names;
    static newfunc pm_cython_new;

    #ifndef Py_TPFLAGS_MANAGED_DICT
    #define Py_TPFLAGS_MANAGED_DICT 0
    #endif
    #ifndef Py_TPFLAGS_MANAGED_WEAKREF
    #define Py_TPFLAGS_MANAGED_WEAKREF 0
    #endif

    /* Its instances are as large as those of PersistentObject and allocated and freed as these are. */
    static inline int pm_is_plain_class(PyTypeObject *type)
    {
        return type->tp_basicsize == sizeof(pm_object_proxy) && type->tp_itemsize == 0 &&
               type->tp_alloc == PyType_GenericAlloc && type->tp_free == PyObject_GC_Del &&
               !(type->tp_flags & (Py_TPFLAGS_MANAGED_DICT | Py_TPFLAGS_MANAGED_WEAKREF | Py_TPFLAGS_IS_ABSTRACT));
    }

    static inline void pm_set_info(PyObject *o, PyObject *info, struct pm_names *fast)
    {
        Py_INCREF(info);
        ((pm_object_proxy *)o)->info = info;
        ((pm_object_proxy *)o)->fast = fast;
    }

    /* An untracked object without info and pool.  Runs no Python code and no garbage collection. */
    static PyObject *pm_instance_alloc(PyTypeObject *type)
    {
        if (pm_is_plain_class(type))
            return pm_proxy_alloc(&pm_object_spares, type);
        int collecting = PyGC_Disable();
        PyObject *none = PyTuple_New(0), *o = none == NULL ? NULL : pm_cython_new(type, none, NULL);
        Py_XDECREF(none);
        if (collecting)
            PyGC_Enable();
        if (o == NULL)
            return NULL;
        PyObject_GC_UnTrack(o);
        Py_CLEAR(((pm_object_proxy *)o)->dict);
        Py_CLEAR(((pm_object_proxy *)o)->base.pool);
        return o;
    }

    static PyObject *pm_instance_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
    {
        (void)arguments;
        (void)keywords;
        PyObject *o = pm_instance_alloc(type);
        if (o == NULL)
            return NULL;
        Py_INCREF(Py_None);
        ((pm_proxy *)o)->pool = Py_None;
        pm_set_info(o, pm_no_info, pm_no_names);
        PyObject_GC_Track(o);
        return o;
    }

    static void pm_instance_dealloc(PyObject *o)
    {
        pm_object_proxy *proxy = (pm_object_proxy *)o;
        PyObject_GC_UnTrack(o);
        pm_proxy_unbind(o);
        PyObject *pool = proxy->base.pool, *dict = proxy->dict, *info = proxy->info;
        /* The memory remembers whether the collector has called a __del__; the next object must be asked anew. */
        pm_proxy_free(&pm_object_spares, o, pm_is_plain_class(Py_TYPE(o)) && !PyObject_GC_IsFinalized(o));
        Py_XDECREF(info);
        Py_XDECREF(dict);
        Py_XDECREF(pool);
    }

    /* Making an instance runs no code of the class but a _v__init__. */
    static int pm_is_quiet_class(PyObject *cls, PyObject *base)
    {
        PyTypeObject *type = (PyTypeObject *)cls;
        return type->tp_new == pm_instance_new && type->tp_init == ((PyTypeObject *)base)->tp_init;
    }

    /* Cython compiles no __init_subclass__. */
    static int pm_prepare_class(PyObject *cls, PyObject *info, struct pm_names *fast, PyObject *init_subclass)
    {
        PyTypeObject *type = (PyTypeObject *)cls;
        PyObject *method = PyClassMethod_New(init_subclass);
        if (method == NULL || PyDict_SetItemString(type->tp_dict, "__init_subclass__", method) < 0)
            return -1;
        Py_DECREF(method);
        Py_INCREF(info);
        pm_no_info = info;
        pm_no_names = fast;
        pm_cython_new = type->tp_new;
        type->tp_new = pm_instance_new;
        type->tp_dealloc = pm_instance_dealloc;
        PyType_Modified(type);
        return 0;
    }
    """
    PyObject *pm_instance_alloc(PyTypeObject *type) except NULL
    void pm_set_info(PyObject *o, PyObject *info, pm_names *fast) noexcept
    bint pm_is_quiet_class(object cls, object base) noexcept
    int pm_prepare_class(object cls, PyObject *info, pm_names *fast, object init_subclass) except -1
    void pm_check_object() noexcept

include "_object_classes.pxi"

cdef ClassInfo not_ready = new_info()


class _Attributes(dict):
    """A copy of an object's persistent attributes.  It cannot be changed, since that would change nothing."""

    def _refuse(self, *args, **kwargs):
        raise TypeError("vars() of a persistent object is a copy; use setattr() and delattr() on the object itself")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self):
        return dict, (dict(self),)


cdef inline uint64_t *field_at(PersistentObject o, Py_ssize_t field) except? NULL:
    """Where the field is, or NULL when the object is too short for it."""
    cdef pm_instance *instance = <pm_instance *>o.head
    if field >= instance.cap:
        return NULL
    if not pm_leads_inside(o.p, instance.fields + 8 * <uint64_t>field):
        raise_damaged(o.pool, instance, "its fields are not inside the pool")
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


cdef inline bint is_special(ClassInfo info) noexcept:
    """The class has a _v__init__ of its own, or a version, or had one."""
    cdef unsigned version = pm_type_version(info.cls)
    if version == 0 or info.looked_at != version:
        look_at_class(info)
        info.looked_at = version
    return info.special


cdef void look_at_class(ClassInfo info) noexcept:
    cdef PyObject *found = pm_type_lookup(info.cls, "__p_version__")
    info.own_init = pm_type_lookup(info.cls, "_v__init__") != pm_type_lookup(PersistentObject, "_v__init__")
    info.wanted = pm_version_number(found)
    info.special = info.own_init or info.wanted != 0 or info.version_field >= 0


cdef inline bint has_init(ClassInfo info) noexcept:
    return is_special(info) and info.own_init


cdef int make_ready(PersistentObject o) except -1:
    """The first use after a load: an upgrade, if one is needed, and _v__init__."""
    cdef ClassInfo info
    check_read(o)
    info = (<ClassTable?>o.pool.registry).info(o.pool, (<pm_instance *>o.head).class_id)
    if not needs_upgrade(o.pool, <pm_instance *>o.head, info):
        set_info(o, info)
    elif not upgrade(o, info):
        return 0
    if has_init(info):
        try:
            o._v__init__()
        except BaseException:
            set_info(o, not_ready)
            raise
    return 0


include "_object_versions.pxi"

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
        if o.info == <PyObject *>not_ready and o.pool is not None:
            make_ready(o)
        return attributes(o)
    info = <ClassInfo>o.info
    field = info.field_of(type(o), name)
    if field >= 0:
        if not pm_is_type(o, info.fast.version):
            info.refresh(type(o))
        check_read(o)                           # may wait for another thread's transaction, which may add names
        field = info.field_of(type(o), name)
        at = field_at(o, field) if field >= 0 else NULL
        if at != NULL and at[0]:
            return slot_load(o.pool, at[0])
    elif info is not not_ready and pm_type_lookup(type(o), name) != NULL:
        info.met_in_class(o, name)
    try:
        return PyObject_GenericGetAttr(o, name)
    except AttributeError:
        if o.pool is None or is_dunder(name):
            raise
        check_read(o)
        factory = typed_fields.declared(type(o)).factories.get(name)
        if factory is None:
            raise
    return default_made(o, name, factory)


cdef object default_made(PersistentObject o, str name, object factory):
    """Of a field that came after the object, or was deleted.  Stored, so that it is the same one next time."""
    value = factory()
    check_read(o)
    if o.p.write_gate & PM_GATE_READONLY and not name.startswith(VOLATILE):
        return value
    setattr(o, name, value)
    return getattr(o, name)


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
        if at != NULL and at[0] and field != info.version_field:
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
    if instance.cap and (instance.fields & 7 or not pm_inside_all(p, instance.fields, instance.cap, 8)):
        raise_damaged(pool, instance, "its fields are not inside the pool")
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


cdef int raise_without_pool(PersistentObject o) except -1:
    cls = type(o).__name__
    hint = "; pmemobj.replace() does what dataclasses.replace() cannot" if hasattr(type(o), "__replace__") else ""
    raise TypeError(f"{cls} objects live in a pool: use pool.new({cls}, ...){hint}")


cdef bint set_typed(PersistentObject o, object name, object value) noexcept:
    """The fast way of a typed field; the table of names holds for the class of o.  False: nothing has been done."""
    cdef Py_ssize_t field = pm_typed_field_of(o.fast, name, value)
    cdef uint64_t *at = pm_field_at(o.p, o.head, field)
    return at != NULL and (at[0] or is_stored(o, field)) and pm_replace(o.p, at, value)


cdef int set_slow(PersistentObject o, object given, object value, bint checked=True) except -1:
    """checked: the value must be one that the class declares for the field."""
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
    if name in OF_CLASS and (checked or name != VERSION_FIELD):
        raise TypeError(f"the {name} of a persistent object cannot be assigned")
    descriptor = pm_type_lookup(type(o), name)
    if name.startswith(VOLATILE) or (descriptor != NULL and pm_is_data_descriptor(descriptor)):
        return PyObject_GenericSetAttr(o, name, <PyObject *>value)
    if pool is None:
        raise_without_pool(o)
    check_read(o)
    declared = typed_fields.known(type(o))
    if declared is None:
        declared = typed_fields.declared(type(o))
        (<ClassInfo>o.info).fast.version = 0    # made before it was known what is declared
    if checked:
        value = declared.fit(type(o), name, value)
        if stands_before(type(o), name, pm_type_lookup(type(o), name)):
            why = "names with two underscores on both sides are Python's" if is_dunder(name) else \
                "the class has a method of that name, which goes before what is stored; declare a field if it must be"
            raise AttributeError(
                f"{name!r} cannot be an attribute of a persistent {type(o).__qualname__}: {why}", name=name)
    kinds = declared.kinds(name)
    check_read(o)
    if not pm_immediate(value, &slot):
        plan = prepare(pool, value)
    name = sys.intern(name)
    info = <ClassInfo>o.info
    if not pm_is_type(o, info.fast.version):
        info.refresh(type(o))
    check_read(o)
    info.cut(items_of(pool, info.record).size - RECORD_HEAD)
    found = info.index.get(name)
    op_begin(pool)
    try:
        if found is None:
            field = len(info.names)
            append_slot(pool, info.record, name)
            info.learn(name, o, kinds)
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
    cdef PyObject *descriptor
    be_ready(o, name)
    if name in OF_CLASS:
        raise TypeError(f"the {name} of a persistent object cannot be deleted")
    if name.startswith(VOLATILE) or pool is None:
        return PyObject_GenericSetAttr(o, name, NULL)
    check_read(o)
    field = (<ClassInfo>o.info).index.get(name, -1)     # also one that a method stands before
    descriptor = pm_type_lookup(type(o), name)
    if field >= 0 and (descriptor == NULL or not pm_is_data_descriptor(descriptor)):
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


# --- creating

cdef PersistentObject create(Pool pool, PersistentObject o, ClassInfo info, bint versioned=True):
    """Makes the stored object for a new proxy, in an operation."""
    cdef pm_object *head
    cdef uint64_t names
    versioned = versioned and is_special(info) and info.wanted != 0
    if versioned:
        info.cut(items_of(pool, info.record).size - RECORD_HEAD)
    op_begin(pool)
    try:
        head = <pm_object *>pm_at(pool.p, object_new(pool, PM_TYPE_OBJECT, sizeof(pm_instance), False))
        pm_store(pool.p, &(<pm_instance *>head).class_id, info.class_id)
        names = items_of(pool, info.record).size - RECORD_HEAD
        if 0 < names <= MANY_FIELDS:
            reserve_field(pool, <pm_instance *>head, names - 1, names)
        if versioned:
            store_version(pool, <pm_instance *>head, info)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
    bind(o, pool, head)
    set_info(o, info)
    return o


cdef PersistentObject create_in_level(Pool pool, object cls, tuple args, dict kwargs):
    cdef ClassInfo info
    cdef PersistentObject o
    made = pm_tp_new(cls, cls, args, kwargs)
    if type(made) is not cls or (<PersistentObject>made).pool is not None:
        raise TypeError(f"{cls.__name__}.__new__() must return a new {cls.__name__}")
    info = (<ClassTable?>pool.registry).info_for(pool, cls)
    o = create(pool, made, info)
    if has_init(info):
        o._v__init__()
    pm_tp_init(o, args, kwargs)
    return o


# --- the class

cdef class PersistentObject(Persistent):
    """Base class of objects that live in a pool: subclass it, and make instances with ``pool.new(Class, ...)``.

    Attributes are set, read and deleted as usual and hold what a container of the pool can hold.  Each assignment is
    atomic; use ``with self._p_mm.transaction():`` to make several of them one change.  An abort brings the former
    values back, and an object created in the undone block raises StaleObjectError.

    ``__init__`` runs once, when the object is created; if it fails, nothing is left behind.  ``_v__init__`` runs
    before it, and again each time the object has been loaded anew, before its first use: it sets up volatile
    attributes, whose names begin with ``_v_`` (or ``_p_``) and which are never stored.

    The class is stored by its module and qualified name: keep it importable under that name, or say in
    ``__p_aliases__ = ("module:Name", ...)`` what names it had before.  Import its module before objects are read:
    where the class is not known they are read as a PersistentPlaceholder.

    Annotated attributes are typed fields: what is assigned to them must be of the declared type, or TypeError is raised
    and nothing has changed (a subclass may be; an int becomes a float where only float is declared; a plain list, dict,
    ... where a persistent one is declared, and the other way round).  Their default is the class's attribute.  With
    ``class Name(PersistentObject, slots=True)`` there are no others, for subclasses too unless they say slots=False.

    A class that changes so that its stored objects do not fit any more raises its ``__p_version__``, 0 by default, and
    says in ``__p_upgrade__`` what is to be done with them.
    """

    __p_version__ = 0

    def __init__(self):
        if self.pool is None:
            raise_without_pool(self)

    def __p_upgrade__(self, old_version):
        """Called once for each object that was stored by an older version of its class (``__p_version__``), before its
        first use: makes it what the class expects now.  Does nothing by default.

        Atomic, with the new version number: in a transaction of its own, or as part of the open one, whose abort undoes
        it.  If it raises, the object stays what it was, and its use raises UpgradeError.  Not called in a snapshot
        (``flag="r"``), where objects are what is stored.
        """

    def _v__init__(self):
        """Sets up volatile attributes; called at creation, and before the first use after each load."""

    @classmethod
    def _p_new(cls, Pool pool not None, tuple args, dict kwargs):
        cdef uint64_t epoch
        if not args and not kwargs and pm_is_quiet_class(cls, PersistentObject):
            pool_check_read(pool)
            info = (<ClassTable?>pool.registry).info_for(pool, cls)
            if not has_init(info):
                return create(pool, pm_tp_new(cls, cls, args, kwargs), info)
        epoch = block_begin(pool)
        try:
            made = create_in_level(pool, cls, args, kwargs)
        except BaseException:
            block_abort(pool, epoch)
            raise
        block_commit(pool, epoch)
        return made

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
        cdef Py_ssize_t field = pm_settable_field_of(self.fast, self, name)
        cdef uint64_t *at = pm_field_at(self.p, self.head, field)
        if at != NULL and (at[0] or is_stored(self, field)) and pm_replace(self.p, at, value):
            return
        if field != PM_TYPED or not set_typed(self, name, value):
            set_slow(self, name, value)

    def __delattr__(self, name):
        delete(self, name)

    def _check(self):
        """Raises PoolDamagedError if the object is not what it must be."""
        cdef ClassInfo info
        cdef Py_ssize_t field
        check_read(self)
        info = (<ClassTable?>self.pool.registry).info(self.pool, (<pm_instance *>self.head).class_id)
        if type(self) is PersistentPlaceholder:
            pass
        elif info.cls is not type(self) and names_of(type(self)) != (info.module, info.qualname):
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


def _init_subclass(cls, *, slots=None, **kwargs):
    """A new subclass of PersistentObject."""
    super(PersistentObject, cls).__init_subclass__(**kwargs)
    if slots is not None:
        cls.__p_slots__ = bool(slots)
    version = cls.__p_version__
    if type(version) is not int or not 0 <= version < 1 << 31:
        raise TypeError(f"__p_version__ of {cls.__qualname__} must be an int from 0 to 2**31 - 1, not {version!r}")
    typed_fields.check_defaults(cls)
    add_aliases(cls)


# --- loading

cdef PyObject *made(Pool pool, pm_object *head, pm_known_cell *cell, ClassInfo info) except NULL:
    """The proxy of a stored object, whose place in `known` is the cell.  Runs no user code."""
    cdef object cls = info.cls if info.cls is not None else PersistentPlaceholder
    cdef PyObject *o = pm_instance_alloc(<PyTypeObject *>cls)
    if info.cls is not None and is_special(info) and (
            info.own_init or needs_upgrade(pool, <pm_instance *>head, info)):
        pm_set_info(o, <PyObject *>not_ready, &not_ready.fast)
    else:
        pm_set_info(o, <PyObject *>info, &info.fast)
    pm_proxy_bind(o, <PyObject *>pool, pool.p, head, cell)
    return o


cdef PyObject *make(Pool pool, pm_object *head, pm_known_cell *cell) except NULL:
    cdef ClassTable table = <ClassTable?>pool.registry
    cdef uint32_t class_id = (<pm_instance *>head).class_id
    cdef ClassInfo info
    cdef int collecting
    if class_id < stored_classes(pool) and class_id < <size_t>PyList_GET_SIZE(table.infos):
        info = <ClassInfo>PyList_GET_ITEM(table.infos, class_id)
        if info.cls is not None:
            return made(pool, head, cell, info)
    collecting = PyGC_Disable()         # a collection could run user code, which could free the object
    try:
        return made(pool, head, cell, table.info(pool, class_id))
    finally:
        if collecting:
            PyGC_Enable()


def new_without_init(Pool pool not None, cls):
    """An object of the class without attributes and version; its __init__ is not called.  For repair()."""
    pool_check_read(pool)
    return create(pool, pm_tp_new(cls, cls, (), {}), (<ClassTable?>pool.registry).info_for(pool, cls), False)


def set_unchecked(PersistentObject o not None, str name not None, value):
    """Sets an attribute, whatever the class declares.  For repair()."""
    set_slow(o, name, value, False)


def stored_names(PersistentObject o not None):
    """The names of the attributes that are set; their values are not looked at.  For repair()."""
    cdef ClassInfo info
    cdef uint64_t *at
    cdef Py_ssize_t field
    check_read(o)
    info = (<ClassTable?>o.pool.registry).info(o.pool, (<pm_instance *>o.head).class_id)
    found = []
    for field in range(len(info.names)):
        at = field_at(o, field)
        if at != NULL and at[0]:
            found.append(info.names[field])
    return found


def _why(PersistentObject o not None):
    """Of a placeholder: module and name of its class, and why it is none of that class."""
    cdef ClassInfo info
    check_read(o)
    info = (<ClassTable?>o.pool.registry).info(o.pool, (<pm_instance *>o.head).class_id)
    return info.module, info.qualname, why_missing(info.module, info.qualname)


pm_check_object()
pm_proxy_lost = proxy_lost
pm_prepare_class(PersistentObject, <PyObject *>not_ready, &not_ready.fast, _init_subclass)
register_proxy(PM_TYPE_OBJECT, PersistentObject, make)


class PersistentPlaceholder(PersistentObject):
    """What an object is read as while its class is not known: the module has not been imported, or has no such class.

    Its attributes can be read, and it can be stored, compared and be a key; it cannot be changed, and has no methods.
    Import the module before the object is read to get the object itself.  Nothing is lost meanwhile.
    """

    def __setattr__(self, name, value):
        _, qualname, why = _why(self)
        raise errors.ClassNotFoundError(f"an attribute of this {qualname} cannot be set: {why}")

    def __delattr__(self, name):
        _, qualname, why = _why(self)
        raise errors.ClassNotFoundError(f"an attribute of this {qualname} cannot be deleted: {why}")

    def __getattr__(self, name):
        _, qualname, why = _why(self)
        raise AttributeError(f"this {qualname} has no stored attribute {name!r}; {why}", name=name, obj=self)

    def __repr__(self):
        try:
            module, qualname, _ = _why(self)
        except errors.PmemobjError:
            return PersistentObject.__repr__(self)
        return f"<placeholder of a {module}.{qualname}, with the attributes {', '.join(vars(self)) or 'none'}>"

    @classmethod
    def _p_new(cls, *args):
        raise TypeError("placeholders are only read, never made")
