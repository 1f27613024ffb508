# SPDX-License-Identifier: Apache-2.0
tcmud_fuzz_target(disk LIBS tcmu::scsi tcmud::scsi SLOW 8 MEMORY)
