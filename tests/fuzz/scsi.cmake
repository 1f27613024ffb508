# SPDX-License-Identifier: Apache-2.0
tcmud_fuzz_target(cdb LIBS tcmud::scsi WEIGHT 2 MEMORY)
