/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock of an image that several gateways share (handlers/rbd/lock.c, handlers/rbd/fence/), for spin. docs/two-gateways.md
 * says what it proves and what it leaves out; ./run makes all the runs.
 *
 * A process Gateway(i) is one connection (client instance) of host i, from its request for the lock to its end: its address, its
 * record, its lease, one write and one request that librbd answers from its object map. Each option is one atomic step of the
 * code, and its comment names the function. The cluster's part of a step is inside it where its request cannot be delayed past
 * the answer; writes and confirmations travel on their own.
 *
 * Time: the lease is LEASE ticks, the wait of a takeover WAIT. A tick comes at any time. Each connection's clock may miss one
 * tick (the margin).
 *
 * Macros: N connections; EVENTS faults; which faults: CUT, FREEZE, CRASH, DELETE, REMOVE, EXPIRE, HELD; LOSE: lost answers.
 * NO_x takes out a fence. HAZARD_x allows what the fences do not hold. LIVE: connections are opened again, for the property live.
 */
#ifndef N
#define N 2
#endif
#ifndef EVENTS
#define EVENTS 3
#endif
#ifndef LEASE
#define LEASE 2
#endif
#define WAIT  (LEASE + 1) /* the margin is a tick */
#define NOBODY 7
#define GONE   6 /* a connection that has ended, and had the lock (LIVE) */

/* States of a connection: image_lock() from ASKS to CONFIRMS. */
#define IDLE     0
#define ASKS     1  /* acquire_lock: try_lock */
#define BREAKS   2  /* fence_holder: rbd_lock_break has the entry, and has not broken the lock */
#define READS    3  /* wait_for_former: takeover_read */
#define WAITS    4  /* takeover_wait */
#define ACQUIRES 5  /* rbd_lock_acquire */
#define CHECKS   6  /* the lock is acquired; check_again */
#define RECORDS  7  /* begin_tenure: records_set */
#define CONFIRMS 8  /* begin_tenure: lease_begin */
#define HOLDER   9  /* answers as the lock holder */
#define RELEASES 10 /* image_unlock: the record is gone */
#define FENCED   11 /* image_fence, or deleted: librbd still has its requests */
#define CLOSED   12 /* end_image has ended; it has not said so */
#define ENDED    13

/* Records (fence/records.c). */
#define NONE    0
#define R_HOLDER 1
#define R_PAST  2
#define R_ENDED 3

/* A confirmation (fence/lease.c). */
#define UNASKED 0
#define ASKED  1 /* sent */
#define YES    2 /* the reply is on its way */
#define REFUSED 3

byte locked_by = NOBODY;  /* the lock at the image's header */
bool entry[N];        /* in the blocklist */
byte record[N];
byte state[N];
byte left[N];         /* of the lease; 0: over */
byte since[N];        /* since the confirmation was asked for */
byte asking[N];
bool missed[N];       /* the clock has missed its tick */
byte waited[N];
byte former[N];       /* bits: records that were read, R_HOLDER */
byte found[N];        /* bits: all records that were read */
byte target[N];
bool pending[N];      /* librados has the write, and sends it until it is answered */
bool sent[N];         /* it is in the kernel's buffers or on the network */
bool queued[N];       /* it is in a queue of the storage daemon */
bool answers[N];        /* librbd is about to answer from its object map */
bool killed[N];       /* kill_client */
bool unanswered[N];
bool deleted[N];
bool cut[N];
bool frozen[N];
bool dead[N];
byte faults;

/* Only for the assertions. */
bool was_holder[N];
bool superseded[N];   /* another has become the holder since */

/* Nothing happens to the hosts any more. */
#define calm (faults == EVENTS && !cut[0] && !cut[1] && !frozen[0] && !frozen[1])
#define held (state[0] == HOLDER || state[1] == HOLDER)

#define runs(i)   (!frozen[i] && !dead[i])
#define talks(i)  (runs(i) && !cut[i])
#define bit(i)    (1 << (i))
#define over(i)   (left[i] == 0)

