//! The parties' side: speaks over the two channels as gateway and parties would.

use k256::ecdsa::SigningKey;
use mpc_wire::audit::Head;
use mpc_wire::{
    AccountId, ActivationRefusal, Attempt, AttemptFailure, AttemptOutcome, AttemptPlan, AuxId,
    DeclineReason, Downlink, EcdsaSignature, EntryHash, Epoch, EpochKey, EpochPlan, EpochStatement,
    FailureKind, Identity, Intent, IntentKind, Nonce, PartyId, Payload, PlanHash, PublicKey,
    SessionId, Signature, SignedHead, SignedJoin, ToCoordinator, ToParty, Uplink, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tokio::sync::{mpsc, watch};

/// How a party takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Honest,
    /// Says nothing to an invitation.
    Silent,
    /// Declines.
    Declines(DeclineReason),
    /// Joins, then never reports.
    Stalls,
    /// Joins, and never reports while this party is in the quorum.
    StallsWith(PartyId),
    /// Reports a signature over something else.
    SignsWrongly,
    /// Reports that the attempt failed in it.
    Fails,
    /// Loses its connection when an attempt starts.
    Drops,
    /// Is honest, and loses its connection when it has reported a key.
    LeavesAfterKeygen,
    /// Is honest, and does not take up an epoch.
    RefusesActivation(ActivationRefusal),
    /// Is honest, and does not answer to an activation.
    SilentInActivation,
    /// Is honest, and loses its connection when it is told of an activation.
    LeavesInActivation,
}

/// The parties and what they were told.
#[derive(Debug, Clone)]
pub(crate) struct Parties(Arc<Mutex<State>>, Arc<watch::Sender<usize>>);

#[derive(Debug, Default)]
struct State {
    identities: BTreeMap<PartyId, Identity>,
    manners: BTreeMap<PartyId, Manner>,
    /// Manners that count for aux sessions only.
    aux_manners: BTreeMap<PartyId, Manner>,
    invitations: BTreeMap<(PartyId, SessionId), (Intent, AttemptPlan)>,
    told: Vec<(PartyId, ToParty)>,
    /// Whose connections were to be closed, in order.
    disconnected: Vec<PartyId>,
}

impl Parties {
    pub(crate) fn new(identities: Vec<Identity>) -> Self {
        let identities = identities.into_iter().map(|id| (id.party(), id)).collect();
        let state = State { identities, ..State::default() };
        Self(Arc::new(Mutex::new(state)), Arc::new(watch::Sender::new(0)))
    }

    pub(crate) fn behave(&self, party: PartyId, manner: Manner) {
        self.0.lock().unwrap().manners.insert(party, manner);
    }

    pub(crate) fn behave_in_aux(&self, party: PartyId, manner: Manner) {
        self.0.lock().unwrap().aux_manners.insert(party, manner);
    }

    /// What `found` makes of everything that was told so far, once it is something.
    pub(crate) async fn told<T>(&self, found: impl Fn(&[(PartyId, ToParty)]) -> Option<T>) -> T {
        let mut count = self.1.subscribe();
        loop {
            if let Some(value) = found(&self.0.lock().unwrap().told) {
                return value;
            }
            count.changed().await.unwrap();
        }
    }

    /// Waits until `n` messages like this were told.
    pub(crate) async fn told_n(&self, n: usize, like: impl Fn(PartyId, &ToParty) -> bool) {
        self.told(|told| {
            (told.iter().filter(|(to, message)| like(*to, message)).count() >= n).then_some(())
        })
        .await;
    }

    /// Waits until this party was to be disconnected so many times.
    pub(crate) async fn disconnected_n(&self, party: PartyId, n: usize) {
        let mut count = self.1.subscribe();
        let times = || {
            let state = self.0.lock().unwrap();
            state.disconnected.iter().filter(|other| **other == party).count()
        };
        while times() < n {
            count.changed().await.unwrap();
        }
        assert_eq!(times(), n);
    }

    /// A party's word that it has stored its share of an account's honest key.
    pub(crate) fn stored(&self, by: PartyId, account: AccountId) -> EpochStatement {
        let state = self.0.lock().unwrap();
        let holders = state.identities.keys().copied().collect();
        let plan = PlanHash::new([0; 32]);
        says(&state.identities[&by], account, plan, &holders, Verdict::Stored)
    }

