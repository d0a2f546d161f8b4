"""Python value <-> 8-byte slot (see enum pm_immediate and pm_ref_kind in layout.h).

Storing has two halves.  prepare() looks at the whole value, runs the encoders of registered types, and raises
TypeError with the path to what cannot be stored, before anything has changed.  encode() then writes blocks and
objects inside an operation and runs no user code.

Loading is raw first (blocks -> Python objects, no user code, no garbage collection), then the decoders of
registered types run over the finished value: they may do what they like to the pool.
"""

cimport cython
from cpython.complex cimport PyComplex_FromDoubles, PyComplex_ImagAsDouble, PyComplex_RealAsDouble
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject, PyObject_Hash
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from pmemobj._cengine cimport pm_at, pm_fresh, pm_pool, pm_store, pm_vec, pm_vec_at, pm_vec_run
from pmemobj._core cimport (
    Persistent, Pool, alloc, buffer_fill, check_read, deque_push, object_keep, object_new, op_abort, op_begin, op_end,
    pool_check_read, index_build, proxy_of, raise_damaged, slot_drop, value_block, vec_reserve,
)
from pmemobj._layout cimport *

from collections import Counter, OrderedDict, defaultdict, deque

from pmemobj import errors


cdef extern from "Python.h":
    int PyUnicode_KIND(object text) noexcept
    bint PyUnicode_IS_ASCII(object text) noexcept
    void *PyUnicode_DATA(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    object PyLong_FromLongLong(long long value)
    object PyFloat_FromDouble(double value)
    int PyGC_Disable() noexcept
    int PyGC_Enable() noexcept

cdef extern from "_engine/objects/keys.h":
    enum:
        PM_SIMPLE_ITEMS

    uint64_t pm_str_hash(object text) noexcept
    uint64_t pm_op_text(void *p, object text) noexcept
    bint pm_is_simple(object items) noexcept
    bint pm_is_simple_list(object items) noexcept
    bint pm_is_scalar(object value) noexcept
    uint64_t XXH3_64bits_withSeed(const void *data, size_t length, uint64_t seed) noexcept nogil

cdef extern from "_engine/objects/slot.h":
    object pm_plain_block(const pm_pool *p, uint64_t slot)
    const uint64_t *pm_value_block(const pm_pool *p, uint64_t slot) noexcept
    bint pm_is_ascii(const void *text, size_t length) noexcept
    bint pm_is_unicode(const uint32_t *text, size_t length) noexcept


# --- registered types; filled by native.py, registry.py and pickling.py

cdef class Codec:
    """How values of a type are stored: kind PM_REF_CUSTOM (encode/decode) or PM_REF_PICKLE.  stable_key: gives, for a
    value that is a key, one of another type that has the same hash in every process and for all equal values."""
    cdef readonly str name
    cdef readonly object encode, decode, stable_key
    cdef unsigned kind

    def __cinit__(self, str name, encode, decode, bint pickled=False, stable_key=None):
        self.name = name
        self.encode = encode
        self.decode = decode
        self.stable_key = stable_key
        self.kind = PM_REF_PICKLE if pickled else PM_REF_CUSTOM


cdef dict codecs_by_type = {}           # of every pool: type -> Codec
cdef dict codecs_by_name = {}
cdef object native_by_type = None       # of the standard library's types: type -> Codec or None
cdef object native_by_name = None


def add_codec(cls, Codec codec not None):
    """Makes values of exactly this type storable in every pool."""
    codecs_by_type[cls] = codec
    codecs_by_name[codec.name] = codec


def set_native(by_type, by_name):
    """Where the codecs of types that need no registration are found, once they are needed."""
    global native_by_type, native_by_name
    native_by_type = by_type
    native_by_name = by_name


cdef Codec codec_for(Pool pool, object cls):
    """The codec of a type, or None.  The user's word goes first: registered, then nominated for this pool."""
    found = codecs_by_type.get(cls)
    if found is None and pool.registry is not None:
        found = pool.registry.codecs.get(cls)
    if found is None and native_by_type is not None:
        found = native_by_type(cls)
    return found


# --- preparing

@cython.final
cdef class Plan:
    pass


class _Unsupported(Exception):
    """args[0]: the reason; path: where inside the value, outermost last."""

    def __init__(self, reason):
        super().__init__(reason)
        self.path = []


def _unsupported(value):
    cls = type(value)
    reason = f"a {cls.__module__}.{cls.__qualname__} cannot be stored in a pool"
    for base in (int, float, str, bytes, tuple, frozenset, list, dict, set, deque, bytearray):
        if isinstance(value, base):
            return f"{reason}: it is a subclass of {base.__name__}, whose values would come back as {base.__name__}; " \
                   f"convert it, or use pmemobj.register() or pool.persist_via_pickle()"
    if cls.__name__ in ("array", "memoryview"):
        return f"{reason}; convert it to a list or bytes"
    return f"{reason}; if its values never change, use pmemobj.register() or pool.persist_via_pickle(), " \
           f"otherwise make its class a pmemobj.PersistentObject"


cdef object prepare(Pool pool, object value):
    """A plan for encode().  Raises TypeError naming the path to what cannot be stored; nothing has changed."""
    cdef type cls = type(value)
    cdef Plan plan
    if cls is str or cls is int or cls is bytes or cls is float or cls is complex:
        return value
    if (cls is list and pm_is_simple_list(value)) or (cls is dict and pm_is_simple(value)):
        return value                    # nothing in it has identity, so it is encoded without a plan
    plan = Plan.__new__(Plan)
    plan.value = value
    try:
        look_through(pool, plan, value)
    except _Unsupported as found:
        where = "".join(reversed(found.path))
        raise TypeError(f"{found.args[0]} (at value{where})" if where else found.args[0]) from None
    return plan


cdef int look_through(Pool pool, Plan plan, object value) except -1:
    cdef type cls = type(value)
    cdef uint64_t slot
    cdef Codec codec
    if cls is str or cls is int or cls is bytes or cls is float or cls is complex or pm_immediate(value, &slot):
        return 0
    if isinstance(value, Persistent):
        if (<Persistent>value).pool is not pool:
            check_read(<Persistent>value)
            raise errors.CrossPoolError(
                f"this {cls.__name__} lives in {(<Persistent>value).pool.path}, not in {pool.path}; "
                "store a copy: pool.to_python(obj)"
            )
        check_read(<Persistent>value)
        return 0
    if cls is list or cls is tuple or cls is dict or cls is set or cls is frozenset or cls is deque:
        look_through_container(pool, plan, value, cls)
        return 0
    if cls is bytearray:
        return 0
    if cls is OrderedDict or cls is Counter or cls is defaultdict:
        look_through_dict(pool, plan, value)
        return 0
    codec = codec_for(pool, cls)
    if codec is None and describe_array is not None and cls.__name__ == "ndarray":
        return look_through_array(plan, value)
    if codec is None:
        raise _Unsupported(_unsupported(value))
    if plan.encoded is None:
        plan.encoded = {}
    if id(value) not in plan.encoded:
        payload = codec.encode(value)
        if type(payload) not in (str, int, bytes, float, complex, bool, tuple, frozenset, type(None)):
            raise TypeError(
                f"the encoder of {cls.__qualname__} must return a str, bytes, number, tuple or frozenset, "
                f"not {type(payload).__name__}"
            )
        look_through(pool, plan, payload)
        plan.encoded[id(value)] = (value, codec, payload)
    return 0


cdef int look_through_key(Pool pool, Plan plan, object key) except -1:
    """Its hash is kept where computing it again, inside the operation, could run user code."""
    cdef uint64_t hash
    cdef type cls = type(key)
    look_through(pool, plan, key)
    stable_hash(pool, key, &hash)
    if cls is not str and cls is not int and cls is not float and cls is not bytes:
        if plan.hashes is None:
            plan.hashes = {}
        plan.hashes[id(key)] = hash
    return 0


cdef uint64_t prepared_hash(Pool pool, Plan plan, object key) except? 0:
    cdef uint64_t hash
    found = plan.hashes.get(id(key)) if plan is not None and plan.hashes is not None else None
    if found is not None:
        return found
    stable_hash(pool, key, &hash)
    return hash


cdef int look_through_container(Pool pool, Plan plan, object value, type cls) except -1:
    cdef Py_ssize_t i = 0
    if plan.seen is None:
        plan.seen = {}
    if id(value) in plan.seen:
        return 0
    plan.seen[id(value)] = value
    if (cls is dict and pm_is_simple(value)) or (cls is list and pm_is_simple_list(value)):
        return 0
    key_failed = False
    try:
        with_recursion_limit()
        if cls is dict:
            for key, item in list((<dict>value).items()):
                key_failed = True
                look_through_key(pool, plan, key)
                key_failed = False
                look_through(pool, plan, item)
        elif cls is list or cls is tuple or cls is deque:
            key = None
            for item in tuple(value):
                key = i
                look_through(pool, plan, item)
                i += 1
        else:
            for item in tuple(value):
                key = item
                look_through_key(pool, plan, item)
    except _Unsupported as found:
        if key_failed:
            found.path.append(f" key {key!r}")
        elif cls is dict or cls is list or cls is tuple or cls is deque:
            found.path.append(f"[{key!r}]")
        raise
    finally:
        Py_LeaveRecursiveCall()
    return 0


cdef int look_through_dict(Pool pool, Plan plan, object value) except -1:
    """One of the subclasses of dict in collections.  Its items are noted, in its order, which user code may give."""
    if plan.encoded is None:
        plan.encoded = {}
    if id(value) in plan.encoded:
        return 0
    items = dict(value)
    factory = value.default_factory if type(value) is defaultdict else None
    plan.encoded[id(value)] = (value, items, factory)
    if factory is not None:
        trust_factory(factory)
        look_through(pool, plan, factory)
    look_through_container(pool, plan, items, dict)
    return 0


cdef int look_through_array(Plan plan, object value) except -1:
    """NumPy's, which may change until it is stored: what is noted is its memory."""
    if plan.encoded is None:
        plan.encoded = {}
    if id(value) in plan.encoded:
        return 0
    try:
        described = describe_array(value)
    except TypeError as error:
        raise _Unsupported(str(error))
    if described is None:
        raise _Unsupported(_unsupported(value))
    plan.encoded[id(value)] = (value, described, None)
    return 0


cdef object describe_array = None


def set_describe_array(function):
    """What says how an ndarray is stored; it stands in a layer above."""
    global describe_array
    describe_array = function


cdef object trust_factory = None


def set_trust_factory(function):
    """What is asked before the factory of a defaultdict is stored; it stands in a layer above."""
    global trust_factory
    trust_factory = function


cdef extern from "Python.h":
    int Py_EnterRecursiveCall(const char *where) except *
    void Py_LeaveRecursiveCall() noexcept


cdef int with_recursion_limit() except -1:
    return Py_EnterRecursiveCall(b" while storing a nested value")


# --- encoding; inside an operation

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


# --- loading

@cython.final
cdef class _Raw:
    """A value of a registered type before its decoder has run."""
    cdef unsigned kind
    cdef object name, payload


cdef object slot_load_slow(Pool pool, uint64_t slot):
    """What pm_quick_value does not give."""
    cdef bint registered = False
    cdef int collecting
    if PM_IS_REFERENCE(slot) and PM_SLOT_KIND(slot) == PM_REF_OBJECT and slot:
        return proxy_of(pool, slot & PM_OFFSET_MASK)
    collecting = PyGC_Disable()         # a collection could run user code, which could free this very block
    try:
        value = load_raw(pool, slot, &registered)
    finally:
        if collecting:
            PyGC_Enable()
    return decoded(pool, value) if registered else value


cdef object load_raw(Pool pool, uint64_t slot, bint *registered):
    cdef PyObject *found = pm_quick_value(pool.p, slot)
    if found != NULL:
        return pm_owned(found)
    if slot & 1:
        return PyLong_FromLongLong(<int64_t>slot >> 1)
    if slot & 3 == 2:
        return PyFloat_FromDouble(pm_slot_float(slot))
    if slot & 7:
        try:
            return pm_short_value(slot)
        except SystemError:
            raise errors.PoolDamagedError(f"{pool.path}: slot {slot:#x} is not a value") from None
    if slot == 0:
        raise errors.PoolDamagedError(f"{pool.path}: there is an empty slot where a value should be")
    if PM_SLOT_KIND(slot) == PM_REF_OBJECT:
        return proxy_of(pool, slot & PM_OFFSET_MASK)
    return load_block(pool, slot, registered)


cdef object load_block(Pool pool, uint64_t slot, bint *registered):
    cdef unsigned kind = PM_SLOT_KIND(slot)
    if kind > PM_REF_PICKLE:
        raise errors.PoolDamagedError(f"{pool.path}: slot {slot:#x} has an unknown kind")
    cdef uint64_t *block = value_block(pool, slot)
    cdef double *parts = <double *>block
    cdef uint64_t i
    cdef _Raw raw
    if kind == PM_REF_INT:
        return int.from_bytes(PyBytes_FromStringAndSize(<char *>(block + 1), block[0]), "little", signed=True)
    if kind == PM_REF_COMPLEX:
        return PyComplex_FromDoubles(parts[0], parts[1])   # complex(a, b) computes a + b * 1j
    if kind == PM_REF_TUPLE or kind == PM_REF_FROZENSET:
        Py_EnterRecursiveCall(b" while loading a nested value")
        try:
            items = [load_raw(pool, block[1 + i], registered) for i in range(block[0])]
        finally:
            Py_LeaveRecursiveCall()
        return tuple(items) if kind == PM_REF_TUPLE else frozenset(items)
    if kind == PM_REF_CUSTOM or kind == PM_REF_PICKLE:
        if block[0] != 2:
            raise_damaged(pool, block, f"a value of a registered type has {block[0]} parts instead of two")
        raw = _Raw.__new__(_Raw)
        raw.kind = kind
        Py_EnterRecursiveCall(b" while loading a nested value")
        try:
            raw.name = load_raw(pool, block[1], registered)
            raw.payload = load_raw(pool, block[2], registered)
        finally:
            Py_LeaveRecursiveCall()
        if type(raw.name) is not str:
            raise_damaged(pool, block, "a value of a registered type has no name")
        registered[0] = True
        return raw
    if kind == PM_REF_STR1 and not pm_is_ascii(block + 1, block[0]) or \
            kind == PM_REF_STR4 and not pm_is_unicode(<const uint32_t *>(block + 1), block[0]):
        raise_damaged(pool, block, "a text holds what is no character")
    return pm_plain_block(pool.p, slot)


cdef object decoded(Pool pool, object value):
    """The value with every _Raw in it decoded: user code."""
    cdef Codec codec
    cls = type(value)
    if cls is tuple:
        return tuple([decoded(pool, item) for item in <tuple>value])
    if cls is frozenset:
        return frozenset([decoded(pool, item) for item in <frozenset>value])
    if cls is not _Raw:
        return value
    payload = decoded(pool, (<_Raw>value).payload)
    if (<_Raw>value).kind == PM_REF_PICKLE:
        if pool.registry is None:
            raise errors.ClassNotFoundError(f"{(<_Raw>value).name} was pickled; nominate it with persist_via_pickle()")
        return pool.registry.unpickle((<_Raw>value).name, payload)
    codec = codecs_by_name.get((<_Raw>value).name)
    if codec is None and native_by_name is not None:
        codec = native_by_name((<_Raw>value).name)
    if codec is None:
        raise errors.ClassNotFoundError(
            f"a value of the registered type {(<_Raw>value).name!r} cannot be loaded: call pmemobj.register() for it "
            "before reading it"
        )
    return codec.decode(payload)


# --- keys

cdef enum:
    SEED_BYTES = 0x62797400
    SEED_TUPLE = 0x74757000
    SEED_SET = 0x73657400
    SEED_OBJECT = 0x6f626a00


cdef inline uint64_t mix(uint64_t h) noexcept:
    h = (h ^ (h >> 33)) * <uint64_t>0xff51afd7ed558ccd
    h = (h ^ (h >> 33)) * <uint64_t>0xc4ceb9fe1a85ec53
    return h ^ (h >> 33)


cdef int stable_hash(Pool pool, object key, uint64_t *hash) except -1:
    """The same in every process for equal keys: numbers by Python's numeric hash, str and bytes by XXH3."""
    cdef type cls = type(key)
    cdef uint64_t one, all = 0
    if cls is str:
        hash[0] = pm_str_hash(key)
        return 0
    if cls is int or cls is float or cls is bool or cls is complex:
        hash[0] = <uint64_t>PyObject_Hash(key)
        if key != key:
            hash[0] = 0                 # since 3.10 Python hashes a NaN by its address
        return 0
    if cls is bytes:
        hash[0] = XXH3_64bits_withSeed(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), SEED_BYTES)
        return 0
    if cls is tuple:
        with_recursion_limit()
        try:
            all = SEED_TUPLE
            for item in <tuple>key:
                stable_hash(pool, item, &one)
                all = mix(all + one) + 1
        finally:
            Py_LeaveRecursiveCall()
        hash[0] = all
        return 0
    if cls is frozenset:
        all = SEED_SET
        for item in <frozenset>key:
            stable_hash(pool, item, &one)
            all += mix(one)
        hash[0] = all
        return 0
    if key is None or key is ... or key is NotImplemented:
        hash[0] = 1 if key is None else 2 if key is ... else 3
        return 0
    return hash_other(pool, key, cls, hash)


