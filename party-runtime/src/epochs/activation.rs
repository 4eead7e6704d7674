//! Whether the holders' statements suffice to activate a prepared share.

use crate::vault::ShareRecord;
use mpc_wire::limits::MAX_STATEMENTS;
use mpc_wire::{ActivationRefusal, EpochPlan, EpochStatement, Verdict};
use std::collections::BTreeSet;

/// Checks that every holder of the share has said `Stored` and `Proven` of these shares, and that
/// nobody has said anything else. Whoever brings the statements is believed in nothing.
pub(super) fn check(
    share: &ShareRecord,
    of: EpochPlan,
    statements: &[EpochStatement],
) -> Result<(), ActivationRefusal> {
    if statements.len() > MAX_STATEMENTS {
        return Err(ActivationRefusal::Overloaded);
    }
    let key = share.key();
    let (mut stored, mut proven) = (BTreeSet::new(), BTreeSet::new());
    for statement in statements {
        if statement.of != of || statement.verdict.key().is_some_and(|other| *other != key) {
            return Err(ActivationRefusal::Mismatch);
        }
        if !share.holders.contains(&statement.by) {
            return Err(ActivationRefusal::NotAHolder);
        }
        if statement.verify().is_err() {
            return Err(ActivationRefusal::Forged);
        }
        match &statement.verdict {
            Verdict::Refused => return Err(ActivationRefusal::Refused),
            Verdict::Stored(_) => stored.insert(statement.by),
            Verdict::Proven(_) => proven.insert(statement.by),
        };
    }
    if stored == share.holders && proven == share.holders {
        Ok(())
    } else {
        Err(ActivationRefusal::Incomplete)
    }
}