    /// The head of a party's audit log with so many entries.
    pub(crate) fn head(&self, by: PartyId, count: u64) -> SignedHead {
        let state = self.0.lock().unwrap();
        let hash = EntryHash::new([count.to_be_bytes()[7]; 32]);
        SignedHead::sign(&state.identities[&by], Head { count, hash })
    }

    pub(crate) fn count(&self, like: impl Fn(PartyId, &ToParty) -> bool) -> usize {
        let state = self.0.lock().unwrap();
        state.told.iter().filter(|(to, message)| like(*to, message)).count()
    }

    /// Plays the parties until the coordinator hangs up.
    pub(crate) async fn play(
        self,
        mut downlink: mpsc::Receiver<Downlink>,
        uplink: mpsc::Sender<Uplink>,
    ) {
        while let Some(message) = downlink.recv().await {
            let answers = match message {
                Downlink::Deliver { to, message } => {
                    let answers = self.answer(to, &message);
                    self.0.lock().unwrap().told.push((to, *message));
                    answers
                }
                Downlink::Disconnect { party } => {
                    self.0.lock().unwrap().disconnected.push(party);
                    vec![Uplink::Offline { party }]
                }
            };
            self.1.send_modify(|count| *count += 1);
            for answer in answers {
                if uplink.send(answer).await.is_err() {
                    return;
                }
            }
        }
    }

    fn answer(&self, to: PartyId, message: &ToParty) -> Vec<Uplink> {
        let mut state = self.0.lock().unwrap();
        match message {
            ToParty::Invite { intent, plan } => {
                intent.check().unwrap();
                assert_eq!(plan.intent_hash, intent.hash());
                assert!(plan.quorum.is_subset(&intent.eligible) && plan.quorum.contains(&to));
                state.invitations.insert((to, intent.session), (intent.clone(), plan.clone()));
                let (session, attempt) = (plan.session, plan.attempt);
                let said = match state.manner(to, &intent.kind) {
                    Manner::Silent => return Vec::new(),
                    Manner::Declines(reason) => ToCoordinator::Decline { session, attempt, reason },
                    _ => {
                        let nonce = Nonce::new(
                            Identity::generate().party().to_owned().as_bytes().to_owned(),
                        );
                        let join =
                            SignedJoin::sign(&state.identities[&to], plan.hash(), nonce, [7; 32]);
                        ToCoordinator::Join { session, attempt, join }
                    }
                };
                vec![say(to, said)]
            }
            ToParty::Started { session, attempt, joins } => {
                let (intent, plan) = state.invitations[&(to, *session)].clone();
                let members: BTreeSet<_> = joins.iter().map(|join| join.member).collect();
                assert_eq!(members, plan.quorum);
                state.report(to, &intent, &plan, *attempt)
            }
            ToParty::Activate { of, statements } => {
                let result = match state.manners.get(&to) {
                    Some(Manner::RefusesActivation(refusal)) => Err(*refusal),
                    Some(Manner::SilentInActivation) => return Vec::new(),
                    Some(Manner::LeavesInActivation) => return vec![Uplink::Offline { party: to }],
                    _ => check_activation(*of, statements),
                };
                vec![say(to, ToCoordinator::Activated { of: *of, result })]
            }
            _ => Vec::new(),
        }
    }
}

impl State {
    fn manner(&self, party: PartyId, kind: &IntentKind) -> Manner {
        let manners = match kind {
            IntentKind::Aux { .. } => &self.aux_manners,
            _ => &self.manners,
        };
        manners.get(&party).copied().unwrap_or(Manner::Honest)
    }

    fn report(
        &self,
        from: PartyId,
        intent: &Intent,
        plan: &AttemptPlan,
        attempt: Attempt,
    ) -> Vec<Uplink> {
        let mut outcome = outcome(intent, plan, &self.identities[&from]);
        let is_keygen = matches!(intent.kind, IntentKind::Keygen { .. });
        match self.manner(from, &intent.kind) {
            Manner::Stalls => return Vec::new(),
            Manner::StallsWith(other) if plan.quorum.contains(&other) => return Vec::new(),
            Manner::Drops => return vec![Uplink::Offline { party: from }],
            Manner::SignsWrongly => {
                if let IntentKind::Sign { account, payload, .. } = &intent.kind
                    && !matches!(payload, Payload::Canary { .. })
                {
                    outcome = AttemptOutcome::Signed(signature(*account, &[0xee; 32]));
                }
            }
            Manner::Fails => {
                outcome = AttemptOutcome::Failed(AttemptFailure {
                    kind: FailureKind::Panicked,
                    guilty: BTreeSet::new(),
                    detail: "scripted".into(),
                });
            }
            _ => {}
        }
        let leaves = is_keygen && self.manner(from, &intent.kind) == Manner::LeavesAfterKeygen;
        let mut said =
            vec![say(from, ToCoordinator::Outcome { session: intent.session, attempt, outcome })];
        if leaves {
            said.push(Uplink::Offline { party: from });
        }
        said
    }
}

