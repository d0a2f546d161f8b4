# References, the limbo list, destruction, proxies.
#
#  1. An object that no slot refers to (refs == 0) is on the limbo list, so that a crash leaks nothing: the
#     next open destroys what it finds there.
#  2. `known` maps offsets to live proxies.  An object with refs == 0 and without proxy has an entry with
#     proxy NULL and stands once in `orphans`: it waits for its destruction.
#  3. Destruction happens outside of transactions, in operations of bounded size: each takes some items off
#     the object, so that it may be interrupted by a crash at any point and goes on from there.

cdef enum:
    LARGEST_OBJECT = 128        # bytes; pages end long before the pool does
    DESTROY_ITEMS = 512         # slots dropped in one operation
    DESTROY_SEGMENTS = 64       # of a table's index, given back in one operation
    BACKLOG_OBJECTS = 64        # objects of the limbo list of a crash, destroyed after one operation

cdef extern from *:
    """
    /* Lists, dicts, sets and tuples: their proxies have no fields of their own, so they share the spares. */
    static pm_spares pm_container_spares;

    static void pm_container_dealloc(PyObject *o)
    {
        PyObject *pool = ((pm_proxy *)o)->pool;
        PyObject_GC_UnTrack(o);
        pm_proxy_unbind(o);
        pm_proxy_free(&pm_container_spares, o, !PyType_HasFeature(Py_TYPE(o), Py_TPFLAGS_HEAPTYPE));
        Py_XDECREF(pool);
    }

    /* Hands a new reference over to Cython. */
    static inline PyObject *pm_taken(PyObject *o) { return o; }

    static int pm_is_container_class(PyTypeObject *type, PyTypeObject *base)
    {
        return PyType_IsSubtype(type, base) && type->tp_basicsize == sizeof(pm_proxy) &&
               !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE);
    }

    static void pm_set_dealloc(PyTypeObject *type) { type->tp_dealloc = pm_container_dealloc; }

    #define pm_check_proxy() PM_CHECK_PROXY(struct __pyx_obj_7pmemobj_5_core_Persistent)
    """
    pm_spares pm_container_spares
    object pm_taken(PyObject *o)
    bint pm_is_container_class(PyTypeObject *type, PyTypeObject *base) noexcept
    void pm_set_dealloc(PyTypeObject *type) noexcept
    void pm_check_proxy() noexcept

cdef extern from "Python.h":
    int PyGC_Disable() noexcept
    int PyGC_Enable() noexcept
    void Py_INCREF(object o) noexcept

cdef make_proxy proxy_makers[PM_TYPES]
cdef PyTypeObject *proxy_classes[PM_TYPES]      # these are never given up
cdef dict class_names = {}                      # type number -> name of the class


cdef int register_class(unsigned type, object cls) except -1:
    if type >= PM_TYPES:
        raise ValueError(f"type number {type} is not below {PM_TYPES}")
    if not pm_is_container_class(<PyTypeObject *>cls, <PyTypeObject *>Persistent):
        raise TypeError(f"{cls!r} adds fields to Persistent")
    pm_set_dealloc(<PyTypeObject *>cls)
    proxy_classes[type] = <PyTypeObject *>cls
    class_names[type] = cls.__name__
    return 0


cdef int register_proxy(unsigned type, object cls, make_proxy make) except -1:
    if type >= PM_TYPES:
        raise ValueError(f"type number {type} is not below {PM_TYPES}")
    proxy_makers[type] = make
    class_names[type] = cls.__name__
    return 0


cdef PyObject *made_proxy(type cls, Pool pool, pm_object *head) except NULL:
    cdef Persistent made
    cdef int collecting = PyGC_Disable()    # a collection could run user code, which could free the object
    try:
        made = cls.__new__(cls)
        bind(made, pool, head)
    finally:
        if collecting:
            PyGC_Enable()
    Py_INCREF(made)
    return <PyObject *>made


# --- references