/* Bits of the records. */
#define bit_if(k, is) ((is) -> bit(k) : 0)
#if N == 2
#define others(i, is) ((bit_if(0, is(0)) | bit_if(1, is(1))) & ~bit(i))
#else
#define others(i, is) ((bit_if(0, is(0)) | bit_if(1, is(1)) | bit_if(2, is(2))) & ~bit(i))
#endif
#define is_record(k)  (record[k] != NONE)
#define is_holder(k)  (record[k] == R_HOLDER)

/* acquire_lock ends after TRIES; the initiator asks again. */
inline try_again(i) {
#ifdef LIVE
	if :: calm && i != 0 -> state[i] = IDLE :: else -> state[i] = ASKS fi
#else
	state[i] = ASKS
#endif
}

inline fence(i) { printf("%d: is fenced\n", i); state[i] = FENCED }

/* lease_expire, image_abandon: the client instance is ended. */
inline kill(i) {
	left[i] = 0;
	killed[i] = true;
#ifndef NO_KILL
	sent[i] = false;
	printf("%d: ends its client instance\n", i)
#endif
}

inline become_holder(i) {
	d_step {
		state[i] = HOLDER;
		asking[i] = UNASKED;
		was_holder[i] = true;
		k = 0;
		do
		:: k < N ->
			if :: k != i && was_holder[k] -> superseded[k] = true :: else fi;
			/* takeover_mark */
			if :: k != i && (former[i] & bit(k)) && record[k] == R_HOLDER -> record[k] = R_PAST :: else fi;
			k++
		:: else -> break
		od;
		k = 0
	}
	printf("%d: answers as the lock holder\n", i)
}

/* The write reaches the storage, which answers it. */
inline process(i) {
	if
	:: entry[i] ->
		printf("cluster: refuses the write of %d\n", i);
		if
		:: pending[i] -> pending[i] = false; /* image_end: -ESHUTDOWN */
			if :: state[i] == HOLDER && runs(i) -> fence(i) :: else fi
		:: else
		fi
	:: else ->
		printf("cluster: the write of %d lands\n", i);
#ifndef LIVE
		assert(!superseded[i]); /* no write of a former holder lands after the new one has answered */
#endif
		pending[i] = false
	fi
}

