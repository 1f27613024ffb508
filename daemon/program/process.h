/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process inherits from the one that starts it: open descriptors and signals.
 *
 * Main thread, before there is another one.
 */
#pragma once

/* Opens /dev/null in the place of standard input, output and error that are closed. Otherwise the
 * next file that is opened takes the number, and is read or gets messages by mistake: to be called
 * before anything is opened. Returns 0, or -errno: /dev/null cannot be opened. */
int process_fill_standard_files(void);

/* Sets what each signal does that the event loop does not take. A signal that means nothing to the
 * daemon is ignored, instead of ending it; a signal of a fault, SIGQUIT and the signals of a
 * terminal's job control keep what they do. */
void process_set_signals(void);
