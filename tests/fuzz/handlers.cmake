# SPDX-License-Identifier: Apache-2.0
# The name of an image is decoded without librbd.
set(rbd "${PROJECT_SOURCE_DIR}/handlers/rbd")
tcmud_fuzz_target(image LIBS tcmu::handler SOURCES "${rbd}/target.c" INCLUDES "${rbd}" MEMORY)
