# SPDX-License-Identifier: Apache-2.0
tcmud_handler_test(null null)
tcmud_handler_test(fault fault)
target_compile_definitions(test-fault PRIVATE
	"PLUGIN_SYS=\"$<TARGET_FILE:handler_fault_sys>\""
	"MANUAL=\"${PROJECT_SOURCE_DIR}/handlers/fault/tcmu-fault.7\"")
add_dependencies(test-fault handler_fault_sys)
