/*
 * sorted.h: looking up and walking the B+-tree of sorted dicts and sets (pm_sorted in layout.h).
 *
 *  1. Nothing here changes the tree or runs Python code.
 *  2. Keys are compared here when both are ints, floats, bools, strings or bytes.  Any other pair is PM_UNORDERED,
 *     and the caller leaves it to Python.
 *  3. A path names nodes by their offsets.  It holds as long as the tree's version is the same.
 */
#ifndef PM_SORTED_H
#define PM_SORTED_H

#include <Python.h>

#include "engine.h"
#include "slot.h"

#define PM_UNORDERED 2

enum pm_sought_kind { PM_SOUGHT_INT, PM_SOUGHT_FLOAT, PM_SOUGHT_STR, PM_SOUGHT_BYTES, PM_SOUGHT_OTHER, PM_SOUGHT_NAN };

/* A key to be compared with those of a tree. */
typedef struct pm_sought {
    int kind;
    unsigned width;             /* bytes of a character */
    int64_t word;               /* of an int: its slot */
    double number;              /* of an int: near to it; exact up to 2^53 */
    uint64_t prefix;            /* the first eight bytes as a big-endian number, of characters of one byte */
    uint64_t length;            /* in characters */
    const void *data;
    uint64_t chars;             /* of a string in a slot */
} pm_sought;

typedef struct pm_path {
    unsigned height;            /* 0: the tree is empty */
    unsigned at;                /* in the leaf's order */
    int found;
    uint64_t nodes[PM_SORTED_HEIGHT];       /* the root first, the leaf last */
    unsigned child[PM_SORTED_HEIGHT];       /* of nodes[i]: which of its children is nodes[i + 1] */
} pm_path;

static inline pm_leaf *pm_leaf_at(const pm_pool *p, uint64_t offset) { return (pm_leaf *)pm_at(p, offset); }
static inline pm_inner *pm_inner_at(const pm_pool *p, uint64_t offset) { return (pm_inner *)pm_at(p, offset); }
static inline unsigned pm_leaf_size(const pm_leaf *leaf) { return (unsigned)__builtin_popcountll(leaf->used); }
static inline unsigned pm_free_position(uint64_t used) { return (unsigned)__builtin_ctzll(~used); }

static inline uint64_t pm_leaf_bytes(const pm_sorted *t)
{
    return t->head.type == PM_TYPE_SORTED_DICT ? sizeof(pm_leaf) : offsetof(pm_leaf, values);
}

static inline uint64_t pm_path_leaf(const pm_path *path) { return path->nodes[path->height - 1]; }

/* --- comparing: the sign of (stored - sought), or PM_UNORDERED ---------------------------------------- */

static inline uint64_t pm_prefix(const void *data, uint64_t bytes)
{
    uint64_t first = 0;
    memcpy(&first, data, bytes < 8 ? bytes : 8);
    return __builtin_bswap64(first);
}

static inline void pm_sought_text(pm_sought *k, int kind, const void *data, uint64_t length, unsigned width)
{
    k->kind = kind;
    k->width = width;
    k->length = length;
    k->data = data;
    k->prefix = width == 1 ? pm_prefix(data, length) : 0;
}

static inline void pm_sought_int(pm_sought *k, int64_t n)
{
    k->kind = PM_SOUGHT_INT;
    k->word = (int64_t)((uint64_t)n << 1 | 1);
    k->number = (double)n;
}

/* `key` must live as long as k. */
static inline void pm_sought_set(pm_sought *k, PyObject *key)
{
    PyTypeObject *type = Py_TYPE(key);
    int64_t n;
    k->kind = PM_SOUGHT_OTHER;
    if (type == &PyLong_Type) {
        if (pm_int64(key, &n) && n <= INT64_MAX / 2 && n >= INT64_MIN / 2)
            pm_sought_int(k, n);
    } else if (type == &PyUnicode_Type) {
        pm_sought_text(k, PM_SOUGHT_STR, PyUnicode_DATA(key), (uint64_t)PyUnicode_GET_LENGTH(key), PyUnicode_KIND(key));
    } else if (type == &PyFloat_Type) {
        k->number = PyFloat_AS_DOUBLE(key);
        k->kind = k->number == k->number ? PM_SOUGHT_FLOAT : PM_SOUGHT_NAN;
    } else if (type == &PyBytes_Type) {
        pm_sought_text(k, PM_SOUGHT_BYTES, PyBytes_AS_STRING(key), (uint64_t)PyBytes_GET_SIZE(key), 1);
    } else if (type == &PyBool_Type) {
        pm_sought_int(k, key == Py_True);
    }
}

