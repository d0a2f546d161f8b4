/*
 * sorted.h: looking up and walking the B+-tree of sorted dicts and sets (pm_sorted in layout.h).
 *
 *  1. Nothing here changes the tree or runs Python code.
 *  2. What sought.h does not compare is left to Python by the caller.
 *  3. A path names nodes by their offsets.  It holds as long as the tree's version is the same.
 *  4. What the pool says may be damaged.  A node is looked at before it is used, once, so that a path or a walk leads
 *     to sound ones only: to children and entries that are there, at positions inside of their nodes.
 */
#ifndef PM_SORTED_H
#define PM_SORTED_H

#include "heads.h"

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

/* All of the node lies inside the pool: one compare, as pm_leads_inside. */
static inline int pm_node_inside(const pm_pool *p, uint64_t offset, uint64_t bytes)
{
    uint64_t way = offset - p->low;
    return __builtin_expect((way >> 3 | way << 61) <= (p->room - bytes) >> 3, 1);
}

static inline int pm_inner_is_sound(const pm_pool *p, uint64_t offset)
{
    return pm_node_inside(p, offset, sizeof(pm_inner)) && pm_inner_at(p, offset)->size - 1 < PM_INNER_CHILDREN;
}

static inline int pm_leaf_is_sound(const pm_pool *p, const pm_sorted *t, uint64_t offset)
{
    const pm_leaf *leaf = pm_leaf_at(p, offset);
    uint64_t order[PM_LEAF_KEYS / 8], all = 0;
    if (!pm_node_inside(p, offset, pm_leaf_bytes(t)) || leaf->used >> PM_LEAF_KEYS)
        return 0;
    memcpy(order, leaf->order, sizeof order);
    for (unsigned i = 0; i < PM_LEAF_KEYS / 8; i++)     /* a byte of PM_LEAF_KEYS or more sets one of its upper two bits */
        all |= order[i] | (order[i] + (64 - PM_LEAF_KEYS) * 0x0101010101010101u);
    return (all & 0xc0c0c0c0c0c0c0c0u) == 0;
}

static inline uint64_t pm_path_leaf(const pm_path *path) { return path->nodes[path->height - 1]; }

/* --- descending --------------------------------------------------------------------------------------- */

/* What a search reads of the node: by_heads those, else the keys. */
PM_PREFETCHES pm_prefetch_leaf(const pm_pool *p, uint64_t offset, int by_heads)
{
    const char *leaf = pm_at(p, offset);
    pm_prefetch_range(leaf, leaf + (by_heads ? offsetof(pm_leaf, keys) : offsetof(pm_leaf, heads)));
    if (!by_heads)
        pm_prefetch_range(leaf + offsetof(pm_leaf, keys), leaf + offsetof(pm_leaf, values));
}

PM_PREFETCHES pm_prefetch_inner(const pm_pool *p, uint64_t offset, int by_heads)
{
    const char *inner = pm_at(p, offset);
    pm_prefetch_range(inner, inner + (by_heads ? offsetof(pm_inner, keys) : offsetof(pm_inner, heads)));
    if (!by_heads)
        pm_prefetch_range(inner + offsetof(pm_inner, keys), inner + offsetof(pm_inner, children));
}

/* Strings lie in blocks anywhere: fetches those of the n keys from `low` on that the next three steps of a search may
 * look at, so that one wait serves all three.  `order`: as in a leaf, or NULL. */
PM_PREFETCHES pm_prefetch_keys(const pm_pool *p, const uint64_t *keys, const uint8_t *order, unsigned low, unsigned n)
{
    unsigned first = n / 2, second = (n - first) / 2, third = (n - first - second) / 2;
    unsigned at[7] = {first, second, first + second, third, first + third, second + third, first + second + third};
    for (unsigned i = 0; i < 7; i++) {
        unsigned k = low + at[i];
        pm_prefetch_slot(p, keys[order == NULL ? k : order[k]]);
    }
}

