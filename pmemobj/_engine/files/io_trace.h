/*
 * io_trace.h: the file calls of a program in their order, as a hook of io_faults.h.
 *
 * A call has two moments, drawn from one counter: when it began and when it ended.  That order is what a disk may
 * rely on: a sync covers the writes of its file that had ended when it began, and whatever begins after it has
 * ended comes later.
 */
#ifndef PM_IO_TRACE_H
#define PM_IO_TRACE_H

#include "io_faults.h"

struct iot_entry {
    enum iof_kind kind;
    uint64_t number;            /* as in struct iof_call */
    uint64_t began, ended;      /* moments, from 1 on; ended 0: it is still going on */
    uint64_t offset, length, done;
    uintptr_t address;          /* of msync, and where mmap put it */
    int flags, error;
    char *file, *to;            /* name of the file when the call was made; never NULL */
    char *data;                 /* done bytes that pwrite wrote, if they were asked for; else NULL */
};

/* Starts a new trace.  After iof_install; the trace is the hook until iot_stop. */
void iot_start(bool with_data);
void iot_stop(void);

/* The entries, in the order in which the calls began; valid until the next start.  After iot_stop. */
size_t iot_entries(const struct iot_entry **entries);

#endif
