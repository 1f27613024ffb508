/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device whose image other gateways serve, too (daemon/device/lock.c, the second table of daemon/device/fsm.c, and the
 * permission of commands in daemon/io/submit.c), for spin. docs/two-gateways.md says what it proves; ./run makes all the runs.
 *
 * lock.pml is about the cluster's side. Here the handler and the cluster are what lock.pml proves: a host that takes the lock from this
 * host ends its connection, and nothing of an ended connection lands. Each option is one atomic step of the code, and its comment
 * names the function. The main thread's entries are separate processes, because each comes to its turn.
 *
 * Time: an alarm goes off at any time. The minimum hold time is one tick. A request times out later than the main thread takes
 * the answer to a query that the cluster has given before.
 *
 * Macros: EXPLICIT: initiators say who serves, by SET TARGET PORT GROUPS; HOLD: there is a minimum hold time; SILENT: the cluster
 * may not answer for a while. NO_x takes out a fence. LIVE: for the property live.
 */
/* enum lock_state; a device without port groups is not here. */
#define UNLOCKED    0
#define LOCKING     1
#define LOCKED      2
#define RELEASING   3
#define UNLOCKING   4
#define PAUSED      5
#define CALL_FENCED 6 /* from here on there is no backend: lock_has_backend() */
#define FENCED      7
#define CLOSING     8
#define OPENING     9
#define OPEN_FENCED 10
#define RETRY_WAIT  11

/* enum io_permission, and what a command gets that waits for nothing. */
#define ALL   0
#define READS 1
#define NONE  2
#define STANDBY     1
#define UNAVAILABLE 2

/* A call of the handler. */
#define NO_CALL     0
#define BEGUN       1
#define DONE        2 /* the cluster has carried it out */
#define SUCCEEDED   3
#define FAILED      4
#define REFUSED     5 /* -ESHUTDOWN */
#define LOCK_CALL   1
#define UNLOCK_CALL 2
#define CLOSE_CALL  3
#define OPEN_CALL   4

/* A query for the holder. */
#define NO_QUERY 0
#define ASKED    1
#define OURS     2
#define NOT_OURS 3
#define ERROR    4
#define Q_REFUSED 5

#define NOBODY 0
#define US     1
#define RIVAL  2

/* The cluster, and the handler's connection. */
byte holder = NOBODY;
bool ended_connection; /* the rival has had it blocklisted */
bool noticed;         /* the handler knows, and has said so */
bool silent;          /* the cluster does not answer */

/* The device. */
byte state = UNLOCKED;
byte call, call_kind, query;
bool query_locked, unavailable, unconfirmed, tries, waiter, pause_armed, away_armed, faulted;
bool hold;            /* the device does not take the lock back yet */
byte permission = READS, not_ready;
bool applied = true;  /* the I/O thread has the permission */
bool idle;            /* nothing has been in flight since, and the thread has said so */
bool wants, timed_out, fenced_signal;

/* The I/O thread: a command that changes the medium. */
#define NO_COMMAND 0
#define WAITS      1 /* fetched, and held by a limit or another command */
#define IN_FLIGHT  2
byte command;
bool current;         /* it has the permission under which it was fetched */
byte may = READS;     /* the permission that the thread has */

/* Only for the assertions. */
bool old;             /* the rival has had the lock since the command was fetched */
bool had;             /* the handler has said that this host has the lock, and the device has not noted its loss */
bool lost;            /* the rival has taken it from this host */
bool rival_held;      /* for at least a tick */
bool doubt;           /* a request has timed out, and the cluster has not answered since */
bool asked;           /* an initiator has activated this host */
bool calm;            /* nothing happens any more but what the initiators do */

#define serves      (state == UNLOCKED || state == LOCKED)
#define has_backend (state < CALL_FENCED)
#define calling     (state == LOCKING || state == UNLOCKING || state == CALL_FENCED || state == CLOSING || state == OPENING || state == OPEN_FENCED)
#ifdef EXPLICIT
#define STANDS_BY STANDBY
#else
#define STANDS_BY 0
#endif

/* lock_permission_of, lock_enforce */
inline enforce() {
	d_step {
		if
		:: unconfirmed -> p = NONE; n = UNAVAILABLE
		:: !unconfirmed && state == LOCKED -> p = ALL; n = 0
		:: !unconfirmed && state == UNLOCKED -> p = READS; n = STANDS_BY
		:: state == PAUSED -> p = READS; n = (STANDS_BY -> STANDBY : UNAVAILABLE)
		:: state == LOCKING || state == UNLOCKING || state == CALL_FENCED -> p = READS; n = (unavailable -> UNAVAILABLE : 0)
		:: state == RELEASING -> p = NONE; n = 0
		:: state >= FENCED -> p = NONE; n = (tries || unavailable -> UNAVAILABLE : 0)
		fi;
#ifdef NO_PERMISSION
		if :: p == READS -> p = ALL :: else fi;
#endif
		if
		:: p != permission || n != not_ready ->
			permission = p; not_ready = n; applied = false;
#ifndef NO_NEW_IDLE
			idle = false
#endif
		:: else
		fi;
		assert(!doubt || timed_out || not_ready == UNAVAILABLE); /* it does not pass for one that serves */
		p = 0; n = 0
	}
}

