/* io.c: see io.h. */
#define _GNU_SOURCE
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int real_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

struct io_table io = {
    .open = real_open,
    .close = close,
    .pread = pread,
    .pwrite = pwrite,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .ftruncate = ftruncate,
    .fallocate = fallocate,
    .msync = msync,
    .mmap = mmap,
    .rename = rename,
    .link = link,
    .unlink = unlink,
};

#define RETRY(call)                                                                                       \
    do {                                                                                                  \
        while ((call) < 0)                                                                                \
            if (errno != EINTR)                                                                           \
                return errno;                                                                             \
        return 0;                                                                                         \
    } while (0)

int io_open(int *fd, const char *path, int flags, mode_t mode)
{
    RETRY(*fd = io.open(path, flags | O_CLOEXEC, mode));
}

void io_close(int fd) { (void)io.close(fd); }
int io_fdatasync(int fd) { RETRY(io.fdatasync(fd)); }
int io_fsync(int fd) { RETRY(io.fsync(fd)); }
int io_msync(void *addr, size_t length) { RETRY(io.msync(addr, length, MS_SYNC)); }
int io_ftruncate(int fd, off_t length) { RETRY(io.ftruncate(fd, length)); }
int io_fallocate(int fd, int mode, off_t offset, off_t length) { RETRY(io.fallocate(fd, mode, offset, length)); }
int io_rename(const char *from, const char *to) { RETRY(io.rename(from, to)); }
int io_link(const char *from, const char *to) { RETRY(io.link(from, to)); }
int io_unlink(const char *path) { RETRY(io.unlink(path)); }

int io_write_all(int fd, const void *buf, size_t n, off_t offset)
{
    const char *from = buf;
    while (n > 0) {
        ssize_t done = io.pwrite(fd, from, n, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? errno : EIO;
        from += done;
        offset += done;
        n -= (size_t)done;
    }
    return 0;
}

int io_read_all(int fd, void *buf, size_t n, off_t offset, size_t *got)
{
    char *to = buf;
    *got = 0;
    while (*got < n) {
        ssize_t done = io.pread(fd, to + *got, n - *got, offset + (off_t)*got);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return errno;
        if (done == 0)
            break;
        *got += (size_t)done;
    }
    return 0;
}

int io_sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    char *directory = slash ? strndup(path, n ? n : 1) : strdup(".");
    if (!directory)
        return ENOMEM;
    int fd, error = io_open(&fd, directory, O_RDONLY | O_DIRECTORY, 0);
    free(directory);
    if (error)
        return error;
    error = io_fsync(fd);
    io.close(fd);
    return error == EINVAL ? 0 : error;
}

int io_is_no_space(int error) { return error == ENOSPC || error == EDQUOT; }
