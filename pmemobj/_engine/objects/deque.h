/*
 * deque.h: finding a cell of a deque (see pm_deque in layout.h), and its hot paths: values that need no block, at an end
 * whose block has room.
 *
 * As in items.h, each hot path does all of its work or none, and says so.  A block that was found stays where it is
 * while the pool's `deque_generation` is the same.
 *
 * What the pool says of blocks may be damaged: a block is looked at before it is used, and the next one of a chain is
 * taken only where its positions follow, so that no walk goes round for ever.  NULL: there is none, or it is damaged.
 */
#ifndef PM_DEQUE_H
#define PM_DEQUE_H

#include "items.h"

static inline pm_deque_block *pm_deque_block_at(const pm_pool *p, uint64_t offset)
{
    return (pm_deque_block *)pm_at(p, offset);
}

/* The block at an offset that the pool says. */
static inline pm_deque_block *pm_deque_sound(const pm_pool *p, uint64_t offset)
{
    pm_deque_block *block = pm_deque_block_at(p, offset);
    if (!pm_leads_inside(p, offset) || block->cap - 1 >= PM_DEQUE_CELLS ||
        !pm_inside(p, offset, sizeof *block + 8 * block->cap))
        return NULL;
    return block;
}

/* Cell i of the block at that offset, or NULL when that is not inside the pool. */
static inline uint64_t *pm_deque_word(const pm_pool *p, uint64_t block, uint64_t i)
{
    return pm_word(p, block + sizeof(pm_deque_block) + 8 * i);
}

/* The neighbours of a sound block. */
static inline pm_deque_block *pm_deque_after(const pm_pool *p, const pm_deque_block *block)
{
    pm_deque_block *other = pm_deque_sound(p, block->next);
    return other != NULL && other->start == block->start + block->cap ? other : NULL;
}

static inline pm_deque_block *pm_deque_before(const pm_pool *p, const pm_deque_block *block)
{
    pm_deque_block *other = pm_deque_sound(p, block->prev);
    return other != NULL && other->start + other->cap == block->start ? other : NULL;
}

/* The block of a position from left - 1 to right, from the nearer end. */
static inline pm_deque_block *pm_deque_find(const pm_pool *p, const pm_deque *d, uint64_t position)
{
    pm_deque_block *block;
    if ((int64_t)(position - d->left) < (int64_t)(d->right - position)) {
        block = pm_deque_sound(p, d->first);
        while (block != NULL && position - block->start >= block->cap)
            block = pm_deque_after(p, block);
    } else {
        block = pm_deque_sound(p, d->last);
        while (block != NULL && position - block->start >= block->cap)
            block = pm_deque_before(p, block);
    }
    return block;
}

static inline uint64_t *pm_deque_cell(const pm_pool *p, const pm_deque *d, uint64_t position)
{
    pm_deque_block *block = pm_deque_find(p, d, position);
    return block == NULL ? NULL : &block->cells[position - block->start];
}

/* Writes a value into a free cell and moves one end of the deque. */
static inline int pm_deque_put(pm_pool *p, uint64_t *cell, uint64_t *end, uint64_t moved, PyObject *value)
{
    uint64_t slot, words, *bits;
    pm_direct d;
    if (pm_immediate(value, &slot))
        return pm_put_two(p, cell, slot, end, moved);
    if (!PyUnicode_CheckExact(value) || (words = pm_text_words(value)) == 0 ||
        (bits = pm_class_bits(p, PM_CLASS_OF_WORDS(words), 1)) == NULL || !pm_direct_begin(&d, p, 7 + words))
        return 0;
    pm_direct_store(&d, cell, pm_direct_text(&d, bits, value, words));
    pm_direct_store(&d, end, moved);
    pm_direct_end(&d);
    return 1;
}

static inline int pm_deque_append(pm_pool *p, pm_object *head, PyObject *value)
{
    pm_deque *d = (pm_deque *)head;
    if (!pm_may_read(p, head) || !pm_leads_inside(p, d->last) || d->right - d->left >= d->maxlen)
        return 0;               /* there is no block at 0 */
    pm_deque_block *block = pm_deque_block_at(p, d->last);
    uint64_t i = d->right - block->start, *cell = pm_deque_word(p, d->last, i);
    return i < block->cap && cell != NULL && pm_deque_put(p, cell, &d->right, d->right + 1, value);
}

