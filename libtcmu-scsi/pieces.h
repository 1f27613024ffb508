/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pieces of a command's data.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The sum of their lengths. */
uint64_t pieces_length(const struct iovec *iov, unsigned cnt);

/* Copies to the pieces as much as they take. Returns how much. */
size_t pieces_fill(const struct iovec *iov, unsigned cnt, const void *data, size_t length);

/* Copies length bytes from the pieces, which have them. */
void pieces_copy(const struct iovec *iov, unsigned cnt, void *data, size_t length);
