/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open, close, resize and checks; the properties of the export.
 *
 * Opening fails if the server does not answer within OPEN_MS, or at the first attempt that fails.
 */
#include "open.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client.h"
#include "options.h"
#include "remote.h"

#define OPEN_MS       9000u
#define PHYSICAL_MAX  4096u
#define TRANSFER_UNIT 512u
#define UNMAP_MAX     (UINT64_C(1) << 30)

/* ------- the export ------- */

static int check_size(uint64_t wanted, uint64_t size, struct tcmu_reason *reason)
{
	if (wanted <= size)
		return 0;
	return tcmu_refuse(
		reason, -EINVAL,
		"the export has %" PRIu64 " bytes, too few for a device of %" PRIu64
		": resize the export first",
		size, wanted);
}

static int check_export(
	const struct tcmu_config *config, const struct remote_export *export,
	struct tcmu_reason *reason)
{
	if (config->block_size && export->minimum > config->block_size)
		return tcmu_refuse(
			reason, -EINVAL,
			"the server takes whole blocks of %" PRIu32
			" bytes: create the backstore with hw_block_size=%" PRIu32,
			export->minimum, export->minimum);
	if (config->block_size && export->maximum < config->block_size)
		return tcmu_refuse(
			reason, -EINVAL, "the server takes no block of %" PRIu32 " bytes",
			config->block_size);
	if (!config->values[REMOTE_UNFLUSHED].number && export->flush && !export->fua &&
	    !export->read_only && !config->read_only)
		return tcmu_refuse(
			reason, -EINVAL,
			"unflushed=0 needs a server that has FUA; leave the option out");
	return check_size(config->size, export->size, reason);
}

/* ------- properties ------- */

static void describe_changing(struct remote *remote)
{
	const struct remote_export *export = &remote->export;
	struct tcmu_backend_info *info = &remote->info;

	info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE);
	if (export->flush)
		info->caps |= TCMU_IO_CAP(TCMU_IO_FLUSH);
	if (export->trim)
		info->caps |= TCMU_IO_CAP(TCMU_IO_UNMAP);
	if (export->zero)
		info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE_ZEROES);
	/* Without flush the server has no cache. */
	info->fua = export->fua || !export->flush;
	info->volatile_cache = export->flush && !remote->stable;
	info->thin = export->trim;
	info->unmap_zeroes = false; /* trim is a hint */
	info->maximum_unmap = UNMAP_MAX;
}

static void describe_remote(struct remote *remote, bool read_only)
{
	const struct remote_export *export = &remote->export;
	struct tcmu_backend_info *info = &remote->info;
	uint32_t preferred = export->preferred;
	uint64_t longest = export->maximum;

	info->caps = TCMU_IO_CAP(TCMU_IO_READ);
	if (export->map)
		info->caps |= TCMU_IO_CAP(TCMU_IO_MAP);
	info->rotational = export->rotational;
	if (preferred > remote->block_size && (preferred & (preferred - 1)) == 0) {
		info->physical_block = preferred < PHYSICAL_MAX ? preferred : PHYSICAL_MAX;
		info->unmap_granularity = preferred;
		if (preferred > PHYSICAL_MAX)
			info->optimal_transfer = preferred;
	}
	if (info->physical_block < remote->block_size)
		info->physical_block = remote->block_size;
	if (remote->journal.capacity && journal_longest(&remote->journal) < longest)
		longest = journal_longest(&remote->journal);
	info->maximum_transfer = (uint32_t) (longest / remote->block_size * remote->block_size);
	if (!read_only)
		describe_changing(remote);
}

/* ------- open, close ------- */

static void free_remote(struct remote *remote)
{
	if (remote->connector)
		connector_stop(remote->connector);
	if (remote->wake_fd >= 0)
		(void) close(remote->wake_fd);
	journal_free(&remote->journal);
	pthread_mutex_destroy(&remote->client);
	pthread_mutex_destroy(&remote->lock);
	free(remote);
}

