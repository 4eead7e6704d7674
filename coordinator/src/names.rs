//! Closed lists whose members have one stable name, in the database as over HTTP.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A name that is on no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {list} `{name}`")]
pub struct UnknownName {
    list: &'static str,
    name: String,
}

macro_rules! names {
    ($(
        $(#[$doc:meta])*
        $vis:vis enum $name:ident ($list:literal) {
            $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+
        }
    )+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The stable name.
            $vis const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName { list: $list, name: name.to_owned() }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    )+};
}

names! {
    /// What a party is there for.
    pub enum Role("role") {
        /// A server of the pool.
        Server = "server",
        /// A user's device; it may ask for signatures of its own accounts.
        Device = "device",
        /// Acts for a user whose share it made.
        Delegate = "delegate",
    }

    /// Whether a party may connect.
    pub(crate) enum PartyState("party state") {
        /// It may.
        Registered = "registered",
        /// It may no more, for good.
        Revoked = "revoked",
    }

    /// What an API key may be used for.
    pub enum Scope("scope") {
        /// Looking: every `GET`.
        Read = "read",
        /// What a backend does: making accounts, signing, cancelling.
        Sign = "sign",
        /// Keys of the API, parties and their enrolment.
        Admin = "admin",
    }

    /// Where an account stands.
    pub(crate) enum AccountState("account state") {
        /// Its key is being generated.
        Generating = "generating",
        /// It has a key; that every party can sign has yet to be shown.
        Activating = "activating",
        /// It signs.
        Active = "active",
        /// Its key could not be generated.
        Failed = "failed",
    }

    /// Whether a session runs, or how it ended.
    pub(crate) enum SessionState("session state") {
        /// It has not ended.
        Running = "running",
        /// It made what it was for.
        Completed = "completed",
        /// It could not be completed.
        Failed = "failed",
        /// The requester cancelled it.
        Cancelled = "cancelled",
        /// Its deadline passed.
        Expired = "expired",
    }

    /// What a session is for.
    pub(crate) enum Purpose("session kind") {
        /// A new account's key.
        Keygen = "keygen",
        /// An aux set.
        Aux = "aux",
        /// A signature for a requester.
        Sign = "sign",
        /// A signature that shows that an account's shares sign.
        Canary = "canary",
        /// New shares for the same parties.
        Refresh = "refresh",
        /// Shares for other parties.
        Reshare = "reshare",
        /// One lost share made again.
        Replace = "replace",
    }

    /// Where an aux set stands.
    pub(crate) enum AuxState("aux set state") {
        /// Its session runs.
        Generating = "generating",
        /// Its parties have stored it.
        Ready = "ready",
        /// Its session ended without it.
        Failed = "failed",
    }
}
