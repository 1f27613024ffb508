#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two gateways serve one image with explicit failover, where initiators choose the active gateway. Ten failovers under a
# verifying load lose nothing: by a change of path, by kill -9 of a daemon, by a network that is cut and restored.
# vm: net=yes timeout=600 hung_task=600 slots=2 smp=2

# shellcheck source=tests/cases/ceph/gateways.bash
. "${0%/*}/gateways.bash"

failovers explicit switch kill switch cut switch switch kill switch switch kill
