/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pieces of a command's data, for the SCSI code and for those who carry commands out. Pure
 * functions; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The sum of their lengths. */
uint64_t scsi_pieces_length(const struct iovec *iov, unsigned cnt);

/* Copies to the pieces as much as they take. Returns how much. */
size_t scsi_pieces_fill(const struct iovec *iov, unsigned cnt, const void *data, size_t length);

/* Copies length bytes from the pieces, from offset on, or as many as there are. Returns how many.
 */
size_t scsi_pieces_copy(
	const struct iovec *iov, unsigned cnt, uint64_t offset, void *data, size_t length);

/* Fills them with zeros, behind the first skip bytes. */
void scsi_pieces_zero(const struct iovec *iov, unsigned cnt, size_t skip);
