//! A party's schema: one file a change, in order.

mod m0001_vault;

use sea_orm_migration::prelude::*;

/// Brings a party's database to the newest schema.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_vault::Migration)]
    }
}
