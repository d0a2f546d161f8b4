/*
 * world.h: a pool file with a journal, and a model of what the pool must hold.
 *
 * Record number i (from 1 on, over all sessions of the pool) is a function of the seed and i, so the pool
 * after any number of records can be computed anew.  Every record stores its number in a counter word, so a
 * pool file says which committed state it claims to be.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "crash_io.h"
#include "files/io.h"
#include "journal/ring_append.h"
#include "journal/journal_private.h"
#include "layout.h"
#include "files/locks.h"
#include "files/poolfile.h"

#define CHECK(condition, ...)                                                                             \
    do {                                                                                                  \
        if (!(condition)) {                                                                               \
            fprintf(stderr, "%s:%d: %s:", __FILE__, __LINE__, #condition);                               \
            fprintf(stderr, " " __VA_ARGS__);                                                             \
            fputc('\n', stderr);                                                                          \
            exit(1);                                                                                      \
        }                                                                                                 \
    } while (0)

#define POOL_WORDS 32768u
#define POOL_BYTES (POOL_WORDS * 8u)
#define MAX_RECORD 21000u               /* payload words */

enum flavour {                          /* what the records of a world contain, beside small extents */
    PLAIN = 0,
    HUGE_RECORDS = 1,                   /* now and then one that is longer than the first segments */
    DIRECT_WRITES = 2                   /* blocks that are written to the pool file directly, then linked */
};

struct world {
    char pool[256], journal[256];
    int fd;
    uint64_t seed, epoch;
    enum flavour flavour;
    struct jr_options options;
    struct jr *j;
    uint64_t ranges;                    /* mark of what was written directly */
    uint64_t n;                         /* records committed so far */
    bool opened;                        /* this session has recorded its new run id */
    _Atomic uint64_t begun;             /* number of the record that is being committed, or the last */
};

extern const char *directory;           /* of all files */
extern uint64_t ring_bytes;             /* of the ring of every world; 0: none */
extern const struct jr_options tiny;    /* two segments of 64 KiB and no more, manual sync */

void world_make(struct world *w, const char *name, enum flavour flavour, uint64_t seed);
void world_remove(struct world *w);
int world_start(struct world *w);       /* a new session; 0 or the errno of jr_start */
void world_die(struct world *w);        /* ends it as a killed program would */
int world_append(struct world *w);      /* the next record; 0 or the errno of the engine */
void world_append_many(struct world *w, uint64_t count);

/* The identity of a pool file whose session is w's. */
struct jr_identity world_identity(const struct world *w, int fd);
int world_recover(struct world *w, struct jr_report *report);
void world_recovers_to(struct world *w, uint64_t n);

/* The number of the committed state that the pool file holds; fails unless it is exactly such a state, and
 * between `least` and `most`. */
uint64_t world_state(const struct world *w, int fd, uint64_t least, uint64_t most);

void copy_file(const char *from, const char *to);
uint64_t file_size(const char *path);
void patch(const char *path, uint64_t offset, const void *bytes, size_t n);
void fetch(const char *path, uint64_t offset, void *bytes, size_t n);

/* Changes both headers and mends their checksums. */
void edit_headers(const char *journal, void (*edit)(struct jr_header *));

/* test_crash.c */
void test_power_loss(void);
void test_power_loss_during_recovery(void);
void test_power_loss_after_kill(void);
void test_kill(void);
void test_kill_during_recovery(void);
void test_failing_calls(void);
void test_full_pool(void);
void test_interrupted_calls(void);
void test_order_of_calls(void);

/* test_space.c */
void test_ring_memory(void);
void test_heap_top(void);

#endif
