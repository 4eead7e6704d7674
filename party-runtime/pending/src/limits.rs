//! The machine's bounds, each with its reason.

/// Sessions that a party carries at once; beyond it invitations are declined as overload. Each
/// costs some kilobytes, and no party's CPUs serve more at once.
pub const MAX_SESSIONS: usize = 4_096;

/// Sessions of which only early messages are known. They come from a coordinator, in the few
/// milliseconds before the invitation: more of them are a fault or an attack.
pub const MAX_ORPHANS: usize = 256;

/// How long, in milliseconds, early messages wait for the invitation they belong to.
pub const ORPHAN_PATIENCE: u64 = 30_000;

/// Attempts of one session whose facts are kept at once: the joined one and those that may
/// supersede it. The newest to which the party is invited always has a place beside them.
pub const MAX_OPEN_ATTEMPTS: usize = 3;

/// `Started` messages kept for one attempt before the party has joined it. An honest coordinator
/// sends one, perhaps twice.
pub const MAX_EARLY_STARTS: usize = 4;

/// Round messages held for one sender of one attempt: several times the rounds of any protocol.
pub const MAX_HELD_MESSAGES: usize = 64;

/// Bytes of round messages held for one session: the first round of a full set of parties at
/// AuxGen's size.
pub const MAX_HELD_BYTES: usize = 4 << 20;

/// Bytes of round messages held in all.
pub const MAX_HELD_BYTES_IN_ALL: usize = 64 << 20;

/// How long, in milliseconds, a session that is over is remembered at least, so that stragglers
/// of it are recognised. Its id and request stay known until the intent has expired in any case.
pub const GRACE: u64 = 60_000;

/// How long, in milliseconds, an acknowledgement waits for others to go with it: longer than a
/// signature by quick schemes takes, far shorter than [`FIRST_RESEND`].
pub const ACK_DELAY: u64 = 250;

/// How long, in milliseconds, a round message waits for its acknowledgement before it is sent again:
/// the other side's [`ACK_DELAY`], a slow network's way there and back, and a margin.
pub const FIRST_RESEND: u64 = 1_000;

/// Longest pause, in milliseconds, between two sendings of a message: a peer that was away goes on
/// within this time after it is back, even if nobody noticed that it was away.
pub const MAX_RESEND: u64 = 4_000;

/// Round messages to one member that may wait for its acknowledgement: as many as that member holds
/// of one sender.
pub const MAX_UNACKED_MESSAGES: usize = MAX_HELD_MESSAGES;

/// Bytes of round messages of all attempts that may wait for acknowledgements.
pub const MAX_UNACKED_BYTES: usize = MAX_HELD_BYTES_IN_ALL;
