/*
 * known.h: the persistent objects that this process knows of, by offset.
 *
 * Maps an object's offset to its proxy (a borrowed PyObject *), so that the same stored object is the same
 * Python object while it is referenced.  An entry without proxy is an object that nobody refers to and that
 * waits to be destroyed.  Open addressing, linear probing, deletion by shifting back.
 */
#ifndef PM_KNOWN_H
#define PM_KNOWN_H

#include <stdint.h>
#include <stdlib.h>

typedef struct pm_known_cell {
    uint64_t offset;            /* 0: empty */
    void *proxy;                /* borrowed, or NULL */
} pm_known_cell;

typedef struct pm_known {
    pm_known_cell *cells;
    size_t mask, used;
} pm_known;

static inline size_t pm_known_home(const pm_known *t, uint64_t offset)
{
    return (size_t)((offset >> 3) * 0x9e3779b97f4a7c15ull >> 32) & t->mask;
}

static inline pm_known_cell *pm_known_find(const pm_known *t, uint64_t offset)
{
    if (t->cells == NULL)
        return NULL;
    for (size_t i = pm_known_home(t, offset);; i = (i + 1) & t->mask) {
        if (t->cells[i].offset == offset)
            return &t->cells[i];
        if (t->cells[i].offset == 0)
            return NULL;
    }
}

/* No room for one more entry: 0, or -1 without memory. */
static __attribute__((noinline, unused)) int pm_known_grow(pm_known *t)
{
    pm_known bigger = {NULL, t->cells ? 2 * t->mask + 1 : 63, 0};
    bigger.cells = (pm_known_cell *)calloc(bigger.mask + 1, sizeof *bigger.cells);
    if (bigger.cells == NULL)
        return -1;
    for (size_t i = 0; t->cells && i <= t->mask; i++) {
        if (t->cells[i].offset) {
            size_t j = pm_known_home(&bigger, t->cells[i].offset);
            while (bigger.cells[j].offset)
                j = (j + 1) & bigger.mask;
            bigger.cells[j] = t->cells[i];
            bigger.used++;
        }
    }
    free(t->cells);
    *t = bigger;
    return 0;
}

/* The cell of `offset`, or the empty one where it belongs; NULL without memory.  Until the table changes. */
static inline pm_known_cell *pm_known_place(pm_known *t, uint64_t offset)
{
    if (__builtin_expect(t->cells == NULL || 3 * (t->used + 1) > 2 * (t->mask + 1), 0) && pm_known_grow(t))
        return NULL;
    size_t i = pm_known_home(t, offset);
    while (t->cells[i].offset && t->cells[i].offset != offset)
        i = (i + 1) & t->mask;
    return &t->cells[i];
}

/* Fills what pm_known_place gave. */
static inline void pm_known_put(pm_known *t, pm_known_cell *cell, uint64_t offset, void *proxy)
{
    t->used += cell->offset == 0;
    cell->offset = offset;
    cell->proxy = proxy;
}

/* Sets the entry of `offset`.  0, or -1 without memory. */
static inline int pm_known_set(pm_known *t, uint64_t offset, void *proxy)
{
    pm_known_cell *cell = pm_known_place(t, offset);
    if (cell == NULL)
        return -1;
    pm_known_put(t, cell, offset, proxy);
    return 0;
}

static inline void pm_known_remove(pm_known *t, pm_known_cell *cell)
{
    size_t hole = (size_t)(cell - t->cells);
    for (size_t i = (hole + 1) & t->mask; t->cells[i].offset; i = (i + 1) & t->mask) {
        size_t home = pm_known_home(t, t->cells[i].offset);
        if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
            t->cells[hole] = t->cells[i];
            hole = i;
        }
    }
    t->cells[hole].offset = 0;
    t->used--;
}

#endif
