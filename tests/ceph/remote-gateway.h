/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway in a separate process, which a test can kill, freeze and cut off from the cluster. It
 * is this program again: main() carries out commands if the first argument is REMOTE_GATEWAY; then
 * the others are the image and osd_op_timeout. A command is a line on its standard input. The
 * answer, one number, is a line on its standard output; there is one before the first command, for
 * the start.
 */
#pragma once

#define REMOTE_GATEWAY "gateway"

struct remote_gateway;

/* Starts it, and waits for the answer, which must be 0. */
struct remote_gateway *remote_gateway_start(const char *image, unsigned timeout);

/* Kills it. */
void remote_gateway_free(struct remote_gateway *gateway);

/* Sends a command. */
__attribute__((format(printf, 2, 3))) void remote_gateway_send(
	struct remote_gateway *gateway, const char *format, ...);

/* The result of the command that was sent last. */
int remote_gateway_result(struct remote_gateway *gateway);

/* Both. */
__attribute__((format(printf, 2, 3))) int remote_gateway_do(
	struct remote_gateway *gateway, const char *format, ...);

/* After SIGSTOP it stands still. */
void remote_gateway_signal(struct remote_gateway *gateway, int signal);
