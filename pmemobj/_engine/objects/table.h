/*
 * table.h: the hash table of dict and set without its keys' meaning: entries and the index (see pm_table).
 *
 *  1. An index cell is a word: the tag, which is the upper half of the mixed hash, over the entry number + 1;
 *     0 is empty.  The index is self-validating: a cell counts only if its tag is the one looked for, its
 *     entry number is below entries.size, and that entry is not deleted and has the hash looked for.  So a
 *     deletion leaves its cell as it is.
 *  2. A segment is a power of two of cells, probed linearly up to an empty cell.  A probe begins at the tag's
 *     bits that follow the first `depth`; these say which segment of the directory it is.  A table with one
 *     segment has no directory, and depth 0.
 *  3. Tags alone say where cells go, so a segment is divided without a look at the entries: growing costs at
 *     most two segments at a time, however large the table is.  In a directory segments are divided one after
 *     the other in the order of their tags while the table doubles; see pm_segment_limit.
 *  4. The last entry is never a deleted one: deleting the last takes the deleted ones before it away, with
 *     their cells.
 */
#ifndef PM_TABLE_H
#define PM_TABLE_H

#include "vec.h"

#define PM_SEGMENT_LOG 12u                  /* log2 of the cells of a segment in a directory, at least */
#define PM_DEPTH_MAX 32u                    /* of a directory; and log2 of the cells of a segment */
#define PM_NOT_FOUND (-1)
#define PM_DAMAGED (-4)
#define PM_CELLS_AT_ONCE 16u                /* the smallest segment */
#define PM_PROBE_MAX 256u                   /* cells; a longer way to a free one asks how full the segment is */

#define PM_SEGMENT(offset, log, depth) ((offset) | (uint64_t)(depth) << 48 | (uint64_t)(log) << 56)
#define PM_SEGMENT_CELLS(segment) ((unsigned)((segment) >> 56))     /* log2 of their number */
#define PM_SEGMENT_DEPTH(segment) ((unsigned)((segment) >> 48) & 255)

static inline uint64_t pm_tag(uint64_t hash) { return hash * 0x9e3779b97f4a7c15ull >> 32; }

/* Which cell of the segment a tag belongs to. */
static inline uint64_t pm_tag_home(uint64_t tag, unsigned log, unsigned depth)
{
    return (uint32_t)(tag << (depth & 63)) >> ((32 - log) & 31);
}

static inline uint64_t *pm_directory(const pm_pool *p, const pm_table *t) { return (uint64_t *)pm_at(p, t->index); }

/* The segment that holds cells of that tag; there is an index.  0: there should be, but its directory is damaged. */
static inline uint64_t pm_table_segment(const pm_pool *p, const pm_table *t, uint64_t tag)
{
    if (t->index_depth == 0)
        return t->index;
    uint64_t at = t->index + (tag >> ((32 - t->index_depth) & 63)) * 8;
    return t->index_depth <= PM_DEPTH_MAX && pm_leads_inside(p, at) ? *(const uint64_t *)pm_at(p, at) : 0;
}

/* Its cells lie inside the pool, and its numbers are such as can be. */
static inline int pm_segment_is_sound(const pm_pool *p, uint64_t segment)
{
    unsigned log = PM_SEGMENT_CELLS(segment);
    return log - 4 <= PM_DEPTH_MAX - 4 && PM_SEGMENT_DEPTH(segment) <= PM_DEPTH_MAX && (segment & 7) == 0 &&
           pm_inside_all(p, segment & PM_OFFSET_MASK, 1ull << log, 8);
}

/* All of an index: each segment is where its depth says, and nowhere else. */
static inline int pm_index_is_sound(const pm_pool *p, const pm_table *t)
{
    if (t->index == 0 || t->index_depth == 0)
        return t->index_depth == 0 && (t->index == 0 || pm_segment_is_sound(p, t->index));
    if (t->index_depth > PM_DEPTH_MAX || t->index & 7 || !pm_inside_all(p, t->index, 1ull << t->index_depth, 8))
        return 0;
    const uint64_t *directory = pm_directory(p, t);
    for (uint64_t i = 0, run = 1; i < 1ull << t->index_depth; i += run) {
        uint64_t segment = directory[i];
        run = 1;
        if (segment == 0)                       /* has been given back */
            continue;
        if (!pm_segment_is_sound(p, segment) || PM_SEGMENT_DEPTH(segment) > t->index_depth)
            return 0;
        run = 1ull << (t->index_depth - PM_SEGMENT_DEPTH(segment));
        if (i & (run - 1))
            return 0;
        for (uint64_t k = 1; k < run; k++)
            if (directory[i + k] != segment)
                return 0;
    }
    return 1;
}

