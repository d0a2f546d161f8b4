# What lies on media, as _engine/layout.h declares it: DO NOT CHANGE without a format version.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "_engine/layout.h" nogil:
    const char *PM_LAYOUT_NAME
    uint64_t pm_page_behind(uint64_t offset) noexcept
    enum:
        PM_FORMAT_VERSION
        PM_ROOT_SIZE
        PM_STATE_LIVE
        PM_PAGE_SIZE
        PM_PAGE_BITS
        PM_CHUNK_STRIDE
        PM_CHUNK_BYTES
        PM_SMALL_MAX
        PM_SPAN_MAX
        PM_CHUNK_PAGES
        PM_CLASSES
        PM_SEG_WORDS
        PM_TABLE_SMALL
        PM_DEQUE_FIRST
        PM_DEQUE_CELLS
        PM_IN_LIMBO
        PM_BORN_BITS
        PM_TYPE_LIST
        PM_TYPE_DICT
        PM_TYPE_SET
        PM_TYPE_TUPLE
        PM_TYPE_OBJECT
        PM_TYPE_DEQUE
        PM_TYPE_BYTEARRAY
        PM_TYPE_DEFAULTDICT
        PM_TYPE_COUNTER
        PM_TYPE_ORDEREDDICT
        PM_TYPE_ARRAY
        PM_TYPE_FROZENSET
        PM_TYPE_SORTED_DICT
        PM_TYPE_SORTED_SET
        PM_TYPES
        PM_LEAF_KEYS
        PM_LEAF_MIN
        PM_INNER_CHILDREN
        PM_INNER_MIN
        PM_SORTED_HEIGHT
        PM_ALLOC_CHUNK
        PM_ALLOC_BLOCK
        PM_IMM_BYTES
        PM_IMM_NONE
        PM_IMM_EMPTY_TUPLE
        PM_IMM_NOTIMPLEMENTED
        PM_REF_OBJECT
        PM_REF_STR1
        PM_REF_STR1L
        PM_REF_STR2
        PM_REF_STR4
        PM_REF_BYTES
        PM_REF_INT
        PM_REF_FLOAT
        PM_REF_COMPLEX
        PM_REF_TUPLE
        PM_REF_FROZENSET
        PM_REF_CUSTOM
        PM_REF_PICKLE
    uint64_t PM_ROOT_MAGIC
    uint64_t PM_OFFSET_MASK
    uint64_t PM_INCOMPAT_KNOWN
    uint64_t PM_NO_MAXLEN
    uint64_t PM_DEQUE_MIDDLE

    ctypedef struct pm_page:
        uint64_t bitmap[4]
        uint64_t next, prev, chunk
        uint32_t block_size
        uint16_t size_class
        uint16_t listed

    ctypedef struct pm_chunk:
        uint64_t bitmap, next, prev, first_page, listed, empty, spans, starts

    ctypedef struct pm_root:
        uint64_t magic, version, incompat, compat
        uint8_t uuid[16]
        uint64_t state, root_slot, types_slot, limbo, chunks
        uint64_t pages[32]

    ctypedef struct pm_object:
        uint32_t refs
        uint16_t type
        uint16_t flags
        uint64_t born, limbo_next, limbo_prev

    ctypedef struct pm_vec:
        uint64_t size, cap, data, dir_cap

    ctypedef struct pm_list:
        pm_object head
        pm_vec items

    ctypedef struct pm_deque:
        pm_object head
        uint64_t left, right, first, last, maxlen

    ctypedef struct pm_deque_block:
        uint64_t next, prev, start, cap
        uint64_t *cells                 # a flexible array

    ctypedef struct pm_buffer:
        pm_object head
        uint64_t size, start, cap, data

    ctypedef struct pm_array:
        pm_buffer buffer
        uint64_t row, rows, shape, dtype

    ctypedef struct pm_table:
        pm_object head
        uint64_t used
        pm_vec entries
        uint64_t index
        uint64_t index_depth

    ctypedef struct pm_defaultdict:
        pm_table table
        uint64_t factory

    bint PM_IS_BUFFER(unsigned type)
    bint PM_IS_DICT(unsigned type)
    bint PM_IS_SET(unsigned type)
    bint PM_IS_TABLE(unsigned type)
    unsigned PM_TABLE_STRIDE(unsigned type)

    ctypedef struct pm_instance:
        pm_object head
        uint32_t class_id
        uint32_t cap
        uint64_t fields

    ctypedef struct pm_sorted:
        pm_object head
        uint64_t count, version, root, height, key_name

    ctypedef struct pm_common:
        uint64_t length
        uint64_t bytes[3]

    ctypedef struct pm_leaf:
        uint64_t used, next, prev
        uint8_t order[48]
        pm_common common
        uint64_t heads[48]
        uint64_t keys[48]
        uint64_t values[48]

    ctypedef struct pm_inner:
        uint64_t size
        pm_common common
        uint64_t heads[60]
        uint64_t keys[60]
        uint64_t children[60]
        uint64_t counts[60]