inline lose() {
#ifdef HOLD
	hold = true;
#endif
	had = false
}

/* lock_resume_waiter */
inline resume() { waiter = false }

inline start_call(kind) { assert(call == NO_CALL); call = BEGUN; call_kind = kind }

/* lock_start_query */
inline start_query() { assert(query == NO_QUERY); query = ASKED; query_locked = (state == LOCKED) }

/* lock_note_change, before the state is left */
inline note_change(next) {
#ifndef NO_OLD_QUERY
	if :: state == LOCKED -> query_locked = false :: else fi;
#endif
	if
	:: state == LOCKED && next != RELEASING -> lose()
	:: else
	fi;
	if :: next != UNLOCKED && next != LOCKED -> unconfirmed = false :: else fi;
	if :: next == LOCKING || next == UNLOCKING -> away_armed = true :: else fi;
	if
	:: next < CALL_FENCED -> unavailable = false
	:: next >= CALL_FENCED && has_backend -> away_armed = true
	:: else
	fi
}

inline enter(next) { note_change(next); state = next; printf("the device is in state %d\n", state) }

/* lock_step with LOCK_EV_FENCED */
inline step_fenced() {
	doubt = false;
	if
	:: state == LOCKING || state == UNLOCKING -> enter(CALL_FENCED); enforce()
	:: state == RELEASING -> enter(FENCED); enforce();
#ifndef NO_RESUME
		resume()
#endif
	:: state == UNLOCKED || state == LOCKED || state == PAUSED -> enter(FENCED); enforce()
	:: state == OPENING -> enter(OPEN_FENCED); enforce()
	:: else
	fi
}

/* LOCK_DO_FAULT, with DEVICE_EV_BACKEND_FAILED */
inline fault() { tries = false; faulted = true }

/* ------- the main thread ------- */

/* device_backend_failed */
proctype Main_fenced() {
	byte p, n;
	do
	:: atomic { fenced_signal -> fenced_signal = false; faulted = true; step_fenced() }
	od
}

/* lock_event with LOCK_EV_WANTED, lock_is_damped */
proctype Main_wanted() {
	byte p, n;
	do
	:: atomic { wants -> wants = false;
		if
#if defined(EXPLICIT) && !defined(NO_INITIATORS)
		:: true
#else
		:: state == UNLOCKED &&
#ifndef NO_REFUSAL
			!unconfirmed &&
#endif
#ifndef NO_DAMPING
			!hold &&
#endif
			true -> enter(LOCKING); start_call(LOCK_CALL); enforce()
		:: else
#endif
		fi }
	od
}

/* lock_doubt */
proctype Main_timed_out() {
	byte p, n;
	do
	:: atomic { timed_out -> timed_out = false;
		if
		:: serves ->
#ifndef NO_DOUBT
			unconfirmed = true;
#endif
			if :: query == NO_QUERY -> start_query() :: else fi;
			enforce()
		:: else -> doubt = false
		fi }
	od
}

/* lock_locked, lock_unlocked, lock_closed, lock_opened */
proctype Main_returned() {
	byte p, n;
	do
	:: atomic { call >= SUCCEEDED ->
		p = call; call = NO_CALL;
		if
		:: call_kind == LOCK_CALL && p == REFUSED -> p = 0; step_fenced(); enter(FENCED); fault(); enforce(); resume()
		:: call_kind == LOCK_CALL && p != REFUSED ->
			if :: p == SUCCEEDED -> tries = false :: else fi;
			if
			:: state == LOCKING && p == SUCCEEDED -> p = 0; enter(LOCKED)
			:: state == LOCKING && p == FAILED -> p = 0; enter(PAUSED); tries = true; pause_armed = true
			:: state == CALL_FENCED ->
#ifndef NO_LATE_LOSS
				if :: p == SUCCEEDED -> lose() :: else fi;
#endif
				p = 0; enter(FENCED); fault()
			fi;
			enforce(); resume()
		:: call_kind == UNLOCK_CALL ->
			p = 0;
			if
			:: state == UNLOCKING -> enter(UNLOCKED)
			:: state == CALL_FENCED -> enter(FENCED); fault()
			fi;
			enforce(); resume()
		:: call_kind == CLOSE_CALL -> p = 0; enter(OPENING); start_call(OPEN_CALL); enforce()
		:: call_kind == OPEN_CALL && p == SUCCEEDED ->
			p = 0; tries = false;
			/* LOCK_UNSHARED, and at once LOCK_EV_SHARED */
			if
			:: state == OPENING -> enter(UNLOCKED); faulted = false
			:: state == OPEN_FENCED -> enter(FENCED); fault()
			fi;
			enforce()
		:: call_kind == OPEN_CALL && p == FAILED -> p = 0; enter(RETRY_WAIT); tries = true; pause_armed = true; enforce()
		fi }
	od
}

