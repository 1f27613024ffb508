# SPDX-License-Identifier: Apache-2.0
# The operator's command, and the daemon's answers to it. What query-fixture.c defines comes before the daemon's control part.
tcmud_unit_test(query SOURCES query-fixture.c LIBS tcmud-control PkgConfig::JANSSON)
tcmud_unit_test(operator-bus SOURCES query-fixture.c bus-fixture.c LIBS tcmud-control shell-fixture PkgConfig::JANSSON)
target_link_options(test-operator-bus PRIVATE "LINKER:--wrap=job_start")
target_compile_definitions(test-operator-bus PRIVATE PROJECT="${PROJECT_SOURCE_DIR}")
tcmud_unit_test(tcmuctl LIBS tcmuctl-parts shell-fixture)
target_compile_definitions(test-tcmuctl PRIVATE PROJECT="${PROJECT_SOURCE_DIR}")