cdef int hash_other(Pool pool, object key, type cls, uint64_t *hash) except -1:
    cdef Codec codec
    if isinstance(key, Persistent):
        PyObject_Hash(key)              # raises for the unhashable ones
        check_read(<Persistent>key)
        stable = getattr(cls, "_p_stable_hash", None)       # of the class: objects may have any attribute
        if stable is not None:
            return stable_hash(pool, stable(key), hash)
        if cls.__hash__ is not Persistent.__hash__ or cls.__eq__ is not Persistent.__eq__:
            raise TypeError(
                f"a {cls.__name__} cannot be a key: its own __eq__ or __hash__ may give another hash in another process"
            )
        hash[0] = mix(SEED_OBJECT + <uint64_t>(<char *>(<Persistent>key).head - (<Persistent>key).p.base))
        return 0
    PyObject_Hash(key)                  # TypeError: unhashable type
    codec = codec_for(pool, cls)
    if codec is not None and codec.stable_key is not None:
        return stable_hash(pool, codec.stable_key(key), hash)
    if codec is not None and codec.kind == PM_REF_CUSTOM:
        return stable_hash(pool, (codec.name, codec.encode(key)), hash)
    raise TypeError(
        f"a {cls.__module__}.{cls.__qualname__} cannot be a key: its hash may differ in another process; "
        "convert it, or use pmemobj.register() with a stable_key that is equal for equal values"
    )


