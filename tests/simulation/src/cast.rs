//! Who there is, and what they are asked for.

use crate::dice::{Dice, Span};
use crate::profile::Habits;
use crate::time::Moment;
use mpc_pending::{AttemptSecret, Joiner, PreparedJoin};
use mpc_wire::{
    AccountId, AttemptPlan, AuxId, DerivationPath, Epoch, Identity, Intent, IntentKind, Nonce,
    PartyId, Payload, PublicKey, RequestId, Scheme, SessionId, SignedJoin, Threshold, UnixMillis,
};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use uuid::Uuid;

/// How many parties there are.
pub const PARTIES: usize = 5;

static IDENTITIES: LazyLock<Vec<Identity>> = LazyLock::new(|| {
    (1..=PARTIES).map(|n| Identity::from_seed(&[u8::try_from(n).unwrap_or(0); 32])).collect()
});

/// The aux set that every session uses, and that every session for one makes.
pub const AUX: AuxId = AuxId::new([0xa5; 32]);

/// Every party's identity.
pub fn identities() -> impl Iterator<Item = &'static Identity> {
    IDENTITIES.iter()
}

/// Every party.
pub fn parties() -> impl Iterator<Item = PartyId> {
    IDENTITIES.iter().map(Identity::party)
}

/// A short name of a party, for people.
pub fn name(party: PartyId) -> String {
    let place = IDENTITIES.iter().position(|identity| identity.party() == party);
    place.map_or_else(|| party.to_string(), |place| format!("party {}", place + 1))
}

/// Which of a world's orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderNo(pub u32);

/// What somebody wants of the runtime.
#[derive(Debug, Clone)]
pub struct Order {
    /// What for, but for its expiry.
    pub intent: Intent,
    /// When.
    pub at: Moment,
    /// How long it may take, in milliseconds.
    pub life: u64,
    /// The party that asks for it; none if a backend does.
    pub initiator: Option<PartyId>,
    /// How long after its opening the requester loses interest, if it does.
    pub cancelled_after: Option<u64>,
    /// How many rounds its engines need.
    pub rounds: u16,
}

impl Order {
    /// The intent, as it is made when the time of day is `wall`.
    pub fn intent(&self, wall: UnixMillis) -> Intent {
        let expires_at = UnixMillis(wall.0.saturating_add(self.life));
        Intent { expires_at, ..self.intent.clone() }
    }
}

/// The orders of a world.
pub fn orders(count: u32, habits: &Habits, dice: &mut Dice) -> Vec<Order> {
    let mut at = Moment(100);
    let order = |number| {
        at = at.after(dice.within(habits.pause));
        order(number, at, habits, dice)
    };
    (0..count).map(order).collect()
}

fn order(number: u32, at: Moment, habits: &Habits, dice: &mut Dice) -> Order {
    let shape = match dice.below(10) {
        0..=6 => (3, 2),
        7 => (5, 3),
        8 => (3, 3),
        _ => (2, 2),
    };
    let (size, threshold) = habits.shape.unwrap_or(shape);
    let mut eligible: Vec<_> = parties().collect();
    while eligible.len() > size {
        let leaves = dice.pick(&eligible);
        eligible.retain(|party| Some(*party) != leaves);
    }
    let scheme = Scheme::EcdsaCggmp24;
    let kind = if dice.chance(habits.aux) {
        IntentKind::Aux { scheme }
    } else {
        IntentKind::Sign {
            account: AccountId::new(id(3, number)),
            epoch: Epoch(1),
            scheme,
            threshold: Threshold(threshold),
            public_key: PublicKey::new([2; 33]),
            path: DerivationPath::default(),
            payload: Payload::Digest(dice.bytes()),
            authorization: None,
        }
    };
    // Parties may ask for signatures only.
    let may_ask = matches!(kind, IntentKind::Sign { .. });
    let initiator =
        dice.chance(habits.initiators).then(|| dice.pick(&eligible)).flatten().filter(|_| may_ask);
    Order {
        intent: Intent {
            session: SessionId::new(id(1, number)),
            request: RequestId::new(id(2, number)),
            eligible: eligible.into_iter().collect(),
            expires_at: UnixMillis(0),
            kind,
        },
        at,
        life: dice.within(habits.life),
        initiator,
        cancelled_after: dice.chance(habits.cancels).then(|| dice.within(Span(0, 5_000))),
        rounds: u16::try_from(dice.within(habits.rounds)).unwrap_or(1),
    }
}

/// An id with the form of a UUIDv7.
fn id(space: u8, number: u32) -> Uuid {
    let [a, b, c, d] = number.to_be_bytes();
    Uuid::from_bytes([0, 0, a, b, c, d, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, space])
}

/// Makes joins with true signatures; the key in them serves no sealing, because nothing is sealed.
#[derive(Debug)]
pub struct StubJoiner {
    me: &'static Identity,
    dice: Dice,
}

impl StubJoiner {
    /// The joiner of a party.
    pub fn new(me: &'static Identity, dice: Dice) -> Self {
        Self { me, dice }
    }
}

impl Joiner for StubJoiner {
    fn join(&mut self, plan: &AttemptPlan) -> PreparedJoin {
        let nonce = Nonce::new(self.dice.bytes());
        let secret = AttemptSecret::new(self.dice.bytes());
        let join = SignedJoin::sign(self.me, plan.hash(), nonce, self.dice.bytes());
        PreparedJoin { join, secret }
    }
}

/// Which of the parties of an intent a signature of a stub engine is by, as bits in their order.
pub fn bits(eligible: &BTreeSet<PartyId>, signers: &BTreeSet<PartyId>) -> u8 {
    let places = eligible.iter().enumerate().filter(|(_, party)| signers.contains(party));
    places.fold(0, |bits, (place, _)| bits | 1 << place)
}
