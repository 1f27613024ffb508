/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway in a separate process, which a test can freeze, cut off from the cluster, and whose
 * wall clock it can set. It is this program again: main() calls remote_gateway_main() if the first
 * argument is REMOTE_GATEWAY.
 */
#pragma once

#include <stdint.h>

#define REMOTE_GATEWAY "gateway"

struct remote_gateway;

/* The process of main(): carries out commands. Returns its exit status. */
int remote_gateway_main(char **argv);

/* Opens the image. */
struct remote_gateway *remote_gateway_start(const char *image, unsigned timeout);

/* Kills it. */
void remote_gateway_free(struct remote_gateway *gateway);

/* Sends a command: "lock TAG", "write OBJECT BYTE", "read OBJECT", "unmap OBJECT", "flush",
 * "storm SECONDS OBJECT BYTE" (how many writes were good after a gap of two seconds), "begin
 * OBJECT BYTE" (a write in flight), "end" (its result), "cut" and "heal" (what it sends), "clock
 * SECONDS" (its wall clock is moved), "reopen". */
__attribute__((format(printf, 2, 3))) void remote_gateway_send(
	struct remote_gateway *gateway, const char *format, ...);

/* The result of the command that was sent last. */
int remote_gateway_result(struct remote_gateway *gateway);

/* Both. */
__attribute__((format(printf, 2, 3))) int remote_gateway_do(
	struct remote_gateway *gateway, const char *format, ...);

void remote_gateway_signal(struct remote_gateway *gateway, int signal);
