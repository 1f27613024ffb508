#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest boots, and its kernel has TCMU.

set -euo pipefail
modprobe target_core_user
test -e /sys/module/target_core_user/parameters/block_netlink
test -d /sys/kernel/config/target/core
