/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What io/thread.c (the thread and the ring), io/exec.c and io/submit.c (the backend) share. Owned
 * by the loop's thread but for the members that say otherwise.
 */
#pragma once

#include "io/thread.h"
#include "io/wait-tuner.h"

/* A list of commands in the order they were added. */
struct command_list {
	struct command *first;
	struct command **last; /* where the next one is linked */
};

static inline void command_list_init(struct command_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static inline void command_list_add(struct command_list *list, struct command *command)
{
	command->next = NULL;
	*list->last = command;
	list->last = &command->next;
}

static inline struct command *command_list_take(struct command_list *list)
{
	struct command *command = list->first;

	if (command) {
		list->first = command->next;
		if (!list->first)
			list->last = &list->first;
		command->next = NULL;
	}
	return command;
}

/* What the device's thread is doing with the ring. */
enum io_thread_mode {
	IO_THREAD_SERVING,
	IO_THREAD_DRAINING,
};

/* Orders from other threads, taken by the loop's thread; under `control_lock`. */
struct control_requests {
	bool drain;
	bool cancel;
	bool fail;
	bool lu_info_set;
	bool size_set;
	bool write_cache_set;
	bool write_cache;
	bool deferred_done;
	int deferred_error;
	bool permission_set;
	bool backend_set;
	uint8_t not_ready;
	enum io_permission access;
	unsigned permission_generation;
	void *backend;
	struct tcmu_backend_info backend_info;
	struct scsi_lu_info identity;
	bool limits_set;
	struct rate_limits limits;
	uint64_t size;
	struct tcmu_backend_info info;
};

struct io_thread {
	struct io_thread_setup setup;
	struct scsi_lu lu;
	struct tcmu_backend_info info;
	enum io_thread_mode mode;
	bool failed;
	enum io_permission access;
	bool idle_wanted;               /* IO_SIGNAL_IDLE is to be signalled */
	unsigned permission_generation; /* of the order that access is from */
	bool broken;
	bool unregistered;
	bool abandoned; /* nobody waits for what is in flight: nothing more is asked of the backend
			 */
	bool cancel_wanted; /* there are commands to be cancelled */
	bool stale; /* the ring was reset: what was fetched before has been answered by the kernel
		     */
	bool clean; /* valid at the end: everything that was fetched has been answered */
	int error;
	char error_text[160];

	/* under the gate */
	pthread_mutex_t ring_lock;
	struct tcmu_uio uio;
	struct tcmu_ring ring;
	bool attached; /* the ring may be looked at */
	bool revoked;  /* the mapping is not the kernel's any more; set once, by io_thread_revoke()
			*/

	int epoll_fd;
	int wake_fd;               /* eventfd */
	struct aio_engine *engine; /* ASYNC handlers */
	struct workers *workers;   /* the others */
	struct command_pool pool;
	struct wait_tuner tuner;
	atomic_int cpu; /* the processor that the thread is kept on, see thread_set_cpu(); -1:
			     none */
	atomic_int tid; /* the thread's; valid while place is not -1 */
	struct rate_limit rate_limit;
	uint64_t resume; /* when the limits allow the first of `ready`, by wait_clock(); 0: nothing
			    waits */
	uint8_t *data;   /* SCSI_DATA_MAX bytes for the answers of emulated commands */
	struct command_list ready;       /* planned, to be started outside of the gate */
	struct command_list blocked;     /* wait for another command's range */
	struct command_list pending;     /* wait for the identity */
	struct command_list ended;       /* to be completed to the kernel */
	unsigned exclusive_cnt;          /* started commands that are exclusive */
	struct xcopy_peer *peer;         /* this loop, to others that copy */
	unsigned served_cnt;             /* commands that carry out requests of peers */
	unsigned background_cnt;         /* commands that copies in the background belong to */
	struct command *format;          /* the operation that overwrites the medium, or NULL */
	struct command *format_waiter;   /* who waits for its end, or NULL */
	atomic_uint format_state;        /* as last told to the owner */
	bool deferred_in_flight;         /* the owner has been asked */
	bool deferred_planned;           /* who waits for it has a plan to be carried out then */
	struct command *deferred_waiter; /* who waits for it, or NULL */
	struct scsi_mode_values deferred_before; /* what was saved before it */

	/* completed ios, pushed by any thread, newest first */
	_Atomic(struct command *) finished;
	atomic_bool asleep;
	atomic_uint in_flight;
	atomic_uint completing; /* other threads that are within submit_complete() */

	pthread_mutex_t control_lock;
	struct control_requests control;
	unsigned permission_generations; /* how many orders have set the access; under control_lock
					  */
	atomic_uint idle_generation;     /* the order since which it is quiet */
	struct deferred_request errand;  /* written by the loop's thread, while none is under way */
	atomic_bool has_control;
};

/* What epoll tells. */
enum wake_source {
	WAKE_UIO,
	WAKE_ENGINE,
	WAKE_OTHER,
};

/* ------- io/thread.c ------- */

/* The kernel's device is gone: stop at once, without waiting to be told. */
void io_thread_unregistered(struct io_thread *thread);

/* Whether no command of the kernel's is there. */
static inline bool io_thread_is_empty(const struct io_thread *thread)
{
	return thread->pool.in_use ==
		thread->served_cnt + thread->background_cnt + (thread->format ? 1 : 0);
}

/* ------- io/wait.c ------- */

/* Nanoseconds. */
uint64_t wait_clock(void);

/* Returns when there may be something to do. */
void wait_for_work(struct io_thread *thread);

/* There was, so many commands of it fetched. */
void wait_ended(struct io_thread *thread, unsigned commands);

/* The thread gets to run wherever it can at once: an order waits for no other user of the processor
 * that it is kept on. Any thread. */
void io_thread_leave_cpu(struct io_thread *thread);

/* Wakes the loop's thread if it sleeps. Any thread. */
void io_thread_wake(struct io_thread *thread);

/* ------- io/exec.c ------- */

/* Under the ring_lock, after scsi_dispatch() has planned: takes the data-out that the core itself
 * will look at. False: the command itself is not to be started; it was refused, or has left an
 * operation behind. */
bool exec_prepare(struct command *command);

/* ------- io/format.c ------- */

/* Who waits for the end of the operation waits no longer. */
void format_leave(struct command *waiter);

/* Tells the owner what has changed. Outside of the gate or under it. */
void format_report(struct io_thread *thread);

/* ------- io/deferred.c ------- */

/* Under the gate: a command waits for its errand, and then ends, or goes on with its plan. before:
 * what was saved before it. */
void deferred_begin(
	struct command *waiter, const struct deferred_request *errand,
	const struct scsi_mode_values *before, bool planned);

/* Who waits for the errand waits no longer. */
void deferred_leave(struct command *waiter);

/* Under the gate: the owner has done it. */
void deferred_end(struct io_thread *thread, int error);

/* ------- io/permission.c ------- */

/* Under the gate: the part of the orders that is about the access and the backend. */
void permission_take_requests(struct io_thread *thread, const struct control_requests *requests);

/* Whether a request may go to the backend; if not, who can change that is told. */
bool permission_allows(struct io_thread *thread, enum tcmu_io_op op);

/* Outside of the ring_lock, at the end of a turn. */
void permission_report(struct io_thread *thread);

/* ------- io/xcopy.c ------- */

/* Under the gate: starts a planned copy. The command ends now or later. */
void xcopy_begin(struct command *waiter, const struct scsi_xcopy *what);

/* Under the gate: COPY OPERATION ABORT. The copy ends when what it has asked for last is answered.
 */
void xcopy_abort(struct command *command);

/* What the copy waits for is asked to end soon, and the copy with it; where the loop ends, it ends
 * at once. */
void xcopy_cancel(struct command *waiter);

/* Under the gate: requests of peers become commands, as many as there are slots. Returns how many
 * were taken. */
unsigned xcopy_serve(struct io_thread *thread);

/* A command that carries out a request has ended: who asked is told. */
void xcopy_served(struct command *command);

/* ------- io/submit.c ------- */

/* Outside of the gate: starts what is ready, as fast as the limits allow. Returns how many. */
unsigned order_start_ready(struct io_thread *thread);

/* Outside of the gate: starts the plan. The command ends on loop->ended, now or later. */
void order_start(struct command *command);

/* Outside of the gate: goes on with every command whose io has completed. Returns how many. */
unsigned submit_reap(struct io_thread *thread);

/* Starts blocked commands whose range has become free, or that were aborted and end at once. */
void order_unblock(struct io_thread *thread);

/* Asks the backend to give up a command's io. */
void submit_cancel(struct command *command);

/* Sets the answer and puts the command on loop->ended. */
void command_end(struct command *command, uint8_t status, const struct scsi_sense *sense);

/* Copies len bytes to the data-in of a command, as far as there is room. Under the ring_lock. */
void command_copy_in(struct command *command, const uint8_t *data, uint32_t len);
