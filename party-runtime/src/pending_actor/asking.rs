//! How the party comes to a decision about a session, and what its own people may say to that.

use super::PendingActor;
use super::judging::Judged;
use crate::audit::notes;
use crate::bans;
use crate::control::server::Person;
use crate::control::{
    ControlAnswer, ControlError, ControlRequest, KeyChoice, MAX_LISTED, StatusReport,
};
use crate::policy::desk::Case;
use crate::policy::gate::wall_clock;
use crate::policy::{PolicyDecision, SignatureRule, Verdict};
use crate::vault::{KeySource, Passphrase, VaultError};
use actix::prelude::*;
use mpc_pending::record::StoredConsent;
use mpc_pending::{Effect, Event};
use mpc_wire::audit::Note;
use mpc_wire::{AttemptPlan, DeclineReason, Intent, PartyId, SessionId, SignedBan, ToCoordinator};
use std::sync::Arc;

/// A command from the control socket.
#[derive(Message)]
#[rtype(result = "ControlAnswer")]
pub(crate) struct Command {
    pub(crate) request: ControlRequest,
    pub(crate) person: Person,
}

/// The machine hears the verdict after whatever must outlive a crash of it is durable.
impl StreamHandler<Judged> for PendingActor {
    fn handle(&mut self, Judged { intent, decision }: Judged, ctx: &mut Self::Context) {
        let session = intent.session;
        match decision {
            Ok(decision) => self.decided(intent, decision, ctx),
            Err(error @ VaultError::Database(_)) => self.give_up(&error, ctx),
            // One unreadable record is no reason to stop the sessions of all others.
            Err(error) => {
                tracing::error!(%session, %error, "declined: the account's record cannot be used");
                let reason = DeclineReason::NoShare;
                self.auditor.enter(notes::not_judged(session, reason));
                self.apply(Event::Refused { session, reason }, ctx);
            }
        }
    }
}

impl PendingActor {
    /// Tells the machine, and whom it concerns besides.
    fn decided(&mut self, intent: Intent, decision: PolicyDecision, ctx: &mut Context<Self>) {
        if decision.policy != *self.gate.policy().current().version() {
            // A policy that was replaced meanwhile decides nothing any more.
            self.judging.judge(intent, ctx);
            return;
        }
        self.audit(&decision);
        let session = decision.session;
        match &decision.verdict {
            Verdict::Approved | Verdict::ApprovedByPerson { .. } => {
                self.apply(Event::Approved(session), ctx);
            }
            Verdict::AsksPerson => {
                if self.takes(Event::Pondering(session), session, ctx) {
                    self.desk.open(Case { intent, decision });
                }
            }
            Verdict::RefusedByPerson { .. } => {
                self.apply(Event::Refused { session, reason: DeclineReason::Refused }, ctx);
            }
            Verdict::Declined { reason, .. } => {
                self.apply(Event::Refused { session, reason: *reason }, ctx);
            }
        }
    }

    /// Every decision passes here, before anything comes of it.
    fn audit(&mut self, decision: &PolicyDecision) {
        self.auditor.enter(notes::decided(decision));
        let PolicyDecision { session, kind, policy, verdict, requester, .. } = decision;
        let requester = requester.as_ref().map(tracing::field::display);
        let party = self.vault.party();
        let name = verdict.name();
        if let Verdict::Declined { reason, detail } = verdict {
            tracing::info!(
                %party, %session, %kind, requester, %policy, verdict = name, %reason, detail,
                "decided"
            );
        } else {
            tracing::info!(%party, %session, %kind, requester, %policy, verdict = name, "decided");
        }
    }

    /// Whether the machine has a use for the event; it is applied in any case.
    fn takes(&mut self, event: Event, session: SessionId, ctx: &mut Context<Self>) -> bool {
        let now = self.now();
        let effects = self.machine.handle(event, now, &mut self.joiner);
        let is_dropped =
            |effect: &Effect| matches!(effect, Effect::Drop { session: of, .. } if *of == session);
        let is_taken = !effects.iter().any(is_dropped);
        self.waiting.extend(effects);
        self.perform_waiting(ctx);
        is_taken
    }

