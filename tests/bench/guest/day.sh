#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A day of a daemon: many commands and many backstores that come and go. What a command costs, how long it takes and what the
# daemon keeps is measured on the way. See tests/bench/exact --day.
# vm: memory=2048
# vm: timeout=200
# vm: hung_task=120
# vm: bench=yes

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../../cases/lib.sh"

chrt --idle 0 sh -c 'while :; do :; done' & # as in measure.sh
SPINNER=$!
mkdir /bench
mount -t tmpfs -o size=60% tmpfs /bench
mkdir /run/handlers
cp "$(handler_dir)"/handler_file.so /run/handlers/
start_tcmud --handler-path /run/handlers
modprobe -a sd_mod tcm_loop
python3 -ISE /host/tests/bench/day.py --tcmud "$DAEMON_PID" --spinner $SPINNER --commands "${BENCH_COMMANDS:-100000}" \
	--cycles "${BENCH_CYCLES:-100}" --parts "${BENCH_PARTS:-1}" --warm "${BENCH_WARM:-1}" --seconds "${BENCH_SECONDS:-1}" \
	/host/out/results.json
