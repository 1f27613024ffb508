/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image that a config string names.
 */
#pragma once

#include <stddef.h>

#include <tcmu/handler.h>

#define IMAGE_NAME_SIZE (TCMU_CONFIG_MAX + 1)

struct image_target {
	char pool[IMAGE_NAME_SIZE];
	char name_space[IMAGE_NAME_SIZE]; /* "": the default namespace of the pool */
	char name[IMAGE_NAME_SIZE];
	char snapshot[IMAGE_NAME_SIZE]; /* "": the image itself */
};

/* Parses "pool[/namespace]/image[@snapshot]". Returns 0, or -EINVAL with a reason. */
int image_parse(const char *text, struct image_target *target, struct tcmu_reason *reason);

/* Names the image in the cluster with this fsid, independently of the spelling. Empty if the fsid
 * is not known, and for a snapshot, which never changes. size: bytes of claim. */
void image_claim(const struct image_target *target, const char *fsid, char *claim, size_t size);
