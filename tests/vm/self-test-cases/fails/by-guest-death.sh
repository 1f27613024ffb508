#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: the kernel dies.

echo c >/proc/sysrq-trigger
