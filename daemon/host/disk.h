/* SPDX-License-Identifier: Apache-2.0 */
/* A hosted disk from open to close. All of it is public: <tcmu/host.h>. */
#pragma once

#include "host/state.h"