cdef inline uint64_t head_word(uint32_t refs, uint16_t type, uint16_t flags) noexcept nogil:
    return <uint64_t>refs | <uint64_t>type << 32 | <uint64_t>flags << 48


cdef void limbo_add(pm_pool *p, pm_object *o) noexcept:
    cdef uint64_t first = p.root.limbo, offset = pm_offset(p, o)
    if first and (first & 7 or not pm_inside(p, first, LARGEST_OBJECT)):
        first = 0                           # the damaged rest of the list is lost; check() finds what is on it
    pm_store(p, &o.limbo_next, first)
    pm_store(p, &o.limbo_prev, 0)
    if first:
        pm_store(p, &(<pm_object *>pm_at(p, first)).limbo_prev, offset)
    pm_store(p, &p.root.limbo, offset)


cdef void limbo_remove(Pool pool, pm_object *o) noexcept:
    cdef pm_pool *p = pool.p
    if pool.backlog == pm_offset(p, o):
        pool.backlog = o.limbo_next
    if o.limbo_prev:
        pm_store(p, &(<pm_object *>pm_at(p, o.limbo_prev)).limbo_next, o.limbo_next)
    else:
        pm_store(p, &p.root.limbo, o.limbo_next)
    if o.limbo_next:
        pm_store(p, &(<pm_object *>pm_at(p, o.limbo_next)).limbo_prev, o.limbo_prev)


cdef uint64_t object_new(Pool pool, unsigned type, uint64_t size, bint owned) except 0:
    """A zeroed object.  owned: the caller stores the one reference to it in the same operation; otherwise it
    is in limbo, and the caller makes its proxy after the operation."""
    cdef pm_pool *p = pool.p
    cdef uint64_t offset = alloc_object(pool, size)
    cdef pm_object *o = <pm_object *>pm_at(p, offset)
    cdef uint64_t *grown
    if p.depth:
        if pool.ncreated == pool.created_cap:
            grown = <uint64_t *>realloc(pool.created, (2 * pool.created_cap + 64) * 8)
            if grown == NULL:
                no_memory()
            pool.created = grown
            pool.created_cap = 2 * pool.created_cap + 64
        pool.created[pool.ncreated] = offset
        pool.ncreated += 1
    memset(o, 0, size)
    o.type = <uint16_t>type
    o.born = p.births
    p.births += 1
    o.refs = 1 if owned else 0
    o.flags = 0 if owned else PM_IN_LIMBO
    pm_fresh(p, o, size)
    if not owned:
        limbo_add(p, o)
    return offset


cdef int object_keep(Pool pool, uint64_t offset) except -1:
    """One more slot refers to the object."""
    cdef pm_object *o = object_at_offset(pool, offset)
    if o.refs == 0xffffffff:
        raise OverflowError("an object cannot be stored more than 2**32 - 1 times")
    if o.flags & PM_IN_LIMBO:
        limbo_must_be_sound(pool, o)
        limbo_remove(pool, o)
    pm_store(pool.p, o, head_word(o.refs + 1, o.type, o.flags & ~PM_IN_LIMBO))
    return 0


cdef int object_drop(Pool pool, uint64_t offset) except -1:
    """One slot less refers to the object.  The last one sends it to limbo."""
    cdef pm_pool *p = pool.p
    cdef pm_object *o = object_at_offset(pool, offset)
    if o.refs == 0:
        raise errors.PoolDamagedError(f"{pool.path}: the object at {offset:#x} has no reference to drop")
    if pool.collecting is not None:
        (<_Collection>pool.collecting).dropped(offset)
    if o.refs > 1:
        pm_store(p, o, head_word(o.refs - 1, o.type, o.flags))
        return 0
    pm_store(p, o, head_word(0, o.type, o.flags | PM_IN_LIMBO))
    limbo_add(p, o)
    if pm_known_find(&pool.known, offset) == NULL:
        orphan(pool, offset)
    return 0


