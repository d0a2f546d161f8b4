/*
 * layout.h: every structure and number that lies on media.
 *
 * DO NOT CHANGE anything here without a new PM_FORMAT_VERSION (or a feature bit): pools written by older
 * releases hold these very bytes.  Offsets are bytes from the start of the pool file; 0 means "none".
 * All fields are little-endian 8-byte words unless said otherwise, and every structure starts on a
 * multiple of 8, so that any single field can be replaced atomically.
 */
#ifndef PM_LAYOUT_H
#define PM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#define PM_LAYOUT_NAME "pmemobj"              /* libpmemobj's layout string of our pools */
#define PM_ROOT_MAGIC 0x4a424f4d454d5050ull   /* "PPMEMOBJ" */
#define PM_FORMAT_VERSION 3u
#define PM_ROOT_SIZE 4096u

/* Feature bits: a reader that meets an incompatible bit it does not know must refuse the pool. */
#define PM_INCOMPAT_KNOWN 0ull

/* State word of the root block: epoch << 1 | live.  Live means that the pool file alone is not the whole
 * truth: the file beside it with the same epoch holds committed changes (the journal) or what uncommitted ones
 * have overwritten (the undo log). */
#define PM_STATE_LIVE 1ull

/* ------------------------------------------------------------------ small blocks (see slab.h) ----- */

#define PM_PAGE_SHIFT 12
#define PM_PAGE_SIZE 4096u
/* Where the page of an offset begins; and the first page that begins at it or behind it. */
static inline uint64_t pm_page_of(uint64_t offset) { return offset & ~(uint64_t)(PM_PAGE_SIZE - 1); }
static inline uint64_t pm_page_behind(uint64_t offset) { return pm_page_of(offset + PM_PAGE_SIZE - 1); }

#define PM_CHUNK_STRIDE (256u * 1024u)
#define PM_CHUNK_BYTES (PM_CHUNK_STRIDE - 64u) /* one libpmemobj allocation that is cut into pages */
#define PM_PAGE_BITS 4                        /* bitmap words of a page: up to 252 blocks of 16 bytes */
#define PM_SMALL_MAX 2016u                    /* larger blocks are spans: whole pages, side by side */
#define PM_CHUNK_PAGES 63u                    /* pages of a chunk */
#define PM_SPAN_MAX (PM_CHUNK_PAGES * PM_PAGE_SIZE)     /* larger blocks come from libpmemobj directly */
#define PM_CLASSES 24                         /* size classes of ordinary blocks */
#define PM_OBJECT_MAX 256u                    /* largest pm_object with its body */
#define PM_OBJECT_CLASSES 8                   /* size classes PM_CLASSES.. : pages that hold pm_objects only */
#define PM_ALL_CLASSES (PM_CLASSES + PM_OBJECT_CLASSES)

/* A page of equal blocks.  A bit is 1 while its block is in use; bits past the last block are 1 for ever. */
typedef struct pm_page {
    uint64_t bitmap[PM_PAGE_BITS];
    uint64_t next, prev;        /* list of the pages of this class that have a free block */
    uint64_t chunk;             /* the chunk this page was cut from */
    uint32_t block_size;        /* bytes */
    uint16_t size_class;
    uint16_t listed;            /* 1 while on the list above */
} pm_page;                      /* 64 bytes; block i is at page + 64 + i * block_size */

/* Stands at the start of a chunk, which libpmemobj places at a multiple of PM_CHUNK_STRIDE plus an offset that is
 * the same for all of a pool.  The pages follow from the next multiple of PM_PAGE_SIZE on. */
typedef struct pm_chunk {
    uint64_t bitmap;            /* 1 = page in use; bits past the last page are 1 for ever */
    uint64_t next, prev;        /* list of the chunks that have a free page */
    uint64_t first_page;        /* offset of page 0 */
    uint64_t listed;            /* 1 while on the list above */
    uint64_t empty;             /* the bitmap of this chunk without pages in use */
    uint64_t spans;             /* 1 = page of a span; all others in use have a pm_page */
    uint64_t starts;            /* 1 = first page of a span */
} pm_chunk;                     /* 64 bytes */

/* ------------------------------------------------------------------ root block -------------------- */

