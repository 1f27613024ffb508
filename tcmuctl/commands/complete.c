/* SPDX-License-Identifier: Apache-2.0 */
/* See complete.h. */
#include "commands/complete.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "cli.h"
#include "members.h"

struct completion {
	FILE *out;
	const char *word; /* its beginning */
	complete_ask_fn *ask;
	void *userdata;
	const char *socket; /* that the line names */
	enum ctl_command command;
	unsigned place;                   /* the number of arguments before the word */
	const struct ctl_option *pending; /* its value is to follow */
};

static void complete_offer(
	const struct completion *self, const char *prefix, const char *word, const char *help)
{
	size_t length = strlen(prefix);

	assert(word && help);
	if (strncmp(self->word, prefix, strnlen(self->word, length)) != 0)
		return;
	if (strlen(self->word) > length &&
	    strncmp(self->word + length, word, strlen(self->word) - length) != 0)
		return;
	fprintf(self->out, "%s%s\t%s\n", prefix, word, help);
}

/* Of two options with the letter it is the one that this command takes. */
static const struct ctl_option *complete_find_option(
	const struct completion *self, const char *word)
{
	const struct ctl_option *option;

	for (size_t i = 0; (option = ctl_option_at(i)); i++) {
		bool is = word[1] == '-'
			? strncmp(word + 2, option->name, strlen(option->name)) == 0 &&
				(word[2 + strlen(option->name)] == '\0' ||
				 word[2 + strlen(option->name)] == '=')
			: word[1] == option->letter;

		if (is && ctl_command_takes(self->command, option))
			return option;
	}
	return NULL;
}

static void complete_take_option(struct completion *self, const char *word)
{
	const struct ctl_option *option = complete_find_option(self, word);
	const char *value = strchr(word, '=');

	if (!option || !option->value)
		return;
	if (word[1] == '-' ? value != NULL : word[2] != '\0') {
		value = word[1] == '-' ? value + 1 : word + 2;
		if (option->letter == 's')
			self->socket = value;
		return;
	}
	self->pending = option;
}

/* A word before the one that is completed. bash makes a word of the '=' of --format=X.
 */
static void complete_take_word(struct completion *self, const char *word)
{
	if (strcmp(word, "=") == 0)
		return;
	if (self->pending) {
		if (self->pending->letter == 's')
			self->socket = word;
		self->pending = NULL;
	} else if (word[0] == '-' && word[1]) {
		complete_take_option(self, word);
	} else if (self->command == CTL_COMMAND_COUNT) {
		self->command = ctl_command_find(word);
	} else {
		self->place++;
	}
}

static void complete_value(const struct completion *self)
{
	switch (self->pending->letter) {
	case 'f':
		complete_offer(self, "", "openmetrics", "OpenMetrics 1.0");
		complete_offer(self, "", "prometheus", "Prometheus' text format");
		break;
	case 'o':
	case 's':
		fputs(":files\n", self->out);
		break;
	default:
		break;
	}
}

static void complete_commands(const struct completion *self)
{
	for (int i = 0; i < CTL_COMMAND_COUNT; i++)
		if (i != CTL_COMPLETE)
			complete_offer(self, "", ctl_command_name(i), ctl_command_help(i));
}

static void complete_options(const struct completion *self)
{
	const struct ctl_option *option;

	for (size_t i = 0; (option = ctl_option_at(i)); i++)
		if (ctl_command_takes(self->command, option))
			complete_offer(self, "--", option->name, option->help);
}

static void complete_devices(const struct completion *self)
{
	json_t *result = self->ask(self->userdata, self->socket, "list");
	const json_t *device;
	size_t i;

	member_each (json_object_get(result, "devices"), i, device)
		complete_offer(
			self, "", member_text(device, "device"), member_text(device, "config"));
	json_decref(result);
}

static void complete_configs(const struct completion *self)
{
	json_t *result = self->ask(self->userdata, self->socket, "handlers");
	const json_t *handler;
	char word[80];
	size_t i;

	member_each (json_object_get(result, "handlers"), i, handler) {
		(void) snprintf(word, sizeof(word), "%s/", member_text(handler, "handler"));
		complete_offer(self, "", word, "a config string of this handler");
	}
	json_decref(result);
}

static void complete_argument(const struct completion *self)
{
	switch (ctl_command_argument(self->command, self->place)) {
	case CTL_ARGUMENT_CONFIG:
		complete_configs(self);
		break;
	case CTL_ARGUMENT_DEVICE:
		complete_devices(self);
		break;
	case CTL_ARGUMENT_LEVEL:
		complete_offer(self, "", "0", "critical");
		complete_offer(self, "", "1", "errors");
		complete_offer(self, "", "2", "warnings");
		complete_offer(self, "", "3", "information");
		complete_offer(self, "", "4", "debugging");
		complete_offer(self, "", "5", "every command of an initiator");
		break;
	case CTL_ARGUMENT_LIMIT:
		complete_offer(self, "", "iops=", "commands a second; 0: no limit");
		complete_offer(self, "", "bps=", "bytes a second, with K, M, G or T; 0: no limit");
		complete_offer(self, "", "burst=", "seconds of unused rate to be used later");
		break;
	default:
		break;
	}
}

void complete_line(FILE *out, char *const *words, int cnt, complete_ask_fn *ask, void *userdata)
{
	struct completion self = {
		.out = out,
		.word = cnt > 0 ? words[cnt - 1] : "",
		.ask = ask,
		.userdata = userdata,
		.command = CTL_COMMAND_COUNT,
	};
	bool wrong = false;

	for (int i = 0; i + 1 < cnt; i++) {
		bool before = self.command == CTL_COMMAND_COUNT && !self.pending;

		complete_take_word(&self, words[i]);
		wrong |= before && !self.pending && words[i][0] != '-' &&
			self.command == CTL_COMMAND_COUNT;
	}
	if (strcmp(self.word, "=") == 0)
		self.word = "";
	if (wrong)
		return;
	if (self.pending)
		complete_value(&self);
	else if (self.word[0] == '-')
		complete_options(&self);
	else if (self.command == CTL_COMMAND_COUNT)
		complete_commands(&self);
	else
		complete_argument(&self);
}
