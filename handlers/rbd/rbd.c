/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rbd handler: the bytes of a device are those of an image in a Ceph cluster, by librbd.
 *
 * options.c: the table of options. target.c: the config string. cluster.c: a connection. open.c:
 * the image, its properties, resize. io.c, request.c: requests. lock.c: the lock that decides which
 * host writes; fence/: what keeps a former lock holder out. calls.c: limits of the daemon's calls.
 * service.c, status.c: the entry in the cluster's service map. image-thread.c: the image's own
 * thread, for calls of librbd that block. This file: the handler's table.
 *
 * Every device has its own connection, because the cluster blocklists a connection, not an
 * image: a shared one would take the other devices with it.
 */
#include "image.h"
#include "io.h"
#include "lock.h"
#include "open.h"
#include "options.h"

TCMU_HANDLER(.subtype = "rbd", .name = "Ceph RBD image",
	     .config_desc = "an image of a Ceph cluster, or a snapshot of one, then options: "
			    "pool[/namespace]/image[@snapshot][;name=value]...",
	     .threading = TCMU_HANDLER_ASYNC, .io_priv_size = sizeof(struct image_request),
	     .options = image_options, .check_config = image_check_config, .open = image_open,
	     .close = image_close, .submit = image_submit, .resize = image_resize,
	     .claim = image_claim_config, .flags = TCMU_HANDLER_REOPENS, .lock = image_lock,
	     .unlock = image_unlock, .lock_state = image_lock_state, .abandon = image_abandon,
	     .given_up = image_given_up);
