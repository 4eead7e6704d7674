//! Schema migrations, one file a change: of the coordinator's database and of a party's.

pub mod coordinator;
pub mod party;
