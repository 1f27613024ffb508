#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The soak of tests/soak in a guest.
#
# Environment: MINUTES, LUNS, SEED.
# vm: smp=2 memory=4096 hung_task=120 plugin=fault timeout=4200

# shellcheck source=tests/cases/lib.sh
. /host/tests/cases/lib.sh

load_tcmu
modprobe -a sd_mod sg tcm_loop
python3 -ISE /host/tests/soak/soak.py "${MINUTES:-60}" "${LUNS:-64}" "${SEED:-1}"