/* A handle to the server and nothing else; NULL: out of memory. */
static struct remote *new_remote(const struct remote_endpoint *endpoint)
{
	struct remote *remote = calloc(1, sizeof(*remote));

	if (!remote)
		return NULL;
	pthread_mutex_init(&remote->lock, NULL);
	pthread_mutex_init(&remote->client, NULL);
	remote->endpoint = *endpoint;
	remote->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (remote->wake_fd >= 0)
		remote->connector = connector_new(endpoint, remote->wake_fd);
	if (remote->connector)
		return remote;
	free_remote(remote);
	return NULL;
}

/* Makes the first session. Returns 0; or a negative errno with a reason. */
static int connect_remote(
	struct remote *remote, const struct tcmu_config *config, struct tcmu_reason *reason)
{
	int r;

	connector_want(remote->connector);
	r = connector_wait(remote->connector, OPEN_MS, &remote->session, reason);
	if (r < 0)
		return r;
	remote->export = remote->session.export;
	atomic_store(&remote->size, remote->export.size);
	r = check_export(config, &remote->export, reason);
	if (r < 0)
		session_close(&remote->session, 0);
	return r;
}

static int build_remote(
	struct remote *remote, const struct tcmu_config *config, struct tcmu_reason *reason)
{
	uint64_t unflushed = config->values[REMOTE_UNFLUSHED].number;
	bool read_only;
	int r = connect_remote(remote, config, reason);

	if (r < 0)
		return r;
	read_only = config->read_only || remote->export.read_only;
	remote->stable = !unflushed;
	r = journal_init(&remote->journal, remote->export.flush && !read_only ? unflushed : 0);
	if (r == 0) {
		describe_remote(remote, read_only);
		remote_claim(&remote->endpoint, remote->info.claim, sizeof(remote->info.claim));
		r = remote_client_start(remote);
	}
	if (r == 0)
		return 0;
	session_close(&remote->session, 0);
	return tcmu_refuse(reason, r, "cannot start the disk: %s", strerror(-r));
}

int remote_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	struct remote_endpoint endpoint;
	struct remote *remote;
	int r = remote_parse(config, &endpoint, reason);

	if (r < 0)
		return r;
	remote = new_remote(&endpoint);
	if (!remote)
		return tcmu_refuse(reason, -ENOMEM, "out of memory");
	remote->host = host;
	remote->dev = dev;
	remote->counters = TCMU_HOST_HAS(host, counters) ? host->counters(dev) : NULL;
	remote->block_size = config->block_size;
	remote->timeout_ms = config->values[REMOTE_TIMEOUT].number * 1000;
	r = build_remote(remote, config, reason);
	if (r < 0) {
		free_remote(remote);
		return r;
	}
	*info = remote->info;
	*backend = remote;
	return 0;
}

void remote_close(void *backend)
{
	struct remote *remote = backend;

	remote_client_stop(remote);
	free_remote(remote);
}

int remote_check_config(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	struct remote_endpoint endpoint;
	struct remote *remote;
	int r = remote_parse(config, &endpoint, reason);

	if (r < 0)
		return r;
	remote = new_remote(&endpoint);
	if (!remote)
		return tcmu_refuse(reason, -ENOMEM, "out of memory");
	r = connect_remote(remote, config, reason);
	if (r == 0)
		session_close(&remote->session, OPEN_MS);
	free_remote(remote);
	return r;
}

/* ------- resize, claim ------- */

/* A server says its size to a new connection only, so the known size decides. */
int remote_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	struct remote *remote = backend;
	int r = check_size(config->size, atomic_load(&remote->size), reason);

	if (r == 0)
		*info = remote->info;
	return r;
}

int remote_claim_config(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	struct remote_endpoint endpoint;
	int r = remote_parse(config, &endpoint, reason);

	if (r == 0)
		remote_claim(&endpoint, claim, size);
	return r;
}
