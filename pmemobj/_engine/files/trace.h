/*
 * trace.h: what a crash explorer has to know: every file call of the engine, in order, and how the files of one
 * directory looked at each of them.
 *
 * Contents are compared with what they were at the call before, line by line; so it does not matter by whom or
 * how a file was changed: by pwrite, through a mapping, by libpmemobj.  Both halves of a call are events: what was
 * written before a sync began is what the sync makes durable, what is there when it returns may be more.
 *
 * The trace is a sequence of words (see enum trace_tag): changes first, then the event at which they were seen.
 *
 * Threads: any; one mutex.  Nothing here needs the GIL.  An event waits until nobody changes a file: whoever writes to
 * a mapped one has to come to a call of his own, or to an end.
 */
#ifndef PM_TRACE_H
#define PM_TRACE_H

#include <stddef.h>
#include <stdint.h>

#define TRACE_LINE 64u

enum trace_tag {
    TRACE_EVENT = 1,    /* kind, ino, offset, length, and what trace_line() said last */
    TRACE_NAME = 2,     /* ino, bytes of the name; then the name, padded to words: it leads to that file now */
    TRACE_GONE = 3,     /* bytes of the name; then the name: it leads nowhere now */
    TRACE_SIZE = 4,     /* ino, size */
    TRACE_LINES = 5     /* ino, first line, number of lines; then their contents */
};

enum trace_kind {
    TRACE_START = 0,
    TRACE_CALL = 1,             /* any other call that may change something; before and after it */
    TRACE_SYNC_BEGIN = 2,       /* fsync, fdatasync, msync: of a file and a range of it, */
    TRACE_SYNC_END = 3,         /* successful */
    TRACE_DIRECTORY_BEGIN = 4,  /* fsync of the directory */
    TRACE_DIRECTORY_END = 5,
    TRACE_MARK = 6,             /* `offset` is the caller's number */
    TRACE_FLUSH = 7,            /* of a range of a mapped file */
    TRACE_FENCE = 8             /* what has been flushed is durable when it is over */
};

/* Begins to trace the files of `directory`, whatever is done by this process.  0 or an errno.
 * kill_at: not 0: nothing is noted, but events are counted, and at that one the process is killed (SIGKILL). */
int trace_start(const char *directory, uint64_t kill_at);

/* Events since trace_start. */
uint64_t trace_count(void);

extern _Atomic int trace_on;

/* Notes a point of the program. */
void trace_mark(uint64_t number);

/* What the program is at, as a number of its own: stands in every event from now on. */
void trace_line(uint64_t line);

/* Persistent memory that is mapped: a flush of a range begins, and everything flushed becomes durable. */
void trace_flush(const void *at, size_t length);
void trace_fence(void);

/* Ends it.  *words is malloc'ed, the caller's to free.  0, or an errno when something could not be noted. */
int trace_stop(uint64_t **words, size_t *count);

#endif
