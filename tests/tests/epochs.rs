//! The rules of epochs, on real vaults under arbitrary orders: a coordinator tells whom it likes what
//! it likes, an accomplice among the holders signs whatever helps, and parties crash in between. The
//! epoch that signs is the old one or a new one, never neither.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use mpc_engine::SecretBytes;
use mpc_wire::{
    AccountId, Epoch, EpochPlan, EpochStatement, Identity, PartyId, PlanHash, PublicKey, Scheme,
    SessionId, SharesHash, Threshold, Verdict,
};
use party_runtime::epochs::EpochFault;
use party_runtime::vault::ShareRecord;
use party_runtime::{KeySource, Vault, VaultError};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// Honest holders. The accomplice is one more.
const HONEST: usize = 3;

/// Attempts at the new epoch.
const PLANS: u8 = 3;

const OLD: Epoch = Epoch(1);
const NEW: Epoch = Epoch(2);

/// Something that happens to a party, of one attempt.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// The attempt makes its share.
    Prepare(usize, u8),
    /// The share signs a canary.
    Prove(usize, u8),
    /// It is asked what it has of the attempt.
    Attest(usize, u8),
    /// It is shown whatever refusals of the attempt there are.
    Discard(usize, u8),
    /// It is told to take the attempt's shares up, with all that was ever said of them.
    Activate(usize, u8),
    /// It crashes, and finds what is on its disk.
    Crash(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let of = || (0..HONEST, 1..=PLANS);
    prop_oneof![
        4 => of().prop_map(|(party, plan)| Op::Prepare(party, plan)),
        4 => of().prop_map(|(party, plan)| Op::Prove(party, plan)),
        1 => of().prop_map(|(party, plan)| Op::Attest(party, plan)),
        2 => of().prop_map(|(party, plan)| Op::Discard(party, plan)),
        4 => of().prop_map(|(party, plan)| Op::Activate(party, plan)),
        1 => (0..HONEST).prop_map(Op::Crash),
    ]
}

struct World {
    folder: TempDir,
    account: AccountId,
    session: SessionId,
    vaults: Vec<Vault>,
    accomplice: Identity,
    /// All that was ever said.
    said: Vec<EpochStatement>,
}

async fn open(folder: &Path, number: usize) -> Vault {
    let path: PathBuf = folder.join(format!("{number}.sqlite"));
    let key = KeySource::Hex(Zeroizing::new("1".repeat(64)));
    Vault::open_or_create(&path, &key).await.unwrap()
}

