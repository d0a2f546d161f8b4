/* trace.c: see trace.h. */
#define _GNU_SOURCE
#include "trace.h"

#include <dirent.h>
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

#include "io.h"

#define MAX_FILES 64
#define MAX_NAMES 64
#define MAX_MAPS 256
#define PAGE 4096u

struct traced {
    ino_t ino;
    int fd;                     /* our own */
    uint64_t size;
    char *shadow;               /* what has been noted; sparse, and behind it a byte for each page: is it in use? */
    uint64_t room;              /* of the shadow without those */
};

struct name {
    char text[256];
    ino_t ino;
    int seen;
};

struct mapping {
    char *at;
    size_t length;
    ino_t ino;
    uint64_t offset;
};

static struct {
    pthread_mutex_t lock;
    int error;
    int directory;
    ino_t directory_ino;
    struct traced files[MAX_FILES];
    unsigned nfiles;
    struct name names[MAX_NAMES];
    unsigned nnames;
    struct mapping maps[MAX_MAPS];
    unsigned nmaps;
    uint64_t *words;
    size_t count, cap;
    uint64_t events, kill_at;
} trace = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Atomic int trace_on;
static _Atomic uint64_t line_now;

static struct io_table real;    /* what the table held before */

/* ------------------------------------------------------------------ writing ----------------------- */

static uint64_t *grow(size_t words)
{
    if (trace.count + words > trace.cap) {
        size_t cap = trace.cap ? 2 * trace.cap : 1u << 16;
        while (cap < trace.count + words)
            cap *= 2;
        uint64_t *grown = realloc(trace.words, cap * 8);
        if (!grown) {
            trace.error = ENOMEM;
            return NULL;
        }
        trace.words = grown;
        trace.cap = cap;
    }
    uint64_t *at = trace.words + trace.count;
    trace.count += words;
    return at;
}

static void put(unsigned n, const uint64_t *words)
{
    uint64_t *at = grow(n);
    if (at)
        memcpy(at, words, n * 8);
}

static void put_text(const char *text, size_t bytes)
{
    uint64_t *at = grow((bytes + 7) / 8);
    if (!at)
        return;
    if (bytes)
        at[(bytes - 1) / 8] = 0;
    memcpy(at, text, bytes);
}

/* ------------------------------------------------------------------ looking ----------------------- */

static struct traced *file_of(ino_t ino)
{
    for (unsigned i = 0; i < trace.nfiles; i++)
        if (trace.files[i].ino == ino)
            return &trace.files[i];
    return NULL;
}

static void add_file(const char *name, ino_t ino)
{
    if (file_of(ino))
        return;
    int fd = trace.nfiles < MAX_FILES ? openat(trace.directory, name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        trace.error = trace.nfiles < MAX_FILES ? errno : ENFILE;
        return;
    }
    trace.files[trace.nfiles++] = (struct traced){.ino = ino, .fd = fd};
}

