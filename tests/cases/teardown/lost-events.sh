#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Netlink events are lost because the daemon is stopped and its socket is full. A removal goes on, and the daemon finds it
# when it continues. A creation fails and can be repeated.
# vm: accel=icount
# vm: timeout=240

# shellcheck source=tests/cases/teardown/teardown.bash
. "${0%/*}/teardown.bash"

start_tcmud
truncate -s 64M /srv/{disk,flood,fresh}.img
make_backstore_configfs disk /srv/disk.img $((64 << 20)) nl_reply_supported=-1
make_backstore_configfs flood /srv/flood.img $((64 << 20)) nl_reply_supported=-1
wait_for 5 uio_files_are 2

kill -STOP "$DAEMON_PID"
say "changes of no effect fill the socket"
must python3 -ISE -c '
import errno, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
for _ in range(100000):
    try:
        os.pwrite(fd, sys.argv[2].encode(), 0)
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.ENOBUFS):
            sys.exit(0)
        raise
sys.exit("the socket does not fill up")' "$CORE/$HBA/flood/attrib/dev_size" $((64 << 20))
must_fail make_backstore_configfs fresh /srv/fresh.img $((64 << 20)) nl_reply_supported=-1
assert_match "$OUTPUT" 'No buffer space available' "a creation that the daemon cannot learn of"
delete_backstore_configfs fresh
trace_start
delete_backstore_configfs disk
log_mark
assert_eq "$(trace_count kref_release)" 0 "releases while the daemon is stopped"
all_known() { released_unasked 1 && logged 'events of the kernel were lost'; }
trace_mark "the daemon continues"
kill -CONT "$DAEMON_PID"
wait_for 10 released_unasked 1
released_after "the daemon continues"
figure "release after SIGCONT" "$MS" 50
wait_for 10 all_known
make_backstore_configfs fresh /srv/fresh.img $((64 << 20)) nl_reply_supported=-1
wait_for 10 logged 'fresh: ATTACHING .* LIVE'
delete_backstore_configfs flood
delete_backstore_configfs fresh
wait_for 5 daemon_has_no_uio
assert_released_unasked 3 60000
