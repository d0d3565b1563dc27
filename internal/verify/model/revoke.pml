/*
 * The protocol by which a revocation is in force everywhere by a time that can be
 * told. README.md says which line of the code each step is, and what is left out.
 *
 * There is one store, NODES nodes, a client that ends a key, and another that
 * changes something else. A node lets the key pass while its lease lasts and it
 * doesn't know of the end. Time goes in ticks, for all at the same rate; what is
 * kept of a time is how long it is off, so that there are few states.
 *
 * A process that stands still takes no steps while time goes on, which any process
 * may do at any moment: so pauses need nothing of their own. Only a node that
 * TRUSTS its lease after one needs to know that it stood still.
 *
 * OTHER adds a change of something else, and FAILOVER a standby that takes over
 * without the latest changes. Each of these names plants a mistake: READ_FIRST,
 * LATE_START, SEQUENCE (needs OTHER), TRUSTS, LOOK_FIRST, CONFIRM_FIRST,
 * DROP_FIRST, FORGETS (needs FAILOVER). BLIND asks whether what is promised ever
 * comes to be said at all: it must fail.
 */

#ifndef NODES
#define NODES 2
#endif
#ifndef L
#define L 2		/* how many ticks a lease lasts */
#endif
#ifndef FAULTS
#define FAULTS 1	/* crashes and leaves in a run */
#endif

/* The store. */
byte rowLeft[NODES];	/* how long the row of a node's lease lasts; 0: it is over, or there is none */
byte rowSeen[NODES];	/* the number that the node confirmed */
byte head;		/* the last number that can be seen */
bool ended;		/* the end of the key can be seen */
byte number;		/* the number of that end; 0: it has none yet */
byte drawn;		/* the last number that was given out */
bool failedOver;	/* a standby took over that lacked the end of the key */

/* The nodes. */
mtype = { idle, asked, wrote, got, polled, leaving, gone };
mtype at[NODES] = idle;
byte left[NODES];	/* how long its own lease lasts */
byte since[NODES];	/* how long ago it noted the time; no more than L */
byte applied[NODES];	/* the last change that is in force */
byte upTo[NODES];	/* how far the feed went when it was read */
bool found[NODES];	/* the end of the key was in what was read */
bool refuses[NODES];	/* the end of the key is in force */
byte faults;

#ifdef FAILOVER
bool knew[NODES];	/* it was once, in the life of this process */
bool halted[NODES];	/* the feed isn't what it was */
#endif
#ifdef TRUSTS
bool stands[NODES];	/* the process stands still, and its clocks with it */
#define still(n)	stands[n]
#else
#define still(n)	false
#endif

/* The client that ends the key. */
byte waits[NODES];	/* how long the leases last that it saw */
bool looked, acked;

#define accepts(n)	(left[n] > 0 && !still(n) && !refuses[n])
#define runs(n)		(at[n] != gone && !still(n))
#define confirmed(n)	(waits[n] == 0 || (number > 0 && rowSeen[n] >= number))

#if NODES == 2
#define all(p)	(p(0) && p(1))
#define any(p)	(p(0) || p(1))
#else
#define all(p)	(p(0) && p(1) && p(2))
#define any(p)	(p(0) || p(1) || p(2))
#endif

inline die(n) {
	at[n] = gone; left[n] = 0; since[n] = 0; applied[n] = 0; upTo[n] = 0;
	found[n] = false; refuses[n] = false
#ifdef FAILOVER
	; knew[n] = false; halted[n] = false
#endif
}

/* The row ends L after the store's time, which is between the node's question and
   the commit; and it never comes to end earlier than it did. */
inline writeRow(n) {
	if
	:: rowLeft[n] = L
	:: since[n] > 0 && since[n] < L && rowLeft[n] <= L - since[n] -> rowLeft[n] = L - since[n]
	fi
}

/* Only what has a higher number than the last one is read. */
inline readFeed(n, next) {
	if
#ifdef FAILOVER
	:: head < applied[n] -> halted[n] = true; at[n] = idle; since[n] = 0
#endif
	:: else -> upTo[n] = head; found[n] = (ended && number > applied[n]); at[n] = next
	fi
}

#ifdef FAILOVER
#define know(n)		refuses[n] = true; knew[n] = true
#define goes(n)		(runs(n) && !halted[n])
#else
#define know(n)		refuses[n] = true
#define goes(n)		runs(n)
#endif

inline apply(n) {
	applied[n] = upTo[n];
	if :: found[n] -> know(n) :: else fi;
	upTo[n] = 0; found[n] = false
}

inline extend(n) {
#ifdef LATE_START
	left[n] = L;
#else
	if :: since[n] < L -> left[n] = L - since[n] :: else -> left[n] = 0 fi;
#endif
	since[n] = 0; at[n] = idle
}

