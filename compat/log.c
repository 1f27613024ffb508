/* SPDX-License-Identifier: Apache-2.0 */
/* See log.h. */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include <libtcmu_log.h>

#define LINE_SIZE 512

static _Thread_local struct tcmu_device *current;
static _Thread_local char last_error[sizeof(((struct tcmu_reason *) 0)->text)];
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tcmu_device *open_devices;

void log_enter(struct tcmu_device *dev)
{
	current = dev;
	last_error[0] = '\0';
}

void log_leave(void)
{
	current = NULL;
}

void log_reason(struct tcmu_reason *reason, const char *what, int error)
{
	assert(error < 0);
	if (last_error[0])
		(void) snprintf(reason->text, sizeof(reason->text), "%s", last_error);
	else
		(void) snprintf(
			reason->text, sizeof(reason->text), "%s: %s", what, strerror(-error));
}

void log_add(struct tcmu_device *dev)
{
	pthread_mutex_lock(&open_lock);
	assert(!dev->next);
	dev->next = open_devices;
	open_devices = dev;
	pthread_mutex_unlock(&open_lock);
}

void log_remove(struct tcmu_device *dev)
{
	struct tcmu_device **at = &open_devices;

	pthread_mutex_lock(&open_lock);
	while (*at && *at != dev)
		at = &(*at)->next;
	assert(*at == dev);
	*at = dev->next;
	dev->next = NULL;
	pthread_mutex_unlock(&open_lock);
}

__attribute__((format(printf, 3, 0))) static void log_line(
	struct tcmu_device *dev, enum tcmu_log_level level, const char *format, va_list values)
{
	char line[LINE_SIZE];
	size_t length;

	(void) vsnprintf(line, sizeof(line), format, values);
	length = strlen(line);
	while (length && line[length - 1] == '\n')
		line[--length] = '\0';
	if (level <= TCMU_LOG_ERROR)
		(void) snprintf(last_error, sizeof(last_error), "%.255s", line);
	dev = dev ? dev : current;
	if (dev) {
		dev->host->log(dev->host_device, level, line);
		return;
	}
	pthread_mutex_lock(&open_lock); /* so that it stays open */
	if (open_devices)
		open_devices->host->log(open_devices->host_device, level, line);
	pthread_mutex_unlock(&open_lock);
}

#define LOG_FUNCTION(name, level) \
	void name( \
		struct tcmu_device *dev, const char *function, int line, const char *format, ...) \
	{ \
		va_list values; \
\
		(void) function; \
		(void) line; \
		va_start(values, format); \
		log_line(dev, level, format, values); \
		va_end(values); \
	}

LOG_FUNCTION(tcmu_crit_message, TCMU_LOG_CRIT)
LOG_FUNCTION(tcmu_err_message, TCMU_LOG_ERROR)
LOG_FUNCTION(tcmu_warn_message, TCMU_LOG_WARNING)
LOG_FUNCTION(tcmu_info_message, TCMU_LOG_INFO)
LOG_FUNCTION(tcmu_dbg_message, TCMU_LOG_DEBUG)
LOG_FUNCTION(tcmu_dbg_scsi_cmd_message, TCMU_LOG_DEBUG)

unsigned int tcmu_get_log_level(void)
{
	bool debug = false;

	pthread_mutex_lock(&open_lock);
	if (open_devices && TCMU_HOST_HAS(open_devices->host, debug))
		debug = open_devices->host->debug(open_devices->host_device);
	pthread_mutex_unlock(&open_lock);
	return debug ? TCMU_LOG_DEBUG : TCMU_LOG_INFO;
}

int tcmu_make_absolute_logfile(char *path, const char *name)
{
	int length = snprintf(
		path, PATH_MAX, "%s%s", name[0] == '/' ? "" : TCMU_LOG_DIR_DEFAULT "/", name);

	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}