static inline int pm_deque_append_left(pm_pool *p, pm_object *head, PyObject *value)
{
    pm_deque *d = (pm_deque *)head;
    if (!pm_may_read(p, head) || !pm_leads_inside(p, d->first) || d->right - d->left >= d->maxlen)
        return 0;
    pm_deque_block *block = pm_deque_block_at(p, d->first);
    uint64_t i = d->left - block->start - 1, *cell = pm_deque_word(p, d->first, i);
    return i < block->cap && cell != NULL && pm_deque_put(p, cell, &d->left, d->left - 1, value);
}

/* Removes an item from one end, but not the last one of a block beside another: that block is to be given back. */
static inline PyObject *pm_deque_pop(pm_pool *p, pm_object *head, int left)
{
    pm_deque *d = (pm_deque *)head;
    uint64_t i, slot, bit = 0, *freed = NULL, *cell;
    pm_direct direct;
    if (!pm_may_read(p, head) || d->left == d->right)
        return NULL;
    uint64_t offset = left ? d->first : d->last;
    pm_deque_block *block = pm_deque_block_at(p, offset);
    if (!pm_leads_inside(p, offset))
        return NULL;
    i = (left ? d->left : d->right - 1) - block->start;
    cell = pm_deque_word(p, offset, i);
    if ((d->first != d->last && i == (left ? block->cap - 1 : 0)) || cell == NULL)
        return NULL;
    slot = *cell;
    if (PM_IS_REFERENCE(slot) && (p->write_gate != 0 || (freed = pm_own_bit(p, slot, &bit)) == NULL))
        return NULL;
    PyObject *value = pm_quick_value(p, slot);
    if (value == NULL)
        return NULL;
    uint64_t *end = left ? &d->left : &d->right, moved = left ? d->left + 1 : d->right - 1;
    if (freed == NULL) {
        if (pm_put(p, end, moved))
            return value;
    } else if (pm_direct_begin(&direct, p, 4)) {
        pm_direct_store(&direct, end, moved);
        pm_direct_store(&direct, freed, *freed & ~bit);
        pm_direct_end(&direct);
        p->overwritten++;
        pm_cache_forget(p, slot & PM_OFFSET_MASK);
        return value;
    }
    Py_DECREF(value);           /* a number or text: runs nothing */
    return NULL;
}

/* A walk: where the ends were when it began, the next position (backwards: the one after it), and its block. */
typedef struct pm_deque_walk {
    uint64_t left, right, at, block, generation;
} pm_deque_walk;

/* The cell at a position that has an item, from the block of the walk where that still tells; NULL: as of blocks. */
static inline uint64_t *pm_deque_walk_cell(const pm_pool *p, const pm_deque *d, pm_deque_walk *walk, uint64_t position)
{
    pm_deque_block *block = NULL;
    if (walk->generation == p->deque_generation && walk->block) {
        block = pm_deque_block_at(p, walk->block);
        if (position == block->start + block->cap)
            block = pm_deque_after(p, block);
        else if (position == block->start - 1)
            block = pm_deque_before(p, block);
        if (block != NULL && position - block->start >= block->cap)
            block = NULL;
    }
    if (block == NULL && (block = pm_deque_find(p, d, position)) == NULL)
        return NULL;
    walk->block = pm_offset(p, block);
    walk->generation = p->deque_generation;
    return &block->cells[position - block->start];
}

static inline int pm_deque_same(const pm_deque *d, const pm_deque_walk *walk)
{
    return d->left == walk->left && d->right == walk->right;
}

/* The next item; NULL when the walk has ended, the deque has changed, or the item takes the long way. */
static inline PyObject *pm_deque_next(pm_pool *p, pm_object *head, pm_deque_walk *walk)
{
    pm_deque *d = (pm_deque *)head;
    if (!pm_may_read(p, head) || !pm_deque_same(d, walk) || walk->at == d->right)
        return NULL;
    const uint64_t *cell = pm_deque_walk_cell(p, d, walk, walk->at);
    PyObject *value = cell == NULL ? NULL : pm_quick_value(p, *cell);
    walk->at += value != NULL;
    return value;
}

static inline PyObject *pm_deque_previous(pm_pool *p, pm_object *head, pm_deque_walk *walk)
{
    pm_deque *d = (pm_deque *)head;
    if (!pm_may_read(p, head) || !pm_deque_same(d, walk) || walk->at == d->left)
        return NULL;
    const uint64_t *cell = pm_deque_walk_cell(p, d, walk, walk->at - 1);
    PyObject *value = cell == NULL ? NULL : pm_quick_value(p, *cell);
    walk->at -= value != NULL;
    return value;
}

#endif
