/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways of the test's cluster (tests/ceph/cluster), whose directory is in CEPH_TEST_CLUSTER: the
 * rbd handler with a fake host. A failure ends the test.
 */
#pragma once

#include "fake-host.h"
#include "images.h"

#define SIZE  (64 * MIB)
#define BLOCK 512u

extern const char *cluster; /* the directory */

/* Of a group of tests: connects. */
int setup_cluster(void **state);
int teardown_cluster(void **state);

/* Of a test: *state is a host without a device. */
int setup_host(void **state);
int teardown_host(void **state);

/* A config string as ceph-iscsi writes it; valid until the next call. timeout: osd_op_timeout. */
const char *config_of(const char *target, unsigned timeout);

/* Creates an image of SIZE bytes and opens it. */
void open_new(struct fake_host *host, const char *name);

/* A second gateway: another connection to the cluster, as another host has one. */
struct fake_host *second_gateway(const char *target);

/* To be freed. */
void *filled_buffer(size_t length, int byte);
void assert_bytes(struct fake_host *host, uint64_t offset, size_t length, int byte);
void write_bytes(struct fake_host *host, uint64_t offset, size_t length, int byte);

void take_lock(struct fake_host *host, uint16_t tag);
void assert_lock(struct fake_host *host, bool expect_ours, uint16_t expect_tag);

/* The result of a request of a gateway that has been fenced: -ESHUTDOWN if the request has found
 * that out; -EBUSY, without having been sent, if the lease has found it out before. */
void assert_fenced(struct fake_host *host, int result);
