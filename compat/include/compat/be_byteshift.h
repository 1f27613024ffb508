/* SPDX-License-Identifier: Apache-2.0 */
/* Big-endian numbers at any address. */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_unaligned_be16(const void *from)
{
	uint16_t value;

	memcpy(&value, from, sizeof(value));
	return be16toh(value);
}

static inline uint32_t get_unaligned_be32(const void *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return be32toh(value);
}

static inline uint64_t get_unaligned_be64(const void *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return be64toh(value);
}

static inline void put_unaligned_be16(uint16_t value, void *to)
{
	value = htobe16(value);
	memcpy(to, &value, sizeof(value));
}

static inline void put_unaligned_be32(uint32_t value, void *to)
{
	value = htobe32(value);
	memcpy(to, &value, sizeof(value));
}

static inline void put_unaligned_be64(uint64_t value, void *to)
{
	value = htobe64(value);
	memcpy(to, &value, sizeof(value));
}