/* A search for a hash.  Tables without index are scanned: `at` counts entries then.  segment is 0 when the index has
 * turned out to be damaged: there is no room then.  What it says of a segment is not believed: each cell is looked for
 * inside the pool. */
typedef struct pm_probe {
    uint64_t hash, wanted;      /* the cell looked for, without its entry number */
    uint64_t *cells;
    uint64_t segment, mask, at, home;
} pm_probe;

static uint64_t pm_no_cells[1];

static inline void pm_probe_fails(pm_probe *probe)
{
    probe->segment = probe->mask = probe->at = probe->home = 0;
    probe->cells = pm_no_cells;
}

static inline void pm_probe_start(const pm_pool *p, const pm_table *t, uint64_t hash, pm_probe *probe)
{
    probe->hash = hash;
    probe->at = 0;
    if (t->index == 0)
        return;
    uint64_t tag = pm_tag(hash), segment = pm_table_segment(p, t, tag);
    unsigned log = PM_SEGMENT_CELLS(segment);
    probe->wanted = tag << 32;
    probe->segment = segment;
    probe->cells = (uint64_t *)pm_at(p, segment & PM_OFFSET_MASK);
    probe->mask = (1ull << (log & 63)) - 1;
    probe->home = probe->at = pm_tag_home(tag, log, PM_SEGMENT_DEPTH(segment));
}

/* To the next cell; 0: all of them have been seen, and none is free, which no sound segment is like. */
static inline int pm_probe_step(pm_probe *probe)
{
    probe->at = (probe->at + 1) & probe->mask;
    return __builtin_expect(probe->at != probe->home, 1);
}

/* The next entry number with that hash, or PM_NOT_FOUND at the end; with an index, `at` is the free cell there.
 * PM_DAMAGED: what the table says leads out of the pool, or nowhere. */
static inline int64_t pm_table_next(const pm_pool *p, const pm_table *t, unsigned stride, pm_probe *probe)
{
    uint64_t size = t->entries.size;
    if (t->index == 0) {
        for (; probe->at < size; probe->at++) {
            const uint64_t *entry = pm_vec_find(p, &t->entries, probe->at, stride);
            if (entry == NULL)
                return PM_DAMAGED;
            if (entry[0] == probe->hash && entry[1] != 0)
                return (int64_t)probe->at++;
        }
        return PM_NOT_FOUND;
    }
    do {
        /* the sum is one of numbers, since a damaged segment may be anywhere, and of any size */
        const uint64_t *at = (const uint64_t *)((uintptr_t)probe->cells + probe->at * 8);
        if (!pm_is_inside(p, at))
            break;
        uint64_t cell = *at, number = (cell ^ probe->wanted) - 1;
        if (cell == 0)
            return PM_NOT_FOUND;
        if (number < size) {
            const uint64_t *entry = pm_vec_find(p, &t->entries, number, stride);
            if (entry == NULL)
                return PM_DAMAGED;
            if (entry[0] == probe->hash && entry[1] != 0) {
                probe->at = (probe->at + 1) & probe->mask;
                return (int64_t)number;
            }
        }
    } while (pm_probe_step(probe));
    pm_probe_fails(probe);
    return PM_DAMAGED;
}

/* Up to how many entries of the table a segment of a directory takes new cells: from half full for the first
 * tags to three quarters for the last, so that not all segments are divided at the same time. */
static inline uint64_t pm_segment_limit(uint64_t tag, unsigned log, unsigned depth)
{
    return ((0x20000 + (tag >> 16)) << ((log + depth) & 63)) >> 18;
}

/* The free cell at the end of the probe may be taken: its segment is not too full. */
static inline int pm_probe_has_room(const pm_table *t, const pm_probe *probe)
{
    uint64_t size = t->entries.size;
    if (t->index == 0)
        return size < PM_TABLE_SMALL;
    unsigned log = PM_SEGMENT_CELLS(probe->segment), depth = PM_SEGMENT_DEPTH(probe->segment);
    if (t->index_depth == 0)
        return 3 * (size + 1) <= 2ull << (log & 63);
    uint64_t tag = probe->wanted >> 32;
    return size < pm_segment_limit(tag, log, depth)
        && ((probe->at - pm_tag_home(tag, log, depth)) & probe->mask) < PM_PROBE_MAX;
}

/* Puts a cell into a segment with room. */
static inline void pm_cells_put(uint64_t *cells, unsigned log, unsigned depth, uint64_t cell)
{
    uint64_t mask = (1ull << log) - 1, at = pm_tag_home(cell >> 32, log, depth);
    for (uint64_t left = mask; cells[at] && left; left--)      /* there is room but where the cells are damaged */
        at = (at + 1) & mask;
    cells[at] = cell;
}

