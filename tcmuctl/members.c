/* SPDX-License-Identifier: Apache-2.0 */
#include "members.h"

#include <string.h>

const char *member_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double member_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

bool member_next(json_t *object, struct member *member)
{
	member->at = member->at ? json_object_iter_next(object, member->at)
				: json_object_iter(object);
	if (!member->at)
		return false;
	member->key = json_object_iter_key(member->at);
	member->value = json_object_iter_value(member->at);
	return true;
}

const json_t *member_device(const json_t *result, const char *name)
{
	const json_t *device;
	size_t i;

	member_each (json_object_get(result, "devices"), i, device)
		if (strcmp(member_text(device, "device"), name) == 0)
			return device;
	return NULL;
}
