//! A coordinator in a test's hand: behind a real gateway it says to real parties whatever the test
//! wants, and hears all they say.
//!
//! Reading order: [`proposal`] (what it asks parties to join), [`founding`] (how it behaves once,
//! to have accounts to cheat with), this file (how it speaks).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

pub mod founding;
pub mod proposal;

use crate::cluster::{
    Engine, PartySpec, SERVER_NAME, any_port, log_to_test_output, open_vault, party_folder,
    start_party,
};
use crate::transcript::{PARTIAL_SIGNATURE, Refusal, Run, Transcript};
use coordinator::Role;
use founding::{Account, Founding};
use gateway::{Admission, Answer, Claim, Gateway, GatewayConfig, Roster};
use mpc_wire::{
    AttemptOutcome, DeclineReason, Downlink, Identity, IntentKind, PartyId, ProvenKey, Round,
    RoundEnvelope, Scheme, SessionId, SignedJoin, ToCoordinator, ToParty, UnixMillis, Uplink,
};
use party_runtime::policy::Profile;
use party_runtime::{CpuPool, LivePolicy, Party, Vault};
use proposal::Proposal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Messages that may wait each way: more than any test has under way.
const BUS: usize = 4096;

/// Longest that a test waits for one message: a round of AuxGen on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many parties there are.
pub const PARTIES: usize = 3;

/// Lets every identity in that can prove itself.
struct OpenDoor;

impl Roster for OpenDoor {
    fn admit(&self, _: Claim) -> Answer<'_> {
        Box::pin(async { Ok(Admission::Admitted) })
    }

    fn confirm(&self, _: PartyId, _: ProvenKey) -> Answer<'_> {
        Box::pin(async { Ok(Admission::Admitted) })
    }
}

/// The coordinator, its gateway and its parties.
pub struct MaliciousCoordinator {
    gateway: Gateway,
    downlink: mpsc::Sender<Downlink>,
    uplink: mpsc::Receiver<Uplink>,
    parties: Vec<Party>,
    /// The same that the parties have.
    vaults: Vec<Vault>,
    policies: Vec<LivePolicy>,
    /// Everything that was heard.
    pub transcript: Transcript,
    /// Up to where [`Self::relay`] has read it.
    relayed: usize,
    /// Who has connected.
    arrived: BTreeSet<PartyId>,
    /// Whom the coordinator has spoken to.
    approached: BTreeSet<PartyId>,
    founding: Option<&'static Founding>,
    /// Removed last.
    folder: TempDir,
}

impl MaliciousCoordinator {
    /// Starts it over a copy of the data that all tests of the binary share.
    pub async fn start() -> Self {
        let founding = Founding::shared();
        let folder = tempfile::tempdir().unwrap();
        founding.snapshot.unpack(folder.path()).unwrap();
        let mut coordinator = Self::over(folder).await;
        coordinator.founding = Some(founding);
        coordinator
    }

    /// Starts it over a folder of its own.
    async fn over(folder: TempDir) -> Self {
        log_to_test_output();
        let (to_coordinator, uplink) = mpsc::channel(BUS);
        let (downlink, from_coordinator) = mpsc::channel(BUS);
        let config = GatewayConfig::new(any_port(), SERVER_NAME);
        let roster = Arc::new(OpenDoor);
        let gateway =
            gateway::start(config, roster, to_coordinator, from_coordinator).await.unwrap();
        let cpu = CpuPool::for_this_machine().unwrap();
        let mut coordinator = Self {
            gateway,
            downlink,
            uplink,
            parties: Vec::new(),
            vaults: Vec::new(),
            policies: Vec::new(),
            transcript: Transcript::default(),
            relayed: 0,
            arrived: BTreeSet::new(),
            approached: BTreeSet::new(),
            founding: None,
            folder,
        };
        for number in 0..PARTIES {
            let vault = open_vault(&party_folder(coordinator.folder.path(), number)).await.unwrap();
            let file = coordinator.policy_file(number);
            if !file.exists() {
                std::fs::write(&file, "").unwrap();
            }
            let policy = LivePolicy::load(&file, Profile::Development).unwrap();
            coordinator.policies.push(policy.clone());
            let engine = Engine::Real(cpu.clone());
            let spec = PartySpec { policy, ..PartySpec::new(Role::Server, engine) };
            let party = start_party(coordinator.gateway.addr(), vault.clone(), spec).await;
            coordinator.parties.push(party.unwrap());
            coordinator.vaults.push(vault);
        }
        while coordinator.arrived.len() < PARTIES {
            coordinator.listen("the parties to connect").await;
        }
        coordinator
    }

    /// Stops all parties and starts them again from what they have stored.
    pub async fn restart(self) -> Self {
        let founding = self.founding;
        let mut coordinator = Self::over(self.stop().await).await;
        coordinator.founding = founding;
        coordinator
    }

    /// Gives a running party another policy.
    pub fn set_policy(&self, number: usize, text: &str) {
        std::fs::write(self.policy_file(number), text).unwrap();
        self.policies.get(number).unwrap().reload().unwrap();
    }

