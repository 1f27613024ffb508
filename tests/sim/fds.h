/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors of the simulated process: eventfds, epoll, and those of the model kernel. Their
 * numbers are beyond those of real ones.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The model kernel's functions for one of its descriptors. */
struct fd_operations {
	uint32_t (*poll)(void *userdata); /* EPOLL bits */
	void (*closed)(void *userdata);
};

/* The process has no descriptor any more; nothing is called. */
void fds_reset(void);

/* How many are open. */
unsigned fds_count(void);

/* A descriptor of the model kernel. */
int fds_open(const struct fd_operations *operations, void *userdata);

/* As close(). */
void fds_close(int fd);

/* It may have become readable: an edge. */
void fds_edge(int fd);

uint32_t fds_poll(int fd);
