# SPDX-License-Identifier: Apache-2.0
# io_uring, which is left out where liburing is missing or too old. Sets TCMUD_HAVE_URING.
option(TCMUD_URING "Make system calls by io_uring where the kernel has it; needs liburing 2.3" ON)
if(TCMUD_URING)
	pkg_check_modules(URING IMPORTED_TARGET liburing>=2.3)
endif()
set(TCMUD_HAVE_URING ${URING_FOUND})
if(NOT TCMUD_HAVE_URING)
	set(TCMUD_HAVE_URING 0)
	message(STATUS "Without io_uring, which needs liburing 2.3: system calls are made by threads")
endif()
