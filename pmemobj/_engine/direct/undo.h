/*
 * undo.h: the undo log beside a pool file that is changed in place (see direct.h).
 *
 * An entry is the former content of one 64-byte line of the pool, or a list of allocations whose fate depends on
 * the commit.  Invariants:
 *
 *  1. An entry is durable before the first store that it protects.  Entries become durable one after the other.
 *  2. Every entry carries the generation that the pool's root block showed when it was written.  A commit is one
 *     durable store: that word goes up by one.  At the end of an abort it goes up by two.
 *  3. The log begins anew with each generation.  So its first entry decides: it is of the pool's generation (what
 *     follows, as far as it is of the same one, is to be undone), of the one before (it was committed, and what is to
 *     be freed after the commit may not have been yet), or of no interest.
 *  4. Undoing is idempotent: recovery writes the same lines however often it is repeated, and raises the generation
 *     only when they are durable.
 *  5. The file always has room for another entry behind the last one.  So one that has been cut in the middle of what
 *     counts is found out.
 *  6. The log lies outside of the pool: so undoing and freeing need no room in it.
 *
 * Threads: the caller's only; there are none of its own.
 */
#ifndef PM_UNDO_H
#define PM_UNDO_H

#include "engine.h"
#include "journal/journal.h"

/* ------------------------------------------------------------------ the file: DO NOT CHANGE ------- */

/*
 * Two slots of UNDO_SLOT_BYTES hold the same header; an update writes and syncs one after the other, and the newest
 * valid one counts.  From UNDO_ENTRIES_AT on, the entries.
 */
#define UNDO_MAGIC 0x31444e554d454d50ull        /* "PMEMUND1" */
#define UNDO_FORMAT_VERSION 1u
#define UNDO_SLOT_BYTES 4096u
#define UNDO_ENTRIES_AT 8192u

enum undo_state {
    UNDO_LIVE = 1,      /* a program changes or changed the pool */
    UNDO_EMPTY = 2      /* all is undone, the pool file is a committed state */
};

struct undo_header {
    uint64_t magic;
    uint64_t checksum;          /* XXH3-64 of bytes 16 to the end */
    uint32_t version, state;
    uint64_t update;            /* goes up by one at each update */
    uint8_t pool_uuid[16];
    uint64_t epoch;
    uint64_t run_id;            /* of the pool file before the program opened it */
    uint64_t salt;
    uint64_t pid;               /* of the holder */
    uint64_t zero[54];
};

_Static_assert(sizeof(struct undo_header) == 512, "one sector");

enum undo_kind {                /* the low bits of `what`; in an image its offset, a multiple of 64, is the rest */
    UNDO_IMAGE = 0,             /* words: the line's former content */
    UNDO_ALLOCATED = 1,         /* words: offsets of allocations, 0 for none, that were made for this commit: free them */
    UNDO_FREE = 2               /* likewise, that are to be freed after it */
};

struct undo_entry {
    uint64_t checksum;          /* XXH3-64 of the rest, seeded with the log's salt + the entry's number */
    uint64_t generation;
    uint64_t what;
    uint64_t zero;
    uint64_t words[PM_LINE / 8];
};

_Static_assert(sizeof(struct undo_entry) == 96, "1.5 lines");

/* ------------------------------------------------------------------ the running log --------------- */

#define UNDO_FIRST_BYTES (1u << 20)     /* of entries, written with zeros when the log is made */
#define UNDO_KEEP 16u                   /* times the first size; what a commit leaves beyond it is given back */

struct undo {
    const pm_media *media;
    char *path;
    int fd;
    char *map;                  /* address space for all that may come; the file ends at `bytes` */
    uint64_t map_bytes;
    uint64_t bytes, first_bytes;
    struct undo_header header;
    uint64_t generation;
    uint64_t count;             /* entries of this generation */
    uint64_t room;              /* entries that fit the file */
    uint64_t appended;          /* of all generations, for statistics */
    int sync_failed;            /* an errno: what the file holds is not known any more, whatever the error was */
};

/* A fresh log (temporary name, fsync, rename, fsync of the directory) in the place of an old one, for a pool of
 * pool_size bytes whose file is a complete committed state.  synchronous: the file system has memory that is mapped
 * so that its metadata needs no sync.  first_bytes: of entries; 0: UNDO_FIRST_BYTES.  0 or an errno. */
int undo_start(struct undo **out, const char *path, int pool_fd, uint64_t pool_size, uint64_t first_bytes,
               const struct jr_identity *identity, const pm_media *media, int synchronous);

/* Durable when it returns.  0, or an errno with nothing changed (ENOSPC, and not sync_failed: may be repeated). */
int undo_append(struct undo *u, uint64_t what, const uint64_t *words);

/* The entries of before are void; those that come belong to `generation`. */
void undo_begin(struct undo *u, uint64_t generation);

static inline const struct undo_entry *undo_at(const struct undo *u, uint64_t i)
{
    return (const struct undo_entry *)(u->map + UNDO_ENTRIES_AT) + i;
}

void undo_stop(struct undo *u, int clean);      /* clean: the pool is marked so; the file goes */
void undo_orphan(struct undo *u);               /* in a forked child: unmaps and closes, frees nothing */

/* ------------------------------------------------------------------ recovery ---------------------- */

/* Allocations that recovery cannot free itself. */
struct undo_pending {
    uint64_t *offsets;          /* the caller frees the array */
    uint64_t count;
};

/* 1 when the file at `path` is an undo log, whatever its state. */
int undo_is_log(const char *path);

/* Process id of who made the undo log at `path` and has not ended it; 0: nobody, or there is none. */
uint64_t undo_holder(const char *path);

/* Brings the pool file back to the last commit, and makes it durable.  The caller holds the pool's lock.  `pool` and
 * the codes are those of jr_recover; live: the pool file says that it was not closed.  generation_at: where in the
 * file the generation lies.  When allocations are pending, the caller frees those of them that libpmemobj still
 * knows, and then calls undo_finish; otherwise that has been done.  May be killed anywhere and repeated. */
int undo_recover(const char *path, int pool_fd, uint64_t pool_size, const struct jr_identity *pool, int live,
                 uint64_t generation_at, struct jr_report *report, struct undo_pending *pending);

/* The same for a pool that is only looked at: each line as it was is handed to `put`, which gives 0 or an errno, the
 * latest first; no file is changed.  What recovery would free stays allocated, with nothing that leads to it. */
typedef int undo_put(void *context, const uint64_t *words, uint64_t offset);
int undo_read_all(const char *path, int pool_fd, uint64_t pool_size, const struct jr_identity *pool,
                  uint64_t generation_at, undo_put *put, void *context, struct jr_report *report);

/* run_id: the pool file's, now.  Before the caller lets libpmemobj open the pool to free what is pending. */
int undo_note_run(const char *path, uint64_t run_id);

/* The last step: the generation goes up by two, the log is empty.  0 or an errno. */
int undo_finish(const char *path, int pool_fd, uint64_t generation_at);

#endif
