/*
 * table.h: the hash table of dict and set without its keys' meaning: index cells and entries (see pm_table).
 *
 * The index is self-validating: a cell counts only if its entry number is below entries.size and that entry is
 * not deleted and has the hash looked for.  So a deletion leaves its cell as it is, and a probe ends only at
 * an empty cell; the table is rebuilt before more than 2/3 of the cells are taken.  The last entry of a table
 * is never a deleted one: deleting the last takes the deleted ones before it away, with their cells.
 */
#ifndef PM_TABLE_H
#define PM_TABLE_H

#include "vec.h"

/* Cells for a table whose entries vector may grow to `items`. */
static inline uint64_t pm_table_cells(uint64_t items)
{
    uint64_t cells = 16;
    while (2 * cells < 3 * items)
        cells *= 2;
    return cells;
}

/* Where the probe for `hash` begins. */
static inline uint64_t pm_table_home(uint64_t hash, uint64_t cells)
{
    return (hash * 0x9e3779b97f4a7c15ull >> 20) & (cells - 1);
}

/* The next entry number whose stored hash is `hash`, from probe position *at on (start with
 * pm_table_home), or -1 at the end.  *at is left behind it.  Tables without index are scanned: *at counts. */
static inline int64_t pm_table_next(const pm_pool *p, const pm_table *t, unsigned stride, uint64_t hash, uint64_t *at)
{
    if (t->index == 0) {
        for (; *at < t->entries.size; (*at)++) {
            const uint64_t *entry = pm_vec_at(p, &t->entries, *at, stride);
            if (entry[0] == hash && entry[1] != 0)
                return (int64_t)(*at)++;
        }
        return -1;
    }
    const uint32_t *cells = (const uint32_t *)pm_at(p, t->index);
    uint64_t mask = t->index_cells - 1;
    for (;;) {
        uint32_t cell = cells[*at];
        if (cell == 0)
            return -1;
        *at = (*at + 1) & mask;
        if (cell <= t->entries.size) {
            const uint64_t *entry = pm_vec_at(p, &t->entries, cell - 1, stride);
            if (entry[0] == hash && entry[1] != 0)
                return cell - 1;
        }
    }
}

/* Where a lookup of `hash` starts counting. */
static inline uint64_t pm_table_start(const pm_table *t, uint64_t hash)
{
    return t->index ? pm_table_home(hash, t->index_cells) : 0;
}

/* The first free cell for `hash`: empty, so that no other entry is forgotten. */
static inline uint32_t *pm_table_free_cell(uint32_t *cells, uint64_t ncells, uint64_t hash)
{
    uint64_t at = pm_table_home(hash, ncells);
    while (cells[at])
        at = (at + 1) & (ncells - 1);
    return cells + at;
}

/* One more entry fits: its vector has room, and the index stays at most 2/3 full. */
static inline int pm_table_has_room(const pm_table *t)
{
    uint64_t size = t->entries.size;
    if (size >= t->entries.cap)
        return 0;
    return t->index ? 3 * (size + 1) <= 2 * t->index_cells : size < PM_TABLE_SMALL;
}

/* Stores a 4-byte cell: the word that holds it, since words are what is logged. */
static inline void pm_table_set_cell(pm_pool *p, uint32_t *cell, uint32_t value)
{
    uint64_t *word = (uint64_t *)((uintptr_t)cell & ~(uintptr_t)7);
    uint32_t both[2];
    memcpy(both, word, 8);
    both[cell != (uint32_t *)word] = value;
    uint64_t changed;
    memcpy(&changed, both, 8);
    pm_store(p, word, changed);
}

/* A new last entry; there is room.  `value` is that of a dict.  Inside a level its place may have been an entry
 * when the level began, so its lines are kept. */
static inline void pm_table_append(pm_pool *p, pm_table *t, unsigned stride, uint64_t hash, uint64_t key,
                                   uint64_t value)
{
    uint64_t size = t->entries.size;
    uint64_t *entry = pm_vec_at(p, &t->entries, size, stride);
    if (p->depth)
        pm_snapshot(p, entry, stride * 8);
    entry[0] = hash;
    entry[1] = key;
    if (stride == 3)
        entry[2] = value;
    if (p->depth == 0)
        pm_fresh(p, entry, stride * 8);
    if (t->index)
        pm_table_set_cell(p, pm_table_free_cell((uint32_t *)pm_at(p, t->index), t->index_cells, hash),
                          (uint32_t)(size + 1));
    pm_store(p, &t->entries.size, size + 1);
    pm_store(p, &t->used, t->used + 1);
}

/* Empties the cell of the last entry.  Cells are taken in the order of the entries, so this leaves the index as
 * it was before that entry came: no probe loses its way. */
static inline void pm_table_forget_last(pm_pool *p, const pm_table *t, unsigned stride)
{
    uint64_t last = t->entries.size - 1;
    if (t->index == 0)
        return;
    uint32_t *cells = (uint32_t *)pm_at(p, t->index);
    uint64_t at = pm_table_home(pm_vec_at(p, &t->entries, last, stride)[0], t->index_cells);
    while (cells[at] && cells[at] != last + 1)
        at = (at + 1) & (t->index_cells - 1);
    if (cells[at])
        pm_table_set_cell(p, cells + at, 0);
}

#endif
