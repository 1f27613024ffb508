#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PostgreSQL with checksums keeps every transaction of pgbench while the daemon is killed again and again and the operator
# resets the ring: none fails, the history has all of them, also after a crash of the server, and pg_amcheck and pg_checksums
# find no error.
#
# Environment: SECONDS_OF_LOAD=NUMBER (20), KILLS=NUMBER (4).
# vm: memory=3072 timeout=500 hung_task=200

# shellcheck source=tests/cases/clients/clients.bash
. "${0%/*}/clients.bash"

SECONDS_OF_LOAD=${SECONDS_OF_LOAD:-20}
KILLS=${KILLS:-4}

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
# load_goes_on: the load has written more since the mark; a condition.
load_goes_on() { wrote "$disk" $((mark + 50)) || not running $load; }

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

say "pgbench for $SECONDS_OF_LOAD s"
as_postgres pgbench --client=8 --jobs=2 --time="$SECONDS_OF_LOAD" --no-vacuum postgres >/run/pgbench.txt 2>&1 </dev/null &
load=$!
for ((kill = 1; kill <= KILLS; kill++)); do
	mark=$(writes_of "$disk")
	wait_for 60 load_goes_on
	kill_daemon
done
say "the ring is reset while the daemon serves"
mark=$(writes_of "$disk")
wait_for 60 load_goes_on
running $load || fail "pgbench ended before the reset: $(</run/pgbench.txt)"
dir=$(backstore_dir data)
echo 1 >"$dir/action/block_dev"
echo 1 >"$dir/action/reset_ring"
echo 0 >"$dir/action/block_dev"
mark=$(writes_of "$disk")
wait_for 60 load_goes_on
status=0
wait $load || status=$?
OUTPUT=$(</run/pgbench.txt)
assert_eq $status 0 "the status of pgbench"
assert_match "$OUTPUT" 'number of failed transactions: 0 ' "the report of pgbench"
count=$(sed -n 's/^number of transactions actually processed: //p' /run/pgbench.txt)
say "$count transactions, $(grep '^tps' /run/pgbench.txt)"
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
