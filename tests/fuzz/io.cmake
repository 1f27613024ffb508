# SPDX-License-Identifier: Apache-2.0
tcmud_fuzz_target(command SOURCES ../sim/no-aio.c INCLUDES ../sim LIBS tcmud-io fake-ring SLOW 30 MEMORY)
target_link_options(fuzz-command PRIVATE "LINKER:--wrap=pthread_create,--wrap=pthread_sigmask,--wrap=epoll_wait")