/* The key in a slot, for comparing two stored ones. */
static inline void pm_sought_slot(const pm_pool *p, pm_sought *k, uint64_t slot)
{
    unsigned kind = PM_IS_REFERENCE(slot) ? PM_SLOT_KIND(slot) : 0;
    const uint64_t *block = (const uint64_t *)pm_at(p, slot & PM_OFFSET_MASK);
    k->kind = PM_SOUGHT_OTHER;
    if (slot & 1) {
        pm_sought_int(k, (int64_t)slot >> 1);
    } else if (slot & 2) {
        k->kind = PM_SOUGHT_FLOAT;
        k->number = pm_slot_float(slot);
    } else if (slot & 4) {
        unsigned immediate = (unsigned)(slot >> 3) & 31;
        k->chars = slot >> 8;
        if (immediate < PM_IMM_BYTES)
            pm_sought_text(k, PM_SOUGHT_STR, &k->chars, immediate, 1);
        else if (immediate < PM_IMM_NONE)
            pm_sought_text(k, PM_SOUGHT_BYTES, &k->chars, immediate - PM_IMM_BYTES, 1);
        else if (immediate == PM_IMM_FALSE || immediate == PM_IMM_TRUE)
            pm_sought_int(k, immediate == PM_IMM_TRUE);
    } else if (kind >= PM_REF_STR1 && kind <= PM_REF_STR4) {
        pm_sought_text(k, PM_SOUGHT_STR, block + 1, block[0], kind == PM_REF_STR4 ? 4 : kind == PM_REF_STR2 ? 2 : 1);
    } else if (kind == PM_REF_BYTES) {
        pm_sought_text(k, PM_SOUGHT_BYTES, block + 1, block[0], 1);
    } else if (kind == PM_REF_FLOAT) {
        memcpy(&k->number, block, 8);
        k->kind = k->number == k->number ? PM_SOUGHT_FLOAT : PM_SOUGHT_NAN;
    }
}

static inline int pm_sign(int64_t a, int64_t b) { return (a > b) - (a < b); }
static inline int pm_sign_double(double a, double b) { return (a > b) - (a < b); }

#define PM_EXACT_DOUBLE ((int64_t)1 << 53)

/* Not both ints that fit a slot. */
static inline int pm_compare_number(const pm_pool *p, uint64_t slot, const pm_sought *k)
{
    double stored;
    if (slot & 1) {
        int64_t n = (int64_t)slot >> 1;
        if (n > PM_EXACT_DOUBLE || n < -PM_EXACT_DOUBLE)
            return PM_UNORDERED;
        stored = (double)n;
    } else if (slot & 2) {
        stored = pm_slot_float(slot);
    } else if (slot == PM_IMMEDIATE(PM_IMM_TRUE) || slot == PM_IMMEDIATE(PM_IMM_FALSE)) {
        stored = slot == PM_IMMEDIATE(PM_IMM_TRUE);
    } else if (PM_IS_REFERENCE(slot) && PM_SLOT_KIND(slot) == PM_REF_FLOAT) {
        memcpy(&stored, pm_at(p, slot & PM_OFFSET_MASK), 8);
    } else {
        return PM_UNORDERED;
    }
    if (k->kind == PM_SOUGHT_INT && (k->word >> 1 > PM_EXACT_DOUBLE || k->word >> 1 < -PM_EXACT_DOUBLE))
        return PM_UNORDERED;
    return pm_sign_double(stored, k->number);
}

static inline uint32_t pm_character(const void *data, unsigned width, uint64_t i)
{
    if (width == 1)
        return ((const uint8_t *)data)[i];
    return width == 2 ? ((const uint16_t *)data)[i] : ((const uint32_t *)data)[i];
}

static __attribute__((noinline, unused)) int pm_compare_wide(const void *stored, uint64_t length, unsigned width,
                                                             const pm_sought *k)
{
    uint64_t n = length < k->length ? length : k->length;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t a = pm_character(stored, width, i), b = pm_character(k->data, k->width, i);
        if (a != b)
            return a < b ? -1 : 1;
    }
    return pm_sign((int64_t)length, (int64_t)k->length);
}

