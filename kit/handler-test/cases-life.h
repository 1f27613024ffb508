/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the life of a disk: load, check, open, close, resize, lock. See cases.h. */
#pragma once

#include "subject.h"

void case_description(struct subject *subject);
void case_check_config(struct subject *subject);
void case_open_close(struct subject *subject);
void case_properties(struct subject *subject);
void case_reopen(struct subject *subject);
void case_read_only(struct subject *subject);
void case_close_at_once(struct subject *subject);
void case_resize(struct subject *subject);
void case_lock(struct subject *subject);
