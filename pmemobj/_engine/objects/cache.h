/*
 * cache.h: the Python objects that were last made of slots whose values never change: text, bytes and the
 * singletons.  A bounded, direct-mapped table of each pool, in DRAM only; without memory for it there is none.
 *
 *  1. A row of a block is valid as long as the block is in use.  So it is forgotten when the block is given back
 *     to the allocator (pm_cache_forget, at the commit: until then its bytes stay as they are).
 *  2. What is undone gives back the blocks that were made in it, all at once.  Rows filled while a transaction
 *     was open are `young`; any undo forgets them (pm_cache_undo).  A commit need not know: a row that is called
 *     young for too long is forgotten for nothing.
 *  3. A program that reads many more values than there are rows, in no order, is slower with a table that it seldom
 *     hits: so now and then hits are compared with misses, and if they are fewer the table is given up for a while.
 *  4. Only exact str, bytes and singletons stand here: giving one up runs no Python code.
 *
 * Threads: the GIL is held.
 */
#ifndef PM_CACHE_H
#define PM_CACHE_H

#include <Python.h>

#include "engine.h"

#define PM_CACHE_BITS 13
#define PM_CACHE_ROWS (1u << PM_CACHE_BITS)
#define PM_CACHE_YOUNG 256u     /* rows to be told apart; with more of them an undo forgets every row */
#define PM_CACHE_STAY 64u        /* misses until a row that is taken makes way for another value */
#define PM_CACHE_TRIAL 16384u   /* such misses until hits and misses are compared */
#define PM_CACHE_REST (1u << 20) /* values that are made without a table then */
#define PM_CACHE_BYTES 256u     /* larger values are not worth their memory */

typedef struct pm_row {
    uint64_t slot;              /* 0: empty */
    PyObject *value;            /* owned */
} pm_row;

typedef struct pm_cache {
    pm_row rows[PM_CACHE_ROWS];
    uint64_t hits;
    unsigned refused;           /* misses at a row that is taken */
    unsigned nyoung;            /* PM_CACHE_YOUNG + 1: too many */
    uint16_t young[PM_CACHE_YOUNG];
} pm_cache;

/* Blocks that were made one after the other have rows side by side; an immediate is found by all of its word. */
static inline size_t pm_cache_place(uint64_t slot)
{
    if (slot & 4)
        return (size_t)((slot ^ slot >> 29) * 0x9e3779b97f4a7c15ull >> (64 - PM_CACHE_BITS));
    return slot >> 4 & (PM_CACHE_ROWS - 1);
}

/* A new reference, or NULL. */
static inline PyObject *pm_cache_get(const pm_pool *p, uint64_t slot)
{
    if (__builtin_expect(p->cache == NULL, 0))
        return NULL;
    const pm_row *row = &p->cache->rows[pm_cache_place(slot)];
    if (row->slot != slot)
        return NULL;
    p->cache->hits++;
    Py_INCREF(row->value);
    return row->value;
}

static inline void pm_row_clear(pm_row *row)
{
    PyObject *value = row->value;
    row->slot = 0;
    row->value = NULL;
    Py_XDECREF(value);
}

/* Forgets everything; at the latest when the pool is closed. */
static inline void pm_cache_free(pm_pool *p)
{
    pm_cache *c = p->cache;
    if (c == NULL)
        return;
    p->cache = NULL;
    for (size_t i = 0; i < PM_CACHE_ROWS; i++)
        Py_XDECREF(c->rows[i].value);
    free(c);
}

/* False: the misses outnumber the hits, there is no table any more. */
static inline int pm_cache_pays(pm_pool *p)
{
    pm_cache *c = p->cache;
    if (c->hits < c->refused) {
        pm_cache_free(p);
        p->cache_rest = PM_CACHE_REST;
        return 0;
    }
    c->hits = c->refused = 0;
    return 1;
}

/* A row that is taken makes way only now and then: so a scan of more values than there are rows costs little, and
 * what is used again and again gets its row soon enough. */
static inline void pm_cache_put(pm_pool *p, uint64_t slot, PyObject *value)
{
    if (p->cache == NULL) {
        if (p->cache_rest) {
            p->cache_rest--;
            return;
        }
        p->cache = (pm_cache *)calloc(1, sizeof(pm_cache));
        if (p->cache == NULL)
            return;
    }
    pm_cache *c = p->cache;
    size_t place = pm_cache_place(slot);
    PyObject *old = c->rows[place].value;
    if (old != NULL && (++c->refused % PM_CACHE_STAY || (c->refused >= PM_CACHE_TRIAL && !pm_cache_pays(p))))
        return;
    Py_INCREF(value);
    c->rows[place].slot = slot;
    c->rows[place].value = value;
    Py_XDECREF(old);
    if (!(p->write_gate & (PM_GATE_TX | PM_GATE_IN_OP)) || slot & 7 || c->nyoung > PM_CACHE_YOUNG)
        return;
    if (c->nyoung < PM_CACHE_YOUNG)
        c->young[c->nyoung] = (uint16_t)place;
    c->nyoung++;
}

/* The block at `offset` is being given back. */
static inline void pm_cache_forget(pm_pool *p, uint64_t offset)
{
    if (p->cache == NULL)
        return;
    pm_row *row = &p->cache->rows[pm_cache_place(offset)];
    if (!(row->slot & 7) && (row->slot & PM_OFFSET_MASK) == offset)
        pm_row_clear(row);
}

/* An operation, a transaction or a savepoint has been undone. */
static inline void pm_cache_undo(pm_pool *p)
{
    pm_cache *c = p->cache;
    if (c == NULL || c->nyoung == 0)
        return;
    if (c->nyoung > PM_CACHE_YOUNG)
        for (size_t i = 0; i < PM_CACHE_ROWS; i++)
            pm_row_clear(&c->rows[i]);
    else
        for (size_t i = 0; i < c->nyoung; i++)
            pm_row_clear(&c->rows[c->young[i]]);
    c->nyoung = 0;
}

#endif
