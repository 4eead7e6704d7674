//! A roster that answers as its test says, and when.

use gateway::{Admission, Answer, Claim, Roster, RosterUnavailable};
use mpc_wire::{PartyId, ProvenKey};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;

/// Which of its two questions the gateway asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    Admit,
    Confirm,
}

/// Knows whom it was told.
#[derive(Default)]
pub(crate) struct Book {
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    is_broken: bool,
    answers: BTreeMap<PartyId, Admission>,
    claims: Vec<Claim>,
    held: Option<(Question, Held)>,
}

/// A question whose answer is decided, and waits.
struct Held {
    decided: oneshot::Sender<()>,
    go_on: oneshot::Receiver<()>,
}

/// The test's hand on a held question.
pub(crate) struct Hold {
    pub(crate) decided: oneshot::Receiver<()>,
    pub(crate) go_on: oneshot::Sender<()>,
}

impl Book {
    /// One that cannot be read.
    pub(crate) fn broken() -> Self {
        let pages = Pages { is_broken: true, ..Pages::default() };
        Self { pages: Mutex::new(pages) }
    }

    /// From now on this is the answer about the party.
    pub(crate) fn enter(&self, party: PartyId, answer: Admission) {
        self.with(|pages| pages.answers.insert(party, answer));
    }

    /// Every claim that was made, in order.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        self.with(|pages| pages.claims.clone())
    }

    /// Holds the next answer to this question back when it is decided.
    pub(crate) fn hold(&self, question: Question) -> Hold {
        let (decided, is_decided) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        self.with(|pages| pages.held = Some((question, Held { decided, go_on: may_go_on })));
        Hold { decided: is_decided, go_on }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Pages) -> T) -> T {
        work(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn answer(
        &self,
        party: PartyId,
        question: Question,
    ) -> Result<Admission, RosterUnavailable> {
        let (answer, held) = self.with(|pages| {
            let answer = pages.answers.get(&party).copied().unwrap_or(Admission::NotEnrolled);
            let held = pages.held.take_if(|(held, _)| *held == question);
            let is_broken = pages.is_broken;
            let answer =
                if is_broken { Err(RosterUnavailable::new("no disk")) } else { Ok(answer) };
            (answer, held)
        });
        if let Some((_, Held { decided, go_on })) = held {
            decided.send(()).unwrap();
            go_on.await.unwrap();
        }
        answer
    }
}

impl Roster for Book {
    fn admit(&self, claim: Claim) -> Answer<'_> {
        let party = claim.party;
        self.with(|pages| pages.claims.push(claim));
        Box::pin(self.answer(party, Question::Admit))
    }

    fn confirm(&self, party: PartyId, _: ProvenKey) -> Answer<'_> {
        Box::pin(self.answer(party, Question::Confirm))
    }
}