/* Characters of one byte on both sides. */
static inline int pm_compare_bytes(const char *stored, uint64_t length, uint64_t prefix, const pm_sought *k)
{
    uint64_t n = length < k->length ? length : k->length;
    if (prefix != k->prefix)
        return prefix < k->prefix ? -1 : 1;
    if (n > 8) {
        int order = memcmp(stored + 8, (const char *)k->data + 8, n - 8);
        if (order)
            return order < 0 ? -1 : 1;
    }
    return pm_sign((int64_t)length, (int64_t)k->length);
}

/* A string (immediate 0, blocks STR1 to STR4) or bytes. */
static inline int pm_compare_text(const pm_pool *p, uint64_t slot, const pm_sought *k, unsigned immediate,
                                  unsigned first, unsigned last)
{
    if (slot & 7) {
        uint64_t chars = slot >> 8;
        unsigned length = ((unsigned)(slot >> 3) & 31) - immediate;
        if ((slot & 7) != 4 || length > 7)
            return PM_UNORDERED;
        return k->width == 1 ? pm_compare_bytes((const char *)&chars, length, __builtin_bswap64(chars), k)
                             : pm_compare_wide(&chars, length, 1, k);
    }
    unsigned kind = PM_SLOT_KIND(slot);
    if (kind < first || kind > last)
        return PM_UNORDERED;
    const uint64_t *block = (const uint64_t *)pm_at(p, slot & PM_OFFSET_MASK);
    unsigned width = kind == PM_REF_STR4 ? 4 : kind == PM_REF_STR2 ? 2 : 1;
    if (width != 1 || k->width != 1)
        return pm_compare_wide(block + 1, block[0], width, k);
    uint64_t prefix = block[0] >= 8 ? __builtin_bswap64(block[1]) : pm_prefix(block + 1, block[0]);
    return pm_compare_bytes((const char *)(block + 1), block[0], prefix, k);
}

static inline __attribute__((always_inline)) int pm_compare(const pm_pool *p, uint64_t slot, const pm_sought *k,
                                                            const int kind)
{
    if (kind == PM_SOUGHT_INT)
        return slot & 1 ? pm_sign((int64_t)slot, k->word) : pm_compare_number(p, slot, k);
    if (kind == PM_SOUGHT_FLOAT)
        return pm_compare_number(p, slot, k);
    if (kind == PM_SOUGHT_STR)
        return pm_compare_text(p, slot, k, PM_IMM_STR, PM_REF_STR1, PM_REF_STR4);
    if (kind == PM_SOUGHT_BYTES)
        return pm_compare_text(p, slot, k, PM_IMM_BYTES, PM_REF_BYTES, PM_REF_BYTES);
    return PM_UNORDERED;
}

static inline int pm_compare_any(const pm_pool *p, uint64_t slot, const pm_sought *k)
{
    switch (k->kind) {
    case PM_SOUGHT_INT: return pm_compare(p, slot, k, PM_SOUGHT_INT);
    case PM_SOUGHT_FLOAT: return pm_compare(p, slot, k, PM_SOUGHT_FLOAT);
    case PM_SOUGHT_STR: return pm_compare(p, slot, k, PM_SOUGHT_STR);
    case PM_SOUGHT_BYTES: return pm_compare(p, slot, k, PM_SOUGHT_BYTES);
    default: return PM_UNORDERED;
    }
}

/* The sign of (a - b), two stored keys; PM_UNORDERED: only Python can tell. */
static inline int pm_compare_slots(const pm_pool *p, uint64_t a, uint64_t b)
{
    pm_sought k;
    pm_sought_slot(p, &k, b);
    return pm_compare_any(p, a, &k);
}

/* --- descending --------------------------------------------------------------------------------------- */

static inline void pm_prefetch_leaf(const pm_pool *p, uint64_t offset)
{
    const char *leaf = p->base + offset;
    for (unsigned at = 0; at < offsetof(pm_leaf, values); at += 64)
        __builtin_prefetch(leaf + at);
}

static inline void pm_prefetch_inner(const pm_pool *p, uint64_t offset)
{
    const char *keys = p->base + offset;
    for (unsigned at = 0; at < offsetof(pm_inner, children); at += 64)
        __builtin_prefetch(keys + at);
}

/* Strings lie in blocks anywhere: fetches those of the n keys from `low` on that the next three steps of a search may
 * look at, so that one wait serves all three.  `order`: as in a leaf, or NULL. */
