/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private bus, the daemon's side of it on a thread of its own, and a client that waits for its
 * answers as targetcli does.
 */
#pragma once

#include <semaphore.h>
#include <stdbool.h>

#include <systemd/sd-bus.h>

#include "bus.h"

#define SERVICE "org.kernel.TCMUService1"
#define ROOT    "/org/kernel/TCMUService1"

/* The private bus. Its address is the system bus's for this process, whether it runs or not. names:
 * what its policy says of names. */
#define ANY_NAME "<allow own=\"*\"/>"
#define NO_NAME  "<deny own=\"*\"/>"
void private_bus_prepare(const char *names);
void private_bus_start(void);
void private_bus_stop(void);
const char *private_bus_socket(void);

/* The daemon's main loop with handlers "file" (knows "good", "bytes" and nothing else), "hang"
 * (returns when it is released) and "easy" (has no check). */
void server_start(unsigned check_timeout_ms);
/* All that hang must have been released. */
void server_stop(void);

/* Waits until the bus has told a state, and takes it. */
enum bus_state server_await_state(void);

/* Runs a function on the main loop and waits for its end. */
void server_run(void (*function)(struct bus *bus));

/* Frees the daemon's side of the bus, while the loop goes on. */
void server_leave(void);

/* Lets so many hanging checks return. */
void server_release(unsigned cnt);

/* A connection of the test's own, closed by private_bus_stop(). */
sd_bus *client(void);
