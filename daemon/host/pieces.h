/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pieces of a request, as the handler wants them: joined, or as one.
 */
#pragma once

#include "host/state.h"

/* Before the request is submitted. */
void host_pieces_prepare(struct host_request *request);

/* After its end: what was read goes where it was asked for. */
void host_pieces_finish(struct host_request *request);
