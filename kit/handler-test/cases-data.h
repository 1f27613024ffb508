/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the bytes. See cases.h. */
#pragma once

#include "subject.h"

void case_read_write(struct subject *subject);
void case_operations(struct subject *subject);
void case_concurrent(struct subject *subject);
void case_overlapping(struct subject *subject);
void case_compare_at_once(struct subject *subject);
void case_commands(struct subject *subject);
