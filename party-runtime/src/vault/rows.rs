//! The vault's tables.

/// Who the vault belongs to and which key opens it: one row.
pub(super) mod header {
    #![expect(unreachable_pub, reason = "the entity derive wants public types")]

    use sea_orm::entity::prelude::*;

    /// The row.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "vault_header")]
    pub struct Model {
        /// Always [`super::HEADER_ID`].
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        /// The party's founding key.
        pub party_id: Vec<u8>,
        /// The name of the master key.
        pub key_id: String,
        /// Proves that the master key is the right one, and authenticates the other columns.
        pub key_check: Vec<u8>,
        /// How this vault is sealed.
        pub format: i32,
        /// Where the master key comes from.
        pub provider: String,
        /// How a passphrase becomes the master key, as JSON; public.
        pub derivation: Option<String>,
        /// During a rotation: the name of the master key before.
        pub previous_key_id: Option<String>,
        /// During a rotation: the master key before, wrapped by the present one.
        pub previous_key: Option<Vec<u8>>,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Sealed records.
pub(super) mod record {
    #![expect(unreachable_pub, reason = "the entity derive wants public types")]

    use sea_orm::entity::prelude::*;

    /// The row.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sealed_records")]
    pub struct Model {
        /// What the record is.
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
        /// Which one.
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        /// Of which epoch; 0 for kinds without.
        #[sea_orm(primary_key, auto_increment = false)]
        pub epoch: i64,
        /// How the record is sealed.
        pub format: i32,
        /// The name of the master key that wraps the data key.
        pub key_id: String,
        /// The name of the data key, new with every write: 16 random bytes.
        pub data_key_id: Option<Vec<u8>>,
        /// The record's data key, wrapped.
        pub wrapped_key: Vec<u8>,
        /// The record, sealed under its data key.
        pub sealed: Vec<u8>,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The id of the one header row.
pub(super) const HEADER_ID: i32 = 1;
