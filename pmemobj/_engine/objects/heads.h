/*
 * heads.h: how the keys of a node of a sorted container begin, so that a search for a string reads the node and not
 * strings anywhere (pm_common in layout.h).
 *
 *  1. A node may have heads if all of its keys are strings of one-byte characters: their first bytes, as many as
 *     common.length says, are the same in all of them and lie in common.bytes, and heads[i] is the number that the next
 *     eight bytes of key i make, the first byte highest, zeros behind the end.
 *  2. Of two different heads the lower one belongs to the lower key.  Equal heads say nothing: a zero may be a character.
 *  3. Unless the heads are whole (PM_HEADS_WHOLE): no key goes on behind its head, nor has a zero at its end there.  So a
 *     head says how long its key is, and finding a key reads none: that would be one more wait for memory.
 *  4. The keys may have more in common, and the heads may be whole without a word; only pm_heads_renew says so again.
 *  5. Heads of positions without a key, and the first of an inner node, mean nothing.
 */
#ifndef PM_HEADS_H
#define PM_HEADS_H

#include "sought.h"

/* The keys of a node, and where their heads are. */
typedef struct pm_headed {
    pm_common *common;
    uint64_t *heads;
    const uint64_t *keys;
    const uint8_t *order;       /* of a leaf; NULL: from `first` on all in their places */
    unsigned first, end;
} pm_headed;

static inline pm_headed pm_leaf_headed(pm_leaf *leaf)
{
    unsigned size = (unsigned)__builtin_popcountll(leaf->used);
    return (pm_headed){&leaf->common, leaf->heads, leaf->keys, leaf->order, 0, size};
}

static inline pm_headed pm_inner_headed(pm_inner *inner)
{
    return (pm_headed){&inner->common, inner->heads, inner->keys, NULL, 1, (unsigned)inner->size};
}

static inline unsigned pm_headed_at(const pm_headed *node, unsigned i) { return node->order ? node->order[i] : i; }

static inline uint64_t pm_common_bytes(const pm_common *common) { return common->length & ~PM_HEADS_WHOLE; }
static inline int pm_has_heads(const pm_common *common) { return pm_common_bytes(common) <= PM_COMMON_MAX; }

/* Of a key that has so many bytes at least. */
static inline uint64_t pm_head(const pm_sought *k, uint64_t from)
{
    return pm_prefix((const char *)k->data + from, k->length - from);
}

static inline int pm_is_headed(const pm_sought *k) { return k->kind == PM_SOUGHT_STR && k->width == 1; }

/* The head of a key with so many bytes in common with its node is all the rest of it. */
static inline int pm_is_whole(const pm_sought *k, uint64_t common)
{
    return k->length == common || (k->length <= common + 8 && ((const char *)k->data)[k->length - 1] != 0);
}

/* --- searching ---------------------------------------------------------------------------------------- */

/* The sign of (what the keys have in common - what the sought one begins with).  0: their heads are to be looked at. */
static inline int pm_common_order(const pm_common *common, const pm_sought *k)
{
    uint64_t length = pm_common_bytes(common), n = k->length < length ? k->length : length;
    int order = memcmp(common->bytes, k->data, n);
    return order ? (order < 0 ? -1 : 1) : n < length;
}

/* The sign of (key - sought one) where their heads are equal, or PM_UNORDERED. */
static inline int pm_headed_order(const pm_pool *p, const pm_headed *node, unsigned at, const pm_sought *k)
{
    if (!(node->common->length & PM_HEADS_WHOLE))
        return pm_compare(p, node->keys[at], k, PM_SOUGHT_STR);
    uint64_t head = node->heads[at];
    unsigned bytes = head ? 8 - (unsigned)__builtin_ctzll(head) / 8 : 0;
    return pm_sign((int64_t)(pm_common_bytes(node->common) + bytes), (int64_t)k->length);
}

/* The last of n > 0 places from `low` on whose key is not above the sought one, or `low` if there is none.  -1: Python
 * must compare. */
