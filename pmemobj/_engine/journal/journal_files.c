/*
 * journal_files.c: whether the two files are still what they were: nobody has deleted, cut or exchanged them; and the
 * words of the pool file that say how far it holds the journal.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "files/io.h"
#include "files/poolfile.h"
#include "journal_private.h"
#include "layout.h"

bool jr_files_are_lost(struct jr_private *p)
{
    pthread_mutex_lock(&p->lock);
    uint64_t size = p->file_end;
    pthread_mutex_unlock(&p->lock);
    return pf_is_lost(p->fd, size) || pf_is_lost(p->pool.fd, p->pool.size);
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
    if (pf_is_lost(p->pool.fd, p->pool.size))
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
