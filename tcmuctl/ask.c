/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MS  30000 /* a check may take 24 s */
#define ANSWER_MAX (512u << 20)

json_t *ask_request(const char *method, const char *device)
{
	json_t *request = json_pack("{ss}", "method", method);

	if (device && json_object_set_new(request, "device", json_string(device)) < 0) {
		json_decref(request);
		return NULL;
	}
	return request;
}

void ask_close(struct ask *self)
{
	if (self->fd >= 0)
		(void) close(self->fd);
	self->fd = -1;
}

bool ask_module_is_missing(const char *modules)
{
	int directory = open(modules, O_PATH | O_DIRECTORY | O_CLOEXEC), module;

	if (directory < 0)
		return false;
	module = openat(directory, "target_core_user", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void) close(directory);
	if (module < 0)
		return true;
	(void) close(module);
	return false;
}

static int connect_error(const struct ask *self, int error)
{
	if (error == EACCES || error == EPERM) {
		fprintf(stderr, "tcmuctl: permission denied for %s: only root may ask the daemon\n",
			self->path);
		return CTL_EXIT_FAILURE;
	}
	if (ask_module_is_missing("/sys/module"))
		fputs("tcmuctl: tcmud serves nothing: the kernel module target_core_user is not "
		      "loaded; \"modprobe target_core_user\" loads it or says why not (Debian's "
		      "cloud kernels leave it out: install linux-image-amd64)\n",
		      stderr);
	else
		fprintf(stderr, "tcmuctl: tcmud does not run: cannot connect to %s: %s\n",
			self->path, strerror(error));
	return CTL_EXIT_DOWN;
}

/* 0, or an errno. */
static int connect_daemon(struct ask *self)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (self->fd >= 0)
		return 0;
	if (strlen(self->path) >= sizeof(address.sun_path))
		return ENAMETOOLONG;
	(void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", self->path);
	self->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (self->fd < 0)
		return errno;
	if (connect(self->fd, (const struct sockaddr *) &address, sizeof(address)) < 0) {
		int error = errno;

		ask_close(self);
		return error;
	}
	return 0;
}

/* The answer to a request for which no daemon is needed, or NULL. */
static json_t *ask_offline(const struct ask *self, const char *text, int error)
{
	json_t *request = self->offline ? json_loads(text, 0, NULL) : NULL;
	json_t *result = request ? self->offline(request) : NULL;

	json_decref(request);
	if (result)
		fprintf(stderr, "tcmuctl: %s; tcmuctl has loaded the plugins itself\n",
			error == EACCES || error == EPERM ? "only root may ask tcmud"
							  : "tcmud does not run");
	return result;
}

static bool send_line(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		left -= (size_t) n;
	}
	return send(fd, "\n", 1, MSG_NOSIGNAL) == 1;
}

/* One line without its newline, to be freed. NULL: the daemon has not sent one in time. */
static char *receive_line(int fd, size_t *length)
{
	size_t size = 65536, used = 0;
	char *line = malloc(size), *end = NULL;

	while (line && !end) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		ssize_t n = poll(&wait, 1, ANSWER_MS) > 0 ? recv(fd, line + used, size - used, 0)
							  : -1;

		if (n <= 0)
			break;
		end = memchr(line + used, '\n', (size_t) n);
		used += (size_t) n;
		if (!end && used == size) {
			char *more = size < ANSWER_MAX ? realloc(line, 2 * size) : NULL;

			if (!more)
				break;
			line = more;
			size *= 2;
		}
	}
	if (!end) {
		free(line);
		return NULL;
	}
	*length = (size_t) (end - line);
	return line;
}

static json_t *send_and_receive(struct ask *self, const char *text)
{
	json_t *answer = NULL;
	size_t length;
	char *line;

	if (!send_line(self->fd, text))
		return NULL;
	line = receive_line(self->fd, &length);
	if (line)
		answer = json_loadb(line, length, 0, NULL);
	free(line);
	return answer;
}

static int exit_status_of(const char *code)
{
	return code && strcmp(code, "no-such-device") == 0 ? CTL_EXIT_NO_DEVICE : CTL_EXIT_FAILURE;
}

json_t *ask_daemon(struct ask *self, json_t *request, int *status)
{
	char *text = json_dumps(request, JSON_COMPACT);
	json_t *answer = NULL, *result, *error;
	int r;

	json_decref(request);
	if (!text) {
		/* A device whose name is not UTF-8 can be named by its number. */
		fputs("tcmuctl: the argument is not UTF-8; use uioN to name the device\n", stderr);
		*status = CTL_EXIT_USAGE;
		return NULL;
	}
	r = connect_daemon(self);
	result = r ? ask_offline(self, text, r) : NULL;
	if (r == 0)
		answer = send_and_receive(self, text);
	free(text);
	*status = r && !result ? connect_error(self, r) : 0;
	if (r)
		return result;
	result = json_incref(json_object_get(answer, "result"));
	error = json_object_get(answer, "error");
	if (!result) {
		const char *message = json_string_value(json_object_get(error, "message"));

		fprintf(stderr, "tcmuctl: %s\n",
			message ? message : "the daemon gives no answer; see its log");
		*status = exit_status_of(json_string_value(json_object_get(error, "code")));
		ask_close(self);
	}
	json_decref(answer);
	return result;
}
