//! Real parties and a coordinator that lies to them: whatever it says, no share of a signature
//! leaves a party that the others do not agree with, every refusal is typed, nobody is blamed, and
//! the same parties sign an honest request afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

// What opens the library's messages lies with the engine's own tests.
#[cfg(test)]
#[path = "../../../party-runtime/engine/tests/harness"]
mod harness {
    pub(crate) mod forge;
    pub(crate) mod value;
}

// The attributes tell clippy that what helps the tests is test code too.
#[cfg(test)]
mod activation;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod joins;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod records;
#[cfg(test)]
mod sessions;