    fn policy_file(&self, number: usize) -> PathBuf {
        party_folder(self.folder.path(), number).join("policy.toml")
    }

    /// The file of the vault at this place.
    pub fn vault_file(&self, number: usize) -> PathBuf {
        party_folder(self.folder.path(), number).join("vault.sqlite")
    }

    /// The running party at this place.
    pub fn running(&self, number: usize) -> Party {
        self.parties.get(number).unwrap().clone()
    }

    /// All parties.
    pub fn everybody(&self) -> BTreeSet<PartyId> {
        self.vaults.iter().map(Vault::party).collect()
    }

    /// The accounts to cheat with.
    pub fn founding(&self) -> &'static Founding {
        self.founding.unwrap()
    }

    /// The party at this place.
    pub fn party(&self, number: usize) -> PartyId {
        self.vaults.get(number).unwrap().party()
    }

    /// The identity of the party at this place: that of a party which plays along.
    pub fn accomplice(&self, number: usize) -> Identity {
        self.vaults.get(number).unwrap().identity().clone()
    }

    /// The parties at these places.
    pub fn quorum<const N: usize>(&self, numbers: [usize; N]) -> BTreeSet<PartyId> {
        numbers.iter().map(|number| self.party(*number)).collect()
    }

    /// Says something to a party.
    pub async fn say(&mut self, to: PartyId, message: ToParty) {
        self.approached.insert(to);
        let delivery = Downlink::Deliver { to, message: Box::new(message) };
        self.downlink.send(delivery).await.unwrap();
    }

    /// Invites a party.
    pub async fn invite(&mut self, to: PartyId, Proposal { intent, plan }: &Proposal) {
        let message = ToParty::Invite { intent: intent.clone(), plan: plan.clone() };
        self.say(to, message).await;
    }

    /// Tells a party that an attempt starts with these joins.
    pub async fn start_run(&mut self, to: PartyId, run: Run, joins: &[SignedJoin]) {
        let Run { session, attempt } = run;
        self.say(to, ToParty::Started { session, attempt, joins: joins.to_vec() }).await;
    }

    /// Tells a party that a session is over.
    pub async fn finish(&mut self, to: PartyId, session: SessionId) {
        self.say(to, ToParty::Finished { session }).await;
    }

    /// Waits for one thing more that a party says.
    async fn listen(&mut self, for_what: &str) {
        let heard = tokio::time::timeout(PATIENCE, self.uplink.recv()).await;
        let Ok(heard) = heard else { panic!("no news of {for_what}\n{}", self.transcript) };
        match heard.unwrap() {
            Uplink::Online { party, .. } => {
                self.arrived.insert(party);
            }
            Uplink::Offline { party } => panic!("{party:?} has lost its connection"),
            Uplink::Message { from, message } => self.transcript.push(from, *message),
        }
    }

    /// Listens until something can be found in what was said.
    pub async fn hear<T>(&mut self, for_what: &str, find: impl Fn(&Transcript) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(&self.transcript) {
                return found;
            }
            self.listen(for_what).await;
        }
    }

    /// Listens as [`Self::hear`] does and carries the round messages meanwhile, each once, as the
    /// rule says: whom to give what in its place.
    pub async fn relay<T>(
        &mut self,
        for_what: &str,
        mut rule: impl FnMut(&RoundEnvelope) -> Vec<(PartyId, RoundEnvelope)>,
        find: impl Fn(&Transcript) -> Option<T>,
    ) -> T {
        loop {
            while let Some(said) = self.transcript.get(self.relayed) {
                let deliveries = if let ToCoordinator::Round(envelope) = &said.message {
                    rule(envelope)
                } else {
                    Vec::new()
                };
                self.relayed += 1;
                for (to, envelope) in deliveries {
                    self.say(to, ToParty::Round(envelope)).await;
                }
            }
            if let Some(found) = find(&self.transcript) {
                return found;
            }
            self.listen(for_what).await;
        }
    }

    /// Invites every member and waits for their joins.
    pub async fn gather(&mut self, proposal: &Proposal) -> Vec<SignedJoin> {
        for member in &proposal.plan.quorum {
            self.invite(*member, proposal).await;
        }
        self.joins_to(proposal).await
    }

    /// Waits for the join of every member to this very plan.
    pub async fn joins_to(&mut self, proposal: &Proposal) -> Vec<SignedJoin> {
        let (run, plan_hash) = (proposal.run(), proposal.plan.hash());
        let quorum = proposal.plan.quorum.clone();
        self.hear("joins", |transcript| {
            let joins = quorum.iter().map(|member| {
                transcript.join_of(*member, run).filter(|join| join.plan_hash == plan_hash)
            });
            joins.collect()
        })
        .await
    }

    /// Waits for the join of a party, to whatever plan of this attempt it was shown.
    pub async fn join_of(&mut self, party: PartyId, run: Run) -> SignedJoin {
        self.hear("a join", |transcript| transcript.join_of(party, run)).await
    }

    /// Waits until a party has refused something of an attempt, and says all that it has refused.
    pub async fn refusals(&mut self, party: PartyId, run: Run) -> BTreeSet<Refusal> {
        self.hear("a refusal", |transcript| {
            Some(transcript.refusals(party, run)).filter(|refusals| !refusals.is_empty())
        })
        .await
    }

    /// Waits for this refusal of a party.
    pub async fn refused(&mut self, party: PartyId, run: Run, refusal: Refusal) {
        self.hear(&format!("{refusal:?}"), |transcript| {
            transcript.refusals(party, run).contains(&refusal).then_some(())
        })
        .await;
    }

    /// Starts the attempt honestly, carries its messages honestly, and waits for its outcomes.
    pub async fn play(
        &mut self,
        proposal: &Proposal,
        joins: &[SignedJoin],
    ) -> BTreeMap<PartyId, AttemptOutcome> {
        let run = proposal.run();
        for member in &proposal.plan.quorum {
            self.start_run(*member, run, joins).await;
        }
        let members = proposal.plan.quorum.len();
        self.relay(
            "outcomes",
            |envelope| honest(run, envelope),
            |transcript| {
                Some(transcript.outcomes(run)).filter(|outcomes| outcomes.len() == members)
            },
        )
        .await
    }

    /// Runs an attempt from its invitation to its outcomes, honestly, and lets the parties forget.
    pub async fn run(&mut self, proposal: &Proposal) -> BTreeMap<PartyId, AttemptOutcome> {
        let joins = self.gather(proposal).await;
        let outcomes = self.play(proposal, &joins).await;
        for member in &proposal.plan.quorum {
            self.finish(*member, proposal.intent.session).await;
        }
        outcomes
    }

    /// Has a session signed honestly and checks the signatures.
    pub async fn sign(&mut self, account: &Account, quorum: BTreeSet<PartyId>) {
        let proposal = Proposal::sign(account, quorum);
        let outcomes = self.run(&proposal).await;
        self.assert_signed(&proposal, &outcomes);
    }

    /// Checks that every member has a signature over what was proposed.
    pub fn assert_signed(&self, proposal: &Proposal, outcomes: &BTreeMap<PartyId, AttemptOutcome>) {
        assert!(outcomes.keys().eq(&proposal.plan.quorum));
        for outcome in outcomes.values() {
            let (AttemptOutcome::Signed(signature) | AttemptOutcome::Proven { signature, .. }) =
                outcome
            else {
                panic!("{outcome:?}")
            };
            proposal.assert_signature(signature);
        }
        let last = self.transcript.furthest(proposal.intent.session);
        assert_eq!(last, PARTIAL_SIGNATURE, "the step with the share of the signature is the last");
    }

    /// Shows that a party has joined an attempt and not launched it: only then does it answer an
    /// invitation with the very join that it gave before.
    pub async fn assert_still_waits(&mut self, party: PartyId, proposal: &Proposal) {
        let run = proposal.run();
        let count = move |transcript: &Transcript| {
            transcript.joins(run).iter().filter(|join| join.member == party).count()
        };
        let (before, join) = (count(&self.transcript), self.join_of(party, run).await);
        self.invite(party, proposal).await;
        self.hear("the same join again", |t| (count(t) > before).then_some(())).await;
        assert_eq!(self.join_of(party, run).await, join);
    }

    /// Waits until a party has dealt with all that it was told before this: it answers in order,
    /// and an invitation that has expired is answered at once.
    pub async fn settle(&mut self, party: PartyId) {
        let kind = IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 };
        let expired = Proposal::new(self.everybody(), kind)
            .altered(|intent| intent.expires_at = UnixMillis(1));
        self.invite(party, &expired).await;
        let answer = Refusal::Declined(DeclineReason::Expired);
        self.refused(party, expired.run(), answer).await;
    }

    /// What must hold after every attack: the sessions came to nothing, none of them beyond the
    /// step that goes with it; nobody is blamed; and all who were attacked sign an honest request.
    pub async fn assert_all_is_well(mut self, spoiled: &[(SessionId, Round)]) {
        let founding = self.founding();
        let attacked = std::mem::take(&mut self.approached);
        let account = if attacked.len() > 2 { &founding.all } else { &founding.pair };
        let others = self.everybody().into_iter().filter(|party| !attacked.contains(party));
        let signers = attacked.iter().copied().chain(others).take(account.threshold.0.into());
        self.sign(account, signers.collect()).await;
        for (session, furthest) in spoiled {
            self.transcript.assert_nothing_was_signed(*session, *furthest);
        }
        self.transcript.assert_nobody_is_blamed();
        drop(self.stop().await);
    }

    /// Ends everything but the data.
    async fn stop(self) -> TempDir {
        for party in self.parties {
            party.stop().await;
        }
        self.gateway.stop().await;
        self.folder
    }
}

/// Gives a message of this attempt to its recipient, and nothing else to anybody.
pub fn honest(run: Run, envelope: &RoundEnvelope) -> Vec<(PartyId, RoundEnvelope)> {
    let header = envelope.header;
    if (Run { session: header.session, attempt: header.attempt }) == run {
        vec![(header.to, envelope.clone())]
    } else {
        Vec::new()
    }
}
