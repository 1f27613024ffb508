# SPDX-License-Identifier: Apache-2.0
tcmud_unit_test(workers LIBS tcmud-engine)
tcmud_unit_test(jobs LIBS tcmud-engine)
tcmud_unit_test(aio LIBS tcmud-engine PkgConfig::URING SOURCES aio-fixture.c)
tcmud_unit_test(aio-engine LIBS tcmud-engine PkgConfig::URING SOURCES aio-fixture.c)
tcmud_unit_test(aio-trouble LIBS tcmud-engine PkgConfig::URING SOURCES aio-fixture.c)

# So that tests can make them fail, or count them.
target_link_options(test-workers PRIVATE "LINKER:--wrap=pthread_create")
target_link_options(test-jobs PRIVATE "LINKER:--wrap=pthread_create")
foreach(name IN ITEMS aio aio-engine aio-trouble)
	target_link_options(test-${name} PRIVATE
		"LINKER:--wrap=io_uring_queue_init_params,--wrap=io_uring_get_probe_ring,--wrap=io_uring_submit"
		"LINKER:--wrap=preadv2,--wrap=read,--wrap=write,--wrap=ioctl,--wrap=pthread_create"
		"LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=posix_memalign")
endforeach()

# Not unit tests: run in the guest, where there are disks of ours, and a file system can be frozen.
add_executable(compare-and-write-storm compare-and-write-storm.c)
add_library(sessions-end MODULE sessions-end.c)
set_target_properties(sessions-end PROPERTIES C_VISIBILITY_PRESET default)
add_executable(engine-stuck engine-stuck.c)
target_link_libraries(engine-stuck PRIVATE tcmud-engine)