/* Which child the key is below: the last whose smallest key is not above it.  -1: Python must compare. */
static inline __attribute__((always_inline)) int pm_search_inner(const pm_pool *p, const pm_inner *node,
                                                                 const pm_sought *k, const int kind)
{
    unsigned low = 0, n = (unsigned)node->size, step = 0;
    if (kind == PM_SOUGHT_STR && k->width == 1 && pm_has_heads(&node->common)) {
        pm_headed headed = pm_inner_headed((pm_inner *)node);
        int order = n > 1 ? pm_common_order(&node->common, k) : 1;
        if (order)
            return order < 0 ? (int)n - 1 : 0;
        return pm_search_heads(p, &headed, 0, n, pm_head(k, pm_common_bytes(&node->common)), k);
    }
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

/* pm_search_leaf by heads; n > 0 entries. */
static inline int pm_search_headed(const pm_pool *p, const pm_leaf *leaf, unsigned n, const pm_sought *k, int *found)
{
    int order = pm_common_order(&leaf->common, k);
    if (order)
        return order < 0 ? (int)n : 0;
    uint64_t head = pm_head(k, pm_common_bytes(&leaf->common));
    pm_headed headed = pm_leaf_headed((pm_leaf *)leaf);
    int low = pm_search_heads(p, &headed, 0, n, head, k);
    if (low < 0)
        return -1;
    unsigned at = leaf->order[low];
    if (leaf->heads[at] != head)
        return leaf->heads[at] < head ? low + 1 : low;
    order = pm_headed_order(p, &headed, at, k);
    if (order == PM_UNORDERED)
        return -1;
    *found = order == 0;
    return order < 0 ? low + 1 : low;
}

/* Where the key is in the leaf, or would be; *found says which.  -1: Python must compare. */
static inline __attribute__((always_inline)) int pm_search_leaf(const pm_pool *p, const pm_leaf *leaf,
                                                                const pm_sought *k, const int kind, int *found)
{
    unsigned low = 0, n = pm_leaf_size(leaf), step = 0;
    *found = 0;
    if (n == 0)
        return 0;
    if (kind == PM_SOUGHT_STR && k->width == 1 && pm_has_heads(&leaf->common))
        return pm_search_headed(p, leaf, n, k, found);
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
        if (!pm_inner_is_sound(p, node))
            return 0;
        at = pm_search_inner(p, inner, k, kind);
        if (at < 0)
            return 0;
        path->nodes[level] = node;
        path->child[level] = (unsigned)at;
        node = inner->children[at];
        if (level + 2 == height)
            pm_prefetch_leaf(p, node, kind == PM_SOUGHT_STR);
        else
            pm_prefetch_inner(p, node, kind == PM_SOUGHT_STR);
    }
    path->nodes[level] = node;
    path->child[level] = 0;
    if (!pm_leaf_is_sound(p, t, node))
        return 0;
    at = pm_search_leaf(p, pm_leaf_at(p, node), k, kind, &path->found);
    path->at = (unsigned)at;
    return at >= 0;
}

/* The place of the key: where it is, or where it is to be inserted.  0: only Python can tell, or the tree is damaged. */
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
 * is the end of the first one, else the start of the second.  0: there is none, the tree is damaged. */
