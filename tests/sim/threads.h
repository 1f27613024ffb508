/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads, the clock and the chance of a simulated life. Every thread of the product is a
 * coroutine of one OS thread. The scheduler picks the next one by the seed, so the same seed gives
 * the same order of events.
 *
 * A thread may lose the CPU where it calls a function that this directory replaces: locks,
 * condition variables, epoll, eventfds, the clock, uio, configfs, netlink. Code between two such
 * calls is one step.
 *
 * World events are functions that run between the steps of threads: initiators, the kernel, the
 * operator. They must not call a function of the product.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SIM_NS_PER_US UINT64_C(1000)
#define SIM_NS_PER_MS UINT64_C(1000000)
#define SIM_NS_PER_S  UINT64_C(1000000000)

struct sim_thread;

/* Begins a life: the clock is at 1000 s, nothing runs. */
void threads_reset(uint64_t seed);

/* Nanoseconds of the virtual clock. */
uint64_t sim_now(void);

/* A number below n, by the seed. n: not 0. */
unsigned sim_choose(unsigned n);

/* True once in n times. */
bool sim_chance(unsigned n);

/* Starts a thread. detached: its memory is freed when it ends, else by pthread_join(). */
struct sim_thread *threads_spawn(void *(*main)(void *arg), void *arg, bool detached);

/* The running thread; NULL: the world. */
struct sim_thread *threads_self(void);

/* Drops every thread without running it any more: SIGKILL. Only from the world. */
void threads_kill_all(void);

/* How many threads have not ended. */
unsigned threads_count(void);

/* Another thread may run here. */
void sim_preempt(void);

/* Another thread runs here, if there is one. */
void sim_yield(void);

/* Waits for sim_wake() of the key, or until the time; 0: for ever. Returns false at the time. */
bool sim_block(const void *key, uint64_t until);
void sim_wake(const void *key);

/* Waits, on a thread. */
void sim_sleep(uint64_t ns);

/* Runs act(arg) once, at the time or as soon as possible after it. */
void sim_at(uint64_t time, void (*act)(void *arg), void *arg);

/* Runs threads and events until done() or until the time. Returns whether it is done. */
bool sim_run(bool (*done)(void), uint64_t until);

/* Steps of this life so far. */
uint64_t sim_steps(void);

/* ------- the verdict ------- */

/* A promise is broken: reports it, and ends the process. Does not return. */
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A line of the life's trace, where it is wanted. */
void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool sim_tracing(void);
