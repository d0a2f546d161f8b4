/* crash_io.c: see crash_io.h. */
#define _GNU_SOURCE
#include "crash_io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/io.h"

#define SECTOR 512u

struct crash_control ctl;

static struct io_table real;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long calls;
static atomic_int fired;            /* the operation that failed first, + 1 */
static int pool, journal;
static __thread int bypass;

struct disk {
    char *bytes;
    size_t size;
    bool *lost;                 /* sectors of which a failed sync has left the old content */
};

static struct disk disk_of[3];

/* The journal's mappings, by address. */
static struct mapping {
    char *at;
    size_t length;
    uint64_t offset;
} mappings[1024];

uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static enum crash_file file_of(int fd)
{
    return fd == pool ? FILE_POOL : fd == journal ? FILE_JOURNAL : FILE_OTHER;
}

/* True when the call is to fail with errno set. */
static bool faulty(enum crash_op op, enum crash_file file, const void *data, size_t n, uint64_t offset)
{
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (ctl.before)
        ctl.before(op, file, data, n, offset);
    if (number == ctl.kill_at)
        raise(SIGKILL);
    if (ctl.interrupted && number % 2 && op != OP_MMAP) {
        errno = EINTR;
        return true;
    }
    if (ctl.fail_at && (number == ctl.fail_at || (ctl.sticky && number > ctl.fail_at))) {
        int none = 0;
        atomic_compare_exchange_strong(&fired, &none, (int)op + 1);
        errno = ctl.error;
        return true;
    }
    return false;
}

static struct disk contents(int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        abort();
    struct disk d = {malloc((size_t)st.st_size + 1), (size_t)st.st_size, NULL};
    for (size_t at = 0; at < d.size;) {
        ssize_t n = pread(fd, d.bytes + at, d.size - at, (off_t)at);
        if (n <= 0)
            abort();
        at += (size_t)n;
    }
    return d;
}

static void set_disk(enum crash_file file, struct disk d)
{
    free(disk_of[file].bytes);
    free(disk_of[file].lost);
    disk_of[file] = d;
}

static void settle(enum crash_file file, int fd)
{
    struct disk now = contents(fd);
    pthread_mutex_lock(&lock);
    set_disk(file, now);
    pthread_mutex_unlock(&lock);
}

void crash_settle_pool(void) { settle(FILE_POOL, pool); }

/* A file with an id that has not been there before. */
static int another_boot(void)
{
    static atomic_long boots;
    char id[40];
    int fd = memfd_create("boot_id", 0), n = snprintf(id, sizeof id, "%036ld", atomic_fetch_add(&boots, 1));
    if (fd < 0 || write(fd, id, (size_t)n) != n)
        abort();
    return fd;
}

static int crash_open(const char *path, int flags, mode_t mode)
{
    if (!bypass && faulty(OP_OPEN, FILE_OTHER, path, 0, 0))
        return -1;
    if (ctl.other_boot && !strcmp(path, "/proc/sys/kernel/random/boot_id"))
        return another_boot();
    int fd = real.open(path, flags, mode);
    const char *name = strrchr(path, '/');
    if (!bypass && fd >= 0 && name && strstr(name, ".journal")) {
        journal = fd;
        if (ctl.disks && ctl.settled)
            settle(FILE_JOURNAL, fd);
    }
    return fd;
}

static int crash_close(int fd)
{
    if (!bypass) {
        faulty(OP_CLOSE, file_of(fd), NULL, 0, 0);
        if (fd == journal)
            journal = -1;
    }
    return real.close(fd);
}

static size_t shortened(size_t n) { return ctl.interrupted && n > 3 ? n - n / 3 : n; }

static ssize_t crash_pread(int fd, void *buf, size_t n, off_t offset)
{
    if (!bypass && faulty(OP_PREAD, file_of(fd), NULL, n, (uint64_t)offset))
        return -1;
    return real.pread(fd, buf, shortened(n), offset);
}

static ssize_t crash_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    if (!bypass && faulty(OP_PWRITE, file_of(fd), buf, n, (uint64_t)offset))
        return -1;
    pthread_mutex_lock(&lock);
    struct disk *d = &disk_of[file_of(fd)];
    if (d->lost && file_of(fd) != FILE_OTHER)
        for (size_t at = (size_t)offset / SECTOR; at * SECTOR < (size_t)offset + shortened(n); at++)
            if (at * SECTOR < d->size)
                d->lost[at] = false;
    pthread_mutex_unlock(&lock);
    return real.pwrite(fd, buf, shortened(n), offset);
}

