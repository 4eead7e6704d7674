//! Tests of the whole house, and what they share.
//!
//! Reading order: [`cluster`] (a whole deployment within a test's reach), [`proxy`] (what a test
//! puts between a party and its gateway), [`stub`] (runners without cryptography), [`race`] (the proofs of
//! the PendingSession machine: a simulated party, the invariants, the model that is searched
//! exhaustively).

pub mod cluster;
pub mod proxy;
pub mod race;
pub mod stub;