cdef int key_equal(Pool pool, uint64_t slot, object key) noexcept:
    cdef type cls = type(key)
    cdef uint64_t mine
    cdef const uint64_t *block
    cdef unsigned kind
    if cls is str:
        if pm_immediate(key, &mine):
            return slot == mine
        kind = PM_SLOT_KIND(slot)
        if not PM_IS_REFERENCE(slot) or kind < PM_REF_STR1 or kind > PM_REF_STR4:
            return 0
        block = pm_value_block(pool.p, slot)
        if block == NULL or block[0] != <uint64_t>PyUnicode_GET_LENGTH(key):
            return 0
        if PyUnicode_KIND(key) != (4 if kind == PM_REF_STR4 else 2 if kind == PM_REF_STR2 else 1):
            return 0
        return memcmp(block + 1, PyUnicode_DATA(key), block[0] * PyUnicode_KIND(key)) == 0
    if pm_immediate(key, &mine) and mine == slot:
        return 1
    if cls is int and slot & 1:
        return 0
    if cls is bytes:
        if not PM_IS_REFERENCE(slot) or PM_SLOT_KIND(slot) != PM_REF_BYTES:
            return 0
        block = pm_value_block(pool.p, slot)
        return block != NULL and block[0] == <uint64_t>PyBytes_GET_SIZE(key) and \
            memcmp(block + 1, PyBytes_AS_STRING(key), block[0]) == 0
    if isinstance(key, Persistent):
        return slot == PM_REFERENCE(PM_REF_OBJECT, <uint64_t>(<char *>(<Persistent>key).head - pool.p.base)) or 2
    return 2


# --- the root

def root_get(Pool pool not None):
    pool_check_read(pool)
    return slot_load(pool, pool.p.root.root_slot)


def root_set(Pool pool not None, value):
    cdef uint64_t slot, old
    cdef object plan = None
    pool_check_read(pool)
    if not pm_immediate(value, &slot):
        plan = prepare(pool, value)
    op_begin(pool)
    try:
        if plan is not None:
            slot = encode(pool, plan)
        old = pool.p.root.root_slot
        pm_store(pool.p, &pool.p.root.root_slot, slot)
        slot_drop(pool, old)
    except BaseException:
        op_abort(pool)
        raise
    op_end(pool)
