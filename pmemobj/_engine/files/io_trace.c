/* io_trace.c: see io_trace.h. */
#define _GNU_SOURCE
#include "io_trace.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct iot_entry *entries;
static size_t used, capacity;
static uint64_t moments;
static bool keeps_data;

static void *must(void *memory)
{
    if (!memory) {
        fputs("pmemobj: out of memory for a trace\n", stderr);
        abort();
    }
    return memory;
}

/* The lock is held. */
static struct iot_entry *add(const struct iof_call *call)
{
    char name[4096] = "";
    if (used == capacity) {
        capacity = capacity ? 2 * capacity : 256;
        entries = must(realloc(entries, capacity * sizeof *entries));
    }
    if (call->path == NULL)
        iof_name_of(call->fd, name, sizeof name);
    struct iot_entry *entry = &entries[used++];
    *entry = (struct iot_entry){
        .kind = call->kind, .number = call->number, .began = ++moments, .offset = call->offset,
        .length = call->length, .address = (uintptr_t)call->data, .flags = call->flags,
        .file = must(strdup(call->path ? call->path : name)), .to = must(strdup(call->to ? call->to : ""))};
    if (call->kind == IOF_PWRITE || call->kind == IOF_PREAD)
        entry->address = 0;
    if (keeps_data && call->kind == IOF_PWRITE) {
        entry->data = must(malloc(call->length + 1));
        memcpy(entry->data, call->data, call->length);
    }
    return entry;
}

static struct iot_entry *find(const struct iof_call *call)
{
    for (size_t i = used; i-- > 0;)
        if (entries[i].number == call->number)
            return &entries[i];
    return add(call);           /* it was made to fail, and never began; or began before the trace */
}

static void note(void *unused, const struct iof_call *call)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    if (call->ended) {
        struct iot_entry *entry = find(call);
        entry->ended = ++moments;
        entry->error = call->error;
        entry->done = call->done;
        if (call->kind == IOF_MMAP)
            entry->address = (uintptr_t)call->data;
    } else {
        add(call);
    }
    pthread_mutex_unlock(&lock);
}

void iot_start(bool with_data)
{
    iof_set_hook(NULL, NULL);
    for (size_t i = 0; i < used; i++) {
        free(entries[i].file);
        free(entries[i].to);
        free(entries[i].data);
    }
    used = 0;
    moments = 0;
    keeps_data = with_data;
    iof_set_hook(note, NULL);
}

void iot_stop(void) { iof_set_hook(NULL, NULL); }

size_t iot_entries(const struct iot_entry **out)
{
    *out = entries;
    return used;
}