impl World {
    /// Everybody holds the old epoch.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut vaults = Vec::new();
        for number in 0..HONEST {
            vaults.push(open(folder.path(), number).await);
        }
        let (account, session) = (AccountId::generate(), SessionId::generate());
        let accomplice = Identity::generate();
        let mut world = Self { folder, account, session, vaults, accomplice, said: Vec::new() };
        for vault in &world.vaults {
            vault.store_share(account, OLD, &world.share(0)).await.unwrap();
        }
        for plan in 1..=PLANS {
            let (of, key) = (world.of(plan), world.share(plan).key());
            for verdict in [Verdict::Stored(key.clone()), Verdict::Refused, Verdict::Proven(key)] {
                world.said.push(EpochStatement::sign(&world.accomplice, of, verdict));
            }
        }
        world
    }

    fn of(&self, plan: u8) -> EpochPlan {
        EpochPlan { account: self.account, epoch: NEW, plan: PlanHash::new([plan; 32]) }
    }

    /// All attempts of a refresh make shares of the same key.
    fn share(&self, plan: u8) -> ShareRecord {
        let honest = self.vaults.iter().map(Vault::party);
        ShareRecord {
            session: self.session,
            plan: PlanHash::new([plan; 32]),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(2),
            holders: honest.chain([self.accomplice.party()]).collect(),
            public_key: PublicKey::new([2; 33]),
            public_shares: SharesHash::new([plan; 32]),
            share: SecretBytes::new(vec![plan; 32]),
        }
    }

    async fn perform(&mut self, op: Op) {
        let vault = |party: usize| self.vaults[party].clone();
        match op {
            Op::Prepare(party, plan) => {
                let share = self.share(plan);
                self.hear(vault(party).prepare_share(self.account, NEW, &share).await);
            }
            Op::Prove(party, plan) => self.hear(vault(party).prove_share(self.of(plan)).await),
            Op::Attest(party, plan) => {
                let said = vault(party).attest_share(self.of(plan)).await.unwrap();
                self.said.extend(said);
            }
            Op::Discard(party, plan) => {
                for refused in self.said_of(plan, |verdict| *verdict == Verdict::Refused) {
                    vault(party).discard_share(&refused).await.unwrap();
                }
            }
            Op::Activate(party, plan) => {
                let statements = self.said_of(plan, |verdict| *verdict != Verdict::Refused);
                // Whether it does is what is judged below.
                let _ = vault(party).activate_share(self.of(plan), &statements).await.unwrap();
            }
            Op::Crash(party) => {
                self.vaults[party].close().await.unwrap();
                self.vaults[party] = open(self.folder.path(), party).await;
            }
        }
    }

    fn hear(&mut self, said: Result<EpochStatement, VaultError>) {
        match said {
            Ok(statement) => self.said.push(statement),
            Err(VaultError::Epoch(fault)) => assert_ne!(fault, EpochFault::ReadBack),
            Err(error) => panic!("{error}"),
        }
    }

    /// What was said of an attempt, each thing once.
    fn said_of(&self, plan: u8, is_wanted: impl Fn(&Verdict) -> bool) -> Vec<EpochStatement> {
        let of = self.of(plan);
        let mut said: Vec<EpochStatement> = Vec::new();
        for statement in self.said.iter().filter(|s| s.of == of && is_wanted(&s.verdict)) {
            if !said.contains(statement) {
                said.push(statement.clone());
            }
        }
        said
    }

    async fn check(&self) {
        let honest: BTreeSet<PartyId> = self.vaults.iter().map(Vault::party).collect();
        for by in honest {
            let plans = |name: &str| -> BTreeSet<PlanHash> {
                let said = self.said.iter().filter(|s| s.by == by && s.verdict.name() == name);
                said.map(|said| said.of.plan).collect()
            };
            assert!(plans("stored").is_disjoint(&plans("refused")), "stored and refused");
            assert!(plans("proven").len() <= 1, "two attempts proven");
            assert!(plans("proven").is_subset(&plans("stored")), "proven and not stored");
        }
        let mut active = BTreeSet::new();
        for vault in &self.vaults {
            let share = vault.share(self.account, NEW).await.unwrap();
            active.extend(share.map(|share| share.plan));
        }
        assert!(active.len() <= 1, "two attempts active");
        for vault in &self.vaults {
            let holds = match active.first() {
                Some(plan) => {
                    let of = EpochPlan { plan: *plan, ..self.of(0) };
                    vault.share_of(of).await.unwrap().is_some()
                }
                None => vault.share(self.account, OLD).await.unwrap().is_some(),
            };
            assert!(holds, "neither the old epoch nor the new one signs");
        }
    }
}

proptest! {
    // Each step is a commit or two, with its sync.
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn the_old_epoch_signs_or_a_new_one_never_neither(ops in vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for op in ops {
                world.perform(op).await;
                world.check().await;
            }
        });
    }
}

/// Arbitrary orders seldom come so far: one attempt is stored, proven and taken up by some, while
/// the accomplice and the coordinator do all they can to have the others drop it.
#[tokio::test]
async fn what_some_have_taken_up_the_others_keep() {
    for taken_up in 1..=HONEST {
        let mut world = World::new().await;
        let all = |op: fn(usize, u8) -> Op, plan| (0..HONEST).map(move |party| op(party, plan));
        let mut ops: Vec<_> = all(Op::Prepare, 1).chain(all(Op::Prepare, 2)).collect();
        ops.extend(all(Op::Prove, 1).chain(all(Op::Prove, 2)));
        ops.extend((0..taken_up).map(|party| Op::Activate(party, 1)));
        ops.extend((0..HONEST).map(Op::Crash));
        for plan in 1..=PLANS {
            ops.extend(all(Op::Discard, plan).chain(all(Op::Attest, plan)));
            ops.extend(all(Op::Prepare, plan));
        }
        ops.extend(all(Op::Activate, 2));
        for op in ops {
            world.perform(op).await;
            world.check().await;
        }
        let of_first = world.of(1);
        let (mut active, mut held) = (0, 0);
        for vault in &world.vaults {
            active += usize::from(vault.share(world.account, NEW).await.unwrap().is_some());
            held += usize::from(vault.share_of(of_first).await.unwrap().is_some());
        }
        assert_eq!((active, held), (taken_up, HONEST));
    }
}
