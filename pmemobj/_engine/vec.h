/*
 * vec.h: reading a pm_vec: where item i lies.  `stride` is the number of words of an item, a constant at
 * each call, so that the division is a multiplication.
 */
#ifndef PM_VEC_H
#define PM_VEC_H

#include "engine.h"

#define PM_SEG_ITEMS(stride) (PM_SEG_WORDS / (stride))

/* First word of item i.  The item must be below the capacity. */
static inline uint64_t *pm_vec_at(const pm_pool *p, const pm_vec *v, uint64_t i, unsigned stride)
{
    if (__builtin_expect(v->dir_cap == 0, 1))
        return (uint64_t *)(p->base + v->data) + i * stride;
    uint64_t segment = i / PM_SEG_ITEMS(stride), rest = i % PM_SEG_ITEMS(stride);
    const uint64_t *directory = (const uint64_t *)(p->base + v->data);
    return (uint64_t *)(p->base + directory[segment]) + rest * stride;
}

/* As pm_vec_at; *run is the number of items from i on, below `end`, that lie side by side. */
static inline uint64_t *pm_vec_run(const pm_pool *p, const pm_vec *v, uint64_t i, uint64_t end, unsigned stride,
                                   uint64_t *run)
{
    *run = end - i;
    if (v->dir_cap != 0) {
        uint64_t rest = PM_SEG_ITEMS(stride) - i % PM_SEG_ITEMS(stride);
        if (rest < *run)
            *run = rest;
    }
    return pm_vec_at(p, v, i, stride);
}

#endif
