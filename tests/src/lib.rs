//! Tests of the whole house, and what they share.
//!
//! Reading order: [`cluster`] (a whole deployment within a test's reach), [`proxy`] (what a test
//! puts between a party and its gateway) and [`slow_line`], [`stub`] (runners without cryptography), [`transcript`]
//! (what parties say, and what must hold of it), [`malicious_coordinator`] and
//! [`malicious_gateway`] (real parties in bad hands, with data from a [`snapshot`]), [`race`] (the
//! proofs of the PendingSession machine: a simulated party, the invariants, the model that is
//! searched exhaustively), [`canary`] (finds secrets in what was written).

pub mod canary;
pub mod cluster;
pub mod malicious_coordinator;
pub mod malicious_gateway;
pub mod proxy;
pub mod race;
pub mod slow_line;
pub mod snapshot;
pub mod stub;
pub mod transcript;
