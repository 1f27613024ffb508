/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of MemorySanitizer, which do nothing in a build without it.
 */
#pragma once

#if defined(__has_feature)
#define HAS_MSAN __has_feature(memory_sanitizer)
#else
#define HAS_MSAN 0
#endif
#if HAS_MSAN
#include <sanitizer/msan_interface.h>
#else
#define __msan_allocated_memory(at, length)         ((void) (at), (void) (length))
#define __msan_unpoison(at, length)                 ((void) (at), (void) (length))
#define __msan_check_mem_is_initialized(at, length) ((void) (at), (void) (length))
#endif
