/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what goes wrong: cancellations, errors, slow and hung backends. See cases.h. */
#pragma once

#include "subject.h"

void case_cancel(struct subject *subject);
void case_released_memory(struct subject *subject);
void case_errors(struct subject *subject);
void case_short_transfers(struct subject *subject);
void case_slow_backend(struct subject *subject);
void case_hung_backend(struct subject *subject);
void case_stalled_backend(struct subject *subject);
