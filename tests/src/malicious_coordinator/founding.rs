//! How the coordinator behaves, once for all tests of a binary: it has keys and an aux set made
//! honestly. Each test gets a copy of the parties' data.

use super::proposal::Proposal;
use super::{MaliciousCoordinator, PARTIES};
use crate::snapshot::Snapshot;
use mpc_wire::{
    AccountId, AttemptOutcome, AuxId, Epoch, IntentKind, PartyId, PublicKey, Scheme, Threshold,
};
use std::collections::BTreeSet;
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
    /// The aux set to sign with.
    pub aux: AuxId,
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
        let outcome = self.make(&Proposal::new(self.everybody(), kind)).await;
        let AttemptOutcome::Aux { aux_id } = outcome else { panic!("{outcome:?}") };
        aux_id
    }

    async fn make_account(&mut self, threshold: u16, aux: AuxId) -> Account {
        let (id, threshold) = (AccountId::generate(), Threshold(threshold));
        let holders = self.everybody();
        let kind = IntentKind::Keygen { account: id, scheme: Scheme::EcdsaCggmp24, threshold };
        let outcome = self.make(&Proposal::new(holders.clone(), kind)).await;
        let AttemptOutcome::Keygen { public_key, epoch, .. } = outcome else {
            panic!("{outcome:?}")
        };
        Account { id, public_key, threshold, holders, epoch, aux }
    }

    /// Runs an attempt whose outcome is the same in every party.
    async fn make(&mut self, proposal: &Proposal) -> AttemptOutcome {
        let mut outcomes = self.run(proposal).await.into_values();
        let first = outcomes.next().unwrap();
        assert!(outcomes.all(|outcome| outcome == first));
        for number in 0..PARTIES {
            self.settle(self.party(number)).await;
        }
        first
    }
}
