/*
 * remains.h: what stays at the addresses of a pool that is unmapped while somebody holds some of them: in a forked
 * child, and when the interpreter or the handle ends.  A copy, private to this process.
 *
 * Between the unmapping and pm_remains_put there is nothing at these addresses, so no other thread may use them then.
 */
#ifndef PM_REMAINS_H
#define PM_REMAINS_H

#include <stdint.h>

/* Memory for a copy of a pool of that size, elsewhere; what is not written to takes no room.  NULL: there is none. */
char *pm_remains_new(uint64_t size);

/* The copy moves to where the pool was.  An errno: something else is there already, and the copy is gone. */
int pm_remains_put(char *copy, char *at, uint64_t size);

void pm_remains_free(char *at, uint64_t size);

#endif
