/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many requests at once, of every operation that the handler has, on ranges that do not overlap;
 * each is compared with a model. All choices are random, by the seed.
 */
#pragma once

#include "model.h"
#include "subject.h"

struct traffic_setup {
	unsigned depth;
	uint64_t requests;
	unsigned most_blocks;    /* of a request */
	unsigned cancel_percent; /* of the requests */
	bool may_fail;           /* faults are injected */
	bool plain;              /* READ and WRITE alone, with buffers that begin at a page */
};

struct traffic_result {
	uint64_t requests;
	uint64_t failed;
	uint64_t cancelled; /* ended with -ECANCELED */
};

/* Returns when all requests have ended. Fails the test for every wrong byte and every error that
 * is not allowed. The model knows afterwards what the disk must hold. result: NULL: none. */
void traffic_run(
	struct subject *subject, struct model *model, const struct traffic_setup *setup,
	struct traffic_result *result);
