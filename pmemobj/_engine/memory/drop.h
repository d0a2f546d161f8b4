/*
 * drop.h: keeps the memory that a pool's changed pages take within its budget.
 *
 *  1. A page is dropped when the pool file has it: every record about it has been applied, and the file synced
 *     since (see pages.h).  It is then read from the file at its next use.
 *  2. Only while no operation and no transaction is open, with an empty ring, by the thread that holds the GIL:
 *     so memory holds nothing that no record holds, and nobody looks at it meanwhile.
 *  3. What libpmemobj keeps without ever flushing it stays: the pool's run-time state and the footers of chunks in
 *     its metadata, and the nodes of its tree of free blocks at the start of each of them (see zones.h).
 *  4. A block of anonymous memory over a hole gives way to the file as a whole.  Pages of it that the file does
 *     not have yet are copied over.
 */
#ifndef PM_DROP_H
#define PM_DROP_H

#include "engine.h"

/* Where libpmemobj's own metadata lies: before the first zone, and at the start of each. */
int pm_is_data_page(const pm_pool *p, uint64_t page);

/* Covers the holes of a pool that has just been mapped; see pf_cover_holes. */
int pm_cover_holes(pm_pool *p, int fd);

/* Half of the budget is in use, or a list is huge: worth a call of pm_relieve and pm_shrink_tables. */
int pm_wants_care(const pm_pool *p);

/* Drops some of what the file has, has the rest brought to the file, and when the budget is used up waits a little
 * for that.  Errors (a full disk) leave memory as it is; they show when room in the journal is asked for. */
void pm_relieve(pm_pool *p);

/* Inside an operation: large fresh memory outside of metadata gets its contents by way of the pool file, to which they
 * are written once, and whose pages the mapping shows then.  False: nothing has been done; fill the memory, then. */
int pm_fill_by_file(pm_pool *p, uint64_t offset, const char *from, uint64_t length);

/* Everything goes to the pool file, and every changed page is dropped.  0 or an errno. */
int pm_drop_all(pm_pool *p);

/* About: bytes of changed pages. */
uint64_t pm_changed_bytes(const pm_pool *p);

/* After an undone operation or transaction, outside of all: what its stores marked is as it was committed. */
void pm_forget_undone(pm_pool *p);

/* After a huge transaction: its lists give back what ordinary ones do not need.  Nothing is in them. */
void pm_shrink_tables(pm_pool *p);

#endif