proctype Gateway(byte i) {
	byte k;
	do
	/* ---- takeover ---- */
	:: atomic { state[i] == IDLE &&
#ifdef LIVE
		(i == 0 || !calm) && /* two that ask at once can fence each other for ever */
#endif
		talks(i) -> state[i] = ASKS }
	/* fence_holder: nobody, or the entry before the lock is broken */
	:: atomic { state[i] == ASKS && talks(i) ->
		if
		:: entry[i] -> fence(i)
		:: !entry[i] && locked_by == NOBODY -> state[i] = READS
		:: !entry[i] && locked_by == i -> skip /* -EEXIST, for ever */
		:: !entry[i] && locked_by == GONE -> locked_by = NOBODY
		:: !entry[i] && locked_by < N && locked_by != i ->
			target[i] = locked_by;
			state[i] = BREAKS;
#ifndef NO_ENTRY
			entry[locked_by] = true;
#endif
			printf("%d: blocklists %d\n", i, locked_by)
		fi }
	:: atomic { state[i] == BREAKS && talks(i) ->
		if
		:: locked_by == target[i] -> locked_by = NOBODY; printf("%d: breaks the lock of %d\n", i, target[i])
		:: else
		fi;
		target[i] = 0;
		state[i] = READS }
	/* wait_for_former: takeover_read, then find_holder; takeover_wait begins: entries_begin */
	:: atomic { state[i] == READS && talks(i) ->
		former[i] = others(i, is_holder);
		found[i] = others(i, is_record);
		if
		:: found[i] && locked_by != NOBODY -> try_again(i)
		:: else ->
			state[i] = WAITS;
			waited[i] = 0;
			printf("%d: has read the records: waits for those in the mask %d\n", i, former[i]);
#if !defined(NO_ENTRY) && !defined(NO_KEEP)
			d_step {
				k = 0;
				do
				:: k < N -> entry[k] = entry[k] || (found[i] & bit(k)); k++
				:: else -> break
				od;
				k = 0
			}
#endif
		fi }
	/* the end of takeover_wait: has_holder, or LEASE_WAIT_NS */
	:: atomic { state[i] == WAITS && talks(i) &&
#ifndef NO_WAIT
		(entry[i] || waited[i] == WAIT || !(former[i] & others(i, is_holder))) &&
#endif
		true ->
		waited[i] = 0;
		if
		:: entry[i] -> fence(i)
		:: else -> state[i] = ACQUIRES
		fi }
	:: atomic { state[i] == ACQUIRES && talks(i) ->
		if
		:: entry[i] -> fence(i)
		:: !entry[i] && locked_by == NOBODY -> locked_by = i; state[i] = CHECKS; printf("%d: acquires the lock\n", i)
#ifdef LOSE
		/* its answer is lost: give_up_connection */
		:: !entry[i] && locked_by == NOBODY && faults < EVENTS -> locked_by = i; faults++;
			printf("%d: acquires the lock, the answer is lost\n", i);
#ifdef NO_GIVE_UP
			state[i] = ASKS
#else
			fence(i)
#endif
#endif
		:: !entry[i] && locked_by != NOBODY -> try_again(i) /* -EBUSY */
		fi }
	/* check_again, takeover_check_again: a third host may have had the lock since the records were read, and have lost it */
	:: atomic { state[i] == CHECKS && talks(i) ->
		if
#ifndef NO_RECHECK
		:: others(i, is_holder) & ~former[i] ->
			try_again(i);
			if :: locked_by == i -> locked_by = NOBODY :: else fi;
			printf("%d: finds a new record, releases the lock\n", i)
#endif
		:: else -> state[i] = RECORDS
		fi }
	:: atomic { state[i] == RECORDS && talks(i) ->
		if
		:: entry[i] -> fence(i)
		:: else -> record[i] = R_HOLDER; printf("%d: records itself\n", i);
#ifdef NO_CONFIRM
			left[i] = 0; state[i] = CONFIRMS
#else
			state[i] = CONFIRMS; asking[i] = ASKED; since[i] = 0
#endif
		fi }
#ifdef NO_CONFIRM
	:: atomic { state[i] == CONFIRMS && runs(i) -> left[i] = LEASE; become_holder(i) }
#else
	:: atomic { state[i] == CONFIRMS && talks(i) && asking[i] >= YES ->
		if
		:: asking[i] == YES && since[i] < LEASE -> left[i] = LEASE - since[i]; become_holder(i)
		:: else -> asking[i] = UNASKED; fence(i)
		fi }
#endif

	/* ---- the lock holder ---- */
	/* lease_check, lease_ask; the asked time is noted before it is sent */
	:: atomic { state[i] == HOLDER && runs(i) && asking[i] == UNASKED && left[i] > 0 && left[i] < LEASE ->
		asking[i] = ASKED; since[i] = 0 }
	/* on_reply, lease_confirm */
	:: atomic { state[i] == HOLDER && talks(i) && asking[i] >= YES ->
		if
		:: asking[i] == YES ->
#ifdef NO_ASKED_TIME
			if :: left[i] > 0 -> left[i] = LEASE :: else fi
#else
			if :: left[i] > 0 && LEASE - since[i] > left[i] -> left[i] = LEASE - since[i] :: else fi
#endif
		:: else -> fence(i) /* lost() */
		fi;
		asking[i] = UNASKED; since[i] = 0 }
	/* image_submit: a write; librbd has it from now on */
#ifndef READS_ONLY
	:: atomic { state[i] == HOLDER && runs(i) && !pending[i] && !sent[i] && !queued[i] &&
#ifndef NO_LEASE_SUBMIT
		!over(i) &&
#endif
		!unanswered[i] -> pending[i] = true; printf("%d: submits a write\n", i) }
#endif
	/* image_submit: one that librbd answers from its object map */
	:: atomic { state[i] == HOLDER && runs(i) && !answers[i] &&
#ifndef NO_LEASE_SUBMIT
		!over(i) &&
#endif
		true -> answers[i] = true }
	/* image_end */
	:: atomic { answers[i] && runs(i) ->
		answers[i] = false;
		if
#ifndef NO_LEASE_ANSWER
		:: over(i) -> skip /* an error */
		:: !over(i) ->
#else
		:: true ->
#endif
			printf("%d: answers GOOD from its object map\n", i);
#ifndef LIVE
			assert(!superseded[i]) /* no answer as holder after another has become the holder */
#else
			skip
#endif
		fi }
	/* lease_expire */
	:: atomic { (state[i] == HOLDER || state[i] == FENCED) && was_holder[i] && runs(i) && over(i) && !killed[i] ->
		kill(i);
		if :: state[i] == HOLDER -> fence(i) :: else fi }
	/* image_unlock: image_lock_say_end, then rbd_lock_release */
	:: atomic { state[i] == HOLDER && talks(i) && !entry[i] && !pending[i] && !answers[i] &&
#ifndef NO_LAST_KILL
		!unanswered[i] &&
#endif
		true ->
		record[i] = (unanswered[i] -> R_ENDED : NONE);
		state[i] = RELEASES; left[i] = 0; asking[i] = UNASKED; since[i] = 0;
		printf("%d: releases the lock\n", i) }
#ifndef NO_LAST_KILL
	/* image_unlock with unanswered writes: the client instance ends instead */
	:: atomic { state[i] == HOLDER && runs(i) && !pending[i] && !answers[i] && unanswered[i] -> kill(i); fence(i) }
#endif
	:: atomic { state[i] == RELEASES && talks(i) ->
		if :: locked_by == i -> locked_by = NOBODY :: else fi;
		state[i] = ENDED }

	/* ---- librados ---- */
	/* It sends, and sends again: what is in it when a frozen process goes on, or a network is there again, too. */
	:: atomic { pending[i] && runs(i) && !sent[i] && !queued[i] &&
#ifndef NO_KILL
		!killed[i] &&
#endif
		true -> sent[i] = true }
	/* osd_op_timeout */
	:: atomic { pending[i] && runs(i) && (cut[i] || killed[i] || queued[i]) ->
		pending[i] = false; unanswered[i] = true; printf("%d: its write times out\n", i) }

	/* ---- the end ---- */
	/* end_image, when the requests have ended */
	:: atomic { state[i] == FENCED && runs(i) && !pending[i] && !answers[i] ->
#ifndef NO_LAST_KILL
		if :: unanswered[i] && !killed[i] -> kill(i) :: else fi;
#endif
		state[i] = CLOSED; asking[i] = UNASKED; since[i] = 0; printf("%d: closes its connection\n", i) }
	/* ended_say, over the next connection; a deleted device has none */
	:: atomic { state[i] == CLOSED && talks(i) && !deleted[i] ->
#ifdef NO_UNANSWERED
		record[i] = NONE;
#else
		record[i] = (unanswered[i] && record[i] != NONE -> R_ENDED : NONE);
#endif
		state[i] = ENDED; printf("%d: says that it has ended\n", i) }
#ifdef LIVE
	/* the next connection, of which nothing is known */
	:: atomic { state[i] == ENDED && talks(i) ->
		d_step {
			if :: locked_by == i -> locked_by = GONE :: else fi;
			state[i] = IDLE; entry[i] = false; record[i] = NONE; killed[i] = false; was_holder[i] = false;
			superseded[i] = false; unanswered[i] = false; deleted[i] = false; missed[i] = false; sent[i] = false
		} }
#endif
	od
}

