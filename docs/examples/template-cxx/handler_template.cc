// SPDX-License-Identifier: Apache-2.0
//
// A handler to begin with, in C++11 or later. Its backend is a sparse disk in memory; put another storage in the place of
// class Disk. It is ASYNC: submit runs on the I/O thread of the disk, must not wait, and needs no lock.
//
// No exception may leave a handler: each function that the daemon calls catches all of them. TCMU_HANDLER() takes the
// members in the order in which <tcmu/handler.h> declares them.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <new>

#include <tcmu/handler.h>

namespace {

class Disk {
public:
	explicit Disk(const tcmu_config &) {}

	// Returns 0 or a negative errno, as does all that ends a request.
	int read(tcmu_io &io)
	{
		uint64_t at = io.offset;

		for (unsigned i = 0; i < io.iov_cnt; i++)
			at = copy(at, static_cast<char *>(io.iov[i].iov_base), io.iov[i].iov_len, false);
		return 0;
	}

	int write(tcmu_io &io)
	{
		uint64_t at = io.offset;

		for (unsigned i = 0; i < io.iov_cnt; i++)
			at = copy(at, static_cast<char *>(io.iov[i].iov_base), io.iov[i].iov_len, true);
		return 0;
	}

	int unmap(const tcmu_io &io)
	{
		static char zeroes[chunk_size];

		for (uint64_t at = io.offset, end = io.offset + io.length; at < end;) {
			uint64_t part = chunk_size - at % chunk_size;

			part = part < end - at ? part : end - at;
			if (part == chunk_size)
				chunks.erase(at / chunk_size);
			else if (chunks.count(at / chunk_size))
				copy(at, zeroes, part, true);
			at += part;
		}
		return 0;
	}

private:
	static constexpr uint64_t chunk_size = 65536;
	using Chunk = std::unique_ptr<char[]>;

	// Returns the offset behind the bytes.
	uint64_t copy(uint64_t at, char *data, uint64_t length, bool in)
	{
		while (length) {
			uint64_t inside = at % chunk_size;
			uint64_t part = chunk_size - inside < length ? chunk_size - inside : length;
			auto found = chunks.find(at / chunk_size);

			if (in) {
				Chunk &chunk = chunks[at / chunk_size];

				if (!chunk)
					chunk.reset(new char[chunk_size]());
				std::memcpy(chunk.get() + inside, data, part);
			} else if (found != chunks.end() && found->second) {
				std::memcpy(data, found->second.get() + inside, part);
			} else {
				std::memset(data, 0, part);
			}
			at += part;
			data += part;
			length -= part;
		}
		return at;
	}

	std::map<uint64_t, Chunk> chunks;
};

int refuse(tcmu_reason *reason, int error, const char *what)
{
	std::snprintf(reason->text, sizeof(reason->text), "%s", what);
	return error;
}

int disk_open(
	const tcmu_config *config, const tcmu_host *, tcmu_host_device *, tcmu_backend_info *info, void **backend,
	tcmu_reason *reason)
{
	try {
		*backend = new Disk(*config);
	} catch (const std::exception &error) {
		return refuse(reason, -ENOMEM, error.what());
	}
	info->caps = TCMU_IO_CAP(TCMU_IO_READ);
	if (!config->read_only)
		info->caps |= TCMU_IO_CAP(TCMU_IO_WRITE) | TCMU_IO_CAP(TCMU_IO_UNMAP);
	info->thin = !config->read_only;
	info->unmap_zeroes = true;
	// Two disks with the same config string would not share a byte: each is a store of its own.
	std::snprintf(info->claim, sizeof(info->claim), "template:%p", *backend);
	return 0;
}

void disk_close(void *backend)
{
	delete static_cast<Disk *>(backend);
}

void disk_submit(void *backend, tcmu_io *io)
{
	Disk &disk = *static_cast<Disk *>(backend);
	int r;

	try {
		r = io->op == TCMU_IO_READ ? disk.read(*io) : io->op == TCMU_IO_WRITE ? disk.write(*io) : disk.unmap(*io);
	} catch (const std::bad_alloc &) {
		r = -ENOSPC;
	} catch (...) {
		r = -EIO;
	}
	tcmu_io_complete(io, r);
}

} // namespace

TCMU_HANDLER(.subtype = "template", .name = "sparse disk in memory", .config_desc = "any text; it has no meaning",
	     .threading = TCMU_HANDLER_ASYNC, .open = disk_open, .close = disk_close, .submit = disk_submit);