/* A sync of `now` has failed. */
static void lose_sectors(struct disk *d, const struct disk *now)
{
    if (!d->lost)
        d->lost = calloc(d->size / SECTOR + 1, 1);
    for (size_t at = 0; at < d->size && at < now->size; at += SECTOR)
        if (memcmp(d->bytes + at, now->bytes + at, SECTOR))
            d->lost[at / SECTOR] = true;
}

static void keep_lost_sectors(struct disk *d, struct disk *now)
{
    if (!d->lost)
        return;
    now->lost = calloc(now->size / SECTOR + 1, 1);
    for (size_t at = 0; at < d->size && at < now->size; at += SECTOR)
        if (d->lost[at / SECTOR]) {
            now->lost[at / SECTOR] = true;
            memcpy(now->bytes + at, d->bytes + at, SECTOR);
        }
}

/* What was in the file when the sync began is on disk when it has ended. */
static int synced(int fd, int (*call)(int), enum crash_op op)
{
    enum crash_file file = file_of(fd);
    struct disk begun = {0};
    if (bypass)
        return ctl.fast_syncs ? 0 : call(fd);
    if (ctl.disks && file != FILE_OTHER)
        begun = contents(fd);
    if (faulty(op, file, NULL, 0, 0)) {
        int error = errno;
        pthread_mutex_lock(&lock);
        if (begun.bytes && error != EINTR)
            lose_sectors(&disk_of[file], &begun);
        pthread_mutex_unlock(&lock);
        free(begun.bytes);
        errno = error;
        return -1;
    }
    while (file == FILE_POOL && __atomic_load_n(&ctl.hold_pool_syncs, __ATOMIC_ACQUIRE))
        usleep(200);
    int rc = ctl.fast_syncs ? 0 : call(fd);
    if (begun.bytes) {
        pthread_mutex_lock(&lock);
        keep_lost_sectors(&disk_of[file], &begun);
        set_disk(file, begun);
        pthread_mutex_unlock(&lock);
    }
    return rc;
}

static int crash_fdatasync(int fd) { return synced(fd, real.fdatasync, OP_FDATASYNC); }
static int crash_fsync(int fd) { return synced(fd, real.fsync, OP_FSYNC); }

static uint64_t journal_offset(const char *at)
{
    uint64_t offset = 0;
    pthread_mutex_lock(&lock);
    for (int i = 1024; i-- > 0;)
        if (mappings[i].at && at >= mappings[i].at && at < mappings[i].at + mappings[i].length)
            offset = mappings[i].offset + (uint64_t)(at - mappings[i].at);
    pthread_mutex_unlock(&lock);
    return offset;
}

/* Of a part of the journal: only that is on disk then. */
static int crash_msync(void *addr, size_t length, int flags)
{
    uint64_t from = journal_offset(addr);
    struct disk now = {0};
    if (bypass)
        return ctl.fast_syncs ? 0 : real.msync(addr, length, flags);
    if (ctl.disks)
        now = contents(journal);
    if (faulty(OP_MSYNC, FILE_JOURNAL, NULL, length, from)) {
        free(now.bytes);
        return -1;
    }
    int rc = ctl.fast_syncs ? 0 : real.msync(addr, length, flags);
    if (now.bytes) {
        pthread_mutex_lock(&lock);
        struct disk *d = &disk_of[FILE_JOURNAL];
        if (from + length > d->size) {          /* what has been synced can be read: the file is as long as that */
            d->bytes = realloc(d->bytes, from + length);
            memset(d->bytes + d->size, 0, from + length - d->size);
            if (d->lost) {
                size_t had = d->size / SECTOR + 1, has = (from + length) / SECTOR + 1;
                d->lost = realloc(d->lost, has);
                memset(d->lost + had, 0, has - had);
            }
            d->size = from + length;
        }
        memcpy(d->bytes + from, now.bytes + from, length);
        pthread_mutex_unlock(&lock);
    }
    free(now.bytes);
    return rc;
}

static int crash_ftruncate(int fd, off_t length)
{
    if (!bypass && faulty(OP_FTRUNCATE, file_of(fd), NULL, 0, (uint64_t)length))
        return -1;
    /* a file that is being read by crash_power_loss keeps its length */
    pthread_mutex_lock(&lock);
    int rc = real.ftruncate(fd, length);
    pthread_mutex_unlock(&lock);
    return rc;
}

