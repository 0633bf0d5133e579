/* Worker threads. The caller is the first of them. They run one step at a time. */

#ifndef THREADS_H
#define THREADS_H

#include "scratch.h"
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#define MOST_THREADS MOST_REQUESTED
#else
#define MOST_THREADS 1
#endif

/* Run one thread's share of a step. */
static void walk(const Step *s, long thread, long threads);

#if MOST_THREADS > 1
static struct {
    pthread_mutex_t taken, lock;
    pthread_cond_t moved;
    pthread_t threads[MOST_THREADS];
    long count;
    atomic_long arrived;
    atomic_ulong phase;
    const Step *step; /* null: the threads exit */
} workers = {.taken = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

#define SPINS 2000 /* tens of microseconds, about the cost of sleeping and waking */

/* Wait until all threads arrive. */
static void barrier_wait(long threads) {
    if (threads == 1)
        return;
    unsigned long phase = atomic_load(&workers.phase);
    if (atomic_fetch_add(&workers.arrived, 1) + 1 == threads) {
        atomic_store(&workers.arrived, 0);
        pthread_mutex_lock(&workers.lock);
        atomic_store(&workers.phase, phase + 1);
        pthread_cond_broadcast(&workers.moved);
        pthread_mutex_unlock(&workers.lock);
        return;
    }
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&workers.phase, memory_order_acquire) != phase)
            return;
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&workers.lock);
    while (atomic_load(&workers.phase) == phase)
        pthread_cond_wait(&workers.moved, &workers.lock);
    pthread_mutex_unlock(&workers.lock);
}

static void *work(void *number) {
    long threads = workers.count;
    for (;;) {
        barrier_wait(threads);
        if (!workers.step)
            return 0;
        walk(workers.step, (long)number, threads);
        barrier_wait(threads);
    }
}

/* Reset after a fork: only the forking thread exists in the child. */
static void forget_workers(void) {
    workers.count = 0;
    atomic_store(&workers.arrived, 0);
    pthread_mutex_init(&workers.taken, 0);
    pthread_mutex_init(&workers.lock, 0);
    pthread_cond_init(&workers.moved, 0);
}

static void stop_workers(void) {
    if (workers.count) {
        workers.step = 0;
        barrier_wait(workers.count);
        for (long i = 1; i < workers.count; i++)
            pthread_join(workers.threads[i], 0);
    }
    workers.count = 0;
}

/* Start the workers, unless they run already; return whether there are `threads`. They block all signals. */
static int start_workers(long threads) {
    static int registered, refused;
    if (workers.count == threads || refused)
        return !refused;
    stop_workers();
    refused = !registered && pthread_atfork(0, 0, forget_workers);
    registered = 1;
    if (refused)
        return 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    workers.count = threads;
    long started = 1;
    while (started < threads && !pthread_create(&workers.threads[started], 0, work, (void *)started))
        started++;
    pthread_sigmask(SIG_SETMASK, &before, 0);
    refused = started < threads; /* those already started wait forever */
    return !refused;
}
#else
static void barrier_wait(long threads) {}
#endif

/* Run a step in `threads` threads, or in one if the workers are busy with another step. */
static void run(const Step *s, long threads) {
#if MOST_THREADS > 1
    if (threads > 1 && !pthread_mutex_trylock(&workers.taken)) {
        int ready = start_workers(threads);
        if (ready) {
            workers.step = s;
            barrier_wait(threads);
            walk(s, 0, threads);
            barrier_wait(threads);
        }
        pthread_mutex_unlock(&workers.taken);
        if (ready)
            return;
    }
#endif
    walk(s, 0, 1);
}

#endif
