#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two gateways, one image, whoever is written to becomes its owner: ten failovers under a load that is written and verified, by a change
# of path, by kill -9 of a daemon, by a gateway that stands still and goes on later. Nothing is lost.
# vm: net=yes timeout=600 hung_task=600 slots=2

# shellcheck source=tests/cases/ceph/gateways.bash
. "${0%/*}/gateways.bash"

failovers implicit switch kill switch freeze switch switch kill switch switch kill