static inline void pm_prefetch_keys(const pm_pool *p, const uint64_t *keys, const uint8_t *order, unsigned low,
                                    unsigned n)
{
    unsigned first = n / 2, second = (n - first) / 2, third = (n - first - second) / 2;
    unsigned at[7] = {first, second, first + second, third, first + third, second + third, first + second + third};
    for (unsigned i = 0; i < 7; i++) {
        unsigned k = low + at[i];
        uint64_t slot = keys[order == NULL ? k : order[k]];
        if (PM_IS_REFERENCE(slot))
            __builtin_prefetch(p->base + (slot & PM_OFFSET_MASK));
    }
}

/* Which child the key is below: the last whose smallest key is not above it.  -1: Python must compare. */
static inline __attribute__((always_inline)) int pm_search_inner(const pm_pool *p, const pm_inner *node,
                                                                 const pm_sought *k, const int kind)
{
    unsigned low = 0, n = (unsigned)node->size, step = 0;
    while (n > 1) {
        unsigned half = n / 2;
        if (kind == PM_SOUGHT_STR && step++ % 3 == 0)
            pm_prefetch_keys(p, node->keys, NULL, low, n);
        uint64_t slot = node->keys[low + half];
        if (kind == PM_SOUGHT_INT && slot & 1) {
            low = (int64_t)slot <= k->word ? low + half : low;
        } else {
            int order = pm_compare(p, slot, k, kind);
            if (order == PM_UNORDERED)
                return -1;
            low = order <= 0 ? low + half : low;
        }
        n -= half;
    }
    return (int)low;
}

/* Where the key is in the leaf, or would be; *found says which.  -1: Python must compare. */
static inline __attribute__((always_inline)) int pm_search_leaf(const pm_pool *p, const pm_leaf *leaf,
                                                                const pm_sought *k, const int kind, int *found)
{
    unsigned low = 0, n = pm_leaf_size(leaf), step = 0;
    *found = 0;
    if (n == 0)
        return 0;
    while (n > 1) {
        unsigned half = n / 2;
        if (kind == PM_SOUGHT_STR && step++ % 3 == 0)
            pm_prefetch_keys(p, leaf->keys, leaf->order, low, n);
        uint64_t slot = leaf->keys[leaf->order[low + half]];
        if (kind == PM_SOUGHT_INT && slot & 1) {
            low = (int64_t)slot <= k->word ? low + half : low;
        } else {
            int order = pm_compare(p, slot, k, kind);
            if (order == PM_UNORDERED)
                return -1;
            low = order <= 0 ? low + half : low;
        }
        n -= half;
    }
    int order = pm_compare(p, leaf->keys[leaf->order[low]], k, kind);
    if (order == PM_UNORDERED)
        return -1;
    *found = order == 0;
    return order < 0 ? (int)low + 1 : (int)low;
}

static inline __attribute__((always_inline)) int pm_descend(const pm_pool *p, const pm_sorted *t, const pm_sought *k,
                                                            const int kind, pm_path *path)
{
    uint64_t node = t->root;
    unsigned height = (unsigned)t->height, level = 0;
    int at;
    path->height = height;
    path->found = 0;
    path->at = 0;
    if (height == 0)
        return 1;
    for (; level + 1 < height; level++) {
        const pm_inner *inner = pm_inner_at(p, node);
        at = pm_search_inner(p, inner, k, kind);
        if (at < 0)
            return 0;
        path->nodes[level] = node;
        path->child[level] = (unsigned)at;
        node = inner->children[at];
        if (level + 2 == height)
            pm_prefetch_leaf(p, node);
        else
            pm_prefetch_inner(p, node);
    }
    path->nodes[level] = node;
    path->child[level] = 0;
    at = pm_search_leaf(p, pm_leaf_at(p, node), k, kind, &path->found);
    path->at = (unsigned)at;
    return at >= 0;
}

/* The place of the key: where it is, or where it is to be inserted.  0: only Python can tell. */
static inline int pm_find_place(const pm_pool *p, const pm_sorted *t, const pm_sought *k, pm_path *path)
{
    if (t->height > PM_SORTED_HEIGHT)
        return 0;
    switch (k->kind) {
    case PM_SOUGHT_INT: return pm_descend(p, t, k, PM_SOUGHT_INT, path);
    case PM_SOUGHT_STR: return pm_descend(p, t, k, PM_SOUGHT_STR, path);
    case PM_SOUGHT_FLOAT: return pm_descend(p, t, k, PM_SOUGHT_FLOAT, path);
    case PM_SOUGHT_BYTES: return pm_descend(p, t, k, PM_SOUGHT_BYTES, path);
    default: return 0;
    }
}

