/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test says to the program that started it, by a pipe: a test is a process, so that a crash
 * and a hang are results, too.
 */
#pragma once

/* In the process of a test: fd is the pipe's end. A watchdog fails the test after so many seconds;
 * crashes of the handler are reported. */
void verdict_begin(int fd, unsigned timeout);

/* Names the current step of the test, for the watchdog and for crashes. A constant. */
void verdict_step(const char *step);

/* Called by the watchdog for more words, before it fails the test. Must not block for long. */
typedef void verdict_explain_fn(char *text, unsigned size);
void verdict_set_explain(verdict_explain_fn *explain);

/* The test has failed, or does not apply; ends the process. Any thread. */
void verdict_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void verdict_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The test has passed: the process is about to end. */
void verdict_pass(void);

/* A figure for the report. */
void verdict_note(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A fact for the report that fails nothing. */
void verdict_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
