/*
 * locks.h: who may change a pool file, and who must not be disturbed.
 *
 * Locks are open-file-description locks on bytes far beyond the end of the pool file, so they need no room, hold
 * between processes as well as between descriptors of one process, and end with the descriptor.
 *
 *  1. A writer holds PF_WRITER, and PF_RUNNING while the journal beside the pool is the one that it writes.
 *  2. A reader maps the file privately and replays records into its own pages.  A record may be applied to the file
 *     once the pages concerned are the reader's own.  So it holds, shared, one byte that says which record is the first
 *     for which they are not (its position): session and sequence number.
 *  3. What is written to the file without a record (fresh ranges, holes) may lie in pages that are not its own and are
 *     still in use in its snapshot.  So it holds, in another range of bytes, the position of its snapshot.
 *  4. While it finds its place, it holds the very first position in both, which lets nothing be changed.
 *  5. Who changes the file holds all positions exclusively, but for those of readers that do not mind: pf_lock_change.
 *     It does not wait.  Who does not get it puts the change off.
 *
 * So a reader holds up only what was committed after it last looked, and several readers, each looking at its own time,
 * hold up nothing for long.
 */
#ifndef PM_LOCKS_H
#define PM_LOCKS_H

#include <stdint.h>

#define PF_POSITIONS_AT ((int64_t)1 << 62)
#define PF_WRITER_AT (PF_POSITIONS_AT - 1)
#define PF_RUNNING_AT (PF_POSITIONS_AT - 2)
#define PF_SESSION_BITS 16      /* sessions are told apart modulo 2^16; see pf_has_strangers */
#define PF_RECORD_BITS 44

#define PF_UNPLACED 0u          /* the position of a reader that lets nothing be changed */

enum pf_range {                 /* which positions */
    PF_RECORDS,                 /* up to where records may be applied */
    PF_SNAPSHOTS                /* how old the snapshots are */
};

/* Position of a reader whose next record is number `seq` of session `epoch`. */
uint64_t pf_position(uint64_t epoch, uint64_t seq);

/* 0, EAGAIN when another descriptor (also of this process) holds it, or another errno. */
int pf_lock(int fd);                    /* as the writer, for the life of fd */
int pf_lock_running(int fd);
int pf_is_running(int fd, int *yes);

/* Shared; never waits. */
int pf_lock_position(int fd, enum pf_range range, uint64_t position);
void pf_unlock_position(int fd, enum pf_range range, uint64_t position);

/* Until pf_unlock_change: PF_RECORDS, the records of session `epoch` up to number `seq` may be applied; PF_SNAPSHOTS,
 * what they leave free may be written to.  EAGAIN: a reader needs the file as it is. */
int pf_lock_change(int fd, enum pf_range range, uint64_t epoch, uint64_t seq);
void pf_unlock_change(int fd, enum pf_range range);

/* For who writes without a journal: no reader is there, nor comes until fd is closed.  0, EAGAIN or another errno. */
int pf_lock_out_readers(int fd);

/* The last record that could be applied now, as far as readers are concerned; `seq` if all of them can. */
uint64_t pf_may_apply(int fd, uint64_t epoch, uint64_t seq);

/* Somebody holds a position of a session that has not begun yet, and more than its first: it belongs to one 2^16
 * sessions ago. */
int pf_has_strangers(int fd, uint64_t epoch);

#endif
