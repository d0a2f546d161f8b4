/*
 * persist.c: the nine functions of libpmem that libpmemobj calls, seen before they happen.
 *
 * The linker's --wrap puts __wrap_X in front of each function X.  A range inside a pool of the journal
 * engine is mapped privately, so flushing it means: this range belongs to the next record.  In a pool of the
 * direct engine it means what it says, by the real libpmem or, on a file that is not persistent memory, by
 * msync.  Everything else (a foreign mapping) goes on to the real libpmem.
 *
 * The memory functions mark or flush their range unless PMEM_F_MEM_NOFLUSH is set; NODRAIN alone does not
 * excuse them, it only leaves out the fence.
 */
#include <libpmem.h>
#include <pthread.h>

#include "direct/direct.h"
#include "files/io.h"
#include "files/trace.h"

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
static _Thread_local int opening, opening_error;
static _Thread_local const pm_media *opening_media;

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

static int real_flush(const void *at, size_t length)
{
    trace_flush(at, length);
    __real_pmem_flush(at, length);
    return 0;
}

static void real_drain(void)
{
    trace_fence();
    __real_pmem_drain();
}

static int sync_pages(const void *at, size_t length)
{
    uintptr_t from = pm_page_of((uintptr_t)at);
    return io_msync((void *)from, (uintptr_t)at + length - from);
}

static void no_drain(void) {}

const pm_media pm_persistent_memory = {real_flush, real_drain, 0};
const pm_media pm_page_cache = {sync_pages, no_drain, 1};

static pm_pool *pool_of(const void *at)
{
    pm_pool *found = NULL;
    pthread_rwlock_rdlock(&mapped_lock);
    for (struct mapped *m = mapped_pools; m != NULL && found == NULL; m = m->next)
        if ((const char *)at >= m->pool->base && (const char *)at < m->pool->base + m->pool->size)
            found = m->pool;
    pthread_rwlock_unlock(&mapped_lock);
    return found;
}

/* How a range becomes durable: by the real libpmem, whose flushes and fences may have to be seen one by one, by an
 * msync, or by being part of the pool's next record. */
enum way { REAL, TRACED, SYNC, RECORD };

static enum way way_of(const pm_pool *p)
{
    const pm_media *media = p ? p->direct ? p->direct->media : NULL : opening ? opening_media : &pm_persistent_memory;
    return media == &pm_persistent_memory ? trace_on ? TRACED : REAL : media ? SYNC : RECORD;
}

/* Of a range whose way is not REAL. */
static int mark(pm_pool *p, const void *at, size_t length)
{
    if (way_of(p) == TRACED)
        return real_flush(at, length);
    if (way_of(p) == SYNC) {
        int failed = p ? jr_has_failed(p->journal) : opening_error, none = 0;
        if (!failed && (failed = sync_pages(at, length)) != 0) {
            if (p)
                atomic_compare_exchange_strong(&p->journal->failed, &none, failed);
            else
                opening_error = failed;
        }
        return failed ? -1 : 0;     /* after the first one nothing is synced: a later success would prove nothing */
    }
    if (p)
        pm_mark_dirty(p, pm_offset(p, at), length);
    else if (!keep_early(at, length))
        abort();                /* out of memory while opening: nothing has been changed yet */
    return 0;
}

void pm_opening(const pm_media *media)
{
    opening = 1;
    opening_media = media;
    opening_error = 0;
    nearly = 0;
}

int pm_open_failed(void)
{
    opening = 0;
    free(early);
    early = NULL;
    nearly = early_cap = 0;
    return opening_error;
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
    struct mapped *m = opening_error ? NULL : malloc(sizeof *m);
    if (m == NULL || watch_forks()) {
        free(m);
        if (pm_open_failed())
            p->journal->failed = opening_error;     /* so nobody syncs the file again, and takes it for complete */
        return opening_error ? opening_error : ENOMEM;
    }
    m->pool = p;
    pthread_rwlock_wrlock(&mapped_lock);
    m->next = mapped_pools;
    mapped_pools = m;
    pthread_rwlock_unlock(&mapped_lock);
    opening = 0;
    for (size_t i = 0; i < nearly; i++)
        mark(p, early[i].at, early[i].length);
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
    pm_pool *p = pool_of(addr);
    if (way_of(p) == REAL)
        __real_pmem_persist(addr, len);
    else {
        mark(p, addr, len);
        real_drain();
    }
}

void __wrap_pmem_flush(const void *addr, size_t len)
{
    pm_pool *p = pool_of(addr);
    if (way_of(p) == REAL)
        __real_pmem_flush(addr, len);
    else
        mark(p, addr, len);
}

void __wrap_pmem_drain(void) { real_drain(); }

int __wrap_pmem_deep_flush(const void *addr, size_t len)
{
    pm_pool *p = pool_of(addr);
    return way_of(p) == REAL ? __real_pmem_deep_flush(addr, len) : mark(p, addr, len);
}

int __wrap_pmem_msync(const void *addr, size_t len)
{
    pm_pool *p = pool_of(addr);
    return way_of(p) == REAL ? __real_pmem_msync(addr, len) : mark(p, addr, len);
}

/* A pool that is being opened counts as persistent memory, so that libpmemobj flushes by range. */
int __wrap_pmem_is_pmem(const void *addr, size_t len)
{
    return opening ? 1 : __real_pmem_is_pmem(addr, len);
}

/* Around a memory function that is to be done here; an msync follows the stores that it is for. */
#define MEMORY(real, plain)                                                                               \
    do {                                                                                                  \
        pm_pool *p = pool_of(dest);                                                                       \
        if (way_of(p) == REAL)                                                                            \
            return real;                                                                                  \
        plain;                                                                                            \
        if (!(flags & PMEM_F_MEM_NOFLUSH))                                                                \
            mark(p, dest, len);                                                                           \
        if (!(flags & (PMEM_F_MEM_NOFLUSH | PMEM_F_MEM_NODRAIN)))                                         \
            real_drain();                                                                                 \
        return dest;                                                                                      \
    } while (0)

void *__wrap_pmem_memcpy(void *dest, const void *src, size_t len, unsigned flags)
{
    MEMORY(__real_pmem_memcpy(dest, src, len, flags), memcpy(dest, src, len));
}

void *__wrap_pmem_memmove(void *dest, const void *src, size_t len, unsigned flags)
{
    MEMORY(__real_pmem_memmove(dest, src, len, flags), memmove(dest, src, len));
}

void *__wrap_pmem_memset(void *dest, int c, size_t len, unsigned flags)
{
    MEMORY(__real_pmem_memset(dest, c, len, flags), memset(dest, c, len));
}