cdef int slot_drop_slow(Pool pool, uint64_t slot) except -1:
    cdef uint64_t offset = slot & PM_OFFSET_MASK, i
    cdef uint64_t *block
    cdef unsigned kind = <unsigned>(slot >> 48)
    if kind == PM_REF_OBJECT:
        return object_drop(pool, offset)
    if kind > PM_REF_PICKLE:
        raise errors.PoolDamagedError(f"{pool.path}: slot {slot:#x} has an unknown kind")
    block = value_block(pool, slot)
    if kind >= PM_REF_TUPLE:                # blocks that hold slots
        if pool.collecting is not None:
            (<_Collection>pool.collecting).value_gone(offset)
        Py_EnterRecursiveCall(b" while a nested value is dropped")
        try:
            for i in range(block[0]):
                slot_drop(pool, block[1 + i])
        finally:
            Py_LeaveRecursiveCall()
    return release(pool, offset, owned_size(kind, block))


cdef uint64_t owned_size(unsigned kind, const uint64_t *block) noexcept nogil:
    """Bytes of an immutable block (see enum pm_ref_kind)."""
    if kind == PM_REF_STR1 or kind == PM_REF_STR1L or kind == PM_REF_BYTES or kind == PM_REF_INT:
        return 8 + block[0]
    if kind == PM_REF_STR2:
        return 8 + 2 * block[0]
    if kind == PM_REF_STR4:
        return 8 + 4 * block[0]
    if kind == PM_REF_FLOAT:
        return 8
    if kind == PM_REF_COMPLEX:
        return 16
    return 8 + 8 * block[0]


# --- orphans and their destruction

cdef int orphan(Pool pool, uint64_t offset) except -1:
    """Nobody refers to the object any more; drain() destroys it unless it is referred to again before."""
    cdef uint64_t *grown
    if pool.norphans == pool.orphans_cap:
        grown = <uint64_t *>realloc(pool.orphans, (2 * pool.orphans_cap + 64) * 8)
        if grown == NULL:
            no_memory()
        pool.orphans = grown
        pool.orphans_cap = 2 * pool.orphans_cap + 64
    if pm_known_set(&pool.known, offset, NULL):
        no_memory()
    pool.orphans[pool.norphans] = offset
    pool.norphans += 1
    pool.p.pending = 1
    return 0


cdef int drop_items(Pool pool, pm_vec *v, unsigned stride, unsigned first, uint64_t *budget) except -1:
    """Drops the slots of the last items; word `first` of an item is its first slot, after the hash in a table.  A table
    counts the rest right, as a crash may leave it between two steps."""
    cdef uint64_t *item
    cdef uint64_t *used = <uint64_t *>v - 1     # of a table
    cdef uint64_t live = 0
    cdef unsigned word
    pm_keys_forget(pool.p)
    while v.size and budget[0]:
        item = vec_at(pool, v, v.size - 1, stride)
        if first and item[first]:
            live += 1
        for word in range(first, stride):
            slot_drop(pool, item[word])
        pm_store(pool.p, &v.size, v.size - 1)
        budget[0] -= 1
    if live:
        pm_store(pool.p, used, used[0] - live)
    return 0


cdef uint64_t *fields_of(Pool pool, const pm_instance *o) except? NULL:
    """Its fields, o.cap of them."""
    if o.cap and (o.fields & 7 or not pm_inside_all(pool.p, o.fields, o.cap, 8)):
        raise_damaged(pool, o, "its fields are not inside the pool")
    return <uint64_t *>pm_at(pool.p, o.fields)


