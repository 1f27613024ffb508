#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The metrics conform to OpenMetrics, they count the commands, and the timer writes them where the node exporter reads them.
# promtool checks the text and the alerting rules; the node exporter takes the file, with its types, and without a daemon
# the file says that.
# vm: init=systemd timeout=300

# shellcheck source=tests/cases/lib.sh
. "${0%/*}/../lib.sh"

PATH=$PATH:/opt/prometheus/usr/bin
DIR=/var/lib/prometheus/node-exporter
parse_metrics() { # SAMPLE...: VALUES are their values
	must python3 -ISE "${0%/*}/openmetrics.py" "$@" </run/metrics
	mapfile -t VALUES <<<"$OUTPUT"
}

start_tcmud
tcmuctl metrics >/run/metrics
parse_metrics 'tcmu_daemon_info{version="2.0.0"}'
make_backstore_configfs disk '/srv/disk.img;product=a\"b' $((64 << 20))
attach disk
must dd if=/dev/zero of="$DISK" bs=4k count=100 oflag=direct
must dd if="$DISK" of=/dev/null bs=4k count=50 iflag=direct
must_fail sg_read_block_limits "$DISK"

# udev reads from the disk after a write
nothing_in_flight() { tcmuctl metrics >/run/metrics && grep -qx "tcmu_device_inflight{$device} 0" /run/metrics; }
device="device=\"$HBA/disk\""
wait_for 20 nothing_in_flight
parse_metrics "tcmu_device_up{$device}" "tcmu_device_size_bytes{$device}" "tcmu_device_inflight{$device}" \
	"tcmu_device_commands_total{$device,class=\"write\"}" "tcmu_device_data_bytes_total{$device,class=\"write\"}" \
	"tcmu_device_command_duration_seconds_count{$device,class=\"write\"}" \
	"tcmu_device_check_conditions_total{$device,sense_key=\"illegal_request\"}" \
	"tcmu_device_commands_total{$device,class=\"read\"}" "tcmu_device_cpu_seconds_total{$device}"
assert_eq "${VALUES[*]:0:6}" "1 67108864 0 100 409600 100" "up, size, in flight, writes, their bytes, and those of the histogram"
assert_le 1 "${VALUES[6]}" "1, against the errors"
assert_le 50 "${VALUES[7]}" "50, against the reads"
if [ "${VALUES[8]}" = 0 ]; then fail "no CPU time"; fi

say "the timer"
mkdir -p /run/systemd/system
for unit in tcmud-metrics.service tcmud-metrics.timer; do
	file=$(find /usr /lib -name $unit -path '*systemd/system*' | sed -n 1p)
	sed "s|^ExecStart=[^ ]*|ExecStart=$(command -v tcmuctl)|" "$file" >/run/systemd/system/$unit
done
must systemd-analyze verify --man=no /run/systemd/system/tcmud-metrics.service /run/systemd/system/tcmud-metrics.timer
must systemctl daemon-reload
must systemctl start tcmud-metrics.service
not exists $DIR || fail "the directory of the node exporter was made, although there is no node exporter"
mkdir -p $DIR
must systemctl start tcmud-metrics.timer
wait_for 30 exists $DIR/tcmu.prom
grep -qx "tcmu_device_commands_total{$device,class=\"write\"} 100" $DIR/tcmu.prom || fail "the file has not 100 writes"
assert_eq "$(stat -c %a $DIR/tcmu.prom)" 644 "the mode of the file"
assert_eq "$(find $DIR -type f | wc -l)" 1 "the files in the directory"
must systemctl stop tcmud-metrics.timer

say "promtool and the node exporter"
must promtool check metrics <$DIR/tcmu.prom
assert_eq "$OUTPUT" "" "what promtool says of the metrics"
must tcmuctl metrics --format=prometheus
prometheus-node-exporter --collector.disable-defaults --collector.textfile --collector.textfile.directory=$DIR \
	--web.listen-address=127.0.0.1:9100 &>/run/node-exporter.log &
exporter=$!
scrape() { python3 -c "import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:9100/metrics\").read().decode())" >/run/scraped 2>/dev/null; }
wait_for 60 scrape
assert_eq "$(grep -x 'node_textfile_scrape_error .*' /run/scraped)" "node_textfile_scrape_error 0" "the node exporter"
not grep '^# TYPE tcmu_.* untyped' /run/scraped || fail "the node exporter does not know a type"
grep -qx '# TYPE tcmu_device_commands_total counter' /run/scraped || fail "commands are no counter"
grep -qx '# TYPE tcmu_device_command_duration_seconds histogram' /run/scraped || fail "times are no histogram"
grep -qx "tcmu_device_commands_total{class=\"write\",$device} 100" /run/scraped || fail "the node exporter has not 100 writes"
monitoring=$(dirname "$(find /usr -name tcmud-alerts.yml -print -quit)")
must promtool check rules "$monitoring/tcmud-alerts.yml"
sed "s|RULES|$monitoring/tcmud-alerts.yml|" "${0%/*}/alerts-test.yml" >/run/alerts-test.yml
must promtool test rules /run/alerts-test.yml
say "$OUTPUT"

detach disk
delete_backstore_configfs disk
stop_tcmud
assert_eq "$DAEMON_STATUS" 0 "the exit status"

say "without a daemon"
must systemctl start tcmud-metrics.service
scrape
grep -qx 'tcmu_daemon_up 0' /run/scraped || fail "the file does not say that the daemon is down"
not grep tcmu_device /run/scraped || fail "devices of a daemon that is gone"
kill $exporter
