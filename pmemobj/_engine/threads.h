/*
 * threads.h: starting a thread of the engine.  It takes no signals: Python's handlers expect them in the main thread.
 */
#ifndef PM_THREADS_H
#define PM_THREADS_H

#include <pthread.h>
#include <signal.h>

/* 0 or an errno. */
static inline int pm_thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

#endif
