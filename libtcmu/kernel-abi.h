/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <linux/target_core_user.h> beside <sys/uio.h>. The former pulls in <linux/uio.h>, whose struct
 * iovec is the same as libc's but defined a second time. The kernel's one gets another name here;
 * this is the only place that includes either of the two kernel headers.
 *
 * The ring's structures are packed, the compiler does not assume any alignment in them, and the
 * kernel may write while we read: copy with memcpy, never take a member's address.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#undef UIO_MAXIOV
#define iovec tcmu_kernel_iovec
#include <linux/target_core_user.h>
#undef iovec

#define TCMU_FAMILY         "TCM-USER"
#define TCMU_FAMILY_VERSION 2
#define TCMU_GROUP          "config"

/* Where an entry's parts are. */
#define TCMU_ENTRY_IOV_OFFSET offsetof(struct tcmu_cmd_entry, req.iov)
#define TCMU_ENTRY_RSP_OFFSET offsetof(struct tcmu_cmd_entry, rsp)

_Static_assert(
	sizeof(struct tcmu_kernel_iovec) == sizeof(struct iovec), "the kernel's iovec is libc's");
_Static_assert(sizeof(struct tcmu_cmd_entry_hdr) == 8, "header of an entry");
_Static_assert(TCMU_ENTRY_IOV_OFFSET == 48, "the request's iovecs");
_Static_assert(
	sizeof(struct tcmu_cmd_entry) == 112, "the response is the longer part of the union");
_Static_assert(sizeof(struct tcmu_tmr_entry) == 32, "head of a TMR entry");
_Static_assert(sizeof(struct tcmu_mailbox) == 128, "cmd_tail is on a cache line of its own");
