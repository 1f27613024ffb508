# SPDX-License-Identifier: Apache-2.0
# The kernel's side of a ring, for every test that needs one.
add_library(fake-ring STATIC fake-ring.c)
target_include_directories(fake-ring PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}" PRIVATE "${PROJECT_SOURCE_DIR}/libtcmu")

# A root with files of the kernel's in a temporary folder.
add_library(fake-root STATIC fake-root.c)
target_include_directories(fake-root PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(fake-root PUBLIC tcmu::tcmu)

set(libtcmu_inner "${PROJECT_SOURCE_DIR}/libtcmu") # for kernel-abi.h
tcmud_unit_test(ring SOURCES test-ring-fixture.c LIBS tcmu::tcmu fake-ring)
tcmud_unit_test(ring-corrupt SOURCES test-ring-fixture.c LIBS tcmu::tcmu fake-ring INCLUDES "${libtcmu_inner}")
tcmud_unit_test(ring-threads LIBS tcmu::tcmu fake-ring)
tcmud_unit_test(uio LIBS tcmu::tcmu fake-ring fake-root)
tcmud_unit_test(netlink LIBS tcmu::tcmu PkgConfig::NL INCLUDES "${libtcmu_inner}")
tcmud_unit_test(netlink-socket LIBS tcmu::tcmu PkgConfig::NL INCLUDES "${libtcmu_inner}")
tcmud_unit_test(scan LIBS tcmu::tcmu fake-root)
tcmud_unit_test(configfs LIBS tcmu::tcmu fake-root)
tcmud_unit_test(port-groups LIBS tcmu::tcmu fake-root)
tcmud_unit_test(module LIBS tcmu::tcmu fake-root PkgConfig::KMOD)

add_test(NAME unit-exports COMMAND
	"${CMAKE_CURRENT_SOURCE_DIR}/check-exports" "$<TARGET_FILE:tcmu>" "${libtcmu_inner}/include/tcmu")
set_tests_properties(unit-exports PROPERTIES LABELS unit)

# Not a unit test: run on a real kernel, in the guest.
add_executable(kernel-contract kernel-contract.c)
target_link_libraries(kernel-contract PRIVATE tcmu::tcmu Threads::Threads)
