/*
 * journal_files.c: whether the two files are still what they were: nobody has deleted, cut or exchanged them; and the
 * words of the pool file that say how far it holds the journal.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "files/io.h"
#include "journal_private.h"
#include "layout.h"

/* Deleted, or shorter than it was.  The file's times are not asked for: whoever has been told the time of the last
 * change gets another one for the next (multigrain timestamps, Linux 6.13), and where ext4 has no journal of its own each
 * sync would have to write that, too. */
static bool is_lost(int fd, uint64_t size)
{
    struct statx st;
    return statx(fd, "", AT_EMPTY_PATH, STATX_NLINK | STATX_SIZE, &st) == 0 && (st.stx_nlink == 0 || st.stx_size < size);
}

bool jr_files_are_lost(struct jr_private *p)
{
    pthread_mutex_lock(&p->lock);
    uint64_t size = p->file_end;
    pthread_mutex_unlock(&p->lock);
    return is_lost(p->fd, size) || is_lost(p->pool.fd, p->pool.size);
}

int jr_check_pool(struct jr *j)
{
    const struct jr_private *p = j->priv;
    const struct jr_identity *id = &p->identity;
    struct {
        uint8_t uuid[16];
        uint64_t state;
    } now;
    size_t got;
    _Static_assert(offsetof(pm_root, state) == offsetof(pm_root, uuid) + 16, "they are read together");
    if (is_lost(p->pool.fd, p->pool.size))
        return jr_fail(j, ESTALE);
    if (!id->root_at)
        return 0;
    int error = io_read_all(p->pool.fd, &now, sizeof now, (off_t)(id->root_at + offsetof(pm_root, uuid)), &got);
    if (!error && (got != sizeof now || memcmp(now.uuid, id->pool_uuid, sizeof now.uuid) ||
                   now.state != (id->epoch << 1 | PM_STATE_LIVE)))
        error = ESTALE;
    return error ? jr_fail(j, error) : 0;
}

int jr_mark_pool(struct jr *j, size_t field, uint64_t number)
{
    const struct jr_private *p = j->priv;
    uint64_t mark = PM_MARK(p->identity.epoch, number);
    if (!p->identity.root_at)
        return 0;
    return io_write_all(p->pool.fd, &mark, sizeof mark, (off_t)(p->identity.root_at + field));
}

bool jr_has_its_name(const struct jr_private *p)
{
    struct stat ours, there;
    return !fstat(p->fd, &ours) && !stat(p->path, &there) && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}
