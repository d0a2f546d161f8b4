# Encoding, inside an operation: values become slots, blocks and objects. Runs no user code.

cdef uint64_t new_block(Pool pool, unsigned kind, uint64_t length, const void *data, uint64_t size) except 0:
    """A block of a length word and `size` bytes of data."""
    cdef uint64_t offset = alloc(pool, 8 + size)
    cdef uint64_t *block = <uint64_t *>pm_at(pool.p, offset)
    block[0] = length
    memcpy(block + 1, data, size)
    pm_fresh(pool.p, block, 8 + size)
    return PM_REFERENCE(kind, offset)


cdef uint64_t encode(Pool pool, object plan) except 0:
    """The slot of a prepared value; the operation owns it until it is stored."""
    if type(plan) is Plan:
        (<Plan>plan).stored = None
        return encode_value(pool, <Plan>plan, (<Plan>plan).value)
    if type(plan) is list:
        return encode_simple(pool, plan, list)      # allocates nothing that could start a collection
    if type(plan) is str:
        return encode_scalar(pool, None, plan)
    return encode_value(pool, None, plan)


cdef uint64_t encode_value(Pool pool, Plan plan, object value) except 0:
    cdef type cls = type(value)
    cdef uint64_t slot, offset
    cdef double parts[2]
    if pm_immediate(value, &slot):
        return slot
    if cls is str:
        return encode_str(pool, value)
    if cls is bytes:
        return new_block(pool, PM_REF_BYTES, PyBytes_GET_SIZE(value), PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    if cls is int:
        raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return new_block(pool, PM_REF_INT, PyBytes_GET_SIZE(raw), PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
    if cls is float or cls is complex:
        parts[0] = PyComplex_RealAsDouble(value)    # a C complex would be made by a + b * 1j as well
        parts[1] = PyComplex_ImagAsDouble(value)
        offset = alloc(pool, 8 if cls is float else 16)
        memcpy(pm_at(pool.p, offset), parts, 8 if cls is float else 16)
        pm_fresh(pool.p, pm_at(pool.p, offset), 8 if cls is float else 16)
        return PM_REFERENCE(PM_REF_FLOAT if cls is float else PM_REF_COMPLEX, offset)
    if isinstance(value, Persistent):
        if (<Persistent>value).head == NULL:
            check_read(<Persistent>value)   # an encoder's doing, since prepare() looked
        offset = <uint64_t>(<char *>(<Persistent>value).head - pool.p.base)
        object_keep(pool, offset)
        return PM_REFERENCE(PM_REF_OBJECT, offset)
    return encode_nested(pool, plan, value, cls)


cdef uint64_t encode_nested(Pool pool, Plan plan, object value, type cls) except 0:
    """A tuple or container, or a value of a registered type.  What it allocates may not start a garbage collection,
    whose finalizers would run inside the operation."""
    cdef int collecting = PyGC_Disable()
    try:
        if cls is tuple or cls is frozenset:
            return encode_items(pool, plan, PM_REF_TUPLE if cls is tuple else PM_REF_FROZENSET, tuple(value))
        if cls is list or cls is dict or cls is set:
            return encode_container(pool, plan, value, cls)
        if cls is deque:
            return encode_deque(pool, plan, value)
        if cls is bytearray:
            return encode_bytearray(pool, plan, value)
        if cls is OrderedDict or cls is Counter or cls is defaultdict:
            return encode_dict(pool, plan, value, cls)
        found = plan.encoded.get(id(value)) if plan is not None and plan.encoded is not None else None
        if found is None:
            changed_meanwhile()
        if type(found[1]) is tuple:
            return encode_array(pool, plan, value, found[1])
        return encode_items(pool, plan, (<Codec>found[1]).kind, ((<Codec>found[1]).name, found[2]))
    finally:
        if collecting:
            PyGC_Enable()


cdef uint64_t encode_str(Pool pool, str text) except 0:
    cdef int width = PyUnicode_KIND(text)
    cdef unsigned kind = PM_REF_STR4 if width == 4 else PM_REF_STR2 if width == 2 else PM_REF_STR1L
    if PyUnicode_IS_ASCII(text):
        kind = PM_REF_STR1
    return new_block(pool, kind, PyUnicode_GET_LENGTH(text), PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text) * width)


cdef uint64_t encode_items(Pool pool, Plan plan, unsigned kind, tuple items) except 0:
    cdef Py_ssize_t n = PyTuple_GET_SIZE(items), i
    cdef uint64_t offset = alloc(pool, 8 + 8 * n)
    cdef uint64_t *block = <uint64_t *>pm_at(pool.p, offset)
    block[0] = n
    for i in range(n):
        block[1 + i] = encode_value(pool, plan, <object>PyTuple_GET_ITEM(items, i))
    pm_fresh(pool.p, block, 8 + 8 * n)
    return PM_REFERENCE(kind, offset)


cdef int changed_meanwhile() except -1:
    """Only another thread can have done that, while check_read() waited for a transaction."""
    raise RuntimeError("the value changed while it was being stored")


cdef uint64_t encode_scalar_only(Pool pool, PyObject *value) except 0:
    """What needs no plan, from a simple container."""
    cdef uint64_t slot
    if pm_immediate(<object>value, &slot):
        return slot
    if not pm_is_scalar(<object>value):
        changed_meanwhile()
    return encode_scalar(pool, None, <object>value)


cdef uint64_t encode_simple(Pool pool, object value, type cls) except 0:
    """A list or dict of scalars.  What is new may be filled by plain stores until the operation ends."""
    cdef uint64_t n, i, offset, block = 0
    cdef uint64_t *cells
    cdef pm_vec *v
    if cls is dict and pm_is_simple(value):
        offset = object_new(pool, PM_TYPE_DICT, sizeof(pm_table), True)
        fill_table(pool, None, offset, value, True)
        return PM_REFERENCE(PM_REF_OBJECT, offset)
    n = PyList_GET_SIZE(value) if cls is list else 0
    if cls is not list or n > PM_SIMPLE_ITEMS:
        changed_meanwhile()
    if n:
        block = alloc(pool, 8 * n)
        cells = <uint64_t *>pm_at(pool.p, block)
        for i in range(n):
            cells[i] = encode_scalar_only(pool, PyList_GET_ITEM(value, i))
        pm_fresh(pool.p, cells, 8 * n)
    offset = object_new(pool, PM_TYPE_LIST, sizeof(pm_list), True)
    v = &(<pm_list *>pm_at(pool.p, offset)).items
    v.size = n
    v.cap = words_of(pool.p, block, n)
    v.data = block
    return PM_REFERENCE(PM_REF_OBJECT, offset)


cdef inline uint64_t words_of(const pm_pool *p, uint64_t block, uint64_t asked) noexcept:
    """Words that fit the block which a request for so many got."""
    if asked == 0 or 8 * asked > PM_SMALL_MAX:
        return asked
    return (<pm_page *>pm_at(p, block & ~<uint64_t>(PM_PAGE_SIZE - 1))).block_size // 8


cdef uint64_t stored_before(Pool pool, Plan plan, object value) except? 0:
    """What this value has become already, with one reference more; 0: nothing yet."""
    if plan.stored is None:
        plan.stored = {}
    found = plan.stored.get(id(value))
    if found is None:
        return 0
    object_keep(pool, found)
    return PM_REFERENCE(PM_REF_OBJECT, found)


cdef uint64_t encode_container(Pool pool, Plan plan, object value, type cls) except 0:
    """A persistent copy of a list, dict or set.  Registered before its items, so that cycles find it."""
    cdef uint64_t offset, slot
    cdef unsigned type_number = PM_TYPE_LIST if cls is list else PM_TYPE_DICT if cls is dict else PM_TYPE_SET
    if plan is None:
        return encode_simple(pool, value, cls)
    slot = stored_before(pool, plan, value)
    if slot:
        return slot
    if cls is list and pm_is_simple_list(value):
        plan.stored[id(value)] = encode_simple(pool, value, cls) & PM_OFFSET_MASK
        return PM_REFERENCE(PM_REF_OBJECT, plan.stored[id(value)])
    offset = object_new(pool, type_number, sizeof(pm_list) if cls is list else sizeof(pm_table), True)
    plan.stored[id(value)] = offset
    if cls is list:
        fill_list(pool, plan, offset, tuple(value))
    else:
        fill_table(pool, plan, offset, value, cls is dict)
    return PM_REFERENCE(PM_REF_OBJECT, offset)


cdef uint64_t encode_dict(Pool pool, Plan plan, object value, type cls) except 0:
    """As encode_container(), of the items that look_through_dict() has noted."""
    cdef uint64_t offset, slot
    cdef unsigned type_number = PM_TYPE_DEFAULTDICT if cls is defaultdict else \
        PM_TYPE_COUNTER if cls is Counter else PM_TYPE_ORDEREDDICT
    noted = plan.encoded.get(id(value)) if plan.encoded is not None else None
    if noted is None:
        changed_meanwhile()
    slot = stored_before(pool, plan, value)
    if slot:
        return slot
    offset = object_new(
        pool, type_number, sizeof(pm_defaultdict) if cls is defaultdict else sizeof(pm_table), True)
    plan.stored[id(value)] = offset
    if cls is defaultdict:
        (<pm_defaultdict *>pm_at(pool.p, offset)).factory = PM_IMMEDIATE(PM_IMM_NONE)
        (<pm_defaultdict *>pm_at(pool.p, offset)).factory = encode_value(pool, plan, noted[2])
    fill_table(pool, plan, offset, noted[1], True)
    return PM_REFERENCE(PM_REF_OBJECT, offset)


cdef uint64_t encode_deque(Pool pool, Plan plan, object value) except 0:
    """As encode_container()."""
    cdef uint64_t offset, slot = stored_before(pool, plan, value)
    cdef pm_deque *d
    if slot:
        return slot
    offset = object_new(pool, PM_TYPE_DEQUE, sizeof(pm_deque), True)
    plan.stored[id(value)] = offset
    d = <pm_deque *>pm_at(pool.p, offset)
    d.maxlen = PM_NO_MAXLEN if value.maxlen is None else value.maxlen
    for item in tuple(value):
        slot = encode_value(pool, plan, item)
        deque_push(pool, d, &slot, 1)
    return PM_REFERENCE(PM_REF_OBJECT, offset)


cdef uint64_t encode_bytearray(Pool pool, Plan plan, bytearray value) except 0:
    """As encode_container()."""
    cdef uint64_t offset, slot = stored_before(pool, plan, value)
    if slot:
        return slot
    offset = object_new(pool, PM_TYPE_BYTEARRAY, sizeof(pm_buffer), True)
    plan.stored[id(value)] = offset
    buffer_fill(
        pool, <pm_buffer *>pm_at(pool.p, offset), PyByteArray_AS_STRING(value), PyByteArray_GET_SIZE(value))
    return PM_REFERENCE(PM_REF_OBJECT, offset)


cdef uint64_t encode_array(Pool pool, Plan plan, object value, tuple described) except 0:
    """As encode_container(), of what look_through_array() has noted."""
    cdef uint64_t slot = stored_before(pool, plan, value)
    if slot:
        return slot
    plan.stored[id(value)] = new_array(pool, described, True)
    return PM_REFERENCE(PM_REF_OBJECT, plan.stored[id(value)])


cdef uint64_t new_array(Pool pool, tuple described, bint owned) except 0:
    cdef uint64_t offset = object_new(pool, PM_TYPE_ARRAY, sizeof(pm_array), owned), address, size
    cdef pm_array *a = <pm_array *>pm_at(pool.p, offset)
    _, address, size, a.rows, a.row, shape, text = described
    buffer_fill(pool, &a.buffer, <const char *>address, size)
    a.shape = encode_value(pool, None, shape)
    a.dtype = encode_value(pool, None, text)
    return offset


cdef int fill_list(Pool pool, Plan plan, uint64_t offset, tuple items) except -1:
    """Fills a new, empty list or tuple object."""
    cdef pm_vec *v = &(<pm_list *>pm_at(pool.p, offset)).items
    cdef uint64_t n = PyTuple_GET_SIZE(items), i = 0, run, k
    cdef uint64_t *cell
    vec_reserve(pool, v, n, 1)
    while i < n:
        cell = pm_vec_run(pool.p, v, i, n, 1, &run)
        for k in range(run):
            cell[k] = encode_value(pool, plan, <object>PyTuple_GET_ITEM(items, i + k))
        pm_fresh(pool.p, cell, 8 * run)
        i += run
    pm_store(pool.p, &v.size, n)
    return 0


cdef uint64_t float_bits(double value) noexcept:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    return bits


cdef inline uint64_t encode_scalar(Pool pool, Plan plan, object value) except 0:
    cdef uint64_t slot = pm_op_text(pool.p, value) if type(value) is str else 0
    return slot or encode_value(pool, plan, value)


cdef bint fill_entry(
    Pool pool, Plan plan, pm_table *t, unsigned stride, uint64_t i, uint64_t n, object key, object item, dict nans
) except -1:
    """Fills entry i of a new table.  False: the key is there already."""
    cdef uint64_t *entry
    if i == n:
        changed_meanwhile()
    if type(key) is float and key != key:
        # Two NaN objects with the same bits are two keys for a builtin, but one for us: the last value stays.
        first = nans.setdefault(float_bits(key), i)
        if first != i:
            if stride == 3:
                entry = pm_vec_at(pool.p, &t.entries, first, 3)
                slot_drop(pool, entry[2])
                entry[2] = encode_value(pool, plan, item)
            return False
    entry = pm_vec_at(pool.p, &t.entries, i, stride)
    entry[0] = pm_str_hash(key) if type(key) is str else prepared_hash(pool, plan, key)
    entry[1] = encode_scalar(pool, plan, key)
    if stride == 3:
        entry[2] = encode_scalar(pool, plan, item)
    return True


cdef int fill_table(Pool pool, Plan plan, uint64_t offset, object source, bint is_dict) except -1:
    """Fills a new, empty dict or set object from a builtin one, whose keys are distinct already."""
    cdef pm_table *t = <pm_table *>pm_at(pool.p, offset)
    cdef unsigned stride = 3 if is_dict else 2
    cdef uint64_t n = len(source), i = 0, k = 0, run
    cdef uint64_t *entry
    cdef dict nans = {}
    if n == 0:
        return 0
    vec_reserve(pool, &t.entries, n, stride)
    if is_dict:
        for key, item in (<dict>source).items():
            i += fill_entry(pool, plan, t, 3, i, n, key, item, nans)
    else:
        for key in source:
            i += fill_entry(pool, plan, t, 2, i, n, key, None, nans)
    while k < i:
        entry = pm_vec_run(pool.p, &t.entries, k, i, stride, &run)
        pm_fresh(pool.p, entry, 8 * stride * run)
        k += run
    pm_store(pool.p, &t.used, i)
    pm_store(pool.p, &t.entries.size, i)
    if i > PM_TABLE_SMALL:
        index_build(pool, t, stride, i)
    return 0
