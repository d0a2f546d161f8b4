/*
 * io_faults.h: failures of the system, for tests.  Put in place, it stands in front of whatever the table of file
 * calls held before: it counts the calls by kind, makes chosen ones fail, and shows each of them to a hook, so
 * that somebody else can record their order.  It knows nothing of pools, journals or engines.
 *
 * What a hook sees is what went through the table.  Stores to mapped files are not among it, nor what libpmemobj
 * does to a file that it creates: a recorder that needs them compares the mapping at the next sync.
 *
 * Threads: any of them may call, also while a rule is changed.  The table itself is exchanged by iof_install and
 * iof_remove; no pool is open then.
 */
#ifndef PM_IO_FAULTS_H
#define PM_IO_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum iof_kind {
    IOF_OPEN, IOF_CLOSE, IOF_PREAD, IOF_PWRITE, IOF_FDATASYNC, IOF_FSYNC, IOF_FTRUNCATE, IOF_FALLOCATE, IOF_MSYNC,
    IOF_MMAP, IOF_RENAME, IOF_LINK, IOF_UNLINK, IOF_KINDS
};

extern const char *const iof_names[IOF_KINDS];

/* One call.  A field that the kind has no use for is 0, -1 (fd) or NULL. */
struct iof_call {
    enum iof_kind kind;
    bool ended;                 /* false: it is about to be made; true: error and done say how it went */
    uint64_t number;            /* of the call, from 1 on; the same before and after it */
    int fd;                     /* also what open gave */
    const char *path, *to;      /* to: of rename and link */
    const void *data;           /* what pwrite writes; where pread puts it; the address of msync and mmap */
    uint64_t offset, length;    /* length also of ftruncate */
    int flags;                  /* of open and mmap, mode of fallocate */
    int error;
    uint64_t done;              /* bytes that were transferred */
};

/* Called before and after each call that is made, and with ended = true only for one that is made to fail.  By
 * several threads at once; a hook that wants an order takes a lock of its own. */
typedef void (*iof_hook)(void *context, const struct iof_call *call);

/* Which calls fail, and how. */
struct iof_rule {
    uint32_t kinds;             /* bits 1 << kind */
    uint64_t number;            /* the first of the matching calls that is hit, from 1 on; 0: none */
    bool sticky;                /* and all after it; with EINTR only every other one, since it is repeated */
    bool cut;                   /* half of a transfer is done; with an error, the next matching call gets that */
    int error;                  /* errno */
    char file[256];             /* only calls for a file whose name ends like this; "": any */
};

void iof_install(void);         /* also starts counting anew, without a rule or hook */
void iof_remove(void);

void iof_arm(const struct iof_rule *rule);      /* NULL: no call fails any more */
void iof_set_hook(iof_hook hook, void *context);
void iof_pretend_syncs(bool on);                /* syncs succeed and do nothing: for long sweeps */

uint64_t iof_count(enum iof_kind kind);         /* calls since iof_install */
uint64_t iof_matched(void);                     /* that matched the rule since iof_arm */
uint64_t iof_hits(enum iof_kind *first);        /* how many of those were hit, and the kind of the first */

/* The name of an open file, as far as it can be told. */
void iof_name_of(int fd, char *out, size_t size);

#endif
