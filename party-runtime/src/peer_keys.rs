//! The newest key of every peer that this party has worked with.
//!
//! A peer's join says which of its keys it is signed with. Once a newer one was seen, an older one,
//! or one that does not descend from it, is refused: whoever has stolen a key that was rotated away
//! cannot work with this party in the peer's name, whatever a coordinator believes.

use crate::vault::{Kind, Vault, VaultError};
use mpc_pending::Launch;
use mpc_wire::{Epoch, PartyId, PartySignature, ProvenKey, VerifiedJoin};
use std::collections::BTreeMap;

/// Most peers whose keys are remembered. Only those with a rotated key take room, and only those
/// that this party has agreed to work with: a pool has some dozens.
const MAX_PEERS: usize = 4096;

/// The keys of peers that are not their founding keys.
#[derive(Debug, Default)]
pub(crate) struct PeerKeys(BTreeMap<PartyId, ProvenKey>);

/// Why an attempt may not start with these joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeerKeyFault {
    #[error("a member's join is signed with a key that the member has replaced")]
    Superseded,
    #[error("the keys of {MAX_PEERS} peers are remembered, and no more can be")]
    Full,
}

impl PeerKeys {
    /// Reads what the vault remembers.
    pub(crate) async fn load(vault: &Vault) -> Result<Self, VaultError> {
        let mut known = BTreeMap::new();
        for (place, key) in vault.list_records::<ProvenKey>(Kind::PeerKey).await? {
            let party = place.name().parse().map_err(|_| VaultError::Form(place.clone()))?;
            known.insert(party, key);
        }
        Ok(Self(known))
    }

    /// Whether an attempt may start with these joins, whose signatures are their members'.
    pub(crate) fn check<'a>(
        &self,
        joins: impl IntoIterator<Item = &'a VerifiedJoin>,
    ) -> Result<(), PeerKeyFault> {
        let mut room = MAX_PEERS.saturating_sub(self.0.len());
        for join in joins {
            let member = join.member();
            if !self.accepts(member, &join.as_join().signature) {
                return Err(PeerKeyFault::Superseded);
            }
            if self.is_new(join) && !self.0.contains_key(&member) {
                room = room.checked_sub(1).ok_or(PeerKeyFault::Full)?;
            }
        }
        Ok(())
    }

    /// Whether a peer's signature, if it is one, is by a key that it has not replaced.
    pub(crate) fn accepts(&self, peer: PartyId, signature: &PartySignature) -> bool {
        let accepted = signature.descends_from(peer, self.known(peer));
        if !accepted {
            tracing::warn!(%peer, "what a peer seems to say is signed with a key that it has replaced");
        }
        accepted
    }

    /// The newer keys in these launches: to be durable before any of them is performed.
    pub(crate) fn news<'a>(
        &self,
        launches: impl IntoIterator<Item = &'a Launch>,
    ) -> BTreeMap<PartyId, ProvenKey> {
        let mut news: BTreeMap<PartyId, ProvenKey> = BTreeMap::new();
        let allowed = launches.into_iter().filter(|l| self.check(l.joins.values()).is_ok());
        for join in allowed.flat_map(|launch| launch.joins.values()) {
            let is_newest =
                news.get(&join.member()).is_none_or(|known| known.number < join.key().number);
            if self.is_new(join) && is_newest {
                news.insert(join.member(), join.key());
            }
        }
        news
    }

    /// Takes note of keys that are durable now.
    pub(crate) fn learn(&mut self, news: BTreeMap<PartyId, ProvenKey>) {
        self.0.extend(news);
    }

    fn known(&self, party: PartyId) -> ProvenKey {
        self.0.get(&party).copied().unwrap_or(ProvenKey::founding(party))
    }

    fn is_new(&self, join: &VerifiedJoin) -> bool {
        self.known(join.member()) != join.key()
    }
}

