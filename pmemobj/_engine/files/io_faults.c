/* io_faults.c: see io_faults.h. */
#define _GNU_SOURCE
#include "io_faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io.h"

const char *const iof_names[IOF_KINDS] = {
    "open", "close", "pread", "pwrite", "fdatasync", "fsync", "ftruncate", "fallocate", "msync", "mmap", "rename",
    "link", "unlink"};

static struct io_table below;           /* what the table held */
static int installed;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;       /* the following */
static struct iof_rule rule;
static uint64_t matched, hits;
static enum iof_kind first_hit;
static bool error_is_due;               /* after a transfer that was cut */

static _Atomic uint64_t counts[IOF_KINDS], calls;
static _Atomic int pretend;
static iof_hook hook;                   /* set while nobody calls */
static void *hook_context;

enum verdict { GOES_ON, FAILS, IS_CUT };

void iof_name_of(int fd, char *out, size_t size)
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = fd < 0 ? -1 : readlink(link, out, size - 1);
    out[n < 0 ? 0 : n] = 0;
}

static bool ends_like(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return m <= n && !memcmp(name + n - m, end, m);
}

static bool is_of_file(const struct iof_call *call)
{
    char name[4096];
    if (call->path)
        return ends_like(call->path, rule.file) || (call->to && ends_like(call->to, rule.file));
    iof_name_of(call->fd, name, sizeof name);
    return ends_like(name, rule.file);
}

/* Of a call that matches the rule. */
static enum verdict apply_rule(const struct iof_call *call, int *error)
{
    uint64_t number = ++matched;
    bool transfer = (call->kind == IOF_PWRITE || call->kind == IOF_PREAD) && call->length > 1;
    if (error_is_due) {
        error_is_due = rule.sticky;
        *error = rule.error;
        return FAILS;
    }
    if (number < rule.number || (number > rule.number && !rule.sticky))
        return GOES_ON;
    if (rule.error == EINTR && (number - rule.number) % 2)
        return GOES_ON;
    if (rule.cut && !transfer)
        return GOES_ON;
    if (!hits++)
        first_hit = call->kind;
    if (!rule.cut) {
        *error = rule.error;
        return FAILS;
    }
    error_is_due = rule.error != 0;
    return IS_CUT;
}

static enum verdict judge(struct iof_call *call, int *error)
{
    enum verdict verdict = GOES_ON;
    atomic_fetch_add_explicit(&counts[call->kind], 1, memory_order_relaxed);
    call->number = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;
    pthread_mutex_lock(&lock);
    if (rule.number && rule.kinds >> call->kind & 1 && (!rule.file[0] || is_of_file(call)))
        verdict = apply_rule(call, error);
    pthread_mutex_unlock(&lock);
    if (hook && verdict != FAILS)
        hook(hook_context, call);
    return verdict;
}

/* Gives what the call gave, with errno set. */
static void tell(struct iof_call *call, int error, uint64_t done)
{
    call->ended = true;
    call->error = error;
    call->done = done;
    if (hook)
        hook(hook_context, call);
    errno = error;
}

#define FAIL_OR(result, make)                                                                             \
    int error = 0;                                                                                        \
    bool fails = judge(&call, &error) == FAILS;                                                           \
    int result = fails ? -1 : (make);                                                                     \
    if (result < 0 && !fails)                                                                             \
        error = errno

static int fault_open(const char *path, int flags, mode_t mode)
{
    struct iof_call call = {.kind = IOF_OPEN, .fd = -1, .path = path, .flags = flags};
    FAIL_OR(fd, below.open(path, flags, mode));
    call.fd = fd;
    tell(&call, error, 0);
    return fd;
}

/* A close that fails has closed all the same. */
static int fault_close(int fd)
{
    struct iof_call call = {.kind = IOF_CLOSE, .fd = fd};
    int error = 0;
    bool fails = judge(&call, &error) == FAILS;
    int rc = below.close(fd);
    if (rc < 0 && !fails)
        error = errno;
    tell(&call, error, 0);
    return fails ? -1 : rc;
}

static ssize_t transfer(struct iof_call *call, ssize_t (*make)(const struct iof_call *, size_t))
{
    int error = 0;
    enum verdict verdict = judge(call, &error);
    ssize_t done = verdict == FAILS ? -1 : make(call, verdict == IS_CUT ? call->length / 2 : call->length);
    if (done < 0 && verdict != FAILS)
        error = errno;
    tell(call, error, done < 0 ? 0 : (uint64_t)done);
    return done;
}

static ssize_t make_pread(const struct iof_call *call, size_t n)
{
    return below.pread(call->fd, (void *)(uintptr_t)call->data, n, (off_t)call->offset);
}

static ssize_t make_pwrite(const struct iof_call *call, size_t n)
{
    return below.pwrite(call->fd, call->data, n, (off_t)call->offset);
}

static ssize_t fault_pread(int fd, void *buf, size_t n, off_t offset)
{
    struct iof_call call = {.kind = IOF_PREAD, .fd = fd, .data = buf, .offset = (uint64_t)offset, .length = n};
    return transfer(&call, make_pread);
}

