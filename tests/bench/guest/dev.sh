#!/bin/bash
# vm: memory=4096
# vm: timeout=900
# vm: hung_task=120
# vm: clock=tsc
. "${0%/*}/../../cases/lib.sh"
eval "$(sed -n '/^start_peer()/,/^}/p;/^peer_ready()/,/^}/p' /host/tests/bench/guest/measure.sh)"
mkdir /bench
mount -t tmpfs -o size=75% tmpfs /bench
start_peer
mkdir -p /etc/tcmu
printf '%s' "${BENCH_CONF:-}" | tr ';' '\n' >/etc/tcmu/tcmu.conf
mkdir /run/handlers
cp "$(handler_folder)"/handler_file.so /run/handlers/
start_tcmud --handler-path /run/handlers
modprobe -a sd_mod tcm_loop target_core_file
python3 -ISE /host/tests/bench/dev.py $DAEMON_PID $PEER_PID "${DEV_WHAT:-place}"
