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
    int Py_EnterRecursiveCall(const char *where) except *
    void Py_LeaveRecursiveCall() noexcept

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


cdef bint is_registered(Pool pool, object cls) except -1:
    return cls in codecs_by_type if pool is None else codec_for(pool, cls) is not None


include "_values_prepare.pxi"
include "_values_encode.pxi"
include "_values_load.pxi"
include "_values_keys.pxi"


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
