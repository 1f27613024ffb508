/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images in the test's cluster, as another client sees and changes them. A failure ends the test.
 * Only the test's main thread calls these functions.
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

/* dir: the directory of tests/ceph/cluster. */
void images_connect(const char *dir);
void images_disconnect(void);

/* In the pool rbd; name_space "": the default namespace. Each test uses other names. */
void image_create(const char *name_space, const char *name, uint64_t size);
void image_snapshot(const char *name, const char *snapshot);
void image_set_size(const char *name, uint64_t size);
void image_set_metadata(const char *name, const char *key, const char *value);
void image_read(const char *name, uint64_t offset, void *data, size_t length);

/* Waits until the image has no watcher; fails the test after so many seconds. */
void image_wait_unwatched(const char *name, unsigned seconds);
void image_delete(const char *name);

/* Blocklists all clients that watch the image, except this one; for so many seconds, 0: an hour. */
void image_blocklist_watchers(const char *name, unsigned seconds);

/* Removes all entries of the blocklist, as ceph-iscsi does for its host, or an operator by hand. */
void cluster_clear_blocklist(void);

/* Waits until the blocklist lacks one of the entries that it has now, for so many seconds. */
void cluster_wait_expired(unsigned seconds);

/* Waits until "ceph service WHAT" shows this text, in JSON, for the image of the pool rbd. */
void cluster_wait_service(const char *what, const char *name, const char *text, unsigned seconds);

/* Ends the OSD and starts it again; does not wait until it is up. */
void cluster_restart_osd(void);

/* Runs a command of the shell, which must succeed. */
void cluster_run(const char *command);

/* Sends a signal to the process of DIRECTORY/NAME.pid. After SIGSTOP all of its threads stand
 * still. */
void cluster_signal(const char *name, int signal);
