//! The coordinator's schema: one file a change, in order.

mod m0001_parties;
mod m0002_accounts;
mod m0003_sessions;
mod m0004_aux_sets;
mod m0005_idempotency;
mod m0006_api_keys;
mod m0007_enrolment;
mod m0008_audit;
mod m0009_attempts;

use sea_orm_migration::prelude::*;

/// Brings a coordinator's database to the newest schema.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_parties::Migration),
            Box::new(m0002_accounts::Migration),
            Box::new(m0003_sessions::Migration),
            Box::new(m0004_aux_sets::Migration),
            Box::new(m0005_idempotency::Migration),
            Box::new(m0006_api_keys::Migration),
            Box::new(m0007_enrolment::Migration),
            Box::new(m0008_audit::Migration),
            Box::new(m0009_attempts::Migration),
        ]
    }
}
