/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A librados and a librbd that are not there: what the rbd handler asks of them, and answers of the
 * test's choice. What a real cluster does is seen by tests/ceph.
 *
 * Requests end within the call that makes them. The image's thread calls rbd_diff_iterate2(),
 * rbd_get_size() and what is about the service map; the rest is called by the test's own thread.
 */
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fake_rbd {
	/* what the cluster is like */
	const char *fail; /* the function that fails, or NULL */
	int error;        /* it returns this */
	const char *fsid;
	const char *cache; /* the image's rbd_cache */
	bool has_namespace;
	_Atomic uint64_t size; /* bytes, of the image */
	uint64_t object_size;
	uint64_t stripe_count;
	uint64_t features;
	atomic_bool lock_owner;
	char lock_holder[32]; /* another client that has the lock; "": none */
	bool lock_shared;
	unsigned takes_again; /* so often it takes the lock again when it was shut out */
	char locker_tag[96];  /* the image's metadata */
	int64_t result;       /* of requests, if not 0 */
	uint64_t mismatch;    /* of COMPARE AND WRITE */
	struct {
		uint64_t offset;
		uint64_t length;
	} extents[4]; /* allocated; length 0: no more */

	/* what it was asked */
	char id[64];
	char conf[64]; /* "-": the usual places */
	char name_space[64];
	char snapshot[64];
	char osd_timeout[2][24]; /* the first and the last */
	char rbd_cache[8];
	bool read_only;
	char service[128];  /* "service daemon" */
	char metadata[256]; /* keys and values, with blanks between */
	char status[256];
	atomic_uint reports;
	char broken[32]; /* who was shut out last */
	unsigned breaks;
	unsigned acquired;
	unsigned released;
	unsigned requests;
	uint64_t offset; /* of the last request */
	uint64_t length;
	int flags;
	char data[2][16]; /* the beginnings of what it compares and of what it writes */

	/* what there is of it */
	unsigned clusters, pools, images, watches, completions;
	rbd_update_callback_t updated;
	void *updated_arg;
};

extern struct fake_rbd fake_rbd;

/* A cluster where all is well. */
void fake_rbd_reset(void);

/* Nothing is left open. */
bool fake_rbd_is_idle(void);
