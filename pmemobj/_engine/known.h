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

/* Sets the entry of `offset`.  0, or -1 without memory. */
static inline int pm_known_set(pm_known *t, uint64_t offset, void *proxy)
{
    if (t->cells == NULL || 3 * (t->used + 1) > 2 * (t->mask + 1)) {
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
    }
    size_t i = pm_known_home(t, offset);
    while (t->cells[i].offset && t->cells[i].offset != offset)
        i = (i + 1) & t->mask;
    if (t->cells[i].offset == 0)
        t->used++;
    t->cells[i].offset = offset;
    t->cells[i].proxy = proxy;
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
