/* SPDX-License-Identifier: Apache-2.0 */
#include "program/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

int process_fill_standard_files(void)
{
	int fd;

	/* open() takes the lowest free number. */
	do
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	(void) close(fd);
	return 0;
}

static bool process_keeps_signal(int number)
{
	static const int kept[] = {
		/* faults, and the requests of a debugger or an operator for a core dump */
		SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGQUIT,
		/* cannot be ignored */
		SIGKILL, SIGSTOP,
		/* job control of a terminal; a child's end, whose status libraries may want */
		SIGTSTP, SIGCONT, SIGCHLD,
		/* of the event loop */
		SIGTERM, SIGINT, SIGHUP};

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (kept[i] == number)
			return true;
	/* The C library has the real-time signals below SIGRTMIN for itself. */
	return number > SIGSYS && number < SIGRTMIN;
}

void process_set_signals(void)
{
	assert(SIGSYS < SIGRTMIN && SIGRTMAX < NSIG);
	/* SIGPIPE and SIGXFSZ among them: a client that leaves, or a limit of file sizes, ends one
	 * write with an error, not the daemon. */
	for (int number = 1; number < NSIG; number++)
		if (!process_keeps_signal(number))
			(void) signal(number, SIG_IGN);
}