    /// Declines an invitation to work with somebody whom the party refuses, or to what the rules do
    /// not allow any more. It never reaches the machine: the session may go on with another quorum,
    /// or under other rules.
    pub(super) fn refuses(
        &mut self,
        intent: &Intent,
        plan: &AttemptPlan,
        ctx: &mut Context<Self>,
    ) -> bool {
        let is_banned = plan.quorum.iter().any(|peer| self.banned.contains(peer));
        let verdict =
            if is_banned { Err(DeclineReason::Banned) } else { self.gate.judge_plan(plan) };
        let Err(reason) = verdict.and_then(|()| self.still_allows(intent)) else { return false };
        let (session, attempt) = (plan.session, plan.attempt);
        self.waiting.push_back(Effect::SendDecline { session, attempt, reason });
        self.perform_waiting(ctx);
        true
    }

    /// A consent serves every attempt of its session, across restarts; the rules as they are now, and
    /// the time, are looked at before each.
    fn still_allows(&mut self, intent: &Intent) -> Result<(), DeclineReason> {
        match self.machine.consent(intent.session) {
            Some(StoredConsent::Approved) => {}
            // The party's own people have asked: their word is not subject to the rules.
            Some(StoredConsent::Intended) => return Ok(()),
            // The gate judges what has no consent, and a person's word is judged when it comes.
            None => return Ok(()),
        }
        let Some(decision) = self.gate.judge_again(intent) else { return Ok(()) };
        self.audit(&decision);
        match decision.verdict {
            Verdict::Declined { reason, .. } => Err(reason),
            Verdict::Approved
            | Verdict::AsksPerson
            | Verdict::ApprovedByPerson { .. }
            | Verdict::RefusedByPerson { .. } => Ok(()),
        }
    }

    /// A person has decided.
    fn settle_case(
        &mut self,
        session: SessionId,
        verdict: Verdict,
        ctx: &mut Context<Self>,
    ) -> ControlAnswer {
        let now = wall_clock();
        let Case { intent, decision } = match self.desk.take(session, now) {
            Ok(case) => case,
            Err(error) => return ControlAnswer::refused(error),
        };
        // The rules may have changed since, or a key or the hours have ended.
        let policy = self.gate.policy().current();
        let verdict = match (verdict, policy.judge(&intent, now)) {
            (Verdict::ApprovedByPerson { .. }, Err(refusal)) => {
                Verdict::Declined { reason: refusal.reason, detail: refusal.detail }
            }
            (verdict, _) => verdict,
        };
        let decision = PolicyDecision { policy: policy.version().clone(), verdict, ..decision };
        self.audit(&decision);
        let (event, answer) = match decision.verdict {
            Verdict::ApprovedByPerson { .. } => {
                (Event::Approved(session), ControlAnswer::done("approved"))
            }
            Verdict::Declined { reason, detail } => (
                Event::Refused { session, reason },
                ControlAnswer::failed(ControlError::NoLongerAllowed, format!("{reason}: {detail}")),
            ),
            Verdict::Approved | Verdict::AsksPerson | Verdict::RefusedByPerson { .. } => (
                Event::Refused { session, reason: DeclineReason::Refused },
                ControlAnswer::done("refused"),
            ),
        };
        if self.takes(event, session, ctx) {
            answer
        } else {
            ControlAnswer::refused(ControlError::ApprovalEnded)
        }
    }

    fn status(&self) -> StatusReport {
        let policy = self.gate.policy().current();
        StatusReport {
            party: self.vault.party(),
            sessions: self.machine.live(),
            open_approvals: self.desk.len(),
            policy: policy.version().clone(),
            requester_signature_required: policy.signature == SignatureRule::Required,
            requesters: policy.rules.requesters.len(),
            banned: self.banned.iter().copied().collect(),
        }
    }

    fn reload_policy(&self) -> ResponseActFuture<Self, ControlAnswer> {
        let policy = match self.gate.policy().reload() {
            Ok(policy) => policy,
            Err(error) => {
                return answered(ControlAnswer::failed(ControlError::PolicyUnusable, error));
            }
        };
        let (vault, life) = (self.vault.clone(), policy.authorization_life());
        let note = async move { vault.raise_authorization_life(life).await };
        Box::pin(note.into_actor(self).map(move |noted, actor, _| {
            let (party, version) = (actor.vault.party(), policy.version());
            tracing::info!(%party, policy = %version, "policy reloaded");
            if let Err(error) = noted {
                return ControlAnswer::failed(ControlError::Store, error);
            }
            let warning = if policy.signs_nothing() {
                ": it knows no requester and signs nothing"
            } else {
                ""
            };
            ControlAnswer::done(format!("policy {version} is in force{warning}"))
        }))
    }

