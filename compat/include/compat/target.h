/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon alone knows the ports; this header is for sources that include it. */
#pragma once
