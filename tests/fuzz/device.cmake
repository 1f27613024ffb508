# SPDX-License-Identifier: Apache-2.0
tcmud_fuzz_target(files SLOW 200 LIBS tcmud-device fake-root)
target_link_options(fuzz-files PRIVATE "LINKER:--wrap=log_emit")
