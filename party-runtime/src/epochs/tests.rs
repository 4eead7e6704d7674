//! The rules, on real vaults: whatever a coordinator says to whom, and whatever is lost on the way.

use super::*;
use crate::vault::{KeySource, Kind, Vault, VaultError};
use mpc_engine::SecretBytes;
use mpc_wire::{
    AccountId, ActivationRefusal, Epoch, EpochKey, EpochPlan, EpochStatement, Identity, PublicKey,
    Scheme, SessionId, SharesHash, Threshold, Verdict,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zeroize::Zeroizing;

const EPOCH: Epoch = Epoch(1);

/// Holders of one account, each with a vault of its own.
struct World {
    folder: TempDir,
    account: AccountId,
    session: SessionId,
    vaults: Vec<Vault>,
}

async fn open(path: &Path) -> Vault {
    let key = KeySource::Hex(Zeroizing::new("1".repeat(64)));
    Vault::open_or_create(path, &key).await.unwrap()
}

impl World {
    async fn of(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (account, session) = (AccountId::generate(), SessionId::generate());
        let mut world = Self { folder, account, session, vaults: Vec::new() };
        for number in 0..count {
            let vault = open(&world.path(number)).await;
            world.vaults.push(vault);
        }
        world
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("{number}.sqlite"))
    }

    /// As after `kill -9`: what is not on the disk is gone.
    async fn restart(&mut self, number: usize) {
        self.vaults[number].close().await.unwrap();
        self.vaults[number] = open(&self.path(number)).await;
    }

    fn holders(&self) -> BTreeSet<mpc_wire::PartyId> {
        self.vaults.iter().map(Vault::party).collect()
    }

    fn of_plan(&self, plan: u8) -> EpochPlan {
        EpochPlan { account: self.account, epoch: EPOCH, plan: PlanHash::new([plan; 32]) }
    }

    fn share(&self, plan: u8) -> ShareRecord {
        ShareRecord {
            session: self.session,
            plan: PlanHash::new([plan; 32]),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(2),
            holders: self.holders(),
            public_key: PublicKey::new([plan; 33]),
            public_shares: SharesHash::new([plan; 32]),
            share: SecretBytes::new(vec![plan; 32]),
        }
    }

    async fn prepare(&self, number: usize, plan: u8) -> Result<EpochStatement, VaultError> {
        self.vaults[number].prepare_share(self.account, EPOCH, &self.share(plan)).await
    }

    async fn prove(&self, number: usize, plan: u8) -> Result<EpochStatement, VaultError> {
        self.vaults[number].prove_share(self.of_plan(plan)).await
    }

    async fn activate(
        &self,
        number: usize,
        plan: u8,
        statements: &[EpochStatement],
    ) -> Result<(), ActivationRefusal> {
        self.vaults[number].activate_share(self.of_plan(plan), statements).await.unwrap()
    }

    /// Every holder's `Stored` and `Proven` of a plan.
    async fn all_statements(&self, plan: u8) -> Vec<EpochStatement> {
        let mut statements = Vec::new();
        for number in 0..self.vaults.len() {
            statements.push(self.prepare(number, plan).await.unwrap());
            statements.push(self.prove(number, plan).await.unwrap());
        }
        statements
    }

    async fn active(&self, number: usize) -> Option<PlanHash> {
        Some(self.vaults[number].share(self.account, EPOCH).await.unwrap()?.plan)
    }

    async fn holds(&self, number: usize, plan: u8) -> bool {
        self.vaults[number].share_of(self.of_plan(plan)).await.unwrap().is_some()
    }
}