/* The place of entry number `rank`; of the number of all: after the last one.  With `end`, a place between two leaves
 * is the end of the first one, else the start of the second. */
static inline void pm_place_of(const pm_pool *p, const pm_sorted *t, uint64_t rank, int end, pm_path *path)
{
    uint64_t node = t->root;
    unsigned height = (unsigned)t->height, level = 0;
    path->height = height;
    path->found = rank < t->count;
    path->at = 0;
    if (height == 0)
        return;
    for (; level + 1 < height; level++) {
        const pm_inner *inner = pm_inner_at(p, node);
        unsigned i = 0;
        while (i + 1 < inner->size && rank >= inner->counts[i] + (end != 0)) {
            rank -= inner->counts[i];
            i++;
        }
        path->nodes[level] = node;
        path->child[level] = i;
        node = inner->children[i];
    }
    path->nodes[level] = node;
    path->child[level] = 0;
    path->at = (unsigned)rank;
}

/* Behind the last entry, in the last leaf even if that is empty.  The tree is not. */
static inline void pm_last_place(const pm_pool *p, const pm_sorted *t, pm_path *path)
{
    uint64_t node = t->root;
    unsigned level = 0;
    path->height = (unsigned)t->height;
    path->found = 0;
    for (; level + 1 < path->height; level++) {
        const pm_inner *inner = pm_inner_at(p, node);
        path->nodes[level] = node;
        path->child[level] = (unsigned)inner->size - 1;
        node = inner->children[inner->size - 1];
    }
    path->nodes[level] = node;
    path->child[level] = 0;
    path->at = pm_leaf_size(pm_leaf_at(p, node));
}

/* 0 if there is none. */
static inline uint64_t pm_first_leaf(const pm_pool *p, const pm_sorted *t)
{
    uint64_t node = t->root;
    for (uint64_t height = t->height; height > 1; height--)
        node = pm_inner_at(p, node)->children[0];
    return node;
}

/* How many entries are before this place. */
static inline uint64_t pm_rank_of(const pm_pool *p, const pm_path *path)
{
    uint64_t rank = path->at;
    for (unsigned level = 0; level + 1 < path->height; level++) {
        const pm_inner *inner = pm_inner_at(p, path->nodes[level]);
        for (unsigned i = 0; i < path->child[level]; i++)
            rank += inner->counts[i];
    }
    return rank;
}

/* Entries below a node. */
static inline uint64_t pm_node_count(const pm_pool *p, uint64_t node, int is_leaf)
{
    uint64_t count = 0;
    if (is_leaf)
        return pm_leaf_size(pm_leaf_at(p, node));
    const pm_inner *inner = pm_inner_at(p, node);
    for (unsigned i = 0; i < inner->size; i++)
        count += inner->counts[i];
    return count;
}

/* --- walking ------------------------------------------------------------------------------------------ */

/* Where an iterator is: before entry `at` of the leaf.  Both hold as long as the version is the same. */
typedef struct pm_walk {
    uint64_t version;
    uint64_t leaf;
    uint64_t left;              /* entries to come */
    unsigned at, size;          /* size of the leaf */
} pm_walk;

/* The next entry's leaf and its position there.  NULL: the leaves end too early, the pool is damaged. */
static inline pm_leaf *pm_walk_next(const pm_pool *p, pm_walk *w, unsigned *position)
{
    pm_leaf *leaf = pm_leaf_at(p, w->leaf);
    while (w->at >= w->size) {
        w->leaf = leaf->next;
        if (w->leaf == 0)
            return NULL;
        leaf = pm_leaf_at(p, w->leaf);
        w->size = pm_leaf_size(leaf);
        w->at = 0;
        if (leaf->next)
            pm_prefetch_leaf(p, leaf->next);
    }
    *position = leaf->order[w->at++];
    w->left--;
    return leaf;
}

/* The same backwards. */
static inline pm_leaf *pm_walk_back(const pm_pool *p, pm_walk *w, unsigned *position)
{
    pm_leaf *leaf = pm_leaf_at(p, w->leaf);
    while (w->at == 0) {
        w->leaf = leaf->prev;
        if (w->leaf == 0)
            return NULL;
        leaf = pm_leaf_at(p, w->leaf);
        w->at = w->size = pm_leaf_size(leaf);
    }
    *position = leaf->order[--w->at];
    w->left--;
    return leaf;
}

#endif
