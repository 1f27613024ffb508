/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options.
 */
#include "options.h"

const struct tcmu_option remote_options[REMOTE_OPTIONS + 1] = {
	[REMOTE_EXPORT] =
		{.name = "export",
		 .type = TCMU_OPTION_STRING,
		 .help = "the name of the export, where the target is the path of a socket"},
	[REMOTE_CONNECTIONS] =
		{.name = "connections",
		 .type = TCMU_OPTION_UINT,
		 .def = "1",
		 .help = "connections to the server, 1 to 16; 1 where it does not allow more"},
	[REMOTE_TIMEOUT] =
		{.name = "timeout",
		 .type = TCMU_OPTION_UINT,
		 .def = "30",
		 .help = "seconds until a command fails that the server does not answer; 0: never"},
	[REMOTE_UNFLUSHED] =
		{.name = "unflushed",
		 .type = TCMU_OPTION_SIZE,
		 .def = "32M",
		 .help = "memory for writes that a server that restarts may lose, 4M to 1G; 0: "
			 "every write is stable when it is answered"},
	[REMOTE_TLS] =
		{.name = "tls",
		 .type = TCMU_OPTION_BOOL,
		 .def = "no",
		 .help = "require TLS, as nbds:// does"},
	[REMOTE_CERTIFICATES] =
		{.name = "certificates",
		 .type = TCMU_OPTION_STRING,
		 .help = "the directory of ca-cert.pem, client-cert.pem and client-key.pem"},
	[REMOTE_PSK] =
		{.name = "psk",
		 .type = TCMU_OPTION_STRING,
		 .help = "the file of the pre-shared keys, lines of user:key"},
	[REMOTE_USER] =
		{.name = "user",
		 .type = TCMU_OPTION_STRING,
		 .help = "the user whose pre-shared key is used"},
	[REMOTE_VERIFY] =
		{.name = "verify",
		 .type = TCMU_OPTION_BOOL,
		 .def = "yes",
		 .help = "verify the server's certificate"},
};