/* lock_queried */
proctype Main_queried() {
	byte p, n;
	do
	:: atomic { query >= OURS ->
		unconfirmed = (serves && query == ERROR);
#ifndef NO_SECOND_QUERY
		if :: unconfirmed -> away_armed = true :: else fi;
#endif
		if
		:: query == NOT_OURS && state == LOCKED &&
#ifndef NO_QUERY_LOCKED
			query_locked &&
#endif
			true ->
				assert(holder != US || lost); /* it does not give up what it has */
				enter(UNLOCKED)
		:: else
		fi;
		query = NO_QUERY;
		enforce() }
	od
}

/* lock_pause_ended */
proctype Main_pause() {
	byte p, n;
	do
	:: atomic { pause_armed -> pause_armed = false;
		if
		:: state == PAUSED -> enter(UNLOCKED); enforce()
		:: state == RETRY_WAIT -> enter(OPENING); start_call(OPEN_CALL); enforce()
		:: else
		fi }
	od
}

/* lock_away_ended */
proctype Main_away() {
	byte p, n;
	do
	:: atomic { away_armed -> away_armed = false;
		unavailable = (!has_backend || calling);
		if :: unconfirmed && serves && query == NO_QUERY -> start_query() :: else fi;
		enforce() }
	od
}

/* lock_settle */
proctype Main_settle() {
	byte p, n;
	do
	:: atomic { state == RELEASING &&
#ifndef NO_IDLE
		idle &&
#endif
		true -> enter(UNLOCKING); start_call(UNLOCK_CALL); enforce() }
	:: atomic { state == FENCED && call == NO_CALL &&
#ifndef NO_QUERY_WAIT
		query == NO_QUERY &&
#endif
#ifndef NO_IDLE
		idle &&
#endif
		true -> enter(CLOSING); start_call(CLOSE_CALL); enforce() }
	od
}

/* lock_query_start, for REPORT TARGET PORT GROUPS */
proctype Main_report() {
	do
	:: atomic { has_backend && query == NO_QUERY && !calm -> start_query() }
	od
}

#ifdef EXPLICIT
/* lock_request, lock_is_as_wanted, for SET TARGET PORT GROUPS */
proctype Main_set() {
	byte p, n;
	do
	:: atomic { !waiter && state != LOCKED ->
		if
		:: state == RELEASING || state == UNLOCKING || !has_backend -> skip /* -EAGAIN, -EBUSY */
		:: else ->
			waiter = true; asked = true;
			if
			:: state == UNLOCKED || state == PAUSED -> doubt = false; enter(LOCKING); start_call(LOCK_CALL); enforce()
			:: else /* it waits for the call that runs */
			fi
		fi }
	:: atomic { !waiter && state == LOCKED && !calm -> waiter = true; asked = false; doubt = false; enter(RELEASING); enforce() }
	od
}
#endif

/* ------- the jobs' threads: the handler ------- */

inline notice() {
	doubt = false;
	if :: !noticed -> noticed = true; fenced_signal = true :: else fi
}

proctype Handler() {
	do
	:: atomic { call == BEGUN && (!silent || ended_connection) ->
		if
		:: call_kind == LOCK_CALL && !ended_connection ->
			if
			:: true ->
#ifdef EXPLICIT
				assert(asked); /* without a request of an initiator the lock does not move */
#elif defined(HOLD)
				assert(holder != RIVAL || !lost || rival_held); /* the other host keeps it for that long */
#endif
				holder = US; lost = false; call = DONE; printf("the lock is ours\n")
			:: !calm -> call = FAILED
			fi
		:: call_kind == UNLOCK_CALL && !ended_connection ->
			assert(command != IN_FLIGHT); /* what is in flight would land without the lock */
			if :: holder == US -> holder = NOBODY; had = false :: else fi;
			call = SUCCEEDED
		:: call_kind == CLOSE_CALL ->
			assert(command != IN_FLIGHT && query == NO_QUERY); /* nothing uses what is closed */
			if :: holder == US -> holder = NOBODY; had = false :: else fi;
			call = SUCCEEDED
		:: call_kind == OPEN_CALL ->
			if
			:: !silent -> ended_connection = false; noticed = false; call = SUCCEEDED
			:: !calm -> call = FAILED
			fi
		:: else -> notice(); call = (call_kind == LOCK_CALL -> REFUSED : SUCCEEDED)
		fi }
	:: atomic { call == BEGUN && silent && !calm && call_kind == OPEN_CALL -> call = FAILED }
	:: atomic { call == BEGUN && silent && !calm && (call_kind == LOCK_CALL || call_kind == UNLOCK_CALL) ->
		/* the limit of a call: the connection is ended and given up */
		if :: holder == US -> holder = NOBODY; had = false :: else fi;
		ended_connection = true; notice(); call = REFUSED;
		if :: call_kind == UNLOCK_CALL -> call = SUCCEEDED :: else fi }
	:: atomic { call == DONE ->
		if
		:: ended_connection -> notice(); call = REFUSED
		:: else -> had = true; call = SUCCEEDED
		fi }
	/* what happens between the lock and the end of its call: store_tag */
	:: atomic { call == SUCCEEDED && call_kind == LOCK_CALL && ended_connection -> notice(); call == SUCCEEDED }
	od
}