/// Stores keys of peers, all of them or none.
pub(crate) async fn store(
    vault: &Vault,
    news: &BTreeMap<PartyId, ProvenKey>,
) -> Result<(), VaultError> {
    if news.is_empty() {
        return Ok(());
    }
    let mut transaction = vault.begin().await?;
    for (party, key) in news {
        transaction.put(Kind::PeerKey, &party.to_string(), Epoch(0), key).await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_pending::AttemptSecret;
    use mpc_wire::{
        Attempt, AttemptPlan, Identity, Intent, IntentKind, Nonce, PlanHash, RequestId, Scheme,
        SessionId, SignedJoin, UnixMillis,
    };

    fn join(identity: &Identity) -> VerifiedJoin {
        let nonce = Nonce::generate();
        SignedJoin::sign(identity, PlanHash::new([1; 32]), nonce, [2; 32]).verify().unwrap()
    }

    fn launch(members: &[&Identity]) -> Launch {
        let joins: BTreeMap<_, _> =
            members.iter().map(|member| (member.party(), join(member))).collect();
        let intent = Intent {
            session: SessionId::generate(),
            request: RequestId::generate(),
            eligible: joins.keys().copied().collect(),
            expires_at: UnixMillis(0),
            kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 },
        };
        let plan = AttemptPlan {
            session: intent.session,
            intent_hash: intent.hash(),
            attempt: Attempt::FIRST,
            quorum: intent.eligible.clone(),
            aux_id: None,
        };
        Launch { intent, plan, joins, secret: AttemptSecret::new([3; 32]) }
    }

    fn learned(keys: &mut PeerKeys, launches: &[Launch]) -> BTreeMap<PartyId, ProvenKey> {
        let news = keys.news(launches);
        keys.learn(news.clone());
        news
    }

    #[test]
    fn only_rotated_keys_are_remembered_and_each_once() {
        let (alice, bob) = (Identity::generate(), Identity::generate());
        let newer = alice.rotate().unwrap();
        let mut keys = PeerKeys::default();
        assert!(learned(&mut keys, &[launch(&[&alice, &bob])]).is_empty());
        let news = learned(&mut keys, &[launch(&[&alice, &bob]), launch(&[&newer, &bob])]);
        assert_eq!(news, BTreeMap::from([(alice.party(), newer.proven_key())]));
        assert!(learned(&mut keys, &[launch(&[&newer, &bob])]).is_empty());
    }

    #[test]
    fn older_keys_and_forks_are_refused_whatever_their_number() {
        let first = Identity::generate();
        let second = first.rotate().unwrap();
        let fork = first.rotate().unwrap();
        let longer = fork.rotate().unwrap().rotate().unwrap();
        let mut keys = PeerKeys::default();
        for unknown in [&first, &second, &fork, &longer] {
            assert_eq!(keys.check([&join(unknown)]), Ok(()));
        }
        learned(&mut keys, &[launch(&[&second])]);
        for refused in [&first, &fork, &longer] {
            assert_eq!(keys.check([&join(refused)]), Err(PeerKeyFault::Superseded));
            assert!(keys.news(&[launch(&[refused])]).is_empty());
        }
        let third = second.rotate().unwrap();
        for accepted in [&second, &third] {
            assert_eq!(keys.check([&join(accepted)]), Ok(()));
        }
    }

    #[test]
    fn beyond_the_bound_nobody_is_believed_without_being_remembered() {
        let mut keys = PeerKeys::default();
        let filler = (0..MAX_PEERS).map(|n| {
            let mut bytes = [9; 32];
            bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
            (PartyId::new(bytes), ProvenKey::founding(PartyId::new([8; 32])))
        });
        keys.learn(filler.collect());
        let newcomer = Identity::generate();
        assert_eq!(keys.check([&join(&newcomer)]), Ok(()));
        let rotated = newcomer.rotate().unwrap();
        assert_eq!(keys.check([&join(&rotated)]), Err(PeerKeyFault::Full));
    }
}