/* The cluster and the network. */
proctype Cluster(byte i) {
	do
	:: atomic { asking[i] == ASKED && !cut[i] && !dead[i] ->
		asking[i] = (locked_by == i && !entry[i] -> YES : REFUSED) }
#ifdef HELD
	:: atomic { sent[i] && !cut[i] -> sent[i] = false; queued[i] = true }
	:: atomic { queued[i] -> queued[i] = false; process(i) }
#else
	:: atomic { sent[i] && !cut[i] -> sent[i] = false; process(i) }
#endif
#if !defined(NO_ENTRY) && !defined(NO_KEEP)
	/* takeover_check (by image_lock_check): any holder that can */
	:: atomic { record[i] != NONE && !entry[i] && locked_by != i && locked_by < N && state[locked_by] == HOLDER && talks(locked_by) ->
		entry[i] = true; printf("%d: adds the entry of %d again\n", locked_by, i) }
#endif
	od
}

/* One clock for all; each connection's may miss one tick of it. */
proctype Time() {
	byte i;
	do
	:: atomic {
#ifdef LIVE
		(!calm || (asking[0] == UNASKED && asking[1] == UNASKED)); /* the cluster answers in time */
#endif
		i = 0;
		do
		:: i < N ->
			if
			:: (left[i] > 0 || asking[i] != UNASKED || state[i] == WAITS) ->
				if
#ifdef HAZARD_PAUSE
				:: frozen[i] -> skip
				:: !frozen[i] ->
#else
				:: true ->
#endif
					if :: left[i] > 0 -> left[i]-- :: else fi;
					if :: asking[i] != UNASKED && since[i] < LEASE -> since[i]++ :: else fi;
					if :: state[i] == WAITS && waited[i] < WAIT -> waited[i]++ :: else fi
#ifndef EXACT
				:: !missed[i] && left[i] > 0 -> missed[i] = true
#endif
				fi
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0 }
	od
}

