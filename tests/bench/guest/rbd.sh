#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures the rbd handlers of tcmud and of tcmu-runner over one image, one daemon after the other, in a guest that reaches a
# real cluster (tests/bench/rbd), without limits. The time that the daemon's process runs in each job is noted, too; where the
# guest's clock counts instructions, it is their number.
# vm: smp=2 net=yes memory=4096 timeout=1200 hung_task=120 bench=yes

# shellcheck source=tests/cases/ceph/ceph.bash
. "${0%/*}/../../cases/ceph/ceph.bash"

# start_serving tcmud|tcmu-runner: starts it and makes the LUN DISK of the image, as ceph-iscsi does. stop_serving ends that.
start_serving() {
	local control=max_data_area_mb=8,hw_max_sectors=1024
	TCMU_DAEMON=$1
	if [ "$1" = tcmud ]; then
		start_tcmud --handler-path /run/handlers
	else
		launch_tcmud
		wait_for 30 tcmu_runner_ready
	fi
	make_backstore_configfs bench 'rbd/bench;osd_op_timeout=60' $((64 << 20)) $control
	attach bench
	# The emulated clock is slow to read, which affects both daemons alike.
	wait_for 20 exists "/sys/block/${DISK##*/}/queue/iostats"
	echo 0 >"/sys/block/${DISK##*/}/queue/iostats"
}

stop_serving() {
	detach bench
	delete_backstore_configfs bench
	stop_tcmud
	wait_for 30 unwatched bench
}

tcmu_runner_ready() {
	busctl --quiet --timeout=2 get-property org.kernel.TCMUService1 /org/kernel/TCMUService1/rbd org.kernel.TCMUService1 ConfigDesc \
		>/dev/null 2>&1
}

# thread_shares: each daemon thread's share of the CPU time of all of them, in percent.
thread_shares() {
	awk '{
		name = $0; sub(/^[^(]*\(/, "", name); sub(/\).*/, "", name); sub(/-[0-9]+$/, "", name)
		sub(/.*\) /, ""); ticks[name] += $12 + $13; all += $12 + $13
	}
	END { for (name in ticks) if (100 * ticks[name] >= all) printf "%s %.0f %%\n", name, 100 * ticks[name] / all }' \
		/proc/"$DAEMON_PID"/task/*/stat | sort -k 2,2nr | paste -sd, | sed 's/,/, /g'
}

# Makes /run/note FILE begin|end JOB...: it appends to FILE the words and for how many ns the daemon's threads have run. fio adds
# arguments, which are parts of the job's name.
make_note() {
	cat >/run/note <<END
#!/bin/sh
echo "\$2 \$3 \$4 \$5" "\$(cat /proc/$DAEMON_PID/task/*/schedstat | awk '{ ns += \$1 } END { printf "%.0f", ns }')" >>"\$1"
END
	chmod +x /run/note
}

# print_jobs TIME [NOTES]: prints a job file for fio with all jobs, one after another; in the file NOTES the daemon's time before and
# after each.
print_jobs() {
	local op size depth
	printf '[global]\nfilename=%s\nioengine=libaio\ndirect=1\nthread\ntime_based\nruntime=%s\nnorandommap\nrandrepeat=1\n' "$DISK" "$1"
	printf 'gtod_reduce=1\ninvalidate=0\nstonewall\n'
	for op in read write; do
		for size in 4k 64k 1M; do
			for depth in 1 32; do
				[[ "$op $size QD$depth" =~ ${BENCH_ONLY:-.} ]] || continue
				printf '[%s %s QD%s]\nrw=rand%s\nbs=%s\niodepth=%s\n' $op $size $depth $op $size $depth
				[ -z "${2:-}" ] || printf "exec_%srun=/run/note $2 %s $op $size QD$depth\n" pre begin post end
			done
		done
	done
}

join_cluster
create_image bench 64M
mkdir /run/handlers
cp "$(handler_dir)"/handler_rbd.so /run/handlers/
start_serving tcmud
must dd if=/dev/urandom of="$DISK" bs=1M count=64 oflag=direct
stop_serving
for ((round = 0; round < ${BENCH_ROUNDS:=3}; round++)); do
	targets=(tcmud tcmu-runner)
	[ $((round % 2)) -eq 0 ] || targets=(tcmu-runner tcmud)
	for target in "${targets[@]}"; do
		start_serving "$target"
		say "measuring $target, round $((round + 1)) of $BENCH_ROUNDS"
		BENCH_ONLY='4k QD32' print_jobs 500ms >/run/warm.fio
		make_note
		print_jobs "${BENCH_SECONDS:=2}s" "/host/out/$target-$round.notes" >/run/cells.fio
		must fio --output=/dev/null /run/warm.fio
		must fio --output-format=json --output="/host/out/$target-$round.json" /run/cells.fio
		say "the daemon's threads: $(thread_shares)"
		stop_serving
	done
done
