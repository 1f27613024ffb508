/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon alone knows the target port groups; this header is for sources that include it. */
#pragma once