static void look_at_names(void)
{
    int fd = openat(trace.directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat st;
    if (!entries) {
        trace.error = errno;
        return;
    }
    for (unsigned i = 0; i < trace.nnames; i++)
        trace.names[i].seen = 0;
    while ((entry = readdir(entries))) {
        if (fstatat(trace.directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
            continue;
        struct name *name = trace.names, *end = name + trace.nnames;
        while (name < end && strcmp(name->text, entry->d_name))
            name++;
        if (name == end) {
            if (trace.nnames == MAX_NAMES) {
                trace.error = ENFILE;
                break;
            }
            trace.nnames++;
            *name = (struct name){.ino = 0};
            strcpy(name->text, entry->d_name);
        }
        name->seen = 1;
        if (name->ino != st.st_ino) {
            name->ino = st.st_ino;
            add_file(name->text, st.st_ino);
            size_t bytes = strlen(name->text);
            put(3, (uint64_t[]){TRACE_NAME, st.st_ino, bytes});
            put_text(name->text, bytes);
        }
    }
    closedir(entries);
    for (unsigned i = 0; i < trace.nnames;) {
        struct name *name = &trace.names[i];
        if (name->seen) {
            i++;
            continue;
        }
        size_t bytes = strlen(name->text);
        put(2, (uint64_t[]){TRACE_GONE, bytes});
        put_text(name->text, bytes);
        *name = trace.names[--trace.nnames];
    }
}

/* One page of a file that may have changed: each run of lines that has is noted. */
static void look_at_page(struct traced *f, const char *page, uint64_t at)
{
    char *shadow = f->shadow + at;
    if (!memcmp(shadow, page, PAGE))
        return;
    for (unsigned line = 0; line < PAGE / TRACE_LINE;) {
        unsigned n = 0;
        while (line + n < PAGE / TRACE_LINE &&
               memcmp(shadow + (line + n) * TRACE_LINE, page + (line + n) * TRACE_LINE, TRACE_LINE))
            n++;
        if (n) {
            put(4, (uint64_t[]){TRACE_LINES, f->ino, at / TRACE_LINE + line, n});
            put_text(page + line * TRACE_LINE, n * TRACE_LINE);
            memcpy(shadow + line * TRACE_LINE, page + line * TRACE_LINE, n * TRACE_LINE);
        }
        line += n ? n : 1;
    }
}

static char *in_use(const struct traced *f, uint64_t at) { return f->shadow + f->room + at / PAGE; }

static size_t shadow_bytes(uint64_t room) { return room + room / PAGE + PAGE; }

static int make_room(struct traced *f, uint64_t size)
{
    if (size <= f->room)
        return 1;
    uint64_t room = (size + PAGE - 1) / PAGE * PAGE;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *grown = mmap(NULL, shadow_bytes(room), PROT_READ | PROT_WRITE, flags, -1, 0);
    if (grown == MAP_FAILED) {
        trace.error = ENOMEM;
        return 0;
    }
    for (uint64_t at = 0; at < f->room; at += PAGE)
        if (*in_use(f, at)) {
            memcpy(grown + at, f->shadow + at, PAGE);
            grown[room + at / PAGE] = 1;
        }
    if (f->shadow)
        munmap(f->shadow, shadow_bytes(f->room));
    f->shadow = grown;
    f->room = room;
    return 1;
}

/* Pages from `at` to `end` are holes: zeros, whatever they were before. */
static void look_at_hole(struct traced *f, uint64_t at, uint64_t end)
{
    static const char zeros[PAGE];
    for (; at < end && at < f->room; at += PAGE)
        if (*in_use(f, at)) {
            look_at_page(f, zeros, at);
            *in_use(f, at) = 0;
        }
}

static void look_at_data(struct traced *f, uint64_t at, uint64_t end)
{
    static char pages[16 * PAGE];       /* the mutex guards it */
    while (at < end) {
        size_t length = end - at < sizeof pages ? (size_t)(end - at) : sizeof pages;
        ssize_t got = pread(f->fd, pages, length, (off_t)at);
        if (got < 0) {
            trace.error = errno;
            return;
        }
        memset(pages + got, 0, length - (size_t)got);
        for (size_t i = 0; i < length; i += PAGE, at += PAGE) {
            *in_use(f, at) = 1;
            look_at_page(f, pages + i, at);
        }
    }
}

static void look_at_file(struct traced *f)
{
    struct stat st;
    if (fstat(f->fd, &st) || !make_room(f, (uint64_t)st.st_size))
        return;
    uint64_t size = (uint64_t)st.st_size, at = 0;
    if (f->size != size) {
        look_at_hole(f, (size + PAGE - 1) / PAGE * PAGE, f->room);
        f->size = size;
        put(3, (uint64_t[]){TRACE_SIZE, f->ino, size});
    }
    while (at < size) {
        off_t data = lseek(f->fd, (off_t)at, SEEK_DATA);
        uint64_t from = data < 0 || (uint64_t)data > size ? size : (uint64_t)data / PAGE * PAGE;
        look_at_hole(f, at, from);
        if (from >= size)
            break;
        off_t hole = lseek(f->fd, data, SEEK_HOLE);
        uint64_t to = hole < 0 || (uint64_t)hole > size ? size : (uint64_t)hole;
        to = (to + PAGE - 1) / PAGE * PAGE;
        look_at_data(f, from, to);
        at = to;
    }
}

/* All of one moment: other threads write to mapped files meanwhile, and what was written first may lie where this has
 * looked before.  What has not changed from one look to the next was like that between the two.
 *
 * Source: Y. Afek et al., "Atomic Snapshots of Shared Memory", 1993 (double collect). */
static void look(void)
{
    size_t seen;
    do {
        seen = trace.count;
        look_at_names();
        for (unsigned i = 0; i < trace.nfiles; i++)
            look_at_file(&trace.files[i]);
    } while (trace.count != seen);
}

static void event(enum trace_kind kind, ino_t ino, uint64_t offset, uint64_t length)
{
    int kept = errno;
    pthread_mutex_lock(&trace.lock);
    if (trace_on && ++trace.events == trace.kill_at)
        raise(SIGKILL);
    if (trace_on && !trace.kill_at) {
        look();
        put(6, (uint64_t[]){TRACE_EVENT, kind, ino, offset, length, atomic_load(&line_now)});
    }
    pthread_mutex_unlock(&trace.lock);
    errno = kept;
}

/* ------------------------------------------------------------------ the calls --------------------- */

static ino_t ino_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) ? 0 : st.st_ino;
}

static int synced(int fd, int (*sync)(int))
{
    ino_t ino = ino_of(fd);
    int directory = ino == trace.directory_ino;
    event(directory ? TRACE_DIRECTORY_BEGIN : TRACE_SYNC_BEGIN, ino, 0, UINT64_MAX);
    int result = sync(fd);
    if (!result)
        event(directory ? TRACE_DIRECTORY_END : TRACE_SYNC_END, ino, 0, UINT64_MAX);
    return result;
}

static int traced_fsync(int fd) { return synced(fd, real.fsync); }
static int traced_fdatasync(int fd) { return synced(fd, real.fdatasync); }

static void add_mapping(char *at, size_t length, ino_t ino, uint64_t offset)
{
    if (trace.nmaps == MAX_MAPS)
        memmove(trace.maps, trace.maps + 1, --trace.nmaps * sizeof *trace.maps);
    trace.maps[trace.nmaps++] = (struct mapping){at, length, ino, offset};
}

/* What libpmemobj has mapped went through no table. */
static void ask_the_system(const char *at)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to, offset, ino;
        if (sscanf(line, "%lx-%lx %*s %lx %*s %lu", &from, &to, &offset, &ino) == 4 && ino && (uintptr_t)at >= from &&
            (uintptr_t)at < to)
            add_mapping((char *)from, to - from, (ino_t)ino, offset);
    }
    if (maps)
        fclose(maps);
}

