#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: the test ends with 0, but a process has died.

bash -c 'kill -SEGV $$'
true
