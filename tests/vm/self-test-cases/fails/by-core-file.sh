#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Must fail: the test ends well, but a process has died on the way.

bash -c 'kill -SEGV $$'
true
