#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compares two builds of tcmud on two processors: in each round both serve the same LUNs, one after the other, and the first of
# one round is the second of the next. See tests/bench/run --against.
# vm: smp=2 memory=4096
# vm: timeout=2400
# vm: hung_task=120
# vm: bench=yes

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../../cases/lib.sh"

# serve BUILD: starts the tcmud of that build.
serve() {
	LAUNCHER="env PATH=/run/$1:$PATH LD_LIBRARY_PATH=/run/$1" start_tcmud --handler-path "/run/$1/handlers"
	assert_eq "$(readlink "/proc/$DAEMON_PID/exe")" "/run/$1/tcmud" "the program of the build $1"
}

pair() { must python3 -ISE /host/tests/bench/pair.py "$@" /host/out/results.json; }

mkdir /bench
mount -t tmpfs -o size=60% tmpfs /bench
for build in before now; do
	cp -r "/host/build/pair/$build" "/run/$build"
done
modprobe -a sd_mod tcm_loop
serve now
pair --make
stop_tcmud
for ((round = 1; round <= ${BENCH_ROUNDS:-10}; round++)); do
	builds=(before now)
	((round % 2)) || builds=(now before)
	for build in "${builds[@]}"; do
		serve "$build"
		pair --build "$build"
		stop_tcmud
	done
	pair --show
	say "round $round"$'\n'"$OUTPUT"
done
