//! Schema migrations, one file a change: of the coordinator's database and of a party's; and what
//! both databases need of their connections.

mod audit;
mod connection;
pub mod coordinator;
pub mod party;

pub use connection::never_outlive_a_transaction;
