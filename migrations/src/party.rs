//! A party's schema: one file a change, in order.

mod m0001_vault;
mod m0002_sealed_places;
mod m0003_audit;
mod m0004_policy;

pub use crate::audit::TRIGGERS;
pub use m0004_policy::LEDGER_SCHEMA;

use sea_orm_migration::prelude::*;

/// Brings a party's database to the newest schema.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_vault::Migration),
            Box::new(m0002_sealed_places::Migration),
            Box::new(m0003_audit::Migration),
            Box::new(m0004_policy::Migration),
        ]
    }
}