proctype Handler_query() {
	do
	:: atomic { query == ASKED ->
		if
		:: ended_connection -> notice(); query = Q_REFUSED
		:: !ended_connection && silent -> query = ERROR
		:: !ended_connection && !silent -> doubt = false; query = (holder == US -> OURS : NOT_OURS)
		fi }
	od
}

/* The lease: a connection that was ended is noticed also without a request. */
proctype Handler_lease() {
	do
	:: atomic { ended_connection && !noticed && (state == LOCKED || call != NO_CALL) && call_kind != OPEN_CALL -> notice() }
	od
}

/* ------- the I/O thread ------- */

/* submit_set_permission */
proctype Io_permission() {
	do
	:: atomic { !applied -> applied = true; may = permission; current = false }
	od
}

/* submit_report */
proctype Io_idle() {
	do
	:: atomic { applied && may == NONE && command != IN_FLIGHT && !idle -> idle = true }
	od
}

proctype Io_command() {
	do
	:: atomic { command == NO_COMMAND -> command = WAITS; current = true; old = false }
	/* submit_io, submit_is_permitted */
	:: atomic { command == WAITS ->
		if
		:: may == ALL &&
#ifndef NO_TENURE
			current &&
#endif
			true -> command = IN_FLIGHT; printf("a write is submitted\n")
		:: else -> /* BUSY */
			command = NO_COMMAND;
			if :: current -> wants = true :: else fi;
			old = false; current = false
		fi }
	:: atomic { command == IN_FLIGHT && (!silent || ended_connection) ->
		if
		:: ended_connection -> notice()
		:: else ->
			printf("the write lands\n");
#ifndef LIVE
			assert(holder == US); /* only the lock holder writes */
			assert(!old)          /* what was fetched before the rival had the lock does not land after it */
#else
			skip
#endif
		fi;
		command = NO_COMMAND; old = false; current = false }
	:: atomic { command == IN_FLIGHT && silent && (query <= ASKED || query == ERROR) && !calm ->
		printf("the write times out\n");
		timed_out = true; doubt = true; command = NO_COMMAND; old = false; current = false }
	od
}

/* ------- the other gateway, the cluster, time ------- */

proctype Rival() {
	do
	:: atomic { holder != RIVAL && !silent && !calm ->
		if
		:: holder == US -> ended_connection = true; lost = had
		:: else -> lost = false
		fi;
		had = false; holder = RIVAL; rival_held = false; old = (command != NO_COMMAND);
		printf("the rival has the lock\n") }
	:: atomic { holder == RIVAL && !silent && !calm -> holder = NOBODY; printf("the rival releases the lock\n") }
	od
}

proctype Cluster() {
	do
	:: atomic { !silent && !calm -> silent = true; printf("the cluster is silent\n") }
	:: atomic { silent -> silent = false; printf("the cluster answers\n") }
	od
}

proctype Time() {
	do
	:: atomic { hold || (holder == RIVAL && !rival_held) -> hold = false; rival_held = (holder == RIVAL) }
	od
}

#ifdef LIVE
proctype Calm() { atomic { !silent -> calm = true } }
#endif

init {
	atomic {
		run Main_fenced(); run Main_wanted(); run Main_timed_out(); run Main_returned(); run Main_queried(); run Main_pause();
		run Main_away(); run Main_settle(); run Main_report();
#ifdef EXPLICIT
		run Main_set();
#endif
		run Handler(); run Handler_query(); run Handler_lease(); run Io_permission(); run Io_idle(); run Io_command();
		run Rival();
#ifdef SILENT
		run Cluster();
#endif
#ifdef HOLD
		run Time();
#endif
#ifdef LIVE
		run Calm()
#endif
	}
}

#ifdef LIVE
/* It gets the lock and serves, and each SET TARGET PORT GROUPS is answered. */
ltl live { [] (calm -> <> (state == LOCKED && !faulted && permission == ALL && !waiter)) }
#endif