pub(crate) fn say(from: PartyId, message: ToCoordinator) -> Uplink {
    Uplink::Message { from, message: Box::new(message) }
}

/// The account's key: the test holds it whole.
pub(crate) fn key(account: AccountId) -> SigningKey {
    let mut seed = [1; 32];
    seed[16..].copy_from_slice(account.as_bytes());
    SigningKey::from_slice(&seed).unwrap()
}

pub(crate) fn public_key(account: AccountId) -> PublicKey {
    PublicKey::new(key(account).verifying_key().to_sec1_bytes().to_vec())
}

pub(crate) fn signature(account: AccountId, digest: &[u8; 32]) -> Signature {
    let (signature, id) = key(account).sign_prehash_recoverable(digest).unwrap();
    let (r, s) = signature.split_bytes();
    Signature::Ecdsa(EcdsaSignature { r: r.into(), s: s.into(), recovery_id: id.to_byte() })
}

/// What everybody knows of the account's shares.
fn public_shares(account: AccountId, holders: &BTreeSet<PartyId>) -> BTreeMap<PartyId, PublicKey> {
    holders.iter().map(|party| (*party, public_key(account))).collect()
}

fn says(
    identity: &Identity,
    account: AccountId,
    plan: PlanHash,
    holders: &BTreeSet<PartyId>,
    verdict: fn(EpochKey) -> Verdict,
) -> EpochStatement {
    let key = EpochKey::new(public_key(account), &public_shares(account, holders));
    EpochStatement::sign(identity, EpochPlan { account, epoch: Epoch(1), plan }, verdict(key))
}

fn outcome(intent: &Intent, plan: &AttemptPlan, identity: &Identity) -> AttemptOutcome {
    let holders = &intent.eligible;
    match &intent.kind {
        IntentKind::Keygen { account, .. } => AttemptOutcome::Keygen {
            public_key: public_key(*account),
            epoch: Epoch(1),
            public_shares: public_shares(*account, holders),
            stored: says(identity, *account, plan.hash(), holders, Verdict::Stored),
        },
        IntentKind::Aux { .. } => {
            AttemptOutcome::Aux { aux_id: AuxId::new(*intent.hash().as_bytes()) }
        }
        IntentKind::Sign { account, epoch, public_key, payload, .. } => {
            let digest = payload.message(*account, *epoch, public_key);
            let signature = signature(*account, digest.as_slice().try_into().unwrap());
            match payload {
                Payload::Canary { plan } => AttemptOutcome::Proven {
                    signature,
                    proven: says(identity, *account, *plan, holders, Verdict::Proven),
                },
                _ => AttemptOutcome::Signed(signature),
            }
        }
        other => panic!("no test opens {other:?}"),
    }
}

/// As a party checks it, as far as the coordinator has a part in it.
fn check_activation(of: EpochPlan, statements: &[EpochStatement]) -> Result<(), ActivationRefusal> {
    let said = |name: &str| -> BTreeSet<PartyId> {
        let by = statements.iter().filter(|said| said.verdict.name() == name);
        by.map(|said| said.by).collect()
    };
    assert!(statements.iter().all(|said| said.of == of && said.verify().is_ok()));
    let (stored, proven) = (said("stored"), said("proven"));
    assert_eq!(statements.len(), stored.len() + proven.len());
    if stored == proven && stored.len() > 1 { Ok(()) } else { Err(ActivationRefusal::Incomplete) }
}

/// Whether it is an invitation to sign for a requester.
pub(crate) fn is_sign_invite(message: &ToParty) -> bool {
    match message {
        ToParty::Invite { intent, .. } => is_sign(&intent.kind),
        _ => false,
    }
}

pub(crate) fn is_sign(kind: &IntentKind) -> bool {
    matches!(kind, IntentKind::Sign { payload, .. } if !matches!(payload, Payload::Canary { .. }))
}