cdef bint destroy_step(Pool pool, pm_object *o) except -1:
    """Inside an operation.  True when the object is gone."""
    cdef pm_pool *p = pool.p
    cdef uint64_t budget = DESTROY_ITEMS, size, i
    cdef uint64_t *fields
    cdef pm_vec *v
    cdef pm_table *table
    cdef pm_deque *deque
    cdef pm_instance *instance
    if o.type == PM_TYPE_LIST or o.type == PM_TYPE_TUPLE:
        v = &(<pm_list *>o).items
        drop_items(pool, v, 1, 0, &budget)
        if v.size:
            return False
        vec_free(pool, v, 1)
        size = sizeof(pm_list)
    elif PM_IS_TABLE(o.type):
        table = <pm_table *>o
        drop_items(pool, &table.entries, PM_TABLE_STRIDE(o.type), 1, &budget)
        if table.entries.size:
            return False
        vec_free(pool, &table.entries, PM_TABLE_STRIDE(o.type))
        if not index_drop(pool, table, DESTROY_SEGMENTS):
            return False
        size = sizeof(pm_table)
        if o.type == PM_TYPE_DEFAULTDICT:
            slot_drop(pool, (<pm_defaultdict *>o).factory)
            size = sizeof(pm_defaultdict)
    elif o.type == PM_TYPE_DEQUE:
        deque = <pm_deque *>o
        deque_drop(pool, deque, &budget)
        if deque.first:
            return False
        size = sizeof(pm_deque)
    elif PM_IS_BUFFER(o.type):
        buffer_free(pool, <pm_buffer *>o)
        size = sizeof(pm_buffer)
        if o.type == PM_TYPE_ARRAY:
            slot_drop(pool, (<pm_array *>o).shape)
            slot_drop(pool, (<pm_array *>o).dtype)
            size = sizeof(pm_array)
    elif o.type == PM_TYPE_SORTED_DICT or o.type == PM_TYPE_SORTED_SET:
        drop_leaves(pool, <pm_sorted *>o, &budget)
        if (<pm_sorted *>o).height:
            return False
        slot_drop(pool, (<pm_sorted *>o).key_name)
        size = sizeof(pm_sorted)
    elif o.type == PM_TYPE_OBJECT:
        instance = <pm_instance *>o
        fields = fields_of(pool, instance)
        for i in range(instance.cap):
            slot_drop(pool, fields[i])
        if instance.cap:
            release(pool, instance.fields, <uint64_t>instance.cap * 8)
        size = sizeof(pm_instance)
    else:
        raise errors.PoolDamagedError(f"{pool.path}: unknown object type {o.type} at {pm_offset(p, o):#x}")
    limbo_must_be_sound(pool, o)
    limbo_remove(pool, o)
    release(pool, pm_offset(p, o), size)
    return True


cdef int destroy(Pool pool, uint64_t offset) except -1:
    cdef pm_object *o = object_at_offset(pool, offset)
    cdef bint gone = False
    if o.refs or not o.flags & PM_IN_LIMBO:
        raise_damaged(pool, o, "it is referred to, but in limbo")
    if pool.collecting is not None:
        (<_Collection>pool.collecting).vanishes(offset)
    while not gone:
        op_begin(pool)
        try:
            gone = destroy_step(pool, o)
            op_finish(pool)
        except BaseException:
            op_abort(pool)
            raise
        if pm_wants_care(pool.p):
            take_care(pool)
    return 0


cdef int destroy_orphans(Pool pool) except -1:
    """While the pool is draining.  No operation or transaction is open.  Proxies may come and go meanwhile: Python may
    collect garbage at any allocation."""
    cdef pm_known_cell *cell
    cdef uint64_t offset
    while pool.norphans:
        pool.norphans -= 1
        offset = pool.orphans[pool.norphans]
        cell = pm_known_find(&pool.known, offset)
        if cell == NULL or cell.proxy != NULL:
            continue
        pm_known_remove(&pool.known, cell)
        if (<pm_object *>pm_at(pool.p, offset)).refs == 0:
            try:
                destroy(pool, offset)
            except (MemoryError, OSError):
                orphan(pool, offset)        # goes on from there when there is room
                raise
    return 0


cdef int drain(Pool pool) except -1:
    """Destroys the orphans, and a part of what the last crash left in limbo."""
    cdef uint64_t offset
    cdef int budget = BACKLOG_OBJECTS
    if pool.draining:
        return 0
    pool.draining = True
    try:
        destroy_orphans(pool)
        while pool.backlog and budget:
            offset = pool.backlog
            destroy(pool, offset)
            budget -= 1
    finally:
        pool.draining = False
    return 0


