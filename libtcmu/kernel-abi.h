/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <linux/target_core_user.h> beside <sys/uio.h>. The former includes <linux/uio.h>, which defines
 * struct iovec a second time, equal to libc's. This header gives the kernel's one another name;
 * no other file includes either kernel header.
 *
 * The ring's structures are packed, so the compiler assumes no alignment in them, and the kernel
 * may write while we read: copy with memcpy, never take the address of a member.
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

/* Offsets of the parts of an entry. */
#define TCMU_ENTRY_IOV_OFFSET offsetof(struct tcmu_cmd_entry, req.iov)
#define TCMU_ENTRY_RSP_OFFSET offsetof(struct tcmu_cmd_entry, rsp)

_Static_assert(
	sizeof(struct tcmu_kernel_iovec) == sizeof(struct iovec), "the kernel's iovec is libc's");
_Static_assert(sizeof(struct tcmu_cmd_entry_hdr) == 8, "header of an entry");
_Static_assert(TCMU_ENTRY_IOV_OFFSET == 48, "the request's iovecs");
_Static_assert(
	sizeof(struct tcmu_cmd_entry) == 112, "the response is the longer part of the union");
_Static_assert(sizeof(struct tcmu_tmr_entry) == 32, "head of a TMR entry");
_Static_assert(sizeof(struct tcmu_mailbox) == 128, "cmd_tail has its own cache line");