/*
 *  OFFSET  MEANING
 *       0  magic PM_ROOT_MAGIC
 *       8  format version
 *      16  incompatible and 24 compatible feature bits
 *      32  UUID of this pool (16 bytes)
 *      48  state word: epoch << 1 | live
 *      56  the root slot
 *      64  slot of the type table (a persistent list)
 *      72  first object of the limbo list
 *      80  first chunk with a free page
 *      88  generation: goes up by one when the direct engine commits or undoes (see undo.h)
 *     128  per size class: first page with a free block
 *     512  what of this session's journal the file holds: PM_MARK of the last record applied to it,
 *     520  and PM_MARK of the number of ranges written to it past the journal
 *     640  in records: how many such ranges it must hold by then
 *
 * The state word and the marks at 512 and 520 are written to the file itself.  Records hold whole lines of 64 bytes,
 * and must not bring back an old mark: so nothing else lies in their lines.
 */
#define PM_MARK(epoch, number) ((uint64_t)(epoch) << 40 | (uint64_t)(number))
#define PM_MARK_NUMBER(mark, epoch) ((mark) >> 40 == ((epoch) & 0xffffff) ? (mark) & 0xffffffffff : 0)

typedef struct pm_root {
    uint64_t magic;
    uint64_t version;
    uint64_t incompat;
    uint64_t compat;
    uint8_t uuid[16];
    uint64_t state;
    uint64_t root_slot;
    uint64_t types_slot;
    uint64_t limbo;
    uint64_t chunks;
    uint64_t generation;
    uint64_t reserved[4];
    uint64_t pages[PM_ALL_CLASSES];
    uint64_t unused[16];
    uint64_t applied;
    uint64_t ranges;
    uint64_t alone[14];
    uint64_t ranges_needed;
} pm_root;

_Static_assert(offsetof(pm_root, applied) == 512 && offsetof(pm_root, ranges_needed) == 640, "see the table above");

/* ------------------------------------------------------------------ objects ----------------------- */

enum pm_type {                  /* type numbers of persistent objects */
    PM_TYPE_LIST = 1,
    PM_TYPE_DICT = 2,
    PM_TYPE_SET = 3,
    PM_TYPE_TUPLE = 4,
    PM_TYPE_OBJECT = 5,
    PM_TYPE_DEQUE = 6,
    PM_TYPE_BYTEARRAY = 7,
    PM_TYPE_DEFAULTDICT = 8,
    PM_TYPE_COUNTER = 9,
    PM_TYPE_ORDEREDDICT = 10,
    PM_TYPE_ARRAY = 11,
    PM_TYPE_FROZENSET = 12,
    PM_TYPE_SORTED_DICT = 16,
    PM_TYPE_SORTED_SET = 17,
    PM_TYPES = 32
};

/* Those whose body begins with a pm_table, and the words of its entries. */
#define PM_IS_DICT(type) ((type) == PM_TYPE_DICT || ((type) >= PM_TYPE_DEFAULTDICT && (type) <= PM_TYPE_ORDEREDDICT))
#define PM_IS_SET(type) ((type) == PM_TYPE_SET || (type) == PM_TYPE_FROZENSET)
#define PM_IS_TABLE(type) (PM_IS_SET(type) || PM_IS_DICT(type))
#define PM_TABLE_STRIDE(type) (PM_IS_SET(type) ? 2u : 3u)

/* Those whose body begins with a pm_buffer. */
#define PM_IS_BUFFER(type) ((type) == PM_TYPE_BYTEARRAY || (type) == PM_TYPE_ARRAY)

/* libpmemobj type numbers of our large allocations, for POBJ_FOREACH and pmempool info */
enum pm_alloc_type { PM_ALLOC_CHUNK = 1, PM_ALLOC_BLOCK = 2 };

/* Every object with identity starts with this.  An object whose reference count is 0 is on the limbo
 * list: a proxy may still hold it, and the next open frees it. */
typedef struct pm_object {
    uint32_t refs;              /* slots that refer to this object */
    uint16_t type;              /* enum pm_type */
    uint16_t flags;             /* PM_IN_LIMBO */
    uint64_t born;              /* number that no other object of this pool has or had, made of session and count */
    uint64_t limbo_next, limbo_prev;
} pm_object;                    /* 32 bytes */

#define PM_BORN_BITS 40         /* of the count */

#define PM_IN_LIMBO 1u

/* A growable array of items of `stride` words (1 in a list, 2 in a set, 3 in a dict).  Up to
 * PM_SEG_WORDS words it is one block; beyond that `data` is a directory (`dir_cap` words long) of blocks
 * of PM_SEG_WORDS words each, so that growing never copies more than one such block. */
#define PM_SEG_WORDS 32760u     /* 262,080 bytes: divisible by 1, 2 and 3, fits one 256 KiB heap chunk */

