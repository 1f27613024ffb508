/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images in the cluster of the test, as another client sees and changes them. What fails ends the
 * test.
 *
 * Everything is called by the test's own thread.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rados/librados.h>
#include <rbd/librbd.h>

#define MIB         (UINT64_C(1024) * 1024)
#define OBJECT_SIZE (4 * MIB)

/* folder: of tests/ceph/cluster. */
void images_connect(const char *folder);
void images_disconnect(void);

/* In the pool rbd; name_space "": its own. A name is used once. */
void image_create(const char *name_space, const char *name, uint64_t size);
void image_snapshot(const char *name, const char *snapshot);
void image_set_size(const char *name, uint64_t size);
void image_read(const char *name, uint64_t offset, void *data, size_t length);

/* Until nobody watches it: seconds at most. */
void image_wait_unwatched(const char *name, unsigned seconds);
void image_delete(const char *name);

/* Shuts out all clients that watch the image but us. */
void image_blocklist_watchers(const char *name);

/* Until "ceph service WHAT" has this text, in JSON, about the image of the pool rbd. */
void cluster_wait_service(const char *what, const char *name, const char *text, unsigned seconds);

/* The OSD ends and is started again; it may not be up yet then. */
void cluster_restart_osd(void);

/* The process of FOLDER/NAME.pid. */
void cluster_signal(const char *name, int signal);