static ssize_t fault_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    struct iof_call call = {.kind = IOF_PWRITE, .fd = fd, .data = buf, .offset = (uint64_t)offset, .length = n};
    return transfer(&call, make_pwrite);
}

static int fault_fdatasync(int fd)
{
    struct iof_call call = {.kind = IOF_FDATASYNC, .fd = fd};
    FAIL_OR(rc, pretend ? 0 : below.fdatasync(fd));
    tell(&call, error, 0);
    return rc;
}

static int fault_fsync(int fd)
{
    struct iof_call call = {.kind = IOF_FSYNC, .fd = fd};
    FAIL_OR(rc, pretend ? 0 : below.fsync(fd));
    tell(&call, error, 0);
    return rc;
}

static int fault_ftruncate(int fd, off_t length)
{
    struct iof_call call = {.kind = IOF_FTRUNCATE, .fd = fd, .length = (uint64_t)length};
    FAIL_OR(rc, below.ftruncate(fd, length));
    tell(&call, error, 0);
    return rc;
}

static int fault_fallocate(int fd, int mode, off_t offset, off_t length)
{
    struct iof_call call = {.kind = IOF_FALLOCATE, .fd = fd, .offset = (uint64_t)offset, .length = (uint64_t)length,
                            .flags = mode};
    FAIL_OR(rc, below.fallocate(fd, mode, offset, length));
    tell(&call, error, 0);
    return rc;
}

static int fault_msync(void *addr, size_t length, int flags)
{
    struct iof_call call = {.kind = IOF_MSYNC, .fd = -1, .data = addr, .length = length, .flags = flags};
    FAIL_OR(rc, pretend ? 0 : below.msync(addr, length, flags));
    tell(&call, error, 0);
    return rc;
}

static void *fault_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    struct iof_call call = {.kind = IOF_MMAP, .fd = fd, .data = addr, .offset = (uint64_t)offset, .length = length,
                            .flags = flags};
    int error = 0;
    bool fails = judge(&call, &error) == FAILS;
    void *map = fails ? MAP_FAILED : below.mmap(addr, length, prot, flags, fd, offset);
    if (map == MAP_FAILED && !fails)
        error = errno;
    call.data = map;
    tell(&call, error, 0);
    return map;
}

static int fault_rename(const char *from, const char *to)
{
    struct iof_call call = {.kind = IOF_RENAME, .fd = -1, .path = from, .to = to};
    FAIL_OR(rc, below.rename(from, to));
    tell(&call, error, 0);
    return rc;
}

static int fault_link(const char *from, const char *to)
{
    struct iof_call call = {.kind = IOF_LINK, .fd = -1, .path = from, .to = to};
    FAIL_OR(rc, below.link(from, to));
    tell(&call, error, 0);
    return rc;
}

static int fault_unlink(const char *path)
{
    struct iof_call call = {.kind = IOF_UNLINK, .fd = -1, .path = path};
    FAIL_OR(rc, below.unlink(path));
    tell(&call, error, 0);
    return rc;
}

void iof_install(void)
{
    if (!installed) {
        below = io;
        io = (struct io_table){
            .open = fault_open, .close = fault_close, .pread = fault_pread, .pwrite = fault_pwrite,
            .fdatasync = fault_fdatasync, .fsync = fault_fsync, .ftruncate = fault_ftruncate,
            .fallocate = fault_fallocate, .msync = fault_msync, .mmap = fault_mmap, .rename = fault_rename,
            .link = fault_link, .unlink = fault_unlink};
        installed = 1;
    }
    for (int kind = 0; kind < IOF_KINDS; kind++)
        atomic_store(&counts[kind], 0);
    atomic_store(&calls, 0);
    atomic_store(&pretend, 0);
    iof_arm(NULL);
    iof_set_hook(NULL, NULL);
}

void iof_remove(void)
{
    if (installed)
        io = below;
    installed = 0;
}

void iof_arm(const struct iof_rule *wanted)
{
    pthread_mutex_lock(&lock);
    if (wanted) {               /* what was hit before stays known after the last rule */
        matched = hits = 0;
        rule = *wanted;
    } else {
        rule.number = 0;
    }
    error_is_due = false;
    pthread_mutex_unlock(&lock);
}

void iof_set_hook(iof_hook wanted, void *context)
{
    hook = wanted;
    hook_context = context;
}

void iof_pretend_syncs(bool on) { atomic_store(&pretend, on); }

uint64_t iof_count(enum iof_kind kind) { return atomic_load(&counts[kind]); }

uint64_t iof_matched(void)
{
    pthread_mutex_lock(&lock);
    uint64_t n = matched;
    pthread_mutex_unlock(&lock);
    return n;
}

uint64_t iof_hits(enum iof_kind *first)
{
    pthread_mutex_lock(&lock);
    uint64_t n = hits;
    *first = first_hit;
    pthread_mutex_unlock(&lock);
    return n;
}
