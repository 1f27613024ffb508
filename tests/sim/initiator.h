/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Initiators: they send commands to a device and compare what comes back with the history.
 */
#pragma once

#include <stdbool.h>

#include "kernel.h"

/* Forgets all commands. expiry: a write that has expired must not land on its successor. */
void initiators_reset(bool expiry);

/* Nothing goes wrong in this life, so every command must be GOOD. */
void initiators_set_calm(bool calm);

/* This life has commands of this kind too. */
void initiators_use(enum kcommand_op op);

/* Some of its EXTENDED COPYs have several segments. */
void initiators_use_segments(void);

/* A tag that no write has had. */
uint64_t initiators_new_tag(void);

/* Sends some commands, now and in the next milliseconds. */
void initiators_burst(struct kdev *kdev, unsigned cnt);

/* Sends a WRITE of a few of the first blocks. */
void initiators_write(struct kdev *kdev);

/* Sends an EXTENDED COPY to a few of the first blocks of another device. */
void initiators_copy(struct kdev *kdev, unsigned to);

/* Sends a WRITE. initiators_served() is true once one of them was GOOD. */
void initiators_probe(struct kdev *kdev);
bool initiators_served(const struct kdev *kdev);
void initiators_expect_service(void);

/* For the kernel: a command has its status. */
void initiators_take_status(struct kcommand *command);

/* The daemon has answered a command that had expired. */
void initiators_late(struct kcommand *command);

/* The ring was reset while the daemon had the command, and its pages may hold other data now. */
void initiators_data_taken(struct kcommand *command);

/* Whether a MODE SELECT that switches it on may still be carried out. */
bool initiators_ask_cache_on(unsigned slot);

/* The write cache may be on: commands in flight may be carried out with it. */
void initiators_cache_is_on(unsigned slot);

/* Every write that was GOOD before the time is on stable storage. */
void initiators_check_stable(unsigned store, uint64_t before, const char *why);

/* At the end: the stores hold what the history permits. */
void initiators_check_all(void);
