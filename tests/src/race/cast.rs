//! Who and what a race is about: fixed parties, intents, plans and joins.

// A fixture that cannot be built is a failed test, and says so at once.
#![expect(clippy::expect_used, reason = "fixtures of tests")]

use mpc_pending::{AttemptSecret, Joiner, PreparedJoin};
use mpc_wire::{
    AccountId, Attempt, AttemptPlan, AuxId, DerivationPath, Epoch, Identity, Intent, IntentKind,
    Nonce, PartyId, Payload, PlanHash, PublicKey, RequestId, Scheme, SessionId, SignedJoin,
    Threshold, UnixMillis, VerifiedJoin,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, PoisonError};

/// The wall clock when a world begins.
pub const START: u64 = 1_700_000_000_000;

/// How long the intents live, by session: one of them shorter than every patience and grace.
const LIVES: [u64; 3] = [300_000, 90_000, 20_000];

/// A party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// The party whose machine is tested.
    Me,
    /// An eligible party, in every attempt of an odd number.
    Alice,
    /// An eligible party, in every attempt of an even number.
    Bob,
    /// A party that is eligible for nothing.
    Stranger,
}

impl Member {
    /// Everybody.
    pub const ALL: [Self; 4] = [Self::Me, Self::Alice, Self::Bob, Self::Stranger];

    /// The party's key.
    pub fn identity(self) -> Identity {
        Identity::from_seed(&[self as u8 + 1; 32])
    }

    /// The party's id.
    pub fn party(self) -> PartyId {
        static PARTIES: LazyLock<BTreeMap<Member, PartyId>> = LazyLock::new(|| {
            Member::ALL.into_iter().map(|member| (member, member.identity().party())).collect()
        });
        *PARTIES.get(&self).expect("every member has an id")
    }
}

/// What an invitation or a caller claims a session to be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The right intent.
    Real,
    /// The same session, with other content.
    Rival,
    /// The same session under the request id of the session before it.
    ReusedRequest,
    /// The same session, out of date from the start.
    Expired,
}

/// What a plan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// The right plan.
    Real,
    /// A valid plan as well, with another hash.
    Rival,
    /// Too few members.
    TooSmall,
    /// A quorum without the party itself.
    WithoutMe,
    /// The plan of another intent.
    OtherIntent,
    /// The plan of another session.
    OtherSession,
}

/// The id of the session with this number.
pub fn session(number: u16) -> SessionId {
    format!("00000000-0000-7000-8000-00000000{number:04x}").parse().expect("a UUID")
}

fn request(number: u16) -> RequestId {
    format!("00000000-0000-7000-9000-00000000{number:04x}").parse().expect("a UUID")
}

/// The intent of a session: signing by two of three if its number is even, else generating a key
/// among three.
pub fn intent(number: u16, purpose: Purpose) -> Intent {
    static MADE: Made<(u16, Purpose), Intent> = Made::new();
    MADE.recall((number, purpose), || make_intent(number, purpose))
}

fn make_intent(number: u16, purpose: Purpose) -> Intent {
    let account: AccountId =
        format!("00000000-0000-7000-a000-00000000{number:04x}").parse().expect("a UUID");
    let digest = if purpose == Purpose::Rival { [2; 32] } else { [1; 32] };
    let kind = if number.is_multiple_of(2) {
        IntentKind::Sign {
            account,
            epoch: Epoch(0),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(2),
            public_key: PublicKey::new([2; 33]),
            path: DerivationPath::default(),
            payload: Payload::Digest(digest),
            authorization: None,
        }
    } else {
        let threshold = if purpose == Purpose::Rival { 3 } else { 2 };
        IntentKind::Keygen {
            account,
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(threshold),
        }
    };
    let life = LIVES.get(usize::from(number)).copied().unwrap_or(300_000);
    Intent {
        session: session(number),
        request: request(if purpose == Purpose::ReusedRequest {
            number.wrapping_sub(1)
        } else {
            number
        }),
        eligible: [Member::Me, Member::Alice, Member::Bob].map(Member::party).into(),
        expires_at: UnixMillis(if purpose == Purpose::Expired { START } else { START + life }),
        kind,
    }
}

/// A plan for the session with this number.
pub fn plan(number: u16, attempt: Attempt, purpose: Purpose, layout: Layout) -> AttemptPlan {
    static MADE: Made<(u16, Attempt, Purpose, Layout), AttemptPlan> = Made::new();
    let key = (number, attempt, purpose, layout);
    MADE.recall(key, || make_plan(number, attempt, purpose, layout))
}

fn make_plan(number: u16, attempt: Attempt, purpose: Purpose, layout: Layout) -> AttemptPlan {
    let intent = intent(number, purpose);
    let peer = if attempt.0.is_multiple_of(2) { Member::Bob } else { Member::Alice };
    let mut quorum: BTreeSet<_> = if intent.quorum_size() == 2 {
        [Member::Me, peer].map(Member::party).into()
    } else {
        intent.eligible.clone()
    };
    let mut intent_hash = intent.hash();
    let mut of = number;
    match layout {
        Layout::Real | Layout::Rival => {}
        Layout::TooSmall => quorum = [Member::Me.party()].into(),
        Layout::WithoutMe => {
            quorum.remove(&Member::Me.party());
            quorum.insert(Member::Stranger.party());
        }
        Layout::OtherIntent => intent_hash = self::intent(number + 1, Purpose::Rival).hash(),
        Layout::OtherSession => of = number + 1,
    }
    let aux_id = (layout == Layout::Rival).then(|| AuxId::new([7; 32]));
    AttemptPlan { session: session(of), intent_hash, attempt, quorum, aux_id }
}

/// A member's signed join of a plan. Another `salt` gives another, equally valid join.
pub fn join(party: PartyId, plan_hash: PlanHash, salt: u8) -> VerifiedJoin {
    static MADE: Made<(PartyId, PlanHash, u8), VerifiedJoin> = Made::new();
    MADE.recall((party, plan_hash, salt), || {
        let member = Member::ALL.into_iter().find(|member| member.party() == party);
        let identity = member.expect("a member of the cast").identity();
        let nonce = Nonce::new([salt; 32]);
        let join = SignedJoin::sign(&identity, plan_hash, nonce, [salt ^ 0xff; 32]);
        join.verify().expect("a fresh signature is valid")
    })
}

/// What was made once, to be had again: hashing, signing and verifying is what a search would
/// otherwise spend its time on.
struct Made<K, V>(Mutex<BTreeMap<K, V>>);

impl<K: Ord, V: Clone> Made<K, V> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn recall(&self, key: K, make: impl FnOnce() -> V) -> V {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(key).or_insert_with(make).clone()
    }
}

/// The secret half of this party's join.
pub fn secret(plan_hash: PlanHash, salt: u8) -> [u8; 32] {
    plan_hash.as_bytes().map(|byte| byte ^ 0xa5 ^ salt)
}

/// Makes the party's joins, with randomness that can be foretold: so a `Started` can be built that
/// holds a join which the party has yet to make. A later life of the process makes other joins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ForetoldJoiner {
    /// How often the process has been started again.
    pub life: u8,
}

impl Joiner for ForetoldJoiner {
    fn join(&mut self, plan: &AttemptPlan) -> PreparedJoin {
        let hash = plan.hash();
        PreparedJoin {
            join: join(Member::Me.party(), hash, self.life).as_join().clone(),
            secret: AttemptSecret::new(secret(hash, self.life)),
        }
    }
}
