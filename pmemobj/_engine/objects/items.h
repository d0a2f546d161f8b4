/*
 * items.h: the hot paths of lists, tuples and their iterators: an exact int as index, values that need no new block.
 *
 * Each does all of its work or none, and says so; whatever is out of the ordinary (another thread's transaction, a
 * closed pool, a bad index, a value with a block) is left to the caller's long way.  None runs Python code, starts
 * a garbage collection or leaves an exception behind.
 */
#ifndef PM_ITEMS_H
#define PM_ITEMS_H

#include "op.h"
#include "slot.h"
#include "text.h"
#include "vec.h"

/* The object is there and this thread may look at it. */
static inline int pm_may_read(const pm_pool *p, const pm_object *head)
{
    return __builtin_expect(head != NULL, 1) && (p->read_gate == 0 || pm_is_mine(p, p->read_gate));
}

static inline pm_vec *pm_items(pm_object *head) { return &((pm_list *)head)->items; }

/* Where the item at this index is, or NULL. */
static inline uint64_t *pm_item_at(const pm_pool *p, pm_object *head, PyObject *index)
{
    int64_t i;
    if (!PyLong_CheckExact(index) || !pm_digit_int(index, &i) || !pm_may_read(p, head))
        return NULL;
    const pm_vec *v = pm_items(head);
    if (i < 0)
        i += (int64_t)v->size;
    return (uint64_t)i < v->size ? pm_vec_find(p, v, (uint64_t)i, 1) : NULL;
}

#define PM_CELLS_AHEAD 8u

/* Whoever goes over cells comes to `cell`: now and then fetches what some that will follow refer to, if this one refers to
 * anything.  What lies there may be no cells: only the caches see what is fetched then. */
PM_PREFETCHES pm_cells_ahead(const pm_pool *p, const uint64_t *cell, uint64_t number, int backwards)
{
    if (number % PM_CELLS_AHEAD || !PM_IS_REFERENCE(*cell))
        return;
    cell = backwards ? cell - 2 * PM_CELLS_AHEAD : cell + PM_CELLS_AHEAD;
    if (pm_offset(p, cell) > p->size - 8 * PM_CELLS_AHEAD)
        return;
    for (unsigned i = 0; i < PM_CELLS_AHEAD; i++)
        pm_prefetch_slot(p, cell[i]);
}

/* The item at *at, which moves on; NULL at the end, too. */
static inline PyObject *pm_item_next(pm_pool *p, pm_object *head, uint64_t *at)
{
    PyObject *value;
    const uint64_t *cell;
    if (!pm_may_read(p, head) || *at >= pm_items(head)->size ||
        (cell = pm_vec_find(p, pm_items(head), *at, 1)) == NULL)
        return NULL;
    pm_cells_ahead(p, cell, *at, 0);
    value = pm_quick_value(p, *cell);
    *at += value != NULL;
    return value;
}

/* The item before *left, which moves back; NULL at the end, too. */
static inline PyObject *pm_item_previous(pm_pool *p, pm_object *head, uint64_t *left)
{
    PyObject *value;
    const uint64_t *cell;
    if (!pm_may_read(p, head) || *left - 1 >= pm_items(head)->size ||
        (cell = pm_vec_find(p, pm_items(head), *left - 1, 1)) == NULL)
        return NULL;
    pm_cells_ahead(p, cell, *left, 1);
    value = pm_quick_value(p, *cell);
    *left -= value != NULL;
    return value;
}

static inline int pm_item_set(pm_pool *p, pm_object *head, PyObject *index, PyObject *value)
{
    uint64_t *at = pm_item_at(p, head, index);
    return at != NULL && pm_replace(p, at, value);
}

/* A text that needs a block. */
static inline int pm_text_append(pm_pool *p, pm_vec *v, PyObject *text)
{
    uint64_t words = pm_text_words(text), *bits, *cell;
    pm_direct d;
    if (words == 0 || (cell = pm_vec_find(p, v, v->size, 1)) == NULL ||
        (bits = pm_class_bits(p, PM_CLASS_OF_WORDS(words), 1)) == NULL || !pm_direct_begin(&d, p, 7 + words))
        return 0;
    pm_direct_store(&d, cell, pm_direct_text(&d, bits, text, words));
    pm_direct_store(&d, &v->size, v->size + 1);
    pm_direct_end(&d);
    return 1;
}

static inline int pm_item_append(pm_pool *p, pm_object *head, PyObject *value)
{
    uint64_t slot;
    if (!pm_may_read(p, head))
        return 0;
    pm_vec *v = pm_items(head);
    if (v->size >= v->cap)
        return 0;
    if (pm_immediate(value, &slot)) {
        uint64_t *cell = pm_vec_find(p, v, v->size, 1);
        return cell != NULL && pm_put_two(p, cell, slot, &v->size, v->size + 1);
    }
    return PyUnicode_CheckExact(value) && pm_text_append(p, v, value);
}

/* Fills to[0..] from `count` cells; how many, which is less when one takes the long way. */
static inline uint64_t pm_items_get(pm_pool *p, const uint64_t *cells, uint64_t count, PyObject **to)
{
    uint64_t i = 0;
    for (; i < count; i++) {
        pm_cells_ahead(p, cells + i, i, 0);
        if ((to[i] = pm_quick_value(p, cells[i])) == NULL)
            break;
    }
    return i;
}

#endif
