#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Why several LUNs in user space are slower on two emulated processors than their instructions say. The daemon always sleeps, so
# that it leaves its threads where the test puts them.
# vm: smp=2 memory=4096
# vm: timeout=300
# vm: bench=yes

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../../cases/lib.sh"

mkdir /bench
mount -t tmpfs -o size=60% tmpfs /bench
mkdir -p /etc/tcmu /run/handlers
echo "busy_poll = 0" >/etc/tcmu/tcmu.conf
cp "$(handler_dir)"/handler_file.so /run/handlers/
start_tcmud --config /etc/tcmu/tcmu.conf --handler-path /run/handlers
modprobe -a sd_mod tcm_loop target_core_file
python3 -ISE /host/tests/bench/processors.py "$DAEMON_PID"
