#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL with checksums keeps every transaction of pgbench while the daemon is killed again and again and the operator
# resets the ring: none fails, the history has all of them, also after a crash of the server, and pg_amcheck and pg_checksums
# find no error.
#
# Environment: KILLS=NUMBER (4), WRITES=NUMBER (50): the writes of the load from one kill to the next, at least.
# vm: memory=3072 timeout=500 hung_task=200 smp=2

# shellcheck source=tests/cases/clients/clients.bash
. "${0%/*}/clients.bash"

KILLS=${KILLS:-4}
WRITES=${WRITES:-50}

# as_postgres PROGRAM...: one of PostgreSQL's.
as_postgres() {
	local bin=(/usr/lib/postgresql/*/bin)
	(cd / && exec setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/run/postgresql PATH="${bin[0]}:$PATH" "$@")
}
query() { # SQL; OUTPUT is the answer
	must as_postgres psql --no-psqlrc --tuples-only --no-align --dbname=postgres --command="$1"
}
start_server() {
	must as_postgres pg_ctl --silent --wait --pgdata=/data/db --log=/run/postgresql/log start
}
# run_load: runs pgbench until there is /run/enough.
run_load() {
	until [ -e /run/enough ]; do
		as_postgres pgbench --client=8 --jobs=2 --time=5 --no-vacuum postgres || return
	done >/run/pgbench.txt 2>&1 </dev/null
}
# load_goes_on: waits until it has written more.
load_goes_on() {
	wait_for 120 wrote_or_ended $(($(writes_of "$disk") + WRITES))
	running $load || fail "pgbench has ended: $(</run/pgbench.txt)"
}
wrote_or_ended() { wrote "$disk" "$1" || not running $load; }

use_clients
useradd --system --home-dir /run/postgresql --create-home postgres
start_tcmud
make_backstore_configfs data /srv/data.img $((512 << 20))
attach data
disk=$DISK
must mkfs.ext4 -q "$disk"
mkdir /data
must mount "$disk" /data
install -d -o postgres -g postgres /data/db
say "the data base"
must as_postgres initdb --no-sync --pgdata=/data/db --data-checksums --no-instructions --locale=C --encoding=UTF8
{
	echo "unix_socket_directories = '/run/postgresql'"
	echo "listen_addresses = ''"
	echo "jit = off"
	echo "checkpoint_timeout = 30s"
} >>/data/db/postgresql.conf
say "the server"
start_server
must as_postgres pgbench --quiet --initialize --scale=1 postgres

say "pgbench"
run_load &
load=$!
for ((kill = 1; kill <= KILLS; kill++)); do
	load_goes_on
	kill_daemon
done
load_goes_on
say "the ring is reset while the daemon serves"
dir=$(backstore_dir data)
echo 1 >"$dir/action/block_dev"
echo 1 >"$dir/action/reset_ring"
echo 0 >"$dir/action/block_dev"
load_goes_on
touch /run/enough
status=0
wait $load || status=$?
OUTPUT=$(</run/pgbench.txt)
assert_eq $status 0 "the status of pgbench"
if grep '^number of failed transactions:' /run/pgbench.txt | grep -v ': 0 ' >/dev/null; then fail "transactions have failed"; fi
count=$(sed -n 's/^number of transactions actually processed: //p' /run/pgbench.txt | paste -sd+)
count=$((count))
say "$count transactions, at last $(grep '^tps' /run/pgbench.txt | tail -n 1)"
assert_le 10 $count "10, against the number of transactions"
query 'select count(*) from pgbench_history'
assert_eq "$OUTPUT" "$count" "the number of transactions in the history"

say "the server crashes, and recovers"
must as_postgres pg_ctl --silent --wait --pgdata=/data/db --mode=immediate stop
must umount /data
must fsck.ext4 -fn "$disk"
must mount "$disk" /data
start_server
query 'select count(*) from pgbench_history'
assert_eq "$OUTPUT" "$count" "the number of transactions in the history after the recovery"
for table in accounts tellers branches; do
	query "select (select sum(${table:0:1}balance) from pgbench_$table) = (select sum(delta) from pgbench_history)"
	assert_eq "$OUTPUT" t "the sum of the balances of the $table"
done
say "the checks"
must as_postgres pg_amcheck --install-missing --heapallindexed postgres
must as_postgres pg_ctl --silent --wait --pgdata=/data/db stop
must as_postgres pg_checksums --check --pgdata=/data/db
assert_match "$OUTPUT" $'Bad checksums: +0\n' "the report of pg_checksums"
must umount /data
must fsck.ext4 -fn "$disk"
no_complaints
detach data
delete_backstore_configfs data
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"
