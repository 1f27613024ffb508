#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: the test ends well, but the kernel has warned.

echo 'WARNING: CPU: 0 PID: 1 at drivers/target/target_core_user.c:1' >/dev/kmsg