typedef struct pm_vec {
    uint64_t size;              /* items in use */
    uint64_t cap;               /* items there is room for */
    uint64_t data;              /* offset of the block or of the directory; 0 when cap is 0 */
    uint64_t dir_cap;           /* words in the directory; 0 while there is only one block */
} pm_vec;                       /* 32 bytes */

typedef struct pm_list {        /* also the tuple: the same body, never changed after creation */
    pm_object head;
    pm_vec items;               /* cells: one slot each */
} pm_list;                      /* 64 bytes */

/* A deque: a chain of blocks.  Each item has a position, which stays what it is while others come and go at both ends;
 * a block holds `cap` positions from `start` on, and the next block those that follow.  Cells outside of left..right-1
 * hold nothing.  Every block holds an item, but for the only one of an empty deque. */
#define PM_DEQUE_FIRST 12u      /* cells of the first block: it has 128 bytes */
#define PM_DEQUE_CELLS 248u     /* cells of the largest blocks, of PM_SMALL_MAX bytes */
#define PM_DEQUE_MIDDLE (1ull << 62)    /* position of the first item of all: far from both ends */
#define PM_NO_MAXLEN (~0ull)

typedef struct pm_deque {
    pm_object head;
    uint64_t left, right;       /* position of the first item, and the one after the last item */
    uint64_t first, last;       /* blocks; 0: there is none */
    uint64_t maxlen;            /* PM_NO_MAXLEN: any number of items */
} pm_deque;                     /* 72 bytes */

typedef struct pm_deque_block {
    uint64_t next, prev;
    uint64_t start;             /* position of cells[0] */
    uint64_t cap;
    uint64_t cells[];           /* one slot each */
} pm_deque_block;               /* 32 bytes and the cells */

/* Hash table: insertion-ordered entries and an index (see table.h).  Dict entries are {hash, key slot, value
 * slot}, those of a set, frozen or not, {hash, key slot}; a key slot of 0 is a deleted entry.  A table of at most
 * PM_TABLE_SMALL entries has no index.  A segment of the index is named by a word: bits 0-47 its offset, bits 48-55 its depth
 * (by how many bits of the tag it is chosen), bits 56-63 the logarithm of its number of 8-byte cells. */
typedef struct pm_table {
    pm_object head;
    uint64_t used;              /* live entries; right before entries.size, with which it changes */
    pm_vec entries;             /* entries.size counts the deleted ones too */
    uint64_t index;             /* 0: none; the only segment; or the offset of the directory */
    uint64_t index_depth;       /* the directory has 2^index_depth segment words; 0: there is none */
} pm_table;                     /* 88 bytes */

#define PM_TABLE_SMALL 8u

typedef struct pm_defaultdict {
    pm_table table;
    uint64_t factory;           /* slot of default_factory */
} pm_defaultdict;               /* 96 bytes */

/* In an ordered dict whose entry 0 is deleted, the value slot of that entry may hold an int: so many entries, at least,
 * are deleted at the front. */

/* Bytes in one block, which is shown to others as it is. */
typedef struct pm_buffer {
    pm_object head;
    uint64_t size;              /* bytes in use */
    uint64_t start;             /* where in the block they begin */
    uint64_t cap;               /* bytes of the block */
    uint64_t data;              /* the block; 0 when cap is 0, and everything else is too */
} pm_buffer;                    /* 64 bytes; a byte array */

typedef struct pm_array {       /* a NumPy array, its items in the order of C */
    pm_buffer buffer;           /* which begins with its block */
    uint64_t row;               /* bytes of an item of the first axis, or of all items if there are no axes */
    uint64_t rows;              /* where these have no bytes: their number */
    uint64_t shape;             /* slot of a tuple: the lengths of the axes, of which the first may have changed */
    uint64_t dtype;             /* slot of a text: the literal by which NumPy's files describe a dtype */
} pm_array;                     /* 96 bytes */

typedef struct pm_instance {    /* a PersistentObject */
    pm_object head;
    uint32_t class_id;          /* entry of the type table */
    uint32_t cap;               /* fields there is room for */
    uint64_t fields;            /* offset of `cap` slots; 0 is "not set" */
} pm_instance;                  /* 48 bytes */

/* A sorted dict or set: a B+-tree (see sorted.h).  Leaves are at the same height and linked.
 *
 *  1. A leaf's entries stand where there was room; its `order` names their positions by ascending key.  A set's leaf
 *     ends before the values.
 *  2. An inner node has the children, the number of entries below each, and the key slot of the smallest entry below
 *     each but the first.  That slot is the leaf's, which owns what it refers to.
 *  3. Every leaf but the root and the last one has PM_LEAF_MIN entries at least; every inner node that is not the
 *     last of its height has PM_INNER_MIN children at least, and the root has two. */
