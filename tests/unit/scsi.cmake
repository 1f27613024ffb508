# SPDX-License-Identifier: Apache-2.0
# A logical unit to send commands to.
add_library(scsi-rig STATIC scsi-rig.c)
target_include_directories(scsi-rig PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(scsi-rig PUBLIC tcmud::scsi PkgConfig::CMOCKA)

foreach(name IN ITEMS alua sense table inquiry capacity mode spc describe transfer provisioning erase copy)
	tcmud_unit_test(scsi-${name} LIBS scsi-rig)
endforeach()

# What the fuzz target starts from.
tcmud_unit_test(scsi-seeds LIBS tcmud::scsi SOURCES ../fuzz/fuzz-cdb.c INCLUDES ../fuzz)
target_compile_definitions(test-scsi-seeds PRIVATE SEEDS="${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/cdb")
