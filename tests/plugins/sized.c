/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that writes each structure it may write to its end, and reads the others to theirs.
 * LONGER: its structures end with two words that the daemon does not know.
 */
#include <errno.h>
#include <string.h>

#include <tcmu/handler.h>

#ifdef LONGER
#define FUTURE_IS_ZERO(s) ((s)->future[0] == 0 && (s)->future[1] == 0)
#else
#define FUTURE_IS_ZERO(s) ((s) != NULL)
#endif

static const struct tcmu_option options[] = {
	{.name = "first", .type = TCMU_OPTION_UINT, .def = "1"},
	{.name = "second", .type = TCMU_OPTION_UINT, .def = "2"},
	{.name = "third", .type = TCMU_OPTION_STRING, .def = "3"},
	{.name = NULL},
};

static int sized_check(const struct tcmu_config *config, struct tcmu_reason *reason)
{
	memset(reason, 'r', sizeof(*reason));
	strcpy(reason->text, "refused");
	for (unsigned i = 0; i < 3; i++)
		if (!FUTURE_IS_ZERO(&config->values[i]))
			return -EPROTO;
	if (!FUTURE_IS_ZERO(config) || config->values[0].number != 1 ||
	    config->values[1].number != 22 || strcmp(config->values[2].string, "3") != 0)
		return -EPROTO;
	return -EINVAL;
}

static int sized_open(
	const struct tcmu_config *config, const struct tcmu_host *host,
	struct tcmu_host_device *dev, struct tcmu_backend_info *info, void **backend,
	struct tcmu_reason *reason)
{
	static int self;

	(void) host;
	(void) dev;
	if (sized_check(config, reason) != -EINVAL)
		return -EPROTO;
	*backend = &self;
	memset(info, 0x7f, sizeof(*info));
	return 0;
}

static int sized_resize(
	void *backend, const struct tcmu_config *config, struct tcmu_backend_info *info,
	struct tcmu_reason *reason)
{
	(void) backend;
	memset(info, 0x6f, sizeof(*info));
	return sized_check(config, reason) == -EINVAL ? 0 : -EPROTO;
}

static int sized_claim(
	const struct tcmu_config *config, char *claim, size_t size, struct tcmu_reason *reason)
{
	memset(claim, 0, size);
	return sized_check(config, reason) == -EINVAL ? 0 : -EPROTO;
}

static int sized_lock(void *backend, uint16_t tag, struct tcmu_reason *reason)
{
	(void) backend;
	(void) tag;
	memset(reason, 'l', sizeof(*reason));
	return -EBUSY;
}

static void sized_close(void *backend)
{
	(void) backend;
}

static void sized_submit(void *backend, struct tcmu_io *io)
{
	(void) backend;
	tcmu_io_complete(io, 0);
}

TCMU_HANDLER(.subtype = SUBTYPE, .name = "Sized", .options = options, .check_config = sized_check,
	     .open = sized_open, .close = sized_close, .submit = sized_submit,
	     .resize = sized_resize, .claim = sized_claim, .lock = sized_lock);