/* How many cells of a segment are taken in each half: which half is the bit of the tag that follows the first `depth`.
 * Whether a cell is taken, and where it goes, is as good as random: here and in pm_cells_move no branch depends on it. */
static inline void pm_cells_count(const uint64_t *cells, unsigned log, unsigned depth, uint64_t *count)
{
    uint64_t taken = 0, high = 0;
    for (uint64_t i = 0; i < 1ull << log; i++) {
        taken += cells[i] != 0;
        high += cells[i] >> ((63 - depth) & 63) & 1;
    }
    count[0] = taken - high;
    count[1] = high;
}

static inline void pm_segment_put(const pm_pool *p, uint64_t segment, const uint64_t *cells, uint64_t n)
{
    uint64_t *to = (uint64_t *)pm_at(p, segment & PM_OFFSET_MASK);
    for (uint64_t i = 0; i < n; i++)
        pm_cells_put(to, PM_SEGMENT_CELLS(segment), PM_SEGMENT_DEPTH(segment), cells[i]);
}

/* Puts the cells of a segment into the two that take its place, or into a larger one that does (high is 0). */
static inline void pm_cells_move(const pm_pool *p, uint64_t segment, uint64_t low, uint64_t high)
{
    uint64_t gathered[2][PM_CELLS_AT_ONCE];     /* the cells of each half, from the next few */
    const uint64_t *cells = (const uint64_t *)pm_at(p, segment & PM_OFFSET_MASK);
    const uint64_t *end = cells + (1ull << PM_SEGMENT_CELLS(segment));
    unsigned shift = (63 - PM_SEGMENT_DEPTH(segment)) & 63;
    while (cells < end) {
        uint64_t n[2] = {0, 0};
        for (unsigned i = 0; i < PM_CELLS_AT_ONCE; i++, cells++) {
            uint64_t cell = *cells, half = cell >> shift & 1;
            gathered[0][n[0]] = gathered[1][n[1]] = cell;
            n[0] += (cell != 0) & ~half;
            n[1] += half;
        }
        pm_segment_put(p, low, gathered[0], n[0]);
        pm_segment_put(p, high ? high : low, gathered[1], n[1]);
    }
}

/* Leaves the probe at the free cell for `hash`. */
static inline void pm_probe_free(const pm_pool *p, const pm_table *t, uint64_t hash, pm_probe *probe)
{
    pm_probe_start(p, t, hash, probe);
    if (t->index && !pm_segment_is_sound(p, probe->segment))
        pm_probe_fails(probe);
    if (t->index)
        while (probe->cells[probe->at])
            if (!pm_probe_step(probe))
                pm_probe_fails(probe);
}

/* A new last entry, with the free cell that the probe found; there is room.  `value` is that of a dict.  Inside
 * a level its place may have been an entry when the level began, so its lines are kept. */
static inline void pm_table_append(pm_pool *p, pm_table *t, unsigned stride, const pm_probe *probe, uint64_t key,
                                   uint64_t value)
{
    uint64_t size = t->entries.size;
    uint64_t *entry = pm_vec_at(p, &t->entries, size, stride);
    if (p->depth)
        pm_snapshot(p, entry, stride * 8);
    entry[0] = probe->hash;
    entry[1] = key;
    if (stride == 3)
        entry[2] = value;
    if (p->depth == 0)
        pm_fresh(p, entry, stride * 8);
    if (t->index)
        pm_store(p, probe->cells + probe->at, probe->wanted | (size + 1));
    pm_store(p, &t->used, t->used + 1);
    pm_store(p, &t->entries.size, size + 1);
}

/* Takes the cell of an entry away.  Cells behind it that were displaced move up, so no probe loses its way. */
static inline void pm_table_forget(pm_pool *p, const pm_table *t, uint64_t hash, uint64_t number)
{
    pm_probe probe;
    if (t->index == 0)
        return;
    pm_probe_start(p, t, hash, &probe);
    if (!pm_segment_is_sound(p, probe.segment))
        return;
    uint64_t *cells = probe.cells, mask = probe.mask, hole = probe.at;
    unsigned log = PM_SEGMENT_CELLS(probe.segment), depth = PM_SEGMENT_DEPTH(probe.segment);
    uint64_t left = mask;
    for (; cells[hole] != (probe.wanted | (number + 1)); hole = (hole + 1) & mask)
        if (cells[hole] == 0 || left-- == 0)
            return;
    for (uint64_t at = (hole + 1) & mask; cells[at] && left; at = (at + 1) & mask, left--) {
        if (((at - pm_tag_home(cells[at] >> 32, log, depth)) & mask) >= ((at - hole) & mask)) {
            pm_store(p, cells + hole, cells[at]);
            hole = at;
        }
    }
    pm_store(p, cells + hole, 0);
}

#endif
