/* SPDX-License-Identifier: Apache-2.0 */
/* See ended.h. */
#include "ended.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ended {
	struct ended *next;
	char address[RECORD_ADDRESS_SIZE];
	bool unanswered;
	char image[];
};

static pthread_mutex_t ended_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
static struct ended *all_ended;

void ended_add(const char *image, const char *address, bool unanswered)
{
	struct ended *ended = calloc(1, sizeof(*ended) + strlen(image) + 1);

	assert(address[0]);
	/* Without memory its record stays: other hosts keep its entry, which harms nobody. */
	if (!ended)
		return;
	(void) snprintf(ended->address, sizeof(ended->address), "%s", address);
	memcpy(ended->image, image, strlen(image) + 1);
	ended->unanswered = unanswered;
	pthread_mutex_lock(&ended_lock);
	ended->next = all_ended;
	all_ended = ended;
	pthread_mutex_unlock(&ended_lock);
}

/* Takes one of the image out of the list, or NULL. */
static struct ended *take_ended(const char *image)
{
	struct ended **link = &all_ended, *ended;

	pthread_mutex_lock(&ended_lock);
	while (*link && strcmp((*link)->image, image) != 0)
		link = &(*link)->next;
	ended = *link;
	if (ended)
		*link = ended->next;
	pthread_mutex_unlock(&ended_lock);
	return ended;
}

unsigned ended_say(const char *image, rados_ioctx_t pool, const char *header)
{
	struct ended *ended;
	unsigned cnt = 0;
	int r;

	while ((ended = take_ended(image))) {
		r = records_end(pool, header, ended->address, ended->unanswered);
		if (r < 0)
			ended_add(image, ended->address, ended->unanswered);
		free(ended);
		if (r < 0)
			break;
		cnt++;
	}
	return cnt;
}

/* Runs when the plugin is unloaded. */
__attribute__((destructor)) static void free_all_ended(void)
{
	struct ended *ended;

	while ((ended = all_ended)) {
		all_ended = ended->next;
		free(ended);
	}
}
