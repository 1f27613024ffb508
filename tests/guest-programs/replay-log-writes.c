/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the log of the kernel's dm-log-writes target, and makes the disk that a power cut would
 * have left. The format is that of Documentation/admin-guide/device-mapper/log-writes.rst and
 * drivers/md/dm-log-writes.c: a super block, then entries of one sector each with their data behind
 * them, in the order in which the writes became stable.
 *
 * usage: replay-log-writes LOG
 *            lists the entries: number, flags, sector, sectors, text of a mark
 *        replay-log-writes LOG TARGET FROM TO
 *            repeats the entries from number FROM up to, and without, number TO
 */
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_MAGIC    UINT64_C(0x6a736677736872)
#define LOG_VERSION  1u
#define LOG_FLUSH    0x01u
#define LOG_FUA      0x02u
#define LOG_DISCARD  0x04u
#define LOG_MARK     0x08u
#define LOG_METADATA 0x10u

struct log_super {
	uint64_t magic;
	uint64_t version;
	uint64_t entries;
	uint32_t sector_size;
};

struct log_entry {
	uint64_t sector;
	uint64_t sectors;
	uint64_t flags;
	uint64_t data_length;
};

static int log_fd;
static uint32_t sector_size = 512;

static void log_read(void *data, size_t length, uint64_t position)
{
	if (pread(log_fd, data, length, (off_t) position) != (ssize_t) length)
		err(1, "reading the log at %" PRIu64, position);
}

/* Returns the number of entries. */
static uint64_t log_open(const char *path)
{
	struct log_super super;

	log_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (log_fd < 0)
		err(1, "%s", path);
	log_read(&super, sizeof(super), 0);
	if (le64toh(super.magic) != LOG_MAGIC || le64toh(super.version) != LOG_VERSION)
		errx(1, "%s: no log of dm-log-writes", path);
	sector_size = le32toh(super.sector_size);
	if (sector_size < 512 || sector_size > 4096)
		errx(1, "%s: the sector size is %" PRIu32, path, sector_size);
	return le64toh(super.entries);
}

/* Reads the entry at *position and moves it to the next one. Returns the position of its data. */
static uint64_t log_next(uint64_t *position, struct log_entry *entry)
{
	uint64_t data = *position + sector_size;

	log_read(entry, sizeof(*entry), *position);
	entry->sector = le64toh(entry->sector);
	entry->sectors = le64toh(entry->sectors);
	entry->flags = le64toh(entry->flags);
	entry->data_length = le64toh(entry->data_length);
	*position = data;
	if (!(entry->flags & LOG_DISCARD))
		*position += entry->sectors * sector_size;
	return data;
}

static void entry_print(uint64_t number, const struct log_entry *entry, uint64_t data)
{
	char mark[256] = "";

	if (entry->flags & LOG_MARK) {
		size_t length = entry->data_length < sizeof(mark) - 1 ? entry->data_length
								      : sizeof(mark) - 1;

		/* The text of a mark is in the sector of its entry. */
		log_read(mark, length, data - sector_size + sizeof(*entry));
	}
	printf("%" PRIu64 " %s%s%s%s%s %" PRIu64 " %" PRIu64 " %s\n", number,
	       entry->flags & LOG_FLUSH ? "F" : "-", entry->flags & LOG_FUA ? "U" : "-",
	       entry->flags & LOG_DISCARD ? "D" : "-", entry->flags & LOG_MARK ? "M" : "-",
	       entry->flags & LOG_METADATA ? "m" : "-", entry->sector, entry->sectors, mark);
}

/* A discarded range is zeroed: the file system must not depend on what it holds. */
static void entry_replay(int target, const struct log_entry *entry, uint64_t data)
{
	static uint8_t buffer[1 << 20];
	uint64_t length = entry->sectors * sector_size, offset = entry->sector * sector_size;

	memset(buffer, 0, sizeof(buffer));
	while (length) {
		size_t piece = length < sizeof(buffer) ? length : sizeof(buffer);

		if (!(entry->flags & LOG_DISCARD))
			log_read(buffer, piece, data);
		if (pwrite(target, buffer, piece, (off_t) offset) != (ssize_t) piece)
			err(1, "writing to the target");
		data += piece;
		offset += piece;
		length -= piece;
	}
}

int main(int argc, char **argv)
{
	uint64_t entries, position, from = 0, to = UINT64_MAX;
	int target = -1;

	if (argc != 2 && argc != 5) {
		fprintf(stderr, "usage: %s LOG [TARGET FROM TO]\n", argv[0]);
		return 2;
	}
	entries = log_open(argv[1]);
	if (argc == 5) {
		target = open(argv[2], O_WRONLY | O_CLOEXEC);
		if (target < 0)
			err(1, "%s", argv[2]);
		from = strtoull(argv[3], NULL, 10);
		to = strtoull(argv[4], NULL, 10);
	}
	position = sector_size;
	for (uint64_t number = 0; number < entries && number < to; number++) {
		struct log_entry entry;
		uint64_t data = log_next(&position, &entry);

		if (target < 0)
			entry_print(number, &entry, data);
		else if (number >= from)
			entry_replay(target, &entry, data);
	}
	if (target >= 0 && close(target) < 0)
		err(1, "%s", argv[2]);
	return 0;
}
