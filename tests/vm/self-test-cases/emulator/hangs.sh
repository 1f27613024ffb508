#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# For tests/vm/self-test-emulator, which runs no guest.
# vm: smp=2 timeout=3
