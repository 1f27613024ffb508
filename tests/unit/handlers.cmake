# SPDX-License-Identifier: Apache-2.0
# The rig for testing a handler without kernel, daemon and root.
add_library(fake-host STATIC fake-host.c fake-host-io.c)
target_include_directories(fake-host PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(fake-host PUBLIC tcmud-engine tcmu::tcmu PkgConfig::CMOCKA Threads::Threads PRIVATE ${CMAKE_DL_LIBS})

# tcmud_handler_test(file-handler file [SOURCES more.c ...] [TIMEOUT seconds])
# is a unit test, test-file-handler.c, that finds the plugin's path in PLUGIN.
function(tcmud_handler_test name handler)
	tcmud_unit_test(${name} LIBS fake-host ${ARGN})
	target_compile_definitions(test-${name} PRIVATE "PLUGIN=\"$<TARGET_FILE:handler_${handler}>\"")
	add_dependencies(test-${name} handler_${handler})
endfunction()

tcmud_handler_test(file-io file SOURCES file-fixture.c)
tcmud_handler_test(file-direct file SOURCES file-fixture.c)
tcmud_handler_test(file-open file SOURCES file-fixture.c)
tcmud_handler_test(file-raw-only qcow SOURCES file-fixture.c)
tcmud_handler_test(file-manual file)
target_compile_definitions(test-file-manual PRIVATE "MANUAL=\"${PROJECT_SOURCE_DIR}/handlers/file/tcmu-file.7\"")

# The handler's own objects, with the system's answers replaced: on a block device that is not there, and on systems that
# refuse. The linker takes no hidden replacement where a sanitizer's library has the function too.
foreach(test IN ITEMS file-block file-system)
	tcmud_unit_test(${test} LIBS fake-host SOURCES file-fixture.c)
	target_compile_definitions(test-${test} PRIVATE "PLUGIN=\"$<TARGET_FILE:handler_file>\"")
	target_sources(test-${test} PRIVATE $<TARGET_OBJECTS:handler_file>)
	set_target_properties(test-${test} PROPERTIES C_VISIBILITY_PRESET default)
endforeach()
target_link_options(test-file-block PRIVATE
	"LINKER:--wrap=stat,--wrap=fstat,--wrap=statx,--wrap=open,--wrap=close,--wrap=fopen,--wrap=ioctl")
target_link_options(test-file-system PRIVATE
	"LINKER:--wrap=fstat,--wrap=statx,--wrap=open,--wrap=ftruncate,--wrap=fsync,--wrap=pread,--wrap=fallocate")

# The guide's example. Outside of the tree it is built by tests/install.
add_library(handler_memory MODULE "${PROJECT_SOURCE_DIR}/docs/examples/handler_memory.c")
set_target_properties(handler_memory PROPERTIES PREFIX "")
target_link_libraries(handler_memory PRIVATE tcmu::handler)
tcmud_handler_test(example memory)
set_tests_properties(unit-example PROPERTIES ENVIRONMENT
	"ASAN_OPTIONS=allocator_may_return_null=1;TSAN_OPTIONS=allocator_may_return_null=1")