#define PM_LEAF_KEYS 48u
#define PM_LEAF_MIN 12u
#define PM_INNER_CHILDREN 60u
#define PM_INNER_MIN 15u
#define PM_SORTED_HEIGHT 16u    /* more than any pool can hold */
#define PM_COMMON_MAX 24u       /* bytes */
#define PM_NO_HEADS (~0ull)
#define PM_HEADS_WHOLE (1ull << 8)

typedef struct pm_sorted {
    pm_object head;
    uint64_t count;             /* entries */
    uint64_t version;           /* changes whenever a key comes or goes, to a number it never had in this process */
    uint64_t root;              /* 0 without entries */
    uint64_t height;            /* 1: the root is a leaf */
    uint64_t key_name;          /* 0, or the slot of the name of the key function */
} pm_sorted;                    /* 72 bytes */

typedef struct pm_common {      /* what all keys of a node begin with (see heads.h) */
    uint64_t length;            /* bytes, plus PM_HEADS_WHOLE; PM_NO_HEADS: the node's heads mean nothing */
    uint64_t bytes[PM_COMMON_MAX / 8];
} pm_common;                    /* 32 bytes */

typedef struct pm_leaf {
    uint64_t used;              /* bit i: there is an entry at position i */
    uint64_t next, prev;        /* leaves */
    uint8_t order[PM_LEAF_KEYS];
    pm_common common;
    uint64_t heads[PM_LEAF_KEYS];
    uint64_t keys[PM_LEAF_KEYS];
    uint64_t values[PM_LEAF_KEYS];
} pm_leaf;                      /* 1256 bytes; a set's 872 */

typedef struct pm_inner {
    uint64_t size;              /* children */
    pm_common common;
    uint64_t heads[PM_INNER_CHILDREN];
    uint64_t keys[PM_INNER_CHILDREN];       /* the first is not used */
    uint64_t children[PM_INNER_CHILDREN];
    uint64_t counts[PM_INNER_CHILDREN];
} pm_inner;                     /* 1960 bytes */

/* ------------------------------------------------------------------ slots ------------------------- */

/*
 * A slot is one word.  0 is "empty" and never a value.
 *
 *   ...1           int: the value is the word shifted right arithmetically by 1 (63 bits)
 *   ..10           float: +0.0 and magnitudes between 2^-255 and 2^256, bits rotated (see slot.h)
 *   .100           immediate: bits 3-7 say which (PM_IMM_*), bits 8-63 hold up to 7 bytes of data
 *   .000           reference: bits 0-47 the offset, bits 48-55 the kind (PM_REF_*), bits 56-63 zero
 */
enum pm_immediate {
    PM_IMM_STR = 0,             /* 0-7: ASCII string of that length, first character in the lowest byte */
    PM_IMM_BYTES = 8,           /* 8-15: bytes of length 0-7 */
    PM_IMM_NONE = 16,
    PM_IMM_FALSE = 17,
    PM_IMM_TRUE = 18,
    PM_IMM_ELLIPSIS = 19,
    PM_IMM_EMPTY_TUPLE = 20,
    PM_IMM_EMPTY_FROZENSET = 21,
    PM_IMM_NOTIMPLEMENTED = 22
};

enum pm_ref_kind {
    PM_REF_OBJECT = 0,          /* a pm_object: counted reference */
    /* all others are immutable blocks owned by exactly one slot; the first word says the length */
    PM_REF_STR1 = 1,            /* length in characters; 1-byte characters, ASCII */
    PM_REF_STR1L = 2,           /* 1-byte characters, Latin-1 (at least one above 127) */
    PM_REF_STR2 = 3,
    PM_REF_STR4 = 4,
    PM_REF_BYTES = 5,           /* length in bytes */
    PM_REF_INT = 6,             /* length in bytes; two's complement, little-endian */
    PM_REF_FLOAT = 7,           /* 8 bytes, no length word */
    PM_REF_COMPLEX = 8,         /* 16 bytes, no length word */
    PM_REF_TUPLE = 9,           /* number of items; then that many slots */
    PM_REF_FROZENSET = 10,      /* number of items; then that many slots */
    PM_REF_CUSTOM = 11,         /* registered type: word 0 = 2, then the slot of its name, the slot of its payload */
    PM_REF_PICKLE = 12          /* word 0 = 2, then the slot of "module:qualname", the slot of the pickle bytes */
};

#define PM_OFFSET_MASK 0x0000ffffffffffffull

#endif
