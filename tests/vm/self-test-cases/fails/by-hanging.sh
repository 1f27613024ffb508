#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: the test does not end.
# vm: timeout=20

read -r </dev/hvc0
