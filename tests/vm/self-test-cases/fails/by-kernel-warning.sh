#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: the test ends with 0, but the kernel has logged a warning.

echo 'WARNING: CPU: 0 PID: 1 at drivers/target/target_core_user.c:1' >/dev/kmsg
