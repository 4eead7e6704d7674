//! The ledger's table: one row a request.

#![expect(unreachable_pub, reason = "sea-orm's derives make public items")]

use mpc_wire::canonical::{Canonical, CanonicalWriter};
use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "used_requests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub request_id: Vec<u8>,
    pub session_id: Vec<u8>,
    pub intent_hash: Vec<u8>,
    pub kind: String,
    pub account_id: Option<Vec<u8>>,
    pub requester: Option<String>,
    pub admitted_at: i64,
    pub forget_at: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// All of a row: what its MAC is over.
impl Canonical for Model {
    const DOMAIN: &'static str = "mpc.v1/used-request";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.bytes(&self.request_id)
            .bytes(&self.session_id)
            .bytes(&self.intent_hash)
            .text(&self.kind)
            .option(self.account_id.as_deref(), |out, account| {
                out.bytes(account);
            })
            .option(self.requester.as_deref(), |out, requester| {
                out.text(requester);
            })
            .u64(self.admitted_at.cast_unsigned())
            .u64(self.forget_at.cast_unsigned());
    }
}
