//! One newtype for every id and count, so that no two of them can be confused.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A text that is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: give {form}")]
pub struct ParseIdError {
    expected: &'static str,
    form: &'static str,
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 32 bytes; lower-case hexadecimal in text formats, a byte string in binary ones.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps the 32 bytes.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = hex::encode(self.0);
                write!(f, concat!(stringify!($name), "({}…)"), text.get(..8).unwrap_or(&text))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseIdError {
                    expected: stringify!($name),
                    form: "64 hexadecimal digits",
                })?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                } else {
                    serde_bytes::ByteArray::<32>::deserialize(deserializer)
                        .map(|bytes| Self(bytes.into_array()))
                }
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id: a UUIDv7 (RFC 9562), so ids sort by their time of creation.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// Wraps an existing UUID.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The 16 bytes in network order.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self).map_err(|_| ParseIdError {
                    expected: stringify!($name),
                    form: "a UUID",
                })
            }
        }
    };
}

macro_rules! count {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

bytes_id!(
    /// A party: the Ed25519 public key that it was founded with. It stays the party's name when
    /// the key is rotated ([`crate::signature`]).
    PartyId
);
bytes_id!(
    /// An Ed25519 public key that a party signs with now.
    PartyKey
);
bytes_id!(
    /// SHA-256 that chains an entry of an audit log to all before it.
    EntryHash
);
bytes_id!(
    /// An aux set: the hash of its public parameters and parties.
    AuxId
);
bytes_id!(
    /// SHA-256 of an intent's canonical bytes.
    IntentHash
);
bytes_id!(
    /// SHA-256 of an attempt plan's canonical bytes.
    PlanHash
);
bytes_id!(
    /// A number used once, from the operating system's randomness.
    Nonce
);
bytes_id!(
    /// All public shares of an epoch under one hash: see [`crate::epoch::EpochKey`].
    SharesHash
);
bytes_id!(
    /// What a protocol run calls its session: see [`crate::plan::protocol_session_id`].
    ProtocolSessionId
);

uuid_id!(
    /// One run that the coordinator supervises; made by whoever initiates it.
    SessionId
);
uuid_id!(
    /// A public key under threshold control.
    AccountId
);
uuid_id!(
    /// The requester's name for its request; unique in every party.
    RequestId
);

count!(
    /// Grows by one at every refresh or reshare; shares of different epochs never mix.
    Epoch(u32)
);
count!(
    /// One try within a session, numbered from 1.
    Attempt(u32)
);
count!(
    /// Position of a round message within (session, attempt, sender → recipient), from 0.
    Seq(u64)
);
count!(
    /// A part of an attempt that runs a protocol of its own, numbered from 1.
    Stage(u8)
);
count!(
    /// A step of a stage's protocol, numbered from 1; an echo round counts as a step.
    Round(u16)
);
count!(
    /// How many parties must sign together.
    Threshold(u16)
);
count!(
    /// How often a party's key was rotated before it became this one; 0 is the founding key.
    KeyNumber(u32)
);
count!(
    /// Milliseconds since the Unix epoch.
    UnixMillis(u64)
);

impl Nonce {
    /// Draws a nonce from the operating system's randomness.
    ///
    /// # Panics
    /// If the operating system gives no randomness: nothing can be done safely then.
    #[expect(clippy::expect_used, reason = "without randomness no step is safe")]
    pub fn generate() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system gives randomness");
        Self(bytes)
    }
}

impl Attempt {
    /// The first attempt of a session.
    pub const FIRST: Self = Self(1);

    /// The attempt after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl KeyNumber {
    /// The number of the key after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Seq {
    /// The sequence number after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
