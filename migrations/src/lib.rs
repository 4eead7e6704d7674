//! Schema migrations, one file a change: of the coordinator's database and of a party's.

mod audit;
pub mod coordinator;
pub mod party;