static inline int pm_place_of(const pm_pool *p, const pm_sorted *t, uint64_t rank, int end, pm_path *path)
{
    uint64_t node = t->root;
    unsigned height = (unsigned)t->height, level = 0;
    path->height = height;
    path->found = rank < t->count;
    path->at = 0;
    if (t->height == 0)
        return t->count == 0;
    if (t->height > PM_SORTED_HEIGHT)
        return 0;
    for (; level + 1 < height; level++) {
        const pm_inner *inner = pm_inner_at(p, node);
        unsigned i = 0;
        if (!pm_inner_is_sound(p, node))
            return 0;
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
    return pm_leaf_is_sound(p, t, node) && rank + (path->found && !end) <= pm_leaf_size(pm_leaf_at(p, node));
}

/* Behind the last entry, in the last leaf even if that is empty.  The tree is not.  0: it is damaged. */
static inline int pm_last_place(const pm_pool *p, const pm_sorted *t, pm_path *path)
{
    uint64_t node = t->root;
    unsigned level = 0;
    path->height = (unsigned)t->height;
    path->found = 0;
    if (t->height - 1 >= PM_SORTED_HEIGHT)
        return 0;
    for (; level + 1 < path->height; level++) {
        const pm_inner *inner = pm_inner_at(p, node);
        if (!pm_inner_is_sound(p, node))
            return 0;
        path->nodes[level] = node;
        path->child[level] = (unsigned)inner->size - 1;
        node = inner->children[inner->size - 1];
    }
    path->nodes[level] = node;
    path->child[level] = 0;
    if (!pm_leaf_is_sound(p, t, node))
        return 0;
    path->at = pm_leaf_size(pm_leaf_at(p, node));
    return 1;
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

/* Entries below a sound node. */
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
    unsigned wanted;            /* of each entry: PM_WALK_KEYS, PM_WALK_VALUES or both */
} pm_walk;

#define PM_WALK_KEYS 1u
#define PM_WALK_VALUES 2u
#define PM_WALK_AHEAD 8u

/* Entry number `at` of the leaf will be asked for soon: fetches what its slots refer to, if `like`, those of an entry near
 * to it, refer to anything.  Blocks of keys that came in no order lie anywhere. */
PM_PREFETCHES pm_walk_ahead(const pm_pool *p, const pm_leaf *leaf, unsigned at, const pm_walk *w, const pm_leaf *like,
                            unsigned position)
{
    unsigned ahead = leaf->order[at];
    if (ahead >= PM_LEAF_KEYS)
        return;
    if (w->wanted & PM_WALK_KEYS && PM_IS_REFERENCE(like->keys[position]))
        pm_prefetch_slot(p, leaf->keys[ahead]);
    if (w->wanted & PM_WALK_VALUES && PM_IS_REFERENCE(like->values[position]))
        pm_prefetch_slot(p, leaf->values[ahead]);
}

/* The next entry's leaf and its position there.  NULL: the leaves end too early, the pool is damaged; no leaf is empty. */
static inline pm_leaf *pm_walk_next(const pm_pool *p, const pm_sorted *t, pm_walk *w, unsigned *position)
{
    pm_leaf *leaf = pm_leaf_at(p, w->leaf);
    if (w->at >= w->size) {
        if (!pm_leaf_is_sound(p, t, leaf->next) || pm_leaf_at(p, leaf->next)->used == 0)
            return NULL;
        w->leaf = leaf->next;
        leaf = pm_leaf_at(p, w->leaf);
        w->size = pm_leaf_size(leaf);
        w->at = 0;
        if (leaf->next)
            pm_prefetch_leaf(p, leaf->next, 0);
    }
    *position = leaf->order[w->at++];
    w->left--;
    unsigned ahead = w->at + PM_WALK_AHEAD;
    if (ahead < w->size)
        pm_walk_ahead(p, leaf, ahead, w, leaf, *position);
    else if (leaf->next && pm_node_inside(p, leaf->next, pm_leaf_bytes(t)))
        pm_walk_ahead(p, pm_leaf_at(p, leaf->next), ahead - w->size, w, leaf, *position);
    return leaf;
}

/* The same backwards. */
static inline pm_leaf *pm_walk_back(const pm_pool *p, const pm_sorted *t, pm_walk *w, unsigned *position)
{
    pm_leaf *leaf = pm_leaf_at(p, w->leaf);
    if (w->at == 0) {
        if (!pm_leaf_is_sound(p, t, leaf->prev) || pm_leaf_at(p, leaf->prev)->used == 0)
            return NULL;
        w->leaf = leaf->prev;
        leaf = pm_leaf_at(p, w->leaf);
        w->at = w->size = pm_leaf_size(leaf);
        if (leaf->prev)
            pm_prefetch_leaf(p, leaf->prev, 0);
    }
    *position = leaf->order[--w->at];
    w->left--;
    if (w->at >= PM_WALK_AHEAD) {
        pm_walk_ahead(p, leaf, w->at - PM_WALK_AHEAD, w, leaf, *position);
    } else if (leaf->prev && pm_node_inside(p, leaf->prev, pm_leaf_bytes(t))) {
        unsigned back = PM_WALK_AHEAD - w->at, size = pm_leaf_size(pm_leaf_at(p, leaf->prev));
        if (back <= size && size <= PM_LEAF_KEYS)
            pm_walk_ahead(p, pm_leaf_at(p, leaf->prev), size - back, w, leaf, *position);
    }
    return leaf;
}

#endif
