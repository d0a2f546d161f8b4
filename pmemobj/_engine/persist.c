/*
 * persist.c: the nine functions of libpmem that libpmemobj calls, seen before they happen.
 *
 * The linker's --wrap puts __wrap_X in front of each function X.  A range inside a pool of the journal
 * engine is mapped privately, so flushing it means: this range belongs to the next record.  Everything
 * else (a pool being created, a foreign mapping) goes on to the real libpmem.
 *
 * The memory functions mark their range unless PMEM_F_MEM_NOFLUSH is set; NODRAIN alone does not excuse
 * them, it only leaves out the fence.
 */
#include <libpmem.h>
#include <pthread.h>

#include "engine.h"

void __real_pmem_persist(const void *addr, size_t len);
void __real_pmem_flush(const void *addr, size_t len);
void __real_pmem_drain(void);
int __real_pmem_deep_flush(const void *addr, size_t len);
int __real_pmem_msync(const void *addr, size_t len);
int __real_pmem_is_pmem(const void *addr, size_t len);
void *__real_pmem_memcpy(void *dest, const void *src, size_t len, unsigned flags);
void *__real_pmem_memmove(void *dest, const void *src, size_t len, unsigned flags);
void *__real_pmem_memset(void *dest, int c, size_t len, unsigned flags);

/* Open pools, newest first.  Few, and changed only at open and close. */
struct mapped {
    struct mapped *next;
    pm_pool *pool;
};

static struct mapped *mapped_pools;
static pthread_rwlock_t mapped_lock = PTHREAD_RWLOCK_INITIALIZER;

/* Ranges flushed while this thread is inside pmemobj_open. */
struct early { const void *at; size_t length; };
static _Thread_local struct early *early;
static _Thread_local size_t nearly, early_cap;
static _Thread_local int opening;

static int keep_early(const void *at, size_t length)
{
    if (nearly == early_cap) {
        size_t cap = early_cap ? 2 * early_cap : 64;
        struct early *grown = realloc(early, cap * sizeof *grown);
        if (grown == NULL)
            return 0;
        early = grown;
        early_cap = cap;
    }
    early[nearly].at = at;
    early[nearly++].length = length;
    return 1;
}

/* 1 when the range belongs to a journalled pool and is now part of its next record. */
static int mark(const void *at, size_t length)
{
    int found = 0;
    pthread_rwlock_rdlock(&mapped_lock);
    for (struct mapped *m = mapped_pools; m != NULL; m = m->next) {
        pm_pool *p = m->pool;
        if ((const char *)at >= p->base && (const char *)at < p->base + p->size) {
            p->engine->mark_dirty(p, pm_offset(p, at), length);
            found = 1;
            break;
        }
    }
    pthread_rwlock_unlock(&mapped_lock);
    if (!found && opening) {
        if (!keep_early(at, length))
            abort();            /* out of memory while opening: nothing has been changed yet */
        return 1;
    }
    return found;
}

void pm_opening(void)
{
    opening = 1;
    nearly = 0;
}

void pm_open_failed(void)
{
    opening = 0;
    free(early);
    early = NULL;
    nearly = early_cap = 0;
}

/* Before any Python code runs in a forked child: the hooks of others may come before ours, and use a pool.  No other
 * thread is there any more; one may have held the lock. */
static void in_forked_child(void)
{
    mapped_lock = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
    for (struct mapped *m = mapped_pools; m != NULL; m = m->next)
        m->pool->read_gate = m->pool->write_gate = PM_GATE_FORKED;
}

static int watch_forks(void)
{
    static int watching;
    int error = watching ? 0 : pthread_atfork(NULL, NULL, in_forked_child);
    watching = !error;
    return error;
}

int pm_opened(pm_pool *p)
{
    struct mapped *m = malloc(sizeof *m);
    if (m == NULL || watch_forks()) {
        free(m);
        pm_open_failed();
        return ENOMEM;
    }
    m->pool = p;
    pthread_rwlock_wrlock(&mapped_lock);
    m->next = mapped_pools;
    mapped_pools = m;
    pthread_rwlock_unlock(&mapped_lock);
    opening = 0;
    for (size_t i = 0; i < nearly; i++)
        mark(early[i].at, early[i].length);
    pm_open_failed();           /* frees the list of early ranges */
    return 0;
}

void pm_closing(pm_pool *p)
{
    pthread_rwlock_wrlock(&mapped_lock);
    for (struct mapped **link = &mapped_pools; *link != NULL; link = &(*link)->next) {
        if ((*link)->pool == p) {
            struct mapped *gone = *link;
            *link = gone->next;
            free(gone);
            break;
        }
    }
    pthread_rwlock_unlock(&mapped_lock);
}

void __wrap_pmem_persist(const void *addr, size_t len)
{
    if (!mark(addr, len))
        __real_pmem_persist(addr, len);
}

void __wrap_pmem_flush(const void *addr, size_t len)
{
    if (!mark(addr, len))
        __real_pmem_flush(addr, len);
}

void __wrap_pmem_drain(void) { __real_pmem_drain(); }

int __wrap_pmem_deep_flush(const void *addr, size_t len)
{
    return mark(addr, len) ? 0 : __real_pmem_deep_flush(addr, len);
}

int __wrap_pmem_msync(const void *addr, size_t len)
{
    return mark(addr, len) ? 0 : __real_pmem_msync(addr, len);
}

/* A pool that is being opened counts as persistent memory, so that libpmemobj flushes by range. */
int __wrap_pmem_is_pmem(const void *addr, size_t len)
{
    return opening ? 1 : __real_pmem_is_pmem(addr, len);
}

void *__wrap_pmem_memcpy(void *dest, const void *src, size_t len, unsigned flags)
{
    if (!(flags & PMEM_F_MEM_NOFLUSH) && mark(dest, len))
        return memcpy(dest, src, len);
    return __real_pmem_memcpy(dest, src, len, flags);
}

void *__wrap_pmem_memmove(void *dest, const void *src, size_t len, unsigned flags)
{
    if (!(flags & PMEM_F_MEM_NOFLUSH) && mark(dest, len))
        return memmove(dest, src, len);
    return __real_pmem_memmove(dest, src, len, flags);
}

void *__wrap_pmem_memset(void *dest, int c, size_t len, unsigned flags)
{
    if (!(flags & PMEM_F_MEM_NOFLUSH) && mark(dest, len))
        return memset(dest, c, len);
    return __real_pmem_memset(dest, c, len, flags);
}
