//! What makes an account's shares active: the holders' own words, which lie in the ends of the
//! sessions that brought them, told to all holders. Nobody believes the coordinator in this.

use crate::names::AccountState;
use crate::opening::Stopping;
use crate::post::Post;
use crate::roster::Roster;
use crate::store::account::Account;
use crate::store::session::StoredSession;
use crate::store::{Store, StoreError};
use mpc_session::{SessionEnd, SessionProduct};
use mpc_wire::limits::MAX_STATEMENTS;
use mpc_wire::{
    AccountId, ActivationRefusal, EpochKey, EpochPlan, EpochStatement, PartyId, ToParty, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a holder has to answer before it is told again: it costs it a few signatures and a
/// commit. What is told may be lost with a connection.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// Each holder's word that its share has proven itself.
pub(crate) type Proofs = BTreeMap<PartyId, EpochStatement>;

/// Shares that a session has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) of: EpochPlan,
    pub(crate) key: EpochKey,
    stored: BTreeMap<PartyId, EpochStatement>,
}

impl Made {
    /// What a key generation came to, if it came to a key.
    pub(crate) fn by(keygen: &StoredSession) -> Option<Self> {
        let Some(SessionEnd::Completed(SessionProduct::Key { stored, .. })) = &keygen.record.end
        else {
            return None;
        };
        let said = stored.values().next()?;
        let key = said.verdict.key()?.clone();
        Some(Self { of: said.of, key, stored: stored.clone() })
    }

    /// The proofs of these very shares that a canary brought.
    pub(crate) fn proofs(&self, canary: &StoredSession) -> Proofs {
        let Some(SessionEnd::Completed(SessionProduct::Canary { proven, .. })) = &canary.record.end
        else {
            return Proofs::new();
        };
        let is_of_these = |said: &EpochStatement| {
            said.of == self.of && said.verdict == Verdict::Proven(self.key.clone())
        };
        proven
            .iter()
            .filter(|(_, said)| is_of_these(said))
            .map(|(by, said)| (*by, said.clone()))
            .collect()
    }

    fn activate(&self, proofs: &Proofs) -> ToParty {
        let statements = self.stored.values().chain(proofs.values()).cloned().collect();
        ToParty::Activate { of: self.of, statements }
    }
}

/// Why the holders have not taken up an epoch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotActivated {
    #[error(transparent)]
    Stopping(#[from] Stopping),
    #[error("party {party} does not take the epoch up: {refusal}")]
    Refused { party: PartyId, refusal: ActivationRefusal },
}

/// Tells holders of epochs to take up, and takes their answers. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Activation {
    store: Store,
    roster: Roster,
    post: Post,
    listeners: Arc<Mutex<BTreeMap<AccountId, mpsc::Sender<Answer>>>>,
}

#[derive(Debug)]
struct Answer {
    from: PartyId,
    of: EpochPlan,
    result: Result<(), ActivationRefusal>,
}

impl Activation {
    pub(crate) fn new(store: Store, roster: Roster, post: Post) -> Self {
        Self { store, roster, post, listeners: Arc::default() }
    }

    /// Tells the holders until all that can be reached have taken the epoch up, and enough to sign
    /// with it. Whoever is away then asks by itself when it is back ([`Activation::remind`]).
    pub(crate) async fn spread(
        &self,
        account: &Account,
        made: &Made,
        proofs: &Proofs,
    ) -> Result<(), NotActivated> {
        let mut answers = self.listen(account.id);
        let mut online = self.roster.subscribe();
        let (mut told, mut active) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let there: BTreeSet<_> =
                online.borrow_and_update().intersection(&account.holders).copied().collect();
            told.retain(|party| there.contains(party));
            let lacking: BTreeSet<_> = there.difference(&active).copied().collect();
            if lacking.is_empty() && active.len() >= usize::from(account.threshold.0) {
                return Ok(());
            }
            for party in &lacking {
                if told.insert(*party) {
                    self.tell(*party, made.activate(proofs)).await;
                }
            }
            tokio::select! {
                answer = answers.recv() => match answer.ok_or(Stopping)? {
                    Answer { of, .. } if of != made.of => {}
                    Answer { from, result: Ok(()), .. } => {
                        active.insert(from);
                    }
                    // It is told again in a while.
                    Answer { result: Err(ActivationRefusal::Overloaded), .. } => {}
                    Answer { from: party, result: Err(refusal), .. } => {
                        return Err(NotActivated::Refused { party, refusal });
                    }
                },
                changed = online.changed() => changed.map_err(|_| Stopping)?,
                () = tokio::time::sleep(ANSWER_PATIENCE) => told.clear(),
            }
        }
    }

    /// Takes a holder's answer, for whoever waits for it.
    pub(crate) fn answered(
        &self,
        from: PartyId,
        of: EpochPlan,
        result: Result<(), ActivationRefusal>,
    ) {
        match &result {
            Ok(()) => tracing::debug!(party = %from, account = %of.account, "took the epoch up"),
            Err(refusal) => {
                tracing::warn!(party = %from, account = %of.account, %refusal, "epoch not taken up");
            }
        }
        let listener = self.lock().get(&of.account).cloned();
        // A holder that found no room, or nobody who waits, answers again when it is told again.
        if let Some(listener) = listener
            && let Err(error) = listener.try_send(Answer { from, of, result })
        {
            tracing::debug!(party = %from, account = %of.account, %error, "an answer was dropped");
        }
    }

    /// Tells a holder once more, if its share waits for what has happened already.
    pub(crate) async fn remind(
        &self,
        party: PartyId,
        waits: &EpochStatement,
    ) -> Result<(), StoreError> {
        let account = self.store.account(waits.of.account).await?;
        let is_active = |account: &Account| account.state == AccountState::Active;
        let Some(account) = account.filter(is_active) else { return Ok(()) };
        let Some(made) = self.made(&account).await?.filter(|made| made.of == waits.of) else {
            return Ok(());
        };
        let mut proofs = Proofs::new();
        for canary in self.store.canaries(account.id).await? {
            proofs.extend(made.proofs(&canary));
        }
        self.tell(party, made.activate(&proofs)).await;
        Ok(())
    }

    /// The account's shares, once they are made.
    pub(crate) async fn made(&self, account: &Account) -> Result<Option<Made>, StoreError> {
        Ok(self.store.session(account.keygen).await?.as_ref().and_then(Made::by))
    }

    async fn tell(&self, party: PartyId, message: ToParty) {
        if let Err(error) = self.post.deliver(party, Box::new(message)).await {
            tracing::warn!(%party, %error, "an activation was lost");
        }
    }

    fn listen(&self, account: AccountId) -> mpsc::Receiver<Answer> {
        let (listener, answers) = mpsc::channel(MAX_STATEMENTS);
        let mut listeners = self.lock();
        listeners.retain(|_, other| !other.is_closed());
        listeners.insert(account, listener);
        answers
    }

    /// Each change is one insertion or removal: whatever panicked, the map stays sound.
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<AccountId, mpsc::Sender<Answer>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