proctype node(byte n) {
	do
	/* A renewal. Anything may happen between two of its steps. */
	:: d_step { goes(n) && at[n] == idle -> at[n] = asked; since[n] = 0 }
#ifdef READ_FIRST
	:: d_step { runs(n) && at[n] == asked -> readFeed(n, wrote) }
	:: atomic { runs(n) && at[n] == wrote -> writeRow(n); at[n] = got }
#else
	:: atomic { runs(n) && at[n] == asked -> writeRow(n); at[n] = wrote }
	:: d_step { runs(n) && at[n] == wrote -> readFeed(n, got) }
#endif
	:: d_step { runs(n) && at[n] == got -> apply(n); extend(n) }

	/* Any question or answer may be lost: the node begins anew. */
	:: d_step { runs(n) && (at[n] == asked || at[n] == wrote || at[n] == got || at[n] == polled) ->
		at[n] = idle; since[n] = 0; upTo[n] = 0; found[n] = false }

	/* Between renewals it reads the feed. Word of a change only makes that sooner, so
	   it has no part here: it may come late, twice, or never. */
	:: d_step { goes(n) && at[n] == idle && left[n] > 0 && head != applied[n] -> readFeed(n, polled) }
	:: d_step { runs(n) && at[n] == polled -> apply(n); at[n] = idle }

	/* It confirms. */
#ifdef CONFIRM_FIRST
	:: d_step { runs(n) && rowLeft[n] > 0 && rowSeen[n] < head -> rowSeen[n] = head }
#else
	:: d_step { runs(n) && rowLeft[n] > 0 && rowSeen[n] < applied[n] && applied[n] <= head -> rowSeen[n] = applied[n] }
#endif

	/* It crashes; another process starts, under another name, so in a row of its own. */
	:: d_step { at[n] != gone && faults < FAULTS -> faults++; die(n) }
	:: d_step { at[n] == gone && rowLeft[n] == 0 -> rowSeen[n] = 0; at[n] = idle }

	/* It leaves in order. */
#ifdef DROP_FIRST
	:: d_step { runs(n) && at[n] == idle && faults < FAULTS -> faults++; rowLeft[n] = 0; rowSeen[n] = 0; at[n] = leaving }
	:: d_step { runs(n) && at[n] == leaving -> die(n) }
#else
	:: d_step { runs(n) && at[n] == idle && faults < FAULTS -> faults++; left[n] = 0; at[n] = leaving }
	:: d_step { runs(n) && at[n] == leaving -> rowLeft[n] = 0; rowSeen[n] = 0; die(n) }
#endif

#ifdef TRUSTS
	:: d_step { runs(n) && faults < FAULTS -> faults++; stands[n] = true }
	:: d_step { stands[n] -> stands[n] = false }
#endif

#ifdef FAILOVER
	/* An operator looks at a feed that went back, and accepts it: all is read anew. */
	:: d_step { runs(n) && halted[n] && at[n] == idle -> halted[n] = false; applied[n] = head;
#ifdef FORGETS
		refuses[n] = false;
#endif
		if :: ended -> know(n) :: else fi }
#endif
	od
}

#define ticks(i)	!still(i)

proctype time() {
	byte i;
	do
	:: d_step {
		i = 0;
		do
		:: i < NODES ->
			if :: rowLeft[i] > 0 -> rowLeft[i]-- :: else fi;
			if :: waits[i] > 0 -> waits[i]-- :: else fi;
			if :: left[i] > 0 && ticks(i) -> left[i]-- :: else fi;
			if :: at[i] != idle && at[i] != gone && at[i] != leaving && at[i] != polled && since[i] < L && ticks(i) -> since[i]++ :: else fi;
			i++
		:: else -> break
		od;
		i = 0
	}
	od
}

inline look() {
	i = 0;
	do
	:: i < NODES -> waits[i] = rowLeft[i]; i++
	:: else -> break
	od;
	i = 0; looked = true
}

/* The client that ends the key, and is told once each lease that stood in the
   table after the commit has confirmed the number or is over. The time that a
   receipt names before that is when the last of those leases is over. */
proctype ends() {
	byte i;
#ifdef LOOK_FIRST
	d_step { look() };
#endif
#ifdef SEQUENCE
	d_step { drawn++; number = drawn };
	d_step { ended = true; if :: number > head -> head = number :: else fi };
#else
	/* The counter row is held from the taking of the number to the commit. */
	d_step { drawn++; number = drawn; ended = true; head = number };
#endif
#ifndef LOOK_FIRST
	d_step { look() };
#endif
	d_step { looked && all(confirmed) -> acked = true }
}

#ifdef OTHER
proctype other() {
	d_step { drawn++; head = drawn }
}
#endif

#ifdef FAILOVER
/* A standby takes over that lacks the latest changes: all from the end of the key on. */
proctype standby() {
	d_step { ended -> failedOver = true; ended = false; head = number - 1; drawn = head }
}
#endif

#define betrayed(n)	(knew[n] && accepts(n))

proctype monitor() {
	if
	/* After the receipt, or once its time has come, nobody lets the key pass. */
	:: atomic { acked && !failedOver && any(accepts) -> assert(false) }
	/* Who has seen an end keeps it, even if the store forgets. */
#ifdef FAILOVER
	:: atomic { any(betrayed) -> assert(false) }
#endif
#ifdef BLIND
	/* One node confirmed and decides on; the other's lease was waited out. */
	:: atomic { acked && refuses[0] && left[0] > 0 && rowSeen[0] == number && rowSeen[1] == 0 && left[1] == 0 && at[1] != gone -> assert(false) }
#endif
	fi
}

init {
	byte i;
	atomic {
		i = 0;
		do
		:: i < NODES -> run node(i); i++
		:: else -> break
		od;
		i = 0;
		run time(); run ends();
#ifdef OTHER
		run other();
#endif
#ifdef FAILOVER
		run standby();
#endif
		run monitor()
	}
}
