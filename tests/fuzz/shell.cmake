# SPDX-License-Identifier: Apache-2.0
tcmud_fuzz_target(settings LIBS tcmud-shell)
tcmud_fuzz_target(options LIBS tcmud-shell)
