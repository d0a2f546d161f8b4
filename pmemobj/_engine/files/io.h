/*
 * io.h: the table of file calls.  Every call of the engine that can fail because of a disk or a file system
 * goes through it, so that tests can count them, make the k-th one fail and record their order.
 *
 * The entries behave like the system calls of the same name.  The engine itself uses the functions below
 * them, which continue after EINTR and short transfers and give an errno instead of -1; but a close is not
 * repeated, because one that was interrupted has closed.
 */
#ifndef PM_IO_H
#define PM_IO_H

#include <stddef.h>
#include <sys/types.h>

struct io_table {
    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *buf, size_t n, off_t offset);
    ssize_t (*pwrite)(int fd, const void *buf, size_t n, off_t offset);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    int (*ftruncate)(int fd, off_t length);
    int (*fallocate)(int fd, int mode, off_t offset, off_t length);
    int (*msync)(void *addr, size_t length, int flags);
    void *(*mmap)(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
    int (*rename)(const char *from, const char *to);
    int (*link)(const char *from, const char *to);
    int (*unlink)(const char *path);
};

extern struct io_table io;      /* the real calls unless a test replaced them */

/* Each gives 0 or an errno. */
int io_open(int *fd, const char *path, int flags, mode_t mode);     /* always close-on-exec */
void io_close(int fd);                                  /* what mattered has been synced before */
int io_fdatasync(int fd);
int io_fsync(int fd);
int io_msync(void *addr, size_t length);                /* MS_SYNC: waits */
int io_ftruncate(int fd, off_t length);
int io_fallocate(int fd, int mode, off_t offset, off_t length);
int io_rename(const char *from, const char *to);
int io_link(const char *from, const char *to);
int io_unlink(const char *path);

/* The whole range or an errno.  io_read_all gives the number of bytes read before the end of the file in
 * *got. */
int io_write_all(int fd, const void *buf, size_t n, off_t offset);
int io_read_all(int fd, void *buf, size_t n, off_t offset, size_t *got);

/* Makes the entry of `path` in its directory durable.  File systems whose directories cannot be synced
 * (EINVAL) are taken to need no such call. */
int io_sync_directory_of(const char *path);

/* A full disk or quota: the call took nothing, and may be repeated once there is space again. */
int io_is_no_space(int error);

#endif
