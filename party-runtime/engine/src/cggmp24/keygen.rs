//! A new key, t of n.
//!
//! - Stage 1: the first t members, the founders, make a t-of-t key (CGGMP'24, figure 5). Each then
//!   sends every other member, the newcomers, an introduction, in a round of its own that follows
//!   the protocol's last.
//! - Stage 2: the founders reshare the key to all n members with the threshold t (Wong, Wang and
//!   Wing's verifiable secret redistribution). Newcomers enter it when the founders' introductions
//!   are there and agree. With t = n there are no newcomers, and the shares are fresh all the same.

use super::guard::{Guard, Guarding, Redistribution};
use super::introduction::Introduction;
use super::rounds::{Cast, Open, Rounds};
use super::session::{Seat, ThresholdKeyShare, Verifier, local_failure, verifiers};
use super::stored::{ShareView, encode_key, store};
use super::{Params, unknown_stage};
use crate::attempt::{Attempt, Stages, Turn};
use crate::engine::{Engine, Product, RunContext, Step};
use crate::failure::EngineFailure;
use crate::job::{Done, Job};
use crate::verify::verifying_key;
use mpc_wire::{PartyId, PublicKey, Round, Stage, Threshold};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use synedrion::{
    KeyInit, KeyInitProtocol, KeyResharing, KeyResharingProtocol, KeyShare, NewHolder, OldHolder,
};
use zeroize::Zeroizing;

type Founding = Rounds<KeyInitProtocol<Params, Verifier>, Founded>;
type Resharing = Rounds<KeyResharingProtocol<Params, Verifier>, Product>;

const FOUNDING: Stage = Stage(1);
const RESHARING: Stage = Stage(2);

/// Steps of the founders' protocol: three rounds, of which the first two are echoed.
const FOUNDING_ROUNDS: u16 = 5;

/// The round of [`FOUNDING`] in which newcomers hear of the key.
const INTRODUCTION: Round = Round(FOUNDING_ROUNDS + 1);

pub(crate) fn engine(
    threshold: Threshold,
    context: RunContext,
    guarding: Guarding,
) -> Result<Box<dyn Engine>, EngineFailure> {
    let threshold = usize::from(threshold.0);
    let members = context.members();
    if threshold < 2 || threshold > members.len() {
        return Err(EngineFailure::internal("the threshold is none of the members"));
    }
    let founders = members.iter().copied().take(threshold).collect();
    let plan = Plan { context, members, founders, threshold, guarding };
    Ok(Box::new(Attempt::new(Keygen::new(plan))))
}

/// What does not change during the attempt.
struct Plan {
    context: RunContext,
    members: BTreeSet<PartyId>,
    founders: BTreeSet<PartyId>,
    threshold: usize,
    guarding: Guarding,
}

struct Keygen {
    plan: Plan,
    phase: Phase,
    /// There from the start: it keeps what faster members send before we get there.
    resharing: Resharing,
}

enum Phase {
    Founding(Founding),
    Listening(Listening),
    Resharing,
}

/// A newcomer that waits for introductions.
struct Listening {
    waiting_for: BTreeSet<PartyId>,
    heard: BTreeMap<PartyId, Introduction>,
}

/// What a founder has after stage 1.
struct Founded {
    share: ThresholdKeyShare,
    introduction: Introduction,
    message: Vec<u8>,
}

type Checked = Result<(PartyId, Introduction), EngineFailure>;

impl Keygen {
    fn new(plan: Plan) -> Self {
        let me = plan.context.me();
        let phase = if plan.founders.contains(&me) {
            Phase::Founding(Rounds::new(Cast::symmetric(FOUNDING, &plan.founders, &plan.context)))
        } else {
            let waiting_for = plan.founders.clone();
            Phase::Listening(Listening { waiting_for, heard: BTreeMap::new() })
        };
        // Only founders have something to redistribute; newcomers speak from the echo on.
        let first_speakers =
            plan.founders.iter().copied().filter(|founder| *founder != me).collect();
        let cast =
            Cast { first_speakers, ..Cast::symmetric(RESHARING, &plan.members, &plan.context) };
        Self { plan, phase, resharing: Rounds::new(cast) }
    }

    /// A founder goes on: tells the newcomers, and redistributes its share.
    fn founded(&mut self, founded: Founded) -> Vec<Step> {
        let Founded { share, introduction, message } = founded;
        let newcomers = self.plan.members.difference(&self.plan.founders);
        let mut steps: Vec<Step> = newcomers
            .map(|to| Step::Send {
                to: *to,
                stage: FOUNDING,
                round: INTRODUCTION,
                payload: message.clone(),
            })
            .collect();
        steps.extend(self.reshare(Some(share), introduction));
        steps
    }

