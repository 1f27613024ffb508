/* SPDX-License-Identifier: Apache-2.0 */
/* The types alone: members of structures that handlers see but do not link into lists. */
#pragma once

struct list_node {
	struct list_node *next, *prev;
};

struct list_head {
	struct list_node n;
};
