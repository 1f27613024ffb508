# SPDX-License-Identifier: Apache-2.0
tcmud_fuzz_target(settings LIBS tcmud-config)
tcmud_fuzz_target(options LIBS tcmud-config)
