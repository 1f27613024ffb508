# SPDX-License-Identifier: Apache-2.0
# The one set of compiler flags. Warnings are errors in every preset; packages set TCMUD_WERROR=OFF, because a compiler of
# the future has new ones.
option(TCMUD_WERROR "Treat the compiler's warnings as errors" ON)
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
# The build's own path is not in its programs, and so not in what their build IDs are made from.
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
# Programs are linked with -pie, too, not only compiled for it.
cmake_policy(SET CMP0083 NEW)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

# Assertions stay on, in a release too: CMake's build types would turn them off.
foreach(flags IN ITEMS CMAKE_C_FLAGS_RELEASE CMAKE_C_FLAGS_RELWITHDEBINFO CMAKE_C_FLAGS_MINSIZEREL)
	string(REPLACE "-DNDEBUG" "" ${flags} "${${flags}}")
endforeach()

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra $<$<BOOL:${TCMUD_WERROR}>:-Werror> -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
	-Wwrite-strings -Wvla -Wundef -Wformat=2 -Wimplicit-fallthrough -Wno-missing-field-initializers
	-fno-strict-aliasing -fstack-protector-strong)

# The unit tests replace calls by their names, and a fortified call has another one. Ubuntu's gcc fortifies whenever it
# optimizes. Packages are fortified, because they are built without the tests.
set(CMAKE_REQUIRED_FLAGS -O2)
check_symbol_exists(_FORTIFY_SOURCE "features.h" TCMUD_COMPILER_FORTIFIES)
unset(CMAKE_REQUIRED_FLAGS)
if(TCMUD_TESTS AND TCMUD_COMPILER_FORTIFIES)
	add_compile_options(-U_FORTIFY_SOURCE)
endif()

# SANITIZE is a list for -fsanitize, set by the presets asan and tsan.
set(TCMUD_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")
if(TCMUD_SANITIZE)
	add_compile_options(-fsanitize=${TCMUD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
	add_link_options(-fsanitize=${TCMUD_SANITIZE})
	# There locals that live in heap memory, to find a use after return, have not the alignment that they ask for.
	if(TCMUD_SANITIZE MATCHES address AND CMAKE_C_COMPILER_ID STREQUAL GNU AND CMAKE_C_COMPILER_VERSION MATCHES "^13[.]")
		add_compile_options(--param=asan-use-after-return=0)
	endif()
endif()

# libFuzzer needs the counters of coverage in the libraries as well as in the targets (tests/fuzz). Clang only.
option(TCMUD_FUZZ "Drive the fuzz targets by libFuzzer" OFF)
if(TCMUD_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "TCMUD_FUZZ needs clang; without it the fuzz targets have their own driver")
	endif()
	add_compile_options(-fsanitize=fuzzer-no-link)
	add_link_options(-fsanitize=fuzzer-no-link)
endif()