    /// Enters stage 2.
    fn reshare(
        &mut self,
        share: Option<ThresholdKeyShare>,
        introduction: Introduction,
    ) -> Vec<Step> {
        let Introduction { public_key, public_shares } = introduction;
        let Plan { context, members, founders, threshold, guarding } = &self.plan;
        let guarding = *guarding;
        let (me, members, threshold) = (context.me(), members.clone(), *threshold);
        let seat = Seat::new(context, RESHARING);
        let (holders, founders) = (verifiers(&members), verifiers(founders));
        let old_key = public_key.clone();
        let guarded = members.clone();
        let open: Open<KeyResharingProtocol<Params, Verifier>> = Box::new(move || {
            let verifying_key =
                verifying_key(&old_key).map_err(|e| EngineFailure::internal(e.to_string()))?;
            let new = NewHolder { verifying_key, old_threshold: threshold, old_holders: founders };
            let old = share.map(|key_share| OldHolder { key_share });
            let session = seat.open(KeyResharing::new(old, Some(new), holders, threshold))?;
            let redistribution = Redistribution::of(threshold, public_shares, me, &guarded)?;
            Ok((session, Guard::key_resharing(guarding, me, guarded, redistribution)))
        });
        self.phase = Phase::Resharing;
        self.resharing
            .open(open, Arc::new(move |share| product(share, me, threshold, &members, &public_key)))
    }
}

impl Stages for Keygen {
    fn start(&mut self) -> Result<Turn<Product>, EngineFailure> {
        let steps = match &mut self.phase {
            Phase::Founding(founding) => {
                let seat = Seat::new(&self.plan.context, FOUNDING);
                let ids = verifiers(&self.plan.founders);
                let guard = Guard::key_init(
                    self.plan.guarding,
                    self.plan.context.me(),
                    self.plan.founders.clone(),
                );
                founding.open(
                    Box::new(move || {
                        let session = seat.open(KeyInit::new(ids).map_err(local_failure)?)?;
                        Ok((session, guard))
                    }),
                    Arc::new(|share| founded(&share)),
                )
            }
            Phase::Listening(listening) => listening.waiting().into_iter().collect(),
            Phase::Resharing => return Err(EngineFailure::internal("started a second time")),
        };
        Ok(Turn::steps(steps))
    }

    fn receive(
        &mut self,
        from: PartyId,
        stage: Stage,
        round: Round,
        payload: Vec<u8>,
    ) -> Result<Turn<Product>, EngineFailure> {
        if stage == RESHARING {
            return self.resharing.receive(from, round, payload).map(Turn::steps);
        }
        if stage != FOUNDING {
            return Err(unknown_stage(from, stage));
        }
        match &mut self.phase {
            Phase::Founding(founding) => founding.receive(from, round, payload).map(Turn::steps),
            Phase::Listening(listening) => {
                listening.receive(from, round, payload, &self.plan.founders).map(Turn::steps)
            }
            Phase::Resharing => {
                Err(EngineFailure::misbehaved(from, "a message for a stage that is over"))
            }
        }
    }

    fn complete(&mut self, done: Done) -> Result<Turn<Product>, EngineFailure> {
        match &mut self.phase {
            Phase::Founding(founding) => {
                let Turn { mut steps, result } = founding.complete(done)?;
                if let Some(result) = result {
                    steps.extend(self.founded(result));
                }
                Ok(Turn::steps(steps))
            }
            Phase::Listening(listening) => {
                let (from, introduction) = done.take::<Checked>()??;
                listening.heard.insert(from, introduction);
                if listening.heard.len() < self.plan.founders.len() {
                    return Ok(Turn::steps(Vec::new()));
                }
                let heard = std::mem::take(&mut listening.heard);
                let agreed = Introduction::agreed(heard.into_values())?;
                Ok(Turn::steps(self.reshare(None, agreed)))
            }
            Phase::Resharing => self.resharing.complete(done),
        }
    }
}

impl Listening {
    fn receive(
        &mut self,
        from: PartyId,
        round: Round,
        payload: Vec<u8>,
        founders: &BTreeSet<PartyId>,
    ) -> Result<Vec<Step>, EngineFailure> {
        if round != INTRODUCTION || !self.waiting_for.remove(&from) {
            return Err(EngineFailure::misbehaved(
                from,
                "a message that is not the one introduction expected of it",
            ));
        }
        let founders = founders.clone();
        let payload = Zeroizing::new(payload);
        let job = Job::on_values_of(from, "checking an introduction", move || -> Checked {
            Introduction::check(from, &founders, &payload).map(|checked| (from, checked))
        });
        Ok(std::iter::once(Step::Work(job)).chain(self.waiting()).collect())
    }

    fn waiting(&self) -> Option<Step> {
        (!self.waiting_for.is_empty()).then(|| Step::Waiting {
            stage: FOUNDING,
            round: INTRODUCTION,
            waiting_for: self.waiting_for.clone(),
        })
    }
}

fn founded(share: &KeyShare<Params, Verifier>) -> Result<Founded, EngineFailure> {
    let public_key = encode_key(&share.verifying_key());
    let share = ThresholdKeyShare::from_key_share(share);
    let stored = store(&share, share.threshold())?;
    let public_shares = ShareView::of(&stored)?.public_shares();
    let introduction = Introduction { public_key, public_shares };
    let message = introduction.encode()?;
    Ok(Founded { share, introduction, message })
}

fn product(
    share: Option<ThresholdKeyShare>,
    me: PartyId,
    threshold: usize,
    members: &BTreeSet<PartyId>,
    public_key: &PublicKey,
) -> Result<Product, EngineFailure> {
    let share =
        share.ok_or_else(|| EngineFailure::internal("the resharing gave this member no share"))?;
    let share = store(&share, members.len())?;
    let view = ShareView::of(&share)?;
    view.check(me, threshold, members, public_key)?;
    let public_shares = view.public_shares();
    Ok(Product::Keygen { share, public_key: public_key.clone(), public_shares })
}
