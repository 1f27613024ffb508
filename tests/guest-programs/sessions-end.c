/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into iscsi-test-cu. After the initiator has ended a session, it waits until the target
 * has ended it, too. Besides, it polls the progress of SANITIZE each second instead of each minute.
 *
 * The kernel answers a logout before iscsit_close_session() has released the session's reservation,
 * and sends no event when it has. Without the wait, tests that check the reservation pass or fail
 * by chance. Each session has one connection: when the target has as many sessions as this process
 * has connections, it has ended the others.
 *
 * Environment: SESSIONS, a file with the number of the target's sessions; PORT, its TCP port in
 * hexadecimal as in /proc/net/tcp. One thread.
 */
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS     5000 /* after that the test itself shows the failure */
#define ESTABLISHED 0x01

struct iscsi_context;

int iscsi_destroy_context(struct iscsi_context *context);

static const char *required_env(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		abort();
	return value;
}

static int count_target_sessions(void)
{
	FILE *file = fopen(required_env("SESSIONS"), "re");
	int cnt = -1;

	if (!file || fscanf(file, "%d", &cnt) != 1)
		abort();
	fclose(file);
	return cnt;
}

static int count_connections(void)
{
	unsigned long port = strtoul(required_env("PORT"), NULL, 16);
	FILE *file = fopen("/proc/self/net/tcp", "re");
	unsigned remote, state;
	char line[256];
	int cnt = 0;

	if (!file)
		abort();
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " %*d: %*x:%*x %*x:%x %x", &remote, &state) == 2)
			cnt += remote == port && state == ESTABLISHED;
	fclose(file);
	return cnt;
}

int iscsi_destroy_context(struct iscsi_context *context)
{
	int (*destroy)(struct iscsi_context *) = (int (*)(struct iscsi_context *)) dlsym(
		RTLD_NEXT, "iscsi_destroy_context");
	int r = destroy(context);

	for (unsigned i = 0; i < WAIT_MS && count_target_sessions() > count_connections(); i++)
		poll(NULL, 0, 1);
	return r;
}

unsigned sleep(unsigned seconds)
{
	unsigned (*real)(unsigned) = (unsigned (*)(unsigned)) dlsym(RTLD_NEXT, "sleep");

	return real(seconds < 60 ? seconds : 1);
}
