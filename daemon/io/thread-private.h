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
enum loop_mode {
	LOOP_SERVING,
	LOOP_DRAINING,
};

/* Orders from other threads, taken by the loop's thread; under `orders_lock`. */
struct loop_orders {
	bool drain;
	bool cancel;
	bool sicken;
	bool identity_set;
	bool size_set;
	bool write_cache_set;
	bool write_cache;
	bool errand_done;
	int errand_error;
	bool access_set;
	bool backend_set;
	uint8_t not_ready;
	enum loop_access access;
	unsigned access_turn;
	void *backend;
	struct tcmu_backend_info backend_info;
	struct scsi_identity identity;
	bool limits_set;
	struct throttle_limits limits;
	uint64_t size;
	struct tcmu_backend_info info;
};

struct loop {
	struct loop_setup setup;
	struct scsi_lu lu;
	struct tcmu_backend_info info;
	enum loop_mode mode;
	bool sick;
	enum loop_access access;
	bool quiet_wanted;    /* LOOP_QUIET is to be signalled */
	unsigned access_turn; /* of the order that access is from */
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
	pthread_mutex_t gate;
	struct tcmu_uio uio;
	struct tcmu_ring ring;
	bool attached; /* the ring may be looked at */
	bool revoked;  /* the mapping is not the kernel's any more; set once, by loop_revoke() */

	int epoll_fd;
	int wake_fd;               /* eventfd */
	struct aio_engine *engine; /* ASYNC handlers */
	struct workers *workers;   /* the others */
	struct command_pool pool;
	struct poll poll;
	atomic_int place; /* the processor that the thread is kept on, see thread_set_place(); -1:
			     none */
	atomic_int tid;   /* the thread's; valid while place is not -1 */
	struct throttle throttle;
	uint64_t resume; /* when the limits allow the first of `ready`, by loop_clock(); 0: nothing
			    waits */
	uint8_t *data;   /* SCSI_DATA_MAX bytes for the answers of emulated commands */
	struct command_list ready;    /* planned, to be started outside of the gate */
	struct command_list blocked;  /* wait for another command's range */
	struct command_list parked;   /* wait for the identity */
	struct command_list ended;    /* to be completed to the kernel */
	unsigned exclusive_cnt;       /* started commands that are exclusive */
	struct peer *peer;            /* this loop, to others that copy */
	unsigned served_cnt;          /* commands that carry out requests of peers */
	unsigned background_cnt;      /* commands that copies in the background belong to */
	struct command *erase;        /* the operation that overwrites the medium, or NULL */
	struct command *erase_asker;  /* who waits for its end, or NULL */
	atomic_uint erasure;          /* as last told to the owner */
	bool errand_under_way;        /* the owner has been asked */
	bool errand_planned;          /* who waits for it has a plan to be carried out then */
	struct command *errand_asker; /* who waits for it, or NULL */
	struct scsi_mode_values errand_before; /* what was saved before it */

	/* completed ios, pushed by any thread, newest first */
	_Atomic(struct command *) finished;
	atomic_bool asleep;
	atomic_uint in_flight;
	atomic_uint completing; /* other threads that are within io_complete() */

	pthread_mutex_t orders_lock;
	struct loop_orders orders;
	unsigned access_turns;     /* how many orders have set the access; under orders_lock */
	atomic_uint quiet_turn;    /* the order since which it is quiet */
	struct loop_errand errand; /* written by the loop's thread, while none is under way */
	atomic_bool has_orders;
};

/* What epoll tells. */
enum wake_source {
	WAKE_UIO,
	WAKE_ENGINE,
	WAKE_OTHER,
};

/* ------- io/thread.c ------- */

/* The kernel's device is gone: stop at once, without waiting to be told. */
void loop_unregistered(struct loop *loop);

/* Whether no command of the kernel's is there. */
static inline bool loop_is_empty(const struct loop *loop)
{
	return loop->pool.in_use == loop->served_cnt + loop->background_cnt + (loop->erase ? 1 : 0);
}

/* ------- io/wait.c ------- */

/* Nanoseconds. */
uint64_t loop_clock(void);

/* Returns when there may be something to do. */
void loop_wait(struct loop *loop);

/* There was, so many commands of it fetched. */
void loop_waited(struct loop *loop, unsigned commands);

/* The thread gets to run wherever it can at once: an order waits for no other user of the processor
 * that it is kept on. Any thread. */
void loop_leave_place(struct loop *loop);

/* Wakes the loop's thread if it sleeps. Any thread. */
void loop_wake(struct loop *loop);

/* ------- io/exec.c ------- */

/* Under the gate, after scsi_dispatch() has planned: takes the data-out that the core itself will
 * look at. False: the command itself is not to be started; it was refused, or has left an operation
 * behind. */
bool plan_prepare(struct command *command);

/* ------- io/format.c ------- */

/* Who waits for the end of the operation waits no longer. */
void erase_leave(struct command *asker);

/* Tells the owner what has changed. Outside of the gate or under it. */
void erase_tell(struct loop *loop);

/* ------- io/deferred.c ------- */

/* Under the gate: a command waits for its errand, and then ends, or goes on with its plan. before:
 * what was saved before it. */
void errand_begin(
	struct command *asker, const struct loop_errand *errand,
	const struct scsi_mode_values *before, bool planned);

/* Who waits for the errand waits no longer. */
void errand_leave(struct command *asker);

/* Under the gate: the owner has done it. */
void errand_end(struct loop *loop, int error);

/* ------- io/permission.c ------- */

/* Under the gate: the part of the orders that is about the access and the backend. */
void access_take_orders(struct loop *loop, const struct loop_orders *orders);

/* Whether a request may go to the backend; if not, who can change that is told. */
bool access_allows(struct loop *loop, enum tcmu_io_op op);

/* Outside of the gate, at the end of a turn. */
void access_tell(struct loop *loop);

/* ------- io/xcopy.c ------- */

/* Under the gate: starts a planned copy. The command ends now or later. */
void copy_begin(struct command *asker, const struct scsi_copy *what);

/* Under the gate: COPY OPERATION ABORT. The copy ends when what it has asked for last is answered.
 */
void copy_abort(struct command *command);

/* What the copy waits for is asked to end soon, and the copy with it; where the loop ends, it ends
 * at once. */
void copy_cancel(struct command *asker);

/* Under the gate: requests of peers become commands, as many as there are slots. Returns how many
 * were taken. */
unsigned copy_serve(struct loop *loop);

/* A command that carries out a request has ended: who asked is told. */
void copy_served(struct command *command);

/* ------- io/submit.c ------- */

/* Outside of the gate: starts what is ready, as fast as the limits allow. Returns how many. */
unsigned io_start_ready(struct loop *loop);

/* Outside of the gate: starts the plan. The command ends on loop->ended, now or later. */
void io_start(struct command *command);

/* Outside of the gate: goes on with every command whose io has completed. Returns how many. */
unsigned io_reap(struct loop *loop);

/* Starts blocked commands whose range has become free, or that were aborted and end at once. */
void io_unblock(struct loop *loop);

/* Asks the backend to give up a command's io. */
void io_cancel(struct command *command);

/* Sets the answer and puts the command on loop->ended. */
void io_end(struct command *command, uint8_t status, const struct scsi_sense *sense);

/* Copies len bytes to the data-in of a command, as far as there is room. Under the gate. */
void io_copy_in(struct command *command, const uint8_t *data, uint32_t len);
