/*
 * prefetch.h: fetching into the processor's caches what will be asked for soon.  A wrong address does no harm.
 *
 * To the compiler a function that does only this has no effect, and it leaves out a call of it that it does not inline:
 * so all of them are PM_PREFETCHES.
 */
#ifndef PM_PREFETCH_H
#define PM_PREFETCH_H

#define PM_PREFETCHES static inline __attribute__((always_inline)) void

PM_PREFETCHES pm_prefetch(const void *at) { __builtin_prefetch(at); }

PM_PREFETCHES pm_prefetch_range(const char *from, const char *to)
{
    for (; from < to; from += 64)
        pm_prefetch(from);
}

#endif
