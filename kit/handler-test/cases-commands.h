/* SPDX-License-Identifier: Apache-2.0 */
/* The test of SCSI commands that a handler answers by itself. See cases.h. */
#pragma once

#include "subject.h"

void case_commands(struct subject *subject);
