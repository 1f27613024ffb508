# SPDX-License-Identifier: Apache-2.0
tcmud_fuzz_target(ring LIBS tcmu::tcmu WEIGHT 10 MEMORY)
tcmud_fuzz_target(netlink LIBS tcmu::tcmu)
tcmud_fuzz_target(name LIBS tcmu::tcmu MEMORY)
