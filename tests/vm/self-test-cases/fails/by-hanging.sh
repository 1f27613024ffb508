#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: it does not end.
# vm: timeout=20

read -r </dev/hvc0