static inline int pm_search_heads(const pm_pool *p, const pm_headed *node, unsigned low, unsigned n, uint64_t head,
                                  const pm_sought *k)
{
    while (n > 1) {
        unsigned half = n / 2, at = pm_headed_at(node, low + half);
        int below = node->heads[at] < head;
        if (__builtin_expect(node->heads[at] == head, 0)) {
            int order = pm_headed_order(p, node, at, k);
            if (order == PM_UNORDERED)
                return -1;
            below = order <= 0;
        }
        low = below ? low + half : low;
        n -= half;
    }
    return (int)low;
}

/* --- changing ----------------------------------------------------------------------------------------- */

/* fresh: the node is new, and its words are filled plainly. */
static inline void pm_heads_store(pm_pool *p, uint64_t *at, uint64_t value, int fresh)
{
    if (*at == value)
        return;
    if (fresh)
        *at = value;
    else
        pm_store(p, at, value);
}

static inline uint64_t pm_common_length(const pm_sought *a, const pm_sought *b, uint64_t most)
{
    const char *x = (const char *)a->data, *y = (const char *)b->data;
    uint64_t n = 0;
    if (most > b->length)
        most = b->length;
    while (n < most && x[n] == y[n])
        n++;
    return n;
}

/* The heads of all keys, with as much in common as they have. */
static __attribute__((noinline, unused)) void pm_heads_renew(pm_pool *p, const pm_headed *node, int fresh)
{
    pm_sought first = {0}, k;
    uint64_t length = PM_NO_HEADS, whole = PM_HEADS_WHOLE, bytes[PM_COMMON_MAX / 8] = {0};
    for (unsigned i = node->first; i < node->end; i++) {
        pm_sought_slot(p, &k, node->keys[pm_headed_at(node, i)]);
        if (!pm_is_headed(&k)) {
            length = PM_NO_HEADS;
            break;
        }
        if (i == node->first) {
            pm_sought_slot(p, &first, node->keys[pm_headed_at(node, i)]);
            length = PM_COMMON_MAX;
        }
        length = pm_common_length(&first, &k, length);
    }
    if (length == PM_NO_HEADS) {
        pm_heads_store(p, &node->common->length, length, fresh);
        return;
    }
    memcpy(bytes, first.data, length);
    for (unsigned i = 0; i < PM_COMMON_MAX / 8; i++)
        pm_heads_store(p, &node->common->bytes[i], bytes[i], fresh);
    for (unsigned i = node->first; i < node->end; i++) {
        unsigned at = pm_headed_at(node, i);
        pm_sought_slot(p, &k, node->keys[at]);
        pm_heads_store(p, &node->heads[at], pm_head(&k, length), fresh);
        whole = pm_is_whole(&k, length) ? whole : 0;
    }
    pm_heads_store(p, &node->common->length, length | whole, fresh);
}

/* After a key has come to position `at` of a node in use. */
static inline void pm_heads_add(pm_pool *p, const pm_headed *node, unsigned at)
{
    pm_sought k;
    uint64_t length = pm_common_bytes(node->common);
    if (node->end - node->first > 1) {
        if (!pm_has_heads(node->common))
            return;
        pm_sought_slot(p, &k, node->keys[at]);
        if (!pm_is_headed(&k)) {
            pm_store(p, &node->common->length, PM_NO_HEADS);
            return;
        }
        if (k.length >= length && memcmp(node->common->bytes, k.data, length) == 0) {
            pm_heads_store(p, &node->heads[at], pm_head(&k, length), 0);
            if (!pm_is_whole(&k, length))
                pm_heads_store(p, &node->common->length, length, 0);
            return;
        }
    }
    pm_heads_renew(p, node, 0);
}

/* What is wrong with the heads: the number of a key's position + 1, or 0. */
static inline unsigned pm_heads_wrong(const pm_pool *p, const pm_headed *node)
{
    pm_sought k;
    uint64_t length = pm_common_bytes(node->common), whole = node->common->length & PM_HEADS_WHOLE;
    for (unsigned i = node->first; i < node->end && node->common->length != PM_NO_HEADS; i++) {
        unsigned at = pm_headed_at(node, i);
        pm_sought_slot(p, &k, node->keys[at]);
        if (length > PM_COMMON_MAX || !pm_is_headed(&k) || k.length < length ||
            memcmp(node->common->bytes, k.data, length) || node->heads[at] != pm_head(&k, length) ||
            (whole && !pm_is_whole(&k, length)))
            return at + 1;
    }
    return 0;
}

#endif
