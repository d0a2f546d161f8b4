/*
 * crash_io.h: a file-call table for tests.  It counts and records the calls, makes one fail, kills the
 * process at one, shortens transfers, and keeps for the pool file and the journal what a disk would hold
 * for certain, so that a power loss at any moment can be played through.  After a sync that failed the disk
 * keeps the old sectors, and the page cache the new ones, which look clean: only writing them again helps.
 */
#ifndef CRASH_IO_H
#define CRASH_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum crash_op {
    OP_OPEN, OP_PREAD, OP_PWRITE, OP_FDATASYNC, OP_FSYNC, OP_MSYNC, OP_FTRUNCATE, OP_FALLOCATE, OP_MMAP, OP_RENAME,
    OP_UNLINK, OP_CLOSE
};

enum crash_file { FILE_OTHER, FILE_POOL, FILE_JOURNAL };

struct crash_control {
    /* what to do at a call; call numbers count from 1 at the last crash_reset */
    long fail_at;               /* 0: never */
    bool sticky;                /* from fail_at on, every call */
    int error;                  /* errno of a failing call */
    int pool_full;              /* errno of every fallocate of the pool file, 0: none */
    long kill_at;               /* SIGKILL before this call */
    bool interrupted;           /* every other call gives EINTR, transfers are cut short */
    bool fast_syncs;            /* syncs only pretend */
    bool no_pool_map;           /* the pool file cannot be mapped */
    bool other_boot;            /* the boot id is another one */
    bool disks;                 /* keep what the disk holds */
    bool settled;               /* with disks: an existing journal is wholly on disk when it is opened */
    int hold_pool_syncs;        /* syncs of the pool file wait while this is set (atomic) */

    void (*before)(enum crash_op op, enum crash_file file, const void *data, size_t n, uint64_t offset);
};

extern struct crash_control ctl;

void crash_install(void);               /* puts the table in place */
void crash_reset(int pool_fd);          /* all off, counting from 0; pool_fd is the pool file from now on */
long crash_calls(void);                 /* calls since crash_reset */
bool crash_fired(enum crash_op *op);    /* the fault has happened; at which call first */

/* Calls of this thread go straight to the system while `on`. */
void crash_bypass(bool on);

/* With disks: the pool file as it is now is wholly on disk. */
void crash_settle_pool(void);

/* What a disk may hold after a power loss now: each sector (or word) of the two files, and the journal's
 * length, as it was at the last sync or as it is now, by `seed`. */
void crash_power_loss(uint64_t seed, const char *pool_path, const char *journal_path);

/* The journal's bytes that are on disk for certain. */
void crash_synced_journal(void *out, size_t n, uint64_t offset);

uint64_t random_next(uint64_t *state);

#endif
