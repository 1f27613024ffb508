# SPDX-License-Identifier: Apache-2.0
# The handler's own objects with a librbd that is not there; the real one: tests/ceph.
if(TARGET handler_rbd)
	tcmud_unit_test(rbd LIBS fake-host SOURCES fake-rbd.c)
	target_sources(test-rbd PRIVATE $<TARGET_OBJECTS:handler_rbd>)
	target_include_directories(test-rbd PRIVATE "${CEPH_INCLUDE_DIR}")
	target_compile_definitions(test-rbd PRIVATE "MANUAL=\"${PROJECT_SOURCE_DIR}/handlers/rbd/tcmu-rbd.7\"")
endif()
