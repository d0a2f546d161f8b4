/*
 * vec.h: reading a pm_vec: where item i lies.  `stride` is the number of words of an item, a constant at
 * each call, so that the division is a multiplication.
 *
 * A vector that was read from the pool may be damaged: pm_vec_find looks before it leaps.  pm_vec_at and pm_vec_run
 * do not; they are for vectors that are this program's own work, or that pm_vec_is_sound has found sound since
 * anything else could have changed them.
 */
#ifndef PM_VEC_H
#define PM_VEC_H

#include "engine.h"

/* Items of a segment.  Each choice is a constant, so that a division by it is a multiplication where the stride is
 * not known either. */
#define PM_SEG_ITEMS(stride) (PM_SEG_WORDS / (stride))

static inline uint64_t pm_vec_segment(uint64_t i, unsigned stride)
{
    return stride == 3 ? i / PM_SEG_ITEMS(3) : stride == 2 ? i / PM_SEG_ITEMS(2) : i / PM_SEG_ITEMS(1);
}

static inline uint64_t pm_vec_segment_items(unsigned stride)
{
    return stride == 3 ? PM_SEG_ITEMS(3) : stride == 2 ? PM_SEG_ITEMS(2) : PM_SEG_ITEMS(1);
}

/* First word of item i.  The item must be below the capacity.  Without a hint as to which way is the common one: in
 * code that it takes for unlikely the compiler makes the division a division, to save a few bytes. */
static inline uint64_t *pm_vec_at(const pm_pool *p, const pm_vec *v, uint64_t i, unsigned stride)
{
    if (v->dir_cap == 0)
        return (uint64_t *)pm_at(p, v->data) + i * stride;
    uint64_t segment = pm_vec_segment(i, stride), rest = i - segment * pm_vec_segment_items(stride);
    const uint64_t *directory = (const uint64_t *)pm_at(p, v->data);
    return (uint64_t *)pm_at(p, directory[segment]) + rest * stride;
}

/* The same, or NULL when that is not inside the pool. */
static inline uint64_t *pm_vec_find(const pm_pool *p, const pm_vec *v, uint64_t i, unsigned stride)
{
    uint64_t at = v->data;
    if (v->dir_cap == 0) {
        at += i * stride * 8;
    } else {
        uint64_t segment = pm_vec_segment(i, stride), rest = i - segment * pm_vec_segment_items(stride);
        at += segment * 8;
        if (!pm_leads_inside(p, at))
            return NULL;
        at = *(const uint64_t *)pm_at(p, at) + rest * stride * 8;
    }
    return pm_word(p, at);
}

/* How many items from i on, below `end`, lie side by side. */
static inline uint64_t pm_vec_side_by_side(const pm_vec *v, uint64_t i, uint64_t end, unsigned stride)
{
    uint64_t run = end - i;
    if (v->dir_cap != 0) {
        uint64_t rest = (pm_vec_segment(i, stride) + 1) * pm_vec_segment_items(stride) - i;
        if (rest < run)
            run = rest;
    }
    return run;
}

/* As pm_vec_at; *run is the number of items from i on, below `end`, that lie side by side. */
static inline uint64_t *pm_vec_run(const pm_pool *p, const pm_vec *v, uint64_t i, uint64_t end, unsigned stride,
                                   uint64_t *run)
{
    *run = pm_vec_side_by_side(v, i, end, stride);
    return pm_vec_at(p, v, i, stride);
}

/* The same, or NULL when they are not inside the pool. */
static inline uint64_t *pm_vec_find_run(const pm_pool *p, const pm_vec *v, uint64_t i, uint64_t end, unsigned stride,
                                        uint64_t *run)
{
    uint64_t *at = pm_vec_find(p, v, i, stride);
    *run = pm_vec_side_by_side(v, i, end, stride);
    return at != NULL && pm_inside_all(p, pm_offset(p, at), *run, stride * 8) ? at : NULL;
}

/* The items from..to-1 lie inside the pool, and so does the directory. */
static inline int pm_vec_is_sound(const pm_pool *p, const pm_vec *v, uint64_t from, uint64_t to, unsigned stride)
{
    if (v->size > v->cap || to > v->cap || (v->data & 7))
        return 0;
    if (v->cap == 0)
        return 1;
    if (v->dir_cap == 0)
        return pm_inside_all(p, v->data, v->cap, stride * 8);
    uint64_t items = pm_vec_segment_items(stride);
    if (v->cap % items || v->cap / items > v->dir_cap ||
        !pm_inside_all(p, v->data, v->dir_cap, 8))
        return 0;
    const uint64_t *directory = (const uint64_t *)pm_at(p, v->data);
    for (uint64_t i = from / items; i * items < to; i++)
        if (directory[i] & 7 || !pm_inside(p, directory[i], PM_SEG_WORDS * 8))
            return 0;
    return 1;
}

#endif
