//! Members that lie: in a part of a message that their engine made, or in all they say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code fails by panicking")]
// Each test binary uses its part of the harness.
#![allow(dead_code, unreachable_pub)]

use super::forge::{Kind, Opened};
use super::network::{Letter, Network, identity_of};
use super::value::Value;
use mpc_wire::{Identity, PartyId, Round, Stage};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A step of an attempt: stage and round, as envelopes number them.
pub type At = (u8, u16);

/// Something that a member says in place of what its engine made.
pub struct Lie {
    by: Identity,
    at: At,
    to: Option<PartyId>,
    change: Change,
}

type Change = Box<dyn FnMut(&Identity, &mut Opened)>;

impl Lie {
    /// A message of this step, to whomever, is changed as a whole.
    pub fn message(
        by: &Identity,
        at: At,
        change: impl FnMut(&Identity, &mut Opened) + 'static,
    ) -> Self {
        Self { by: by.clone(), at, to: None, change: Box::new(change) }
    }

    /// A part of a message of this step is changed.
    pub fn part(
        by: &Identity,
        at: At,
        kind: Kind,
        mut change: impl FnMut(&mut Value) + 'static,
    ) -> Self {
        Self::message(by, at, move |by, opened| opened.forge(kind, by, &mut change))
    }

    /// One leaf of a part is spoilt.
    pub fn leaf(by: &Identity, at: At, kind: Kind, path: &str) -> Self {
        let path = path.to_owned();
        Self::part(by, at, kind, move |value| value.at(&path).spoil())
    }

    /// The same lie, told to one member alone.
    pub fn to(mut self, to: PartyId) -> Self {
        self.to = Some(to);
        self
    }

    fn is_told_in(&self, letter: &Letter) -> bool {
        letter.from == self.by.party()
            && (letter.stage, letter.round) == (Stage(self.at.0), Round(self.at.1))
            && self.to.is_none_or(|to| to == letter.to)
    }
}

/// Runs an attempt in which these lies are told.
///
/// # Panics
/// If a lie never was told.
pub fn run_with(network: Network, lies: Vec<Lie>) -> Network {
    let (network, lies) = telling(network, lies);
    let network = network.run();
    println!("largest message {}", network.largest);
    for (Lie { at, .. }, told) in lies.borrow().iter() {
        assert!(*told > 0, "nobody heard the lie of step {at:?}: {:?}", network.ends);
    }
    network
}

/// Lies, and how often each was told.
type Told = Rc<RefCell<Vec<(Lie, usize)>>>;

/// Has these lies told in an attempt. A liar's engine never hears of them: where others quote what
/// they were told, it reads what it said itself.
pub fn telling(network: Network, lies: Vec<Lie>) -> (Network, Told) {
    let told: Told = Rc::new(RefCell::new(lies.into_iter().map(|lie| (lie, 0)).collect()));
    let telling = Rc::clone(&told);
    let mut truths = BTreeMap::new();
    let network = network.tampered(move |mut letter| {
        let mut lies = telling.borrow_mut();
        let is_liar = |party| lies.iter().any(|(lie, _)| lie.by.party() == party);
        // The introductions of a keygen are not the library's.
        let Some(mut opened) = Opened::try_read(&letter.payload) else { return vec![letter] };
        assert_eq!(opened.write(), letter.payload, "opened and closed again, it is whole");
        if opened.is_echo_round()
            && let Some(truth) = truths.get(&letter.to)
        {
            quote(&mut opened, &letter, truth);
        }
        if is_liar(letter.from) && opened.content(Kind::Echo).is_some() {
            truths.insert(letter.from, opened.quoted_echo());
        }
        for (lie, told) in lies.iter_mut().filter(|(lie, _)| lie.is_told_in(&letter)) {
            (lie.change)(&lie.by, &mut opened);
            *told += 1;
        }
        letter.payload = opened.write();
        vec![letter]
    });
    (network, told)
}

/// Has a letter of an echo round quote its recipient as it spoke.
fn quote(opened: &mut Opened, letter: &Letter, truth: &Value) {
    let sender = identity_of(letter.from);
    opened.forge(Kind::Normal, &sender, |echo| {
        for entry in echo.at("message_hashes").list_mut() {
            if *entry.at("0").bytes_mut() == letter.to.as_bytes() {
                *entry.at("1") = truth.clone();
            }
        }
    });
}

/// A member without an engine, in a session with one other: whatever it says in answer to a message
/// of the same step, the script makes of the round's number and the session's id. In echo rounds it
/// says what an honest member would.
pub fn puppet(
    identity: &Identity,
    mut script: impl FnMut(u16, &[u8]) -> Vec<(Kind, Value)> + 'static,
) -> impl FnMut(Letter) -> Vec<Letter> + 'static {
    let identity = identity.clone();
    let mut last_echo = None;
    move |letter| {
        if letter.to != identity.party() {
            return vec![letter];
        }
        let heard = Opened::read(&letter.payload);
        let mut answer = heard.clone();
        answer.readdress(&identity, letter.from);
        let says = if heard.is_echo_round() {
            let quoted = last_echo.take().expect("something to echo");
            let entry = Value::List(vec![Value::bytes(letter.from.as_bytes()), quoted]);
            let hashes = Value::fields([("message_hashes", Value::List(vec![entry]))]);
            vec![(Kind::Normal, hashes)]
        } else {
            last_echo = heard.content(Kind::Echo).map(|_| heard.quoted_echo());
            script(letter.round.0, heard.session_id())
        };
        for kind in Kind::ALL {
            let content = says.iter().find(|(said, _)| *said == kind).map(|(_, content)| content);
            answer.say(kind, &identity, content);
        }
        let (from, to) = (letter.to, letter.from);
        vec![Letter { from, to, payload: answer.write(), ..letter }]
    }
}
