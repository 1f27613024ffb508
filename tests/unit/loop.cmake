# SPDX-License-Identifier: Apache-2.0
# A device's I/O thread between a fake kernel and a fake backend. What fake-uio.c defines comes before libtcmu.
add_library(loop-rig STATIC fake-backend.c fake-uio.c loop-rig.c)
target_include_directories(loop-rig PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(loop-rig PUBLIC tcmud-core fake-ring PkgConfig::CMOCKA)

foreach(name IN ITEMS access copy erase errand io io-compare loop loop-end loop-revoke loop-stress stats)
	tcmud_unit_test(${name} LIBS loop-rig)
endforeach()

target_link_libraries(test-loop PRIVATE fake-root)

tcmud_unit_test(busy-poll LIBS tcmud-core)
tcmud_unit_test(thread LIBS tcmud-core)
tcmud_unit_test(throttle LIBS tcmud-core)

# So that the test can count.
tcmud_unit_test(loop-cost LIBS loop-rig PkgConfig::URING)
target_link_options(test-loop-cost PRIVATE
	"LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=posix_memalign"
	"LINKER:--wrap=io_uring_submit")

# So that the test can make them fail.
tcmud_unit_test(loop-scarce LIBS loop-rig)
target_link_options(test-loop-scarce PRIVATE
	"LINKER:--wrap=malloc,--wrap=calloc,--wrap=aligned_alloc,--wrap=mmap"
	"LINKER:--wrap=epoll_create1,--wrap=eventfd,--wrap=pthread_create")

# A device of the daemon, where gateway.c has the places of the manager and of what reads port groups.
add_library(gateway-rig STATIC gateway.c)
target_link_libraries(gateway-rig PUBLIC loop-rig fake-root tcmud-control)
tcmud_unit_test(gateways LIBS gateway-rig)
