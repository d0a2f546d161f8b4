/* locks.c: see locks.h. */
#define _GNU_SOURCE
#include "locks.h"

#include <errno.h>
#include <fcntl.h>

#define RECORDS ((uint64_t)1 << PF_RECORD_BITS)
#define POSITIONS ((uint64_t)1 << (PF_SESSION_BITS + PF_RECORD_BITS))

static int set_lock(int fd, short type, uint64_t from, uint64_t length)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)from, .l_len = (off_t)length};
    while (fcntl(fd, F_OFD_SETLK, &range) < 0)
        if (errno != EINTR)
            return errno == EACCES ? EAGAIN : errno;
    return 0;
}

/* Could it be locked exclusively?  *at is a byte that somebody else has. */
static int is_free(int fd, uint64_t from, uint64_t length, uint64_t *at)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)from, .l_len = (off_t)length};
    if (fcntl(fd, F_OFD_GETLK, &range) < 0 || range.l_type == F_UNLCK)
        return 1;
    *at = (uint64_t)range.l_start;
    return 0;
}

static uint64_t start_of(enum pf_range range)
{
    return (uint64_t)PF_POSITIONS_AT + (range == PF_RECORDS ? 0 : POSITIONS);
}

/* In its range. */
static uint64_t session_start(uint64_t epoch)
{
    return epoch % (1u << PF_SESSION_BITS) * RECORDS;
}

uint64_t pf_position(uint64_t epoch, uint64_t seq)
{
    return seq < RECORDS ? session_start(epoch) + seq : PF_UNPLACED;
}

int pf_lock(int fd) { return set_lock(fd, F_WRLCK, (uint64_t)PF_WRITER_AT, 1); }
int pf_lock_running(int fd) { return set_lock(fd, F_WRLCK, (uint64_t)PF_RUNNING_AT, 1); }

int pf_is_running(int fd, int *yes)
{
    struct flock byte = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)PF_RUNNING_AT, .l_len = 1};
    if (fcntl(fd, F_OFD_GETLK, &byte) < 0)
        return errno;
    *yes = byte.l_type != F_UNLCK;
    return 0;
}

int pf_lock_position(int fd, enum pf_range range, uint64_t position)
{
    return set_lock(fd, F_RDLCK, start_of(range) + position, 1);
}

void pf_unlock_position(int fd, enum pf_range range, uint64_t position)
{
    (void)set_lock(fd, F_UNLCK, start_of(range) + position, 1);
}

/* The positions that do not go on with the record after `seq`, or a later one of that session: before, and behind. */
struct disturbed {
    uint64_t before, before_length, behind, behind_length;
};

static struct disturbed disturbed_by(enum pf_range range, uint64_t epoch, uint64_t seq)
{
    uint64_t all = start_of(range), start = all + session_start(epoch);
    struct disturbed d = {.before = all, .before_length = start + (seq < RECORDS ? seq : RECORDS - 1) + 1 - all};
    d.behind = start + RECORDS;
    d.behind_length = all + POSITIONS - d.behind;
    return d;
}

int pf_lock_change(int fd, enum pf_range range, uint64_t epoch, uint64_t seq)
{
    struct disturbed d = disturbed_by(range, epoch, seq);
    int error = set_lock(fd, F_WRLCK, d.before, d.before_length);
    if (!error && d.behind_length && (error = set_lock(fd, F_WRLCK, d.behind, d.behind_length)))
        pf_unlock_change(fd, range);
    return error;
}

int pf_lock_out_readers(int fd) { return set_lock(fd, F_WRLCK, start_of(PF_RECORDS), 2 * POSITIONS); }

void pf_unlock_change(int fd, enum pf_range range) { (void)set_lock(fd, F_UNLCK, start_of(range), POSITIONS); }

uint64_t pf_may_apply(int fd, uint64_t epoch, uint64_t seq)
{
    uint64_t at, start = start_of(PF_RECORDS) + session_start(epoch);
    for (;;) {
        struct disturbed d = disturbed_by(PF_RECORDS, epoch, seq);
        if (d.behind_length && !is_free(fd, d.behind, d.behind_length, &at))
            return 0;
        if (is_free(fd, d.before, d.before_length, &at))
            return seq;
        if (at <= start)
            return 0;
        seq = at - start - 1;   /* one of them; there may be others before it */
    }
}

int pf_has_strangers(int fd, uint64_t epoch)
{
    uint64_t at;
    return !is_free(fd, start_of(PF_RECORDS) + session_start(epoch) + 2, RECORDS - 2, &at) ||
           !is_free(fd, start_of(PF_SNAPSHOTS) + session_start(epoch) + 2, RECORDS - 2, &at);
}