static const struct mapping *mapping_of(const char *at)
{
    for (int asked = 0; asked < 2; asked++) {
        for (unsigned i = trace.nmaps; i-- > 0;)
            if (at >= trace.maps[i].at && at < trace.maps[i].at + trace.maps[i].length)
                return &trace.maps[i];
        if (!asked)
            ask_the_system(at);
    }
    return NULL;
}

/* The file behind a mapped address, and the place in it. */
static void locate(const void *at, ino_t *ino, uint64_t *offset)
{
    pthread_mutex_lock(&trace.lock);
    const struct mapping *m = mapping_of(at);
    *ino = m ? m->ino : 0;
    *offset = m ? m->offset + (uint64_t)((const char *)at - m->at) : 0;
    pthread_mutex_unlock(&trace.lock);
}

static int traced_msync(void *addr, size_t length, int flags)
{
    ino_t ino;
    uint64_t offset;
    locate(addr, &ino, &offset);
    event(TRACE_SYNC_BEGIN, ino, offset, length);
    int result = real.msync(addr, length, flags);
    if (!result)
        event(TRACE_SYNC_END, ino, offset, length);
    return result;
}

static void *traced_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    void *at = real.mmap(addr, length, prot, flags, fd, offset);
    if (at != MAP_FAILED && fd >= 0 && flags & MAP_SHARED) {
        pthread_mutex_lock(&trace.lock);
        add_mapping(at, length, ino_of(fd), (uint64_t)offset);
        pthread_mutex_unlock(&trace.lock);
    }
    return at;
}