    /// Bans a party: durable first, then in force.
    fn ban(&mut self, banned: PartyId) -> ResponseActFuture<Self, ControlAnswer> {
        if banned == self.vault.party() {
            return answered(ControlAnswer::refused(ControlError::OwnBan));
        }
        let ban = SignedBan::sign(&self.vault.identity(), banned);
        let vault = self.vault.clone();
        let store = async move {
            let mut transaction = vault.begin().await?;
            bans::put(&mut transaction, &ban).await?;
            transaction.commit().await.map(|()| ban)
        };
        Box::pin(store.into_actor(self).map(move |stored, actor, _| match stored {
            Ok(ban) => {
                tracing::warn!(party = %actor.vault.party(), %banned, "banned");
                actor.banned.insert(banned);
                actor.send(ToCoordinator::Ban(ban));
                ControlAnswer::done("banned: this party joins nothing that it takes part in")
            }
            Err(error) => ControlAnswer::failed(ControlError::Store, error),
        }))
    }

    fn rotate_key(&self, to: KeyChoice) -> ResponseActFuture<Self, ControlAnswer> {
        let vault = self.vault.clone();
        let rotate = async move {
            let source = match to {
                KeyChoice::KeyFile { path } => KeySource::File(path),
                KeyChoice::PassphraseFile { path } => {
                    KeySource::Passphrase(Passphrase::read(&path)?)
                }
            };
            vault.rotate(Arc::new(source)).await
        };
        Box::pin(rotate.into_actor(self).map(|rotated, _, _| match rotated {
            Ok(key) => ControlAnswer::done(format!(
                "sealed with key {key}: start the party with it from now on"
            )),
            Err(error) => ControlAnswer::failed(ControlError::KeyRotation, error),
        }))
    }
}

fn answered(answer: ControlAnswer) -> ResponseActFuture<PendingActor, ControlAnswer> {
    Box::pin(actix::fut::ready(answer))
}

impl Handler<Command> for PendingActor {
    type Result = ResponseActFuture<Self, ControlAnswer>;

    fn handle(&mut self, command: Command, ctx: &mut Self::Context) -> Self::Result {
        let Command { request, person: Person { uid } } = command;
        let Some(note) = commanded(&request, uid) else {
            return self.obey(request, uid, ctx);
        };
        let vault = self.vault.clone();
        let entered = async move { vault.enter(note).await }.into_actor(self);
        Box::pin(entered.then(move |entered, actor, ctx| match entered {
            Ok(()) => actor.obey(request, uid, ctx),
            Err(error) => answered(ControlAnswer::failed(ControlError::Store, error)),
        }))
    }
}

/// The entry of a command that changes something. What a person decides about a session has one of
/// its own, with the policy that was in force.
fn commanded(request: &ControlRequest, uid: u32) -> Option<Note> {
    match request {
        ControlRequest::ReloadPolicy => Some(notes::commanded("reload_policy", uid, "policy")),
        ControlRequest::RotateKey { .. } => Some(notes::commanded("rotate_key", uid, "vault")),
        ControlRequest::RotateIdentity => {
            Some(notes::commanded("rotate_identity", uid, "identity"))
        }
        ControlRequest::Ban { party } => Some(notes::commanded("ban", uid, party)),
        ControlRequest::Status
        | ControlRequest::Approvals { .. }
        | ControlRequest::Approve { .. }
        | ControlRequest::Refuse { .. } => None,
    }
}

impl PendingActor {
    fn obey(
        &mut self,
        request: ControlRequest,
        uid: u32,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, ControlAnswer> {
        answered(match request {
            ControlRequest::Status => ControlAnswer::Status(self.status()),
            ControlRequest::Approvals { session: Some(session) } => match self.desk.show(session) {
                Ok(approval) => ControlAnswer::Approvals { approvals: vec![approval], more: 0 },
                Err(error) => ControlAnswer::refused(error),
            },
            ControlRequest::Approvals { session: None } => ControlAnswer::Approvals {
                approvals: self.desk.list(MAX_LISTED),
                more: self.desk.len().saturating_sub(MAX_LISTED),
            },
            ControlRequest::Approve { session } => {
                self.settle_case(session, Verdict::ApprovedByPerson { uid }, ctx)
            }
            ControlRequest::Refuse { session } => {
                self.settle_case(session, Verdict::RefusedByPerson { uid }, ctx)
            }
            ControlRequest::ReloadPolicy => return self.reload_policy(),
            ControlRequest::RotateKey { to } => return self.rotate_key(to),
            ControlRequest::RotateIdentity => return self.rotate_identity(ctx),
            ControlRequest::Ban { party } => return self.ban(party),
        })
    }
}
