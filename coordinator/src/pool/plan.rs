//! Which aux sets are lacking: a pure decision.

use crate::store::aux_set::AuxSet;
use mpc_wire::limits::MAX_PARTIES;
use mpc_wire::{PartyId, Scheme};
use std::collections::BTreeSet;

/// A scheme and the parties that need a set for it.
pub(crate) type Group = (Scheme, BTreeSet<PartyId>);

/// What the decision rests on.
pub(crate) struct View<'a> {
    /// All registered server parties.
    pub(crate) servers: &'a BTreeSet<PartyId>,
    /// The sets that are ready or generating.
    pub(crate) sets: &'a [AuxSet],
    /// The groups that wait for a set.
    pub(crate) waiting: Vec<Group>,
    pub(crate) online: BTreeSet<PartyId>,
    /// The groups whose sets failed a moment ago.
    pub(crate) cooling: BTreeSet<Group>,
}

/// The groups to generate a set for, now.
pub(crate) fn lacking(view: &View<'_>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for scheme in Scheme::ALL.iter().filter(|scheme| scheme.needs_aux()) {
        let pool = (*scheme, view.servers.clone());
        let is_covered = view.sets.iter().any(|set| set.covers(pool.0, &pool.1));
        if !is_covered && view.can_start(&pool) {
            groups.push(pool);
        }
    }
    for group in &view.waiting {
        let (scheme, parties) = group;
        let is_coming = view.sets.iter().any(|set| {
            let is_moving = set.aux_id.is_some() || set.parties.is_subset(&view.online);
            // One set of the same parties is enough, even if it has to wait for them.
            set.covers(*scheme, parties) && (is_moving || set.parties == *parties)
        });
        let is_planned =
            groups.iter().any(|(planned, all)| planned == scheme && parties.is_subset(all));
        if !is_coming && !is_planned && view.can_start(group) {
            groups.push(group.clone());
        }
    }
    groups
}

impl View<'_> {
    fn can_start(&self, group: &Group) -> bool {
        let parties = &group.1;
        (2..=MAX_PARTIES).contains(&parties.len())
            && parties.is_subset(&self.online)
            && !self.cooling.contains(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_wire::{AuxId, SessionId};

    const SCHEME: Scheme = Scheme::EcdsaCggmp24;

    fn parties(all: &[u8]) -> BTreeSet<PartyId> {
        all.iter().map(|n| PartyId::new([*n; 32])).collect()
    }

    fn set(all: &[u8], is_ready: bool) -> AuxSet {
        AuxSet {
            session: SessionId::generate(),
            scheme: SCHEME,
            parties: parties(all),
            aux_id: is_ready.then(|| AuxId::new([9; 32])),
            duration_ms: None,
        }
    }

    fn lacking_of(
        servers: &[u8],
        sets: &[AuxSet],
        waiting: &[&[u8]],
        online: &[u8],
        cooling: &[&[u8]],
    ) -> Vec<BTreeSet<PartyId>> {
        let group = |all: &&[u8]| (SCHEME, parties(all));
        let groups = lacking(&View {
            servers: &parties(servers),
            sets,
            waiting: waiting.iter().map(group).collect(),
            online: parties(online),
            cooling: cooling.iter().map(group).collect(),
        });
        groups.into_iter().map(|(_, parties)| parties).collect()
    }

    #[test]
    fn the_pool_is_generated_once_all_of_it_is_online() {
        assert_eq!(lacking_of(&[1, 2, 3], &[], &[], &[1, 2], &[]), []);
        assert_eq!(lacking_of(&[1, 2, 3], &[], &[], &[1, 2, 3], &[]), [parties(&[1, 2, 3])]);
        for is_ready in [true, false] {
            let sets = [set(&[1, 2, 3], is_ready)];
            assert_eq!(lacking_of(&[1, 2, 3], &sets, &[], &[1, 2, 3], &[]), []);
        }
        // A new server makes another pool.
        let sets = [set(&[1, 2, 3], true)];
        let grown = lacking_of(&[1, 2, 3, 4], &sets, &[], &[1, 2, 3, 4], &[]);
        assert_eq!(grown, [parties(&[1, 2, 3, 4])]);
        assert_eq!(lacking_of(&[1], &[], &[], &[1], &[]), []);
    }

    #[test]
    fn an_account_of_the_pool_waits_for_the_pools_set() {
        let both = lacking_of(&[1, 2, 3], &[], &[&[1, 2]], &[1, 2, 3], &[]);
        assert_eq!(both, [parties(&[1, 2, 3])]);
        let sets = [set(&[1, 2, 3], false)];
        assert_eq!(lacking_of(&[1, 2, 3], &sets, &[&[1, 2]], &[1, 2, 3], &[]), []);
    }

    #[test]
    fn an_account_gets_its_own_set_where_the_pools_cannot_be_had() {
        // A server is away.
        assert_eq!(lacking_of(&[1, 2, 3], &[], &[&[1, 2]], &[1, 2], &[]), [parties(&[1, 2])]);
        // The pool's set is stuck, since a server is away.
        let stuck = [set(&[1, 2, 3], false)];
        assert_eq!(lacking_of(&[1, 2, 3], &stuck, &[&[1, 2]], &[1, 2], &[]), [parties(&[1, 2])]);
        // The pool's set has just failed.
        let failed = lacking_of(&[1, 2, 3], &[], &[&[1, 2]], &[1, 2, 3], &[&[1, 2, 3]]);
        assert_eq!(failed, [parties(&[1, 2])]);
        // A device is no server.
        let sets = [set(&[1, 2, 3], true)];
        let device = lacking_of(&[1, 2, 3], &sets, &[&[1, 2, 7]], &[1, 2, 3, 7], &[]);
        assert_eq!(device, [parties(&[1, 2, 7])]);
    }

    #[test]
    fn one_set_of_the_same_parties_is_under_way_at_a_time() {
        let own = [set(&[1, 2], false)];
        assert_eq!(lacking_of(&[1, 2, 3], &own, &[&[1, 2]], &[1], &[]), []);
        assert_eq!(lacking_of(&[1, 2, 3], &own, &[&[1, 2]], &[1, 2], &[]), []);
        assert_eq!(lacking_of(&[1, 2, 3], &[], &[&[1, 2]], &[1, 2], &[&[1, 2]]), []);
    }
}