#define TRACED(type, call)                                                                                \
    do {                                                                                                  \
        event(TRACE_CALL, 0, 0, 0);                                                                       \
        type result = call;                                                                               \
        event(TRACE_CALL, 0, 0, 0);                                                                       \
        return result;                                                                                    \
    } while (0)

static ssize_t traced_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    TRACED(ssize_t, real.pwrite(fd, buf, n, offset));
}

static int traced_open(const char *path, int flags, mode_t mode)
{
    if (!(flags & (O_CREAT | O_TRUNC)))
        return real.open(path, flags, mode);
    TRACED(int, real.open(path, flags, mode));
}

static int traced_ftruncate(int fd, off_t length) { TRACED(int, real.ftruncate(fd, length)); }

static int traced_fallocate(int fd, int mode, off_t offset, off_t length)
{
    TRACED(int, real.fallocate(fd, mode, offset, length));
}

static int traced_rename(const char *from, const char *to) { TRACED(int, real.rename(from, to)); }
static int traced_unlink(const char *path) { TRACED(int, real.unlink(path)); }

/* ------------------------------------------------------------------ start, stop ------------------- */

int trace_start(const char *directory, uint64_t kill_at)
{
    struct stat st;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    pthread_mutex_lock(&trace.lock);
    if (trace_on || fstat(fd, &st)) {
        int error = trace_on ? EBUSY : errno;
        pthread_mutex_unlock(&trace.lock);
        close(fd);
        return error;
    }
    trace.directory = fd;
    trace.directory_ino = st.st_ino;
    trace.error = 0;
    trace.events = 0;
    trace.kill_at = kill_at;
    atomic_store(&line_now, 0);
    trace_on = 1;
    real = io;
    io.open = traced_open;
    io.pwrite = traced_pwrite;
    io.fdatasync = traced_fdatasync;
    io.fsync = traced_fsync;
    io.ftruncate = traced_ftruncate;
    io.fallocate = traced_fallocate;
    io.msync = traced_msync;
    io.mmap = traced_mmap;
    io.rename = traced_rename;
    io.unlink = traced_unlink;
    pthread_mutex_unlock(&trace.lock);
    event(TRACE_START, 0, 0, 0);
    return 0;
}

void trace_mark(uint64_t number) { event(TRACE_MARK, 0, number, 0); }

void trace_line(uint64_t line) { atomic_store(&line_now, line); }

uint64_t trace_count(void)
{
    pthread_mutex_lock(&trace.lock);
    uint64_t n = trace.events;
    pthread_mutex_unlock(&trace.lock);
    return n;
}

void trace_flush(const void *at, size_t length)
{
    ino_t ino;
    uint64_t offset;
    if (!trace_on)
        return;
    locate(at, &ino, &offset);
    event(TRACE_FLUSH, ino, offset, length);
}

void trace_fence(void)
{
    if (trace_on)
        event(TRACE_FENCE, 0, 0, 0);
}

/* A call that is under way in another thread ends through `real`, which stays as it is. */
int trace_stop(uint64_t **words, size_t *count)
{
    pthread_mutex_lock(&trace.lock);
    if (!trace_on) {
        pthread_mutex_unlock(&trace.lock);
        return EINVAL;
    }
    trace_on = 0;
    io = real;
    for (unsigned i = 0; i < trace.nfiles; i++) {
        close(trace.files[i].fd);
        if (trace.files[i].shadow)
            munmap(trace.files[i].shadow, shadow_bytes(trace.files[i].room));
    }
    close(trace.directory);
    *words = trace.words;
    *count = trace.count;
    trace.words = NULL;
    trace.count = trace.cap = 0;
    trace.nfiles = trace.nnames = trace.nmaps = 0;
    int error = trace.error;
    pthread_mutex_unlock(&trace.lock);
    return error;
}
