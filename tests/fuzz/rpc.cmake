# SPDX-License-Identifier: Apache-2.0
# The linker prefers the functions of methods-fixture.c to those of tcmud-device.
set(fixtures "${PROJECT_SOURCE_DIR}/tests/unit/fixtures")
foreach(name IN ITEMS request dbus)
	tcmud_fuzz_target(${name} SLOW 50 SOURCES "${fixtures}/methods-fixture.c" LIBS log-fixture fake-handler tcmud-rpc PkgConfig::JANSSON
		PkgConfig::SYSTEMD)
	target_link_options(fuzz-${name} PRIVATE "LINKER:--wrap=log_emit,--wrap=log_set_level")
endforeach()
