/* SPDX-License-Identifier: Apache-2.0 */
/* Load: how many requests a second, and how long each takes. See cases.h. */
#pragma once

#include "subject.h"

void case_load(struct subject *subject);