fn fault(result: Result<EpochStatement, VaultError>) -> EpochFault {
    match result {
        Err(VaultError::Epoch(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn prepared_shares_lie_side_by_side_and_survive_a_restart() {
    let mut world = World::of(1).await;
    for plan in 1..=3 {
        let stored = world.prepare(0, plan).await.unwrap();
        assert!(stored.verify().is_ok());
        assert_eq!(stored.verdict, Verdict::Stored(world.share(plan).key()));
        world.restart(0).await;
    }
    let record = world.vaults[0].epoch(world.account, EPOCH).await.unwrap();
    assert_eq!(record.shares().count(), 3);
    for plan in 1..=3 {
        let kept = record.share(PlanHash::new([plan; 32])).unwrap();
        assert_eq!(kept.share.expose(), [plan; 32]);
        assert_eq!(fault(world.prepare(0, plan).await), EpochFault::Repeated);
    }
    assert_eq!(world.active(0).await, None);
    assert_eq!(world.vaults[0].floor(world.account).await.unwrap(), None);
}

#[tokio::test]
async fn there_is_room_for_so_many_and_none_makes_way_for_another() {
    let world = World::of(1).await;
    for plan in 0..MAX_PREPARED {
        world.prepare(0, plan as u8).await.unwrap();
    }
    assert_eq!(fault(world.prepare(0, 0xff).await), EpochFault::Full);
    let record = world.vaults[0].epoch(world.account, EPOCH).await.unwrap();
    assert_eq!(record.shares().count(), MAX_PREPARED);
}

#[tokio::test]
async fn stored_and_refused_of_one_plan_never_come_from_one_party() {
    let mut world = World::of(2).await;
    let says = |world: &World, plan| {
        let (vault, of) = (world.vaults[0].clone(), world.of_plan(plan));
        async move { vault.attest_share(of).await.unwrap().map(|said| said.verdict) }
    };
    // What is refused first is not stored any more, not after a restart either.
    assert_eq!(says(&world, 1).await, Some(Verdict::Refused));
    world.restart(0).await;
    assert_eq!(fault(world.prepare(0, 1).await), EpochFault::Refused);
    assert_eq!(says(&world, 1).await, Some(Verdict::Refused));
    // What is stored first is not refused any more.
    world.prepare(0, 2).await.unwrap();
    world.restart(0).await;
    assert_eq!(says(&world, 2).await, Some(Verdict::Stored(world.share(2).key())));
    // Not even once it was erased on another holder's word: then the party is silent.
    let refused =
        EpochStatement::sign(&world.vaults[1].identity(), world.of_plan(2), Verdict::Refused);
    assert!(world.vaults[0].discard_share(&refused).await.unwrap());
    world.restart(0).await;
    assert_eq!(says(&world, 2).await, None);
    assert_eq!(fault(world.prepare(0, 2).await), EpochFault::Refused);
}

#[tokio::test]
async fn refusals_are_bounded() {
    let world = World::of(1).await;
    for plan in 0..MAX_ATTEMPTS {
        let said = world.vaults[0].attest_share(world.of_plan(plan as u8)).await.unwrap();
        assert_eq!(said.unwrap().verdict, Verdict::Refused);
    }
    assert_eq!(world.vaults[0].attest_share(world.of_plan(0xff)).await.unwrap(), None);
}

#[tokio::test]
async fn one_plan_of_an_epoch_is_proven_and_no_other() {
    let mut world = World::of(1).await;
    assert_eq!(fault(world.prove(0, 1).await), EpochFault::NotPrepared);
    world.prepare(0, 1).await.unwrap();
    world.prepare(0, 2).await.unwrap();
    let proven = world.prove(0, 1).await.unwrap();
    assert!(proven.verify().is_ok());
    assert_eq!(proven.verdict, Verdict::Proven(world.share(1).key()));
    world.restart(0).await;
    assert_eq!(fault(world.prove(0, 2).await), EpochFault::OtherProven);
    assert_eq!(world.prove(0, 1).await.unwrap(), proven);
}

#[tokio::test]
async fn a_share_is_erased_on_a_holders_refusal_unless_it_is_proven() {
    let world = World::of(2).await;
    for plan in [1, 2] {
        world.prepare(0, plan).await.unwrap();
    }
    world.prove(0, 1).await.unwrap();
    let peer = world.vaults[1].identity();
    let refused = |identity: &Identity, plan| {
        EpochStatement::sign(identity, world.of_plan(plan), Verdict::Refused)
    };
    let forged = EpochStatement { by: peer.party(), ..refused(&Identity::generate(), 2) };
    let key = world.share(2).key();
    let no_refusal = EpochStatement::sign(&peer, world.of_plan(2), Verdict::Stored(key));
    let own = refused(&world.vaults[0].identity(), 2);
    for useless in [forged, no_refusal, own, refused(&Identity::generate(), 2), refused(&peer, 1)] {
        assert!(!world.vaults[0].discard_share(&useless).await.unwrap(), "{useless:?}");
    }
    assert!(world.holds(0, 1).await && world.holds(0, 2).await);
    assert!(world.vaults[0].discard_share(&refused(&peer, 2)).await.unwrap());
    assert!(world.holds(0, 1).await && !world.holds(0, 2).await);
}

#[tokio::test]
async fn activation_erases_other_plans_and_the_older_epoch_and_can_be_repeated() {
    let mut world = World::of(2).await;
    world.prepare(0, 2).await.unwrap();
    let statements = world.all_statements(1).await;
    for _ in 0..2 {
        assert_eq!(world.activate(0, 1, &statements).await, Ok(()));
        world.restart(0).await;
    }
    assert_eq!(world.active(0).await, Some(PlanHash::new([1; 32])));
    assert!(!world.holds(0, 2).await);
    let vault = &world.vaults[0];
    assert_eq!(vault.floor(world.account).await.unwrap(), Some(EPOCH));
    assert!(vault.list_records::<EpochRecord>(Kind::Prepared).await.unwrap().is_empty());
    // The epoch is over: nothing is stored or refused any more, other statements change nothing.
    assert_eq!(fault(world.prepare(0, 3).await), EpochFault::Active);
    assert_eq!(vault.attest_share(world.of_plan(2)).await.unwrap(), None);
    assert_eq!(world.activate(0, 2, &statements).await, Err(ActivationRefusal::OtherActive));
    // It is still proven, for whoever asks again.
    assert_eq!(world.prove(0, 1).await.unwrap(), statements[1]);

    // The next epoch takes its place.
    let next = EpochPlan { epoch: Epoch(2), ..world.of_plan(7) };
    let mut of_next = Vec::new();
    for vault in &world.vaults {
        let share = world.share(7);
        of_next.push(vault.prepare_share(world.account, Epoch(2), &share).await.unwrap());
        of_next.push(vault.prove_share(next).await.unwrap());
    }
    assert!(world.active(0).await.is_some());
    world.vaults[0].activate_share(next, &of_next).await.unwrap().unwrap();
    assert_eq!(world.active(0).await, None);
    assert_eq!(world.vaults[0].floor(world.account).await.unwrap(), Some(Epoch(2)));
    assert_eq!(world.activate(0, 1, &statements).await, Err(ActivationRefusal::StaleEpoch));
}

#[tokio::test]
async fn activation_needs_every_word_and_no_other() {
    let world = World::of(3).await;
    let statements = world.all_statements(1).await;
    // An accomplice of the coordinator says whatever it is asked for.
    let corrupt = world.vaults[2].identity();
    let says = |of, verdict| EpochStatement::sign(&corrupt, of, verdict);
    let key = world.share(1).key();
    let with = |said: EpochStatement| {
        let mut all = statements.clone();
        all[4] = said;
        all
    };
    let of = world.of_plan(1);
    let other_key = EpochKey { public_key: PublicKey::new([9; 33]), ..key.clone() };
    let other_shares = EpochKey { shares: SharesHash::new([9; 32]), ..key.clone() };
    let elsewhere = EpochPlan { account: AccountId::generate(), ..of };
    let stranger = EpochStatement::sign(&Identity::generate(), of, Verdict::Stored(key.clone()));
    let forged = EpochStatement { by: corrupt.party(), ..stranger.clone() };
    use ActivationRefusal as Refusal;
    let cases = [
        (with(says(of, Verdict::Stored(other_key.clone()))), Refusal::Mismatch),
        (with(says(of, Verdict::Stored(other_shares))), Refusal::Mismatch),
        (with(says(world.of_plan(2), Verdict::Stored(key.clone()))), Refusal::Mismatch),
        (with(says(elsewhere, Verdict::Stored(key.clone()))), Refusal::Mismatch),
        (
            with(says(EpochPlan { epoch: Epoch(2), ..of }, Verdict::Stored(key.clone()))),
            Refusal::Mismatch,
        ),
        (with(stranger), Refusal::NotAHolder),
        (with(forged), Refusal::Forged),
        (with(says(of, Verdict::Refused)), Refusal::Refused),
        (with(statements[5].clone()), Refusal::Incomplete),
        (vec![statements[0].clone(); mpc_wire::limits::MAX_STATEMENTS + 1], Refusal::Overloaded),
    ];
    for (statements, refusal) in cases {
        assert_eq!(world.activate(0, 1, &statements).await, Err(refusal));
    }
    for missing in 0..statements.len() {
        let mut less = statements.clone();
        less.remove(missing);
        assert_eq!(world.activate(0, 1, &less).await, Err(Refusal::Incomplete), "{missing}");
    }
    assert_eq!(world.activate(0, 2, &statements).await, Err(Refusal::NotPrepared));
    assert_eq!(world.active(0).await, None);
    assert_eq!(world.activate(0, 1, &statements).await, Ok(()));
}

/// A coordinator runs the attempt twice, collects what it can of both, and tells one party to take
/// up the first and another the second. Whoever has proven the first does not prove the second: at
/// most one of them is complete.
#[tokio::test]
async fn no_two_plans_of_one_epoch_become_active() {
    for proven_first in 0..=3_usize {
        let world = World::of(3).await;
        let mut statements: BTreeMap<u8, Vec<EpochStatement>> = BTreeMap::new();
        for number in 0..3 {
            for plan in [1, 2] {
                let stored = world.prepare(number, plan).await.unwrap();
                statements.entry(plan).or_default().push(stored);
            }
            let order = if number < proven_first { [1, 2] } else { [2, 1] };
            for plan in order {
                if let Ok(proven) = world.prove(number, plan).await {
                    statements.entry(plan).or_default().push(proven);
                }
            }
        }
        let mut active = BTreeSet::new();
        for number in 0..3 {
            for plan in [1, 2] {
                if world.activate(number, plan, &statements[&plan]).await.is_ok() {
                    active.insert(plan);
                }
            }
        }
        let expected = match proven_first {
            0 => BTreeSet::from([2]),
            3 => BTreeSet::from([1]),
            _ => BTreeSet::new(),
        };
        assert_eq!(active, expected, "{proven_first} prove the first plan");
        // Whatever came of it, one plan's shares are there in every party.
        let mut signs = false;
        for plan in [1, 2] {
            let mut all = true;
            for number in 0..3 {
                all &= world.holds(number, plan).await;
            }
            signs |= all;
        }
        assert!(signs);
    }
}
