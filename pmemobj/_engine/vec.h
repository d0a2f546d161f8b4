/*
 * vec.h: reading a pm_vec: where item i lies.  `stride` is the number of words of an item, a constant at
 * each call, so that the division is a multiplication.
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
        return (uint64_t *)(p->base + v->data) + i * stride;
    uint64_t segment = pm_vec_segment(i, stride), rest = i - segment * pm_vec_segment_items(stride);
    const uint64_t *directory = (const uint64_t *)(p->base + v->data);
    return (uint64_t *)(p->base + directory[segment]) + rest * stride;
}

/* As pm_vec_at; *run is the number of items from i on, below `end`, that lie side by side. */
static inline uint64_t *pm_vec_run(const pm_pool *p, const pm_vec *v, uint64_t i, uint64_t end, unsigned stride,
                                   uint64_t *run)
{
    *run = end - i;
    if (v->dir_cap != 0) {
        uint64_t rest = (pm_vec_segment(i, stride) + 1) * pm_vec_segment_items(stride) - i;
        if (rest < *run)
            *run = rest;
    }
    return pm_vec_at(p, v, i, stride);
}

#endif
