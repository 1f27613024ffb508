# SPDX-License-Identifier: Apache-2.0
# The needs of tcmud, checked before anything is compiled. docs/hosts.md lists where it was tried.
include(CheckSymbolExists)

if(CMAKE_SIZEOF_VOID_P LESS 8)
	message(FATAL_ERROR "tcmud needs a 64-bit architecture: the ring's and the commands' structures are not laid out for 32 bits")
endif()

set(CMAKE_REQUIRED_DEFINITIONS -D_GNU_SOURCE)
check_symbol_exists(__GLIBC__ "features.h" TCMUD_HAVE_GLIBC)
check_symbol_exists(preadv2 "sys/uio.h" TCMUD_HAVE_PREADV2)
if(NOT TCMUD_HAVE_GLIBC OR NOT TCMUD_HAVE_PREADV2)
	message(FATAL_ERROR "tcmud needs the GNU C library with preadv2() and pwritev2(); musl is not supported")
endif()
unset(CMAKE_REQUIRED_DEFINITIONS)