static int crash_fallocate(int fd, int mode, off_t offset, off_t length)
{
    if (!bypass && faulty(OP_FALLOCATE, file_of(fd), NULL, (size_t)length, (uint64_t)offset))
        return -1;
    if (!bypass && fd == pool && __atomic_load_n(&ctl.pool_full, __ATOMIC_ACQUIRE)) {
        errno = ctl.pool_full;
        return -1;
    }
    return real.fallocate(fd, mode, offset, length);
}

static void *crash_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    if (!bypass && faulty(OP_MMAP, file_of(fd), NULL, length, (uint64_t)offset))
        return MAP_FAILED;
    if (ctl.no_pool_map && fd == pool) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *map = real.mmap(addr, length, prot, flags, fd, offset);
    if (fd == journal && map != MAP_FAILED) {
        pthread_mutex_lock(&lock);
        int i = 0;
        for (int k = 0; k < 1024; k++)          /* what was there is no more */
            if (mappings[k].at < (char *)map + length && (char *)map < mappings[k].at + mappings[k].length)
                mappings[k].at = NULL;
        while (mappings[i].at)
            i++;
        mappings[i] = (struct mapping){map, length, (uint64_t)offset};
        pthread_mutex_unlock(&lock);
    }
    return map;
}

static int crash_rename(const char *from, const char *to)
{
    return !bypass && faulty(OP_RENAME, FILE_OTHER, to, 0, 0) ? -1 : real.rename(from, to);
}

static int crash_unlink(const char *path)
{
    return !bypass && faulty(OP_UNLINK, FILE_OTHER, path, 0, 0) ? -1 : real.unlink(path);
}

void crash_install(void)
{
    real = io;
    io = (struct io_table){
        .open = crash_open, .close = crash_close, .pread = crash_pread, .pwrite = crash_pwrite,
        .fdatasync = crash_fdatasync, .fsync = crash_fsync, .msync = crash_msync, .ftruncate = crash_ftruncate,
        .fallocate = crash_fallocate, .mmap = crash_mmap, .rename = crash_rename, .link = real.link,
        .unlink = crash_unlink};
}

void crash_reset(int pool_fd)
{
    memset(&ctl, 0, sizeof ctl);
    atomic_store(&calls, 0);
    atomic_store(&fired, 0);
    pool = pool_fd;
    memset(mappings, 0, sizeof mappings);
    for (int i = 0; i < 3; i++) {
        set_disk((enum crash_file)i, (struct disk){0});
    }
}

long crash_calls(void) { return atomic_load(&calls); }

bool crash_fired(enum crash_op *op)
{
    int first = atomic_load(&fired);
    *op = (enum crash_op)(first - 1);
    return first != 0;
}

void crash_bypass(bool on) { bypass = on; }

static void write_image(const char *path, const struct disk *d)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)d->size) || pwrite(fd, d->bytes, d->size, 0) != (ssize_t)d->size)
        abort();
    close(fd);
}

static void lose(uint64_t *rng, struct disk *now, const struct disk *sure)
{
    uint64_t mode = random_next(rng) % 5, chance = random_next(rng) % 101;
    size_t unit = mode == 0 ? 8 : SECTOR;
    for (size_t at = 0; at < now->size; at += unit) {
        bool keep = mode == 1 || (mode != 2 && random_next(rng) % 100 < chance);
        if (keep)
            continue;
        size_t n = now->size - at < unit ? now->size - at : unit;
        size_t have = at >= sure->size ? 0 : sure->size - at < n ? sure->size - at : n;
        memcpy(now->bytes + at, sure->bytes + at, have);
        memset(now->bytes + at + have, 0, n - have);
    }
}

void crash_power_loss(uint64_t seed, const char *pool_path, const char *journal_path)
{
    pthread_mutex_lock(&lock);
    struct disk p = contents(pool), j = contents(journal);
    lose(&seed, &p, &disk_of[FILE_POOL]);
    lose(&seed, &j, &disk_of[FILE_JOURNAL]);
    if (disk_of[FILE_JOURNAL].size < j.size && random_next(&seed) % 2)
        j.size = disk_of[FILE_JOURNAL].size;
    pthread_mutex_unlock(&lock);
    write_image(pool_path, &p);
    write_image(journal_path, &j);
    free(p.bytes);
    free(j.bytes);
}

void crash_synced_journal(void *out, size_t n, uint64_t offset)
{
    pthread_mutex_lock(&lock);
    if (offset + n > disk_of[FILE_JOURNAL].size)
        abort();
    memcpy(out, disk_of[FILE_JOURNAL].bytes + offset, n);
    pthread_mutex_unlock(&lock);
}
