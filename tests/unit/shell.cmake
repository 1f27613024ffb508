# SPDX-License-Identifier: Apache-2.0
# What stands around the core: settings, options, log, plugins, the bus, the command line.
add_library(shell-fixture STATIC shell-fixture.c)
target_include_directories(shell-fixture PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(shell-fixture PUBLIC tcmud-shell PkgConfig::CMOCKA)

foreach(name IN ITEMS check cli control documentation instance log notify options registry settings)
	tcmud_unit_test(${name} LIBS shell-fixture)
endforeach()

foreach(name IN ITEMS bus bus-foreign)
	tcmud_unit_test(${name} LIBS shell-fixture PkgConfig::SYSTEMD SOURCES bus-fixture.c)
	target_link_options(test-${name} PRIVATE "LINKER:--wrap=job_start")
endforeach()

target_compile_definitions(test-documentation PRIVATE PROJECT="${PROJECT_SOURCE_DIR}")

# So that tests can pretend to be asked by another user.
target_link_options(test-control PRIVATE "LINKER:--wrap=getsockopt")
target_link_options(test-instance PRIVATE "LINKER:--wrap=getsockopt")

# Plugins with and without faults; the test puts them together as folders.
set(plugins "${CMAKE_CURRENT_BINARY_DIR}/plugins")
foreach(name IN ITEMS badname badoption good newer nodescription noentry nosubmit older otherabi peer tooshort twin unresolved)
	add_library(plugin-${name} MODULE plugins/${name}.c)
	set_target_properties(plugin-${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${plugins}")
	target_link_libraries(plugin-${name} PRIVATE tcmu::handler)
	add_dependencies(test-registry plugin-${name})
endforeach()
target_compile_definitions(test-registry PRIVATE PLUGINS="${plugins}")
