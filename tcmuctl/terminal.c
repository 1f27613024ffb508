/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals are blocked but for the wait, so that none comes between a check of its flag and the
 * wait.
 */
#include "terminal.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define OTHER_SCREEN "\033[?1049h\033[?25l"
#define FIRST_SCREEN "\033[?25h\033[?1049l"

static struct {
	bool taken;
	struct termios before;
	sigset_t unblocked; /* the mask of the wait */
	char bytes[64];     /* of keys that were read and not taken yet */
	size_t cnt;
} terminal;

static volatile sig_atomic_t resized, ended;

static void on_signal(int number)
{
	if (number == SIGWINCH)
		resized = 1;
	else
		ended = 1;
}

static void catch_signals(void)
{
	static const int numbers[] = {SIGWINCH, SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		(void) sigaction(numbers[i], &action, NULL);
		sigaddset(&blocked, numbers[i]);
	}
	(void) sigprocmask(SIG_BLOCK, &blocked, &terminal.unblocked);
}

static void write_all(const char *text)
{
	fputs(text, stdout);
	(void) fflush(stdout);
}

bool terminal_begin(void)
{
	struct termios keys;

	assert(!terminal.taken);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
	    tcgetattr(STDIN_FILENO, &terminal.before) < 0)
		return false;
	keys = terminal.before;
	keys.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
	keys.c_cc[VMIN] = 1;
	keys.c_cc[VTIME] = 0;
	catch_signals();
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &keys) < 0)
		return false;
	terminal.taken = true;
	write_all(OTHER_SCREEN);
	return true;
}

void terminal_end(void)
{
	assert(terminal.taken);
	terminal.taken = false;
	write_all(FIRST_SCREEN);
	(void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal.before);
}

void terminal_size(unsigned *width, unsigned *height)
{
	struct winsize size;

	*width = 80;
	*height = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		*width = size.ws_col;
		*height = size.ws_row;
	}
}

/* Clears to the end of each line, and below the last one: nothing flickers. */
void terminal_draw(const char *text)
{
	assert(terminal.taken);
	fputs("\033[H", stdout);
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\033[K\r", stdout);
		fputc(*text, stdout);
	}
	write_all("\033[K\033[J");
}

/* Takes the first of the bytes that were read: a fast typist, or a paste, sends many keys at once.
 * A key that sends several bytes begins with ESC, and they come together. */
static int take_key(void)
{
	static const struct {
		const char *bytes;
		int key;
	} keys[] = {
		{"\033[A", TERMINAL_UP},       {"\033OA", TERMINAL_UP},
		{"\033[B", TERMINAL_DOWN},     {"\033OB", TERMINAL_DOWN},
		{"\033[5~", TERMINAL_PAGE_UP}, {"\033[6~", TERMINAL_PAGE_DOWN},
		{"\033[H", TERMINAL_HOME},     {"\033[1~", TERMINAL_HOME},
		{"\033OH", TERMINAL_HOME},     {"\033[F", TERMINAL_LAST},
		{"\033[4~", TERMINAL_LAST},    {"\033OF", TERMINAL_LAST},
	};
	int key = (unsigned char) terminal.bytes[0];
	size_t length = 1;

	assert(terminal.cnt > 0);
	if (key == '\033')
		key = TERMINAL_ESCAPE;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t bytes = strlen(keys[i].bytes);

		if (terminal.cnt >= bytes && memcmp(terminal.bytes, keys[i].bytes, bytes) == 0) {
			key = keys[i].key;
			length = bytes;
		}
	}
	terminal.cnt -= length;
	memmove(terminal.bytes, terminal.bytes + length, terminal.cnt);
	return key;
}

int terminal_wait(double seconds)
{
	struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
	struct timespec timeout = {.tv_sec = (time_t) seconds};
	ssize_t cnt;
	int r;

	if (terminal.cnt)
		return take_key();
	timeout.tv_nsec = (long) ((seconds - floor(seconds)) * 1e9);
	r = ppoll(&fd, 1, &timeout, &terminal.unblocked);
	if (ended || (r < 0 && errno != EINTR))
		return TERMINAL_END;
	if (resized) {
		resized = 0;
		return TERMINAL_RESIZED;
	}
	if (r <= 0)
		return TERMINAL_TIMEOUT;
	cnt = read(STDIN_FILENO, terminal.bytes, sizeof(terminal.bytes));
	if (cnt <= 0)
		return TERMINAL_END;
	terminal.cnt = (size_t) cnt;
	return take_key();
}
