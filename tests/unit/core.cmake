# SPDX-License-Identifier: Apache-2.0
tcmud_unit_test(device-fsm LIBS tcmud-core)
tcmud_unit_test(identity LIBS tcmud-control fake-root)
tcmud_unit_test(ownership LIBS tcmud-core)
tcmud_unit_test(trouble LIBS tcmud-control fake-root)
