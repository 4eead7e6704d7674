//! How the coordinator behaves, once for all tests of a binary: it has keys and an aux set made
//! honestly. Each test gets a copy of the parties' data.

use super::proposal::Proposal;
use super::{MaliciousCoordinator, PARTIES};
use crate::snapshot::Snapshot;
use mpc_wire::{
    AccountId, ActivationRefusal, AttemptOutcome, AuxId, Epoch, EpochPlan, EpochStatement,
    IntentKind, PartyId, Payload, PlanHash, PublicKey, Scheme, Threshold, ToParty,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// An account of the parties.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its key.
    pub public_key: PublicKey,
    /// How many sign together.
    pub threshold: Threshold,
    /// Who holds shares: all parties.
    pub holders: BTreeSet<PartyId>,
    /// The epoch of the shares.
    pub epoch: Epoch,
    /// The plan that made them.
    pub plan: PlanHash,
    /// The aux set to sign with.
    pub aux: AuxId,
}

impl Account {
    /// The account's shares.
    pub fn shares(&self) -> EpochPlan {
        EpochPlan { account: self.id, epoch: self.epoch, plan: self.plan }
    }

    /// What a canary of the account signs.
    pub fn canary(&self) -> Payload {
        Payload::Canary { plan: self.plan }
    }
}

/// What all tests begin with.
pub struct Founding {
    /// The parties' data.
    pub(super) snapshot: Snapshot,
    /// An account of which any two parties sign.
    pub pair: Account,
    /// Another one of which any two parties sign.
    pub other_pair: Account,
    /// An account of which all parties sign.
    pub all: Account,
}

impl Founding {
    /// What all tests of this binary share; whoever comes first makes it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Founding> = OnceLock::new();
        SHARED.get_or_init(|| {
            // An actor system of its own: it ends with the making.
            let making = std::thread::spawn(|| actix_rt::System::new().block_on(Self::make()));
            making.join().unwrap()
        })
    }

    async fn make() -> Self {
        let mut coordinator = MaliciousCoordinator::over(tempfile::tempdir().unwrap()).await;
        let aux = coordinator.make_aux().await;
        let pair = coordinator.make_account(2, aux).await;
        let other_pair = coordinator.make_account(2, aux).await;
        let all = coordinator.make_account(3, aux).await;
        let folder = coordinator.stop().await;
        let snapshot = Snapshot::take(folder.path()).await.unwrap();
        Self { snapshot, pair, other_pair, all }
    }
}

impl MaliciousCoordinator {
    async fn make_aux(&mut self) -> AuxId {
        let kind = IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 };
        let outcomes = self.make(&Proposal::new(self.everybody(), kind)).await;
        let Some(AttemptOutcome::Aux { aux_id }) = outcomes.first() else { panic!("{outcomes:?}") };
        *aux_id
    }

    /// An account that all holders have taken up.
    async fn make_account(&mut self, threshold: u16, aux: AuxId) -> Account {
        let (account, stored) = self.make_shares(threshold, aux).await;
        let proven = self.prove(&account).await;
        let statements: Vec<_> = stored.into_iter().chain(proven).collect();
        for number in 0..PARTIES {
            let party = self.party(number);
            self.activate(party, account.shares(), &statements).await;
        }
        account
    }

    /// An account whose shares wait, with every holder's word that its own is stored.
    pub async fn make_shares(
        &mut self,
        threshold: u16,
        aux: AuxId,
    ) -> (Account, Vec<EpochStatement>) {
        let (id, threshold) = (AccountId::generate(), Threshold(threshold));
        let holders = self.everybody();
        let kind = IntentKind::Keygen { account: id, scheme: Scheme::EcdsaCggmp24, threshold };
        let proposal = Proposal::new(holders.clone(), kind);
        let mut stored = Vec::new();
        let mut keys = BTreeSet::new();
        for outcome in self.make(&proposal).await {
            let AttemptOutcome::Keygen { public_key, epoch, stored: said, .. } = outcome else {
                panic!("{outcome:?}")
            };
            stored.push(said);
            keys.insert((public_key, epoch));
        }
        assert_eq!(keys.len(), 1);
        let (public_key, epoch) = keys.pop_first().unwrap();
        let plan = proposal.plan.hash();
        (Account { id, public_key, threshold, holders, epoch, plan, aux }, stored)
    }

    /// Has quorums sign canaries that together include every holder; says what they say to that.
    pub async fn prove(&mut self, account: &Account) -> Vec<EpochStatement> {
        let mut proven = BTreeMap::new();
        while let Some(unproven) = account.holders.iter().find(|h| !proven.contains_key(*h)) {
            let others = account.holders.iter().filter(|holder| *holder != unproven);
            let quorum = std::iter::once(unproven).chain(others).take(account.threshold.0.into());
            let canary = Proposal::sign(account, quorum.copied().collect());
            for outcome in self.make(&canary.with_payload(account.canary())).await {
                let AttemptOutcome::Proven { proven: said, .. } = outcome else {
                    panic!("{outcome:?}")
                };
                proven.insert(said.by, said);
            }
        }
        proven.into_values().collect()
    }

    /// Tells a party to take shares up, and waits until it has.
    pub async fn activate(&mut self, to: PartyId, of: EpochPlan, statements: &[EpochStatement]) {
        let answer = self.tell_to_activate(to, of, statements).await;
        assert_eq!(answer, Ok(()));
    }

    /// Tells a party to take shares up; says what it answers.
    pub async fn tell_to_activate(
        &mut self,
        to: PartyId,
        of: EpochPlan,
        statements: &[EpochStatement],
    ) -> Result<(), ActivationRefusal> {
        let before = self.transcript.len();
        self.say(to, ToParty::Activate { of, statements: statements.to_vec() }).await;
        self.hear("an answer to an activation", |transcript| transcript.activated(before, to, of))
            .await
    }

    /// Runs an attempt honestly; the outcomes are in the order of the members.
    async fn make(&mut self, proposal: &Proposal) -> Vec<AttemptOutcome> {
        let outcomes = self.run(proposal).await.into_values().collect();
        for number in 0..PARTIES {
            self.settle(self.party(number)).await;
        }
        outcomes
    }
}
