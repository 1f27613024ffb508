/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rbd handler with a fake host, in the process of a remote gateway (remote-gateway.h). The test
 * can set its wall clock.
 *
 * Its commands are: "lock TAG", "write OBJECT BYTE", "read OBJECT", "unmap OBJECT", "flush", "storm
 * SECONDS OBJECT BYTE" (how many writes that began after a gap of two seconds were good), "begin
 * OBJECT BYTE" (a write in flight), "end" (its result), "cut" and "heal" (what it sends), "hold"
 * and "release" (a query for the newest map, and what its thread would send after it), "clock
 * SECONDS" (its wall clock is moved), "reopen".
 */
#pragma once

/* The process of main(): carries out commands. Returns its exit status. */
int remote_host_main(char **argv);
