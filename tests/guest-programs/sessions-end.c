/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into iscsi-test-cu: an initiator that has ended a session goes on when the target has
 * ended it, too; and it looks each second, not each minute, whether the disk has been sanitized.
 *
 * The kernel answers a logout before iscsit_close_session() has released what the session had
 * reserved, and tells nobody when it has. Tests that look for the reservation would else find it or
 * not, by chance. Each session has one connection: the target has as many sessions left as this
 * process has connections, or ends those that are too many.
 *
 * environment: SESSIONS, a file with the number of the target's sessions; PORT, its TCP port in
 * hexadecimal as /proc/net/tcp has it. One thread.
 */
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE    5000 /* steps of a millisecond; what comes then shows in the test */
#define ESTABLISHED 0x01

struct iscsi_context;

int iscsi_destroy_context(struct iscsi_context *context);

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		abort();
	return value;
}

static int target_sessions(void)
{
	FILE *file = fopen(setting("SESSIONS"), "re");
	int cnt = -1;

	if (!file || fscanf(file, "%d", &cnt) != 1)
		abort();
	fclose(file);
	return cnt;
}

static int connections(void)
{
	unsigned long port = strtoul(setting("PORT"), NULL, 16);
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

	for (unsigned i = 0; i < PATIENCE && target_sessions() > connections(); i++)
		poll(NULL, 0, 1);
	return r;
}

unsigned sleep(unsigned seconds)
{
	unsigned (*real)(unsigned) = (unsigned (*)(unsigned)) dlsym(RTLD_NEXT, "sleep");

	return real(seconds < 60 ? seconds : 1);
}
