# SPDX-License-Identifier: Apache-2.0
# The needs of tcmud, checked before anything is compiled. docs/hosts.md lists where it was tried.
include(CheckStructHasMember)
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

check_struct_has_member("struct statx" stx_dio_offset_align "sys/stat.h" TCMUD_HAVE_DIOALIGN LANGUAGE C)
if(NOT TCMUD_HAVE_DIOALIGN)
	message(STATUS "statx() has no STATX_DIOALIGN here: the alignment of direct I/O is found by trying")
	if(TCMUD_TESTS)
		message(FATAL_ERROR "The unit tests need STATX_DIOALIGN (glibc 2.37); -DTCMUD_TESTS=OFF builds without them")
	endif()
endif()
unset(CMAKE_REQUIRED_DEFINITIONS)
