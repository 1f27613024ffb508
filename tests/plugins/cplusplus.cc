/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin in C++: a disk in memory. Every compiler and standard that the guide names builds it.
 */
#include <cerrno>
#include <cstring>
#include <new>

#include <tcmu/handler.h>

namespace {

class disk {
public:
	explicit disk(uint64_t size) : bytes(new char[size]()) {}
	~disk() { delete[] bytes; }
	disk(const disk &) = delete;
	disk &operator=(const disk &) = delete;

	void transfer(const struct tcmu_io *io)
	{
		char *at = bytes + io->offset;

		for (unsigned i = 0; i < io->iov_cnt; at += io->iov[i++].iov_len) {
			if (io->op == TCMU_IO_READ)
				std::memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
			else
				std::memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		}
	}

private:
	char *bytes;
};

const struct tcmu_option options[] = {
	{"depth", TCMU_OPTION_UINT, "7", nullptr, "requests at once"},
	{nullptr, TCMU_OPTION_BOOL, nullptr, nullptr, nullptr},
};

int disk_open(const struct tcmu_config *config, const struct tcmu_host *, struct tcmu_host_device *,
	      struct tcmu_backend_info *info, void **backend, struct tcmu_reason *)
{
	/* No exception leaves a plugin. */
	try {
		*backend = new disk(config->size);
	} catch (const std::bad_alloc &) {
		return -ENOMEM;
	}
	info->caps = TCMU_IO_CAP(TCMU_IO_READ) | TCMU_IO_CAP(TCMU_IO_WRITE);
	return 0;
}

void disk_close(void *backend)
{
	delete static_cast<disk *>(backend);
}

void disk_submit(void *backend, struct tcmu_io *io)
{
	static_cast<disk *>(backend)->transfer(io);
	tcmu_io_complete(io, 0);
}

} // namespace

TCMU_HANDLER(.subtype = SUBTYPE, .name = "disk in memory", .config_desc = "any text",
	     .threading = TCMU_HANDLER_ASYNC, .io_priv_size = 64, .options = options,
	     .open = disk_open, .close = disk_close, .submit = disk_submit);
