/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STAT_START_TIME 20 /* fields of /proc/self/stat after the one of the name: proc(5)'s 22 */

/* Every entry but "." and "..", and the one that this opens. */
static uint64_t count_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t cnt = 0;

	while (dir && (entry = readdir(dir)))
		cnt += entry->d_name[0] != '.';
	if (dir)
		(void) closedir(dir);
	return cnt ? cnt - 1 : 0;
}

static void read_status(struct process_figures *figures)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "VmRSS:", 6) == 0)
			figures->resident = strtoull(line + 6, NULL, 10) * 1024;
		else if (strncmp(line, "Threads:", 8) == 0)
			figures->threads = strtoull(line + 8, NULL, 10);
	}
	if (file)
		(void) fclose(file);
}

void process_get_figures(struct process_figures *figures)
{
	struct rlimit limit;

	*figures = (struct process_figures){.open_fds = count_open_fds()};
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		figures->max_fds = limit.rlim_cur;
	read_status(figures);
}

/* Ticks since the boot; 0: unknown. The name in parentheses may have blanks and parentheses. */
static uint64_t read_start_ticks(void)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char line[1024] = "", *at;
	uint64_t ticks = 0;

	if (!file)
		return 0;
	at = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	for (int i = 0; at && i < STAT_START_TIME; i++)
		at = strchr(at + 1, ' ');
	if (at)
		ticks = strtoull(at, NULL, 10);
	(void) fclose(file);
	return ticks;
}

double process_start_time(void)
{
	uint64_t ticks = read_start_ticks();
	struct timespec now, up;

	if (!ticks || clock_gettime(CLOCK_REALTIME, &now) < 0 ||
	    clock_gettime(CLOCK_BOOTTIME, &up) < 0)
		return 0;
	return (double) (now.tv_sec - up.tv_sec) + (double) (now.tv_nsec - up.tv_nsec) / 1e9 +
		(double) ticks / (double) sysconf(_SC_CLK_TCK);
}