/* The faults of a host: at most EVENTS of these. */
proctype Faults(byte i) {
	do
#ifdef CUT
	:: atomic { faults < EVENTS && !cut[i] && was_holder[i] && !dead[i] -> cut[i] = true; faults++; printf("%d: is cut off\n", i) }
#endif
	:: atomic { cut[i] -> cut[i] = false; printf("%d: is connected again\n", i) }
#ifdef FREEZE
	:: atomic { faults < EVENTS && !frozen[i] && state[i] >= RECORDS && state[i] < ENDED && !dead[i] ->
		frozen[i] = true; faults++; printf("%d: freezes\n", i) }
#endif
	:: atomic { frozen[i] -> frozen[i] = false; printf("%d: goes on\n", i) }
#ifdef CRASH
	:: atomic { faults < EVENTS && !dead[i] && state[i] >= ACQUIRES && state[i] < ENDED ->
		d_step { dead[i] = true; faults++; pending[i] = false; answers[i] = false; left[i] = 0; asking[i] = UNASKED; since[i] = 0;
		frozen[i] = false;
#ifndef HAZARD_PROCESS
		sent[i] = false; /* the host's end; the kernel still sends for a process that ended */
#endif
		}
		printf("%d: crashes\n", i) }
#endif
#ifdef DELETE
	/* a LUN is deleted with requests in flight: an orphan. image_abandon */
	:: atomic { faults < EVENTS && state[i] == HOLDER && runs(i) && pending[i] ->
		faults++; deleted[i] = true; state[i] = FENCED; asking[i] = UNASKED; since[i] = 0;
		printf("%d: its LUN is deleted\n", i);
#ifndef NO_ORPHAN
		kill(i)
#endif
		}
#endif
#ifdef REMOVE
	/* rbd-target-api starts: after tcmuctl fenced, by its drop-in. Without a daemon there is nothing to wait for. */
	:: atomic { faults < EVENTS && entry[i] &&
#ifdef HAZARD_BOUND
		(dead[i] || frozen[i] || state[i] == CLOSED || state[i] == ENDED) &&
#elif defined(NO_DROP_IN_ORPHANS)
		(dead[i] || (!frozen[i] && (state[i] == CLOSED || state[i] == ENDED || (deleted[i] && state[i] == FENCED)))) &&
#elif !defined(NO_DROP_IN)
		(dead[i] || (!frozen[i] && (state[i] == CLOSED || state[i] == ENDED))) &&
#endif
		true -> entry[i] = false; faults++; printf("%d: rbd-target-api removes its entries\n", i) }
#endif
#ifdef EXPIRE
	/* Those with a record last for a day; that the record of a host that never comes back lasts longer is left out. */
	:: atomic { faults < EVENTS && entry[i] &&
#ifndef NO_KEEP
		record[i] == NONE &&
#endif
		true -> entry[i] = false; faults++; printf("the entry of %d expires\n", i) }
#endif
	od
}

init {
	byte i;
	atomic {
		do
		:: i < N -> run Gateway(i); run Cluster(i); run Faults(i); i++
		:: else -> break
		od;
		i = 0;
		run Time()
	}
}

#ifdef LIVE
ltl live { [] (calm -> <> held) }
#endif