cdef int drain_as_room_permits(Pool pool) except -1:
    """After something that is done, and must not seem to have failed.  What finds no room waits for the next time."""
    try:
        drain(pool)
    except errors.PoolFailedError:
        raise
    except (MemoryError, OSError):          # PoolFullError, PoolBusyError, a full disk
        pass
    return 0


# --- proxies

cdef int bind(Persistent o, Pool pool, pm_object *head) except -1:
    """Makes o the proxy of the object.  There is none yet."""
    if pool.p.base == NULL:
        pool_check_read(pool)           # closed by another thread while the commit waited for its sync
    if pm_known_set(&pool.known, pm_offset(pool.p, head), <void *>o):
        no_memory()
    o.pool = pool
    o.p = pool.p
    o.head = head
    return 0


cdef object proxy_of(Pool pool, uint64_t offset):
    cdef pm_known_cell *cell = pm_known_place(&pool.known, offset)
    cdef pm_object *head
    cdef PyObject *made
    if cell == NULL:
        no_memory()
    # A proxy whose count is 0 is being deallocated (a weakref callback can come here then): it is no more.
    if cell.offset and cell.proxy != NULL and (<PyObject *>cell.proxy).ob_refcnt > 0:
        return <object>cell.proxy
    head = <pm_object *>pm_at(pool.p, offset)
    if not pm_inside(pool.p, offset, LARGEST_OBJECT):
        object_at_offset(pool, offset)
    if head.type < PM_TYPES and proxy_classes[head.type] != NULL:
        made = pm_proxy_alloc(&pm_container_spares, proxy_classes[head.type])
        pm_proxy_bind(made, <PyObject *>pool, pool.p, head, cell)
        return pm_taken(made)
    if head.type >= PM_TYPES or proxy_makers[head.type] == NULL:
        raise errors.PoolDamagedError(f"{pool.path}: unknown object type {head.type} at {offset:#x}")
    return pm_taken(proxy_makers[head.type](pool, head, cell))


@cython.no_gc_clear             # __dealloc__ needs the pool, also when a cycle is collected
cdef class Persistent:
    """Base of everything that lives in a pool and has identity."""

    def __init__(self, *args, **kwargs):
        raise TypeError(f"{type(self).__name__} objects live in a pool: use pool.new({type(self).__name__}, ...)")

    def __dealloc__(self):
        cdef pm_known_cell *cell
        if self.head == NULL:
            return
        cell = pm_known_find(&self.pool.known, pm_offset(self.p, self.head))
        if cell == NULL or cell.proxy != <void *>self:
            return
        if self.head.refs or self.p.write_gate & ~PM_GATE_WRITABLE:
            pm_known_remove(&self.pool.known, cell)
            return
        proxy_lost(<PyObject *>self.pool, pm_offset(self.p, self.head))

    @property
    def _p_mm(self):
        """The pool of this object (the name that pynvm's classes use)."""
        check_read(self)
        return self.pool

    def __reduce__(self):
        """What copy.copy(), copy.deepcopy() and pickle make of it: containers give the builtin one."""
        raise TypeError(
            f"a {type(self).__name__} lives in its pool and cannot be pickled or copied; "
            "pool.to_python(vars(obj)) gives its attributes as plain builtins"
        )

    def __reduce_ex__(self, protocol):
        return self.__reduce__()


cdef void proxy_lost(PyObject *handle, uint64_t offset) noexcept:
    """The proxy of an object in limbo is gone.  What fails here is made good later, at the latest by the next open."""
    cdef Pool pool = <Pool>handle
    try:
        orphan(pool, offset)
        if is_idle(pool.p) and not pool.draining:
            drain(pool)
    except BaseException:
        pass


pm_check_proxy()
pm_proxy_lost = proxy_lost
