/*
 * io_scratch.h: file calls of a process that opens images of crashes, thousands of them, in a directory in memory
 * where nothing has to survive.  A sync does nothing, and what is only there to take space beforehand takes none:
 * an allocation, and zeros behind the end of a file, become holes.  The contents and lengths of files are what they
 * would be anyhow.
 *
 * Threads: as for the table itself (io.h): it is exchanged while nobody calls.
 */
#ifndef PM_IO_SCRATCH_H
#define PM_IO_SCRATCH_H

/* In front of whatever the table holds.  Stays. */
void io_scratch(void);

#endif
