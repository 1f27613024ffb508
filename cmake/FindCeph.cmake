# SPDX-License-Identifier: Apache-2.0
# librbd and librados, which come without pkg-config files: the targets Ceph::rbd and Ceph::rados.
include(FindPackageHandleStandardArgs)
find_path(CEPH_INCLUDE_DIR rbd/librbd.h)
find_library(CEPH_RBD_LIBRARY rbd)
find_library(CEPH_RADOS_LIBRARY rados)
mark_as_advanced(CEPH_INCLUDE_DIR CEPH_RBD_LIBRARY CEPH_RADOS_LIBRARY)
find_package_handle_standard_args(Ceph REQUIRED_VARS CEPH_RBD_LIBRARY CEPH_RADOS_LIBRARY CEPH_INCLUDE_DIR)
if(Ceph_FOUND AND NOT TARGET Ceph::rbd)
	add_library(Ceph::rados UNKNOWN IMPORTED)
	set_target_properties(Ceph::rados PROPERTIES
		IMPORTED_LOCATION "${CEPH_RADOS_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${CEPH_INCLUDE_DIR}")
	add_library(Ceph::rbd UNKNOWN IMPORTED)
	set_target_properties(Ceph::rbd PROPERTIES
		IMPORTED_LOCATION "${CEPH_RBD_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${CEPH_INCLUDE_DIR}")
endif()
