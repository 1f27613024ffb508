#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two gateways serve one image with implicit failover, where the gateway that gets a write becomes active. Ten failovers
# under a verifying load lose nothing: by a change of path, by kill -9 of a daemon, by a guest that is paused and continues.
# vm: net=yes timeout=600 hung_task=600 slots=2 smp=2

# shellcheck source=tests/cases/ceph/gateways.bash
. "${0%/*}/gateways.bash"

failovers implicit switch kill switch freeze switch switch kill switch switch kill
