#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: the test does not end.
# vm: smp=2 timeout=20

read -r </dev/hvc0
