use super::super::{Policy, Profile};
use super::*;
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use mpc_wire::{
    AccountId, Authorization, DerivationPath, Epoch, HashFunction, Payload, PlanHash, PublicKey,
    RequestId, Scheme, SessionId, Threshold,
};
use std::collections::BTreeSet;

/// Monday, 2026-01-05T12:00:00Z.
const NOW: UnixMillis = UnixMillis(1_767_614_400_000);

const MINUTE: u64 = 60_000;

/// A requester's keys.
enum Key {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl Key {
    fn ed25519(seed: u8) -> Self {
        Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    fn p256(seed: u8) -> Self {
        Self::P256(p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    fn pem(&self) -> String {
        match self {
            Self::Ed25519(key) => key.verifying_key().to_public_key_pem(LineEnding::LF),
            Self::P256(key) => key.verifying_key().to_public_key_pem(LineEnding::LF),
        }
        .unwrap()
    }

    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        match self {
            Self::Ed25519(key) => key.sign(bytes).to_bytes(),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(bytes);
                signature.to_bytes().into()
            }
        }
    }
}

fn unsigned(payload: Payload) -> Intent {
    Intent {
        session: SessionId::generate(),
        request: RequestId::generate(),
        eligible: BTreeSet::new(),
        expires_at: UnixMillis(NOW.0 + MINUTE),
        kind: IntentKind::Sign {
            account: AccountId::generate(),
            epoch: Epoch(1),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(2),
            public_key: PublicKey::new([2; 33]),
            path: DerivationPath::default(),
            payload,
            authorization: None,
        },
    }
}

fn digest() -> Intent {
    unsigned(Payload::Digest([7; 32]))
}

fn account_of(intent: &Intent) -> AccountId {
    intent.kind.account().unwrap()
}

fn authorization_of(intent: &mut Intent) -> &mut Option<Authorization> {
    let IntentKind::Sign { authorization, .. } = &mut intent.kind else {
        panic!("not a sign request")
    };
    authorization
}

/// The intent with the requester's signature under it.
fn signed_until(mut intent: Intent, name: &str, key: &Key, expires_at: UnixMillis) -> Intent {
    let requester = name.parse().unwrap();
    *authorization_of(&mut intent) =
        Some(Authorization { requester, expires_at, signature: [0; 64] });
    let bytes = SigningRequest::of_intent(&intent).unwrap().0.canonical_bytes();
    authorization_of(&mut intent).as_mut().unwrap().signature = key.sign(&bytes);
    intent
}

fn signed(intent: Intent, name: &str, key: &Key) -> Intent {
    signed_until(intent, name, key, UnixMillis(NOW.0 + 5 * MINUTE))
}

fn policy(text: &str) -> Policy {
    Policy::parse(text, Profile::Production).unwrap_or_else(|error| panic!("{error}"))
}

fn requester(name: &str, key: &Key, more: &str) -> String {
    format!("[[requester]]\nname = {name:?}\npublic_key = '''{}'''\n{more}\n", key.pem())
}

fn reason(policy: &Policy, intent: &Intent) -> Option<DeclineReason> {
    policy.judge(intent, NOW).err().map(|refusal| refusal.reason)
}

#[test]
fn production_asks_for_a_signature_and_development_does_not() {
    let of_profile = |profile| Policy::of_profile(profile).unwrap();
    let production = of_profile(Profile::Production);
    assert_eq!(reason(&production, &digest()), Some(DeclineReason::AuthorizationMissing));
    assert!(production.signs_nothing());
    let development = of_profile(Profile::Development);
    assert_eq!(reason(&development, &digest()), None);
    assert!(!development.signs_nothing());
    assert_ne!(production.version(), development.version());
    // A wrong word is never better than none.
    let strange = signed(digest(), "backend", &Key::ed25519(1));
    assert_eq!(reason(&development, &strange), Some(DeclineReason::UnknownRequester));
}

#[test]
fn both_algorithms_are_verified() {
    for key in [Key::ed25519(1), Key::p256(1)] {
        let policy = policy(&requester("backend", &key, ""));
        assert!(!policy.signs_nothing());
        let good = signed(digest(), "backend", &key);
        assert_eq!(policy.judge(&good, NOW), Ok(Consent::Automatic));
        assert_eq!(reason(&policy, &digest()), Some(DeclineReason::AuthorizationMissing));
        let unknown = signed(digest(), "frontend", &key);
        assert_eq!(reason(&policy, &unknown), Some(DeclineReason::UnknownRequester));
        for other in [Key::ed25519(2), Key::p256(2)] {
            let forged = signed(digest(), "backend", &other);
            assert_eq!(reason(&policy, &forged), Some(DeclineReason::AuthorizationInvalid));
        }
    }
}

/// Whatever the requester decides is under its signature.
#[test]
fn a_signature_serves_one_request_only() {
    type Change = fn(&mut Intent);
    let changes: [(&str, Change); 7] = [
        ("request", |intent| intent.request = RequestId::generate()),
        ("account", |intent| {
            if let IntentKind::Sign { account, .. } = &mut intent.kind {
                *account = AccountId::generate();
            }
        }),
        ("public key", |intent| {
            if let IntentKind::Sign { public_key, .. } = &mut intent.kind {
                *public_key = PublicKey::new([3; 33]);
            }
        }),
        ("path", |intent| {
            if let IntentKind::Sign { path, .. } = &mut intent.kind {
                *path = "m/0".parse().unwrap();
            }
        }),
        ("payload", |intent| {
            if let IntentKind::Sign { payload, .. } = &mut intent.kind {
                *payload = Payload::Digest([8; 32]);
            }
        }),
        ("kind of payload", |intent| {
            if let IntentKind::Sign { payload, .. } = &mut intent.kind {
                let bytes = vec![7; 32];
                *payload = Payload::Bytes { bytes, hash: HashFunction::Sha256 };
            }
        }),
        ("expiry", |intent| {
            authorization_of(intent).as_mut().unwrap().expires_at.0 += 1;
        }),
    ];
    for key in [Key::ed25519(1), Key::p256(1)] {
        let policy = policy(&requester("backend", &key, ""));
        let good = signed(digest(), "backend", &key);
        assert_eq!(reason(&policy, &good), None);
        for (what, change) in &changes {
            let mut changed = good.clone();
            change(&mut changed);
            let reason = reason(&policy, &changed);
            assert_eq!(reason, Some(DeclineReason::AuthorizationInvalid), "{what}");
        }
        for bit in 0..512 {
            let mut changed = good.clone();
            authorization_of(&mut changed).as_mut().unwrap().signature[bit / 8] ^= 1 << (bit % 8);
            let reason = reason(&policy, &changed);
            assert_eq!(reason, Some(DeclineReason::AuthorizationInvalid), "bit {bit}");
        }
        // The session and who takes part are not the requester's business.
        let mut moved = good;
        moved.session = SessionId::generate();
        assert_eq!(reason(&policy, &moved), None);
    }
}

#[test]
fn a_signature_of_all_zeros_is_none() {
    for key in [Key::ed25519(1), Key::p256(1)] {
        let policy = policy(&requester("backend", &key, ""));
        let mut zeros = signed(digest(), "backend", &key);
        authorization_of(&mut zeros).as_mut().unwrap().signature = [0; 64];
        assert_eq!(reason(&policy, &zeros), Some(DeclineReason::AuthorizationInvalid));
    }
}

#[test]
fn signatures_expire_and_live_no_longer_than_allowed() {
    let key = Key::ed25519(1);
    let policy = policy(&format!("max_authorization_life = \"10m\"\n{}", requester("b", &key, "")));
    let until = |expires_at| {
        let mut intent = digest();
        intent.expires_at = intent.expires_at.min(expires_at);
        reason(&policy, &signed_until(intent, "b", &key, expires_at))
    };
    let expired = Some(DeclineReason::AuthorizationExpired);
    assert_eq!(until(UnixMillis(NOW.0 - 1)), expired);
    assert_eq!(until(NOW), expired);
    assert_eq!(until(UnixMillis(NOW.0 + 1)), None);
    assert_eq!(until(UnixMillis(NOW.0 + 10 * MINUTE)), None);
    assert_eq!(until(UnixMillis(NOW.0 + 10 * MINUTE + 1)), expired);
    assert_eq!(until(UnixMillis(u64::MAX)), expired);

    let mut outlives = digest();
    outlives.expires_at = UnixMillis(NOW.0 + 5 * MINUTE + 1);
    assert_eq!(reason(&policy, &signed(outlives, "b", &key)), expired);
}

#[test]
fn keys_count_between_their_times_and_may_overlap() {
    let (old, new) = (Key::ed25519(1), Key::p256(2));
    let ended = "expires_at = 2026-01-05T12:00:00Z";
    let begins = "not_before = 2026-01-05T12:00:00Z";
    let only_ended = policy(&requester("b", &old, ended));
    let intent = signed(digest(), "b", &old);
    assert_eq!(reason(&only_ended, &intent), Some(DeclineReason::UnknownRequester));
    let before = UnixMillis(NOW.0 - 1);
    assert!(only_ended.judge(&intent, before).is_ok());

    let both = policy(&(requester("b", &old, ended) + &requester("b", &new, begins)));
    assert_eq!(reason(&both, &intent), Some(DeclineReason::AuthorizationInvalid));
    let intent = signed(digest(), "b", &new);
    assert_eq!(reason(&both, &intent), None);
    assert_eq!(
        both.judge(&intent, before).unwrap_err().reason,
        DeclineReason::AuthorizationInvalid
    );
}

#[test]
fn accounts_are_allowed_and_denied() {
    let key = Key::ed25519(1);
    let intent = signed(digest(), "b", &key);
    let (mine, other) = (account_of(&intent), AccountId::generate());
    let verdict = |accounts: &str, more: &str| {
        let text = format!("[accounts]\n{accounts}\n{}", requester("b", &key, more));
        reason(&policy(&text), &intent)
    };
    let refused = Some(DeclineReason::NotAllowed);
    assert_eq!(verdict("", ""), None);
    assert_eq!(verdict(&format!("allow = [\"{mine}\"]"), ""), None);
    assert_eq!(verdict(&format!("allow = [\"{other}\"]"), ""), refused);
    assert_eq!(verdict("allow = []", ""), refused);
    assert_eq!(verdict(&format!("deny = [\"{mine}\"]"), ""), refused);
    assert_eq!(verdict(&format!("deny = [\"{other}\"]"), ""), None);
    let both = format!("allow = [\"{mine}\"]\ndeny = [\"{mine}\"]");
    assert_eq!(verdict(&both, ""), refused);
    assert_eq!(verdict("", &format!("accounts = [\"{mine}\"]")), None);
    assert_eq!(verdict("", &format!("accounts = [\"{other}\"]")), refused);
    assert_eq!(verdict("", "accounts = []"), refused);
}

#[test]
fn kinds_of_payload_are_allowed() {
    let bytes = Payload::Bytes { bytes: b"pay".to_vec(), hash: HashFunction::Sha256 };
    let development = |text: &str| Policy::parse(text, Profile::Development).unwrap();
    let only_bytes = development("payloads = [\"bytes\"]");
    assert_eq!(reason(&only_bytes, &unsigned(bytes.clone())), None);
    assert_eq!(reason(&only_bytes, &digest()), Some(DeclineReason::NotAllowed));
    let only_digests = development("payloads = [\"digest\"]");
    assert_eq!(reason(&only_digests, &unsigned(bytes)), Some(DeclineReason::NotAllowed));
    assert_eq!(reason(&development(""), &digest()), None);
}

#[test]
fn hours_count_by_the_partys_clock() {
    let at = |from: &str, to: &str| {
        let text = format!("[[hours]]\ndays = [\"mon\"]\nfrom = {from:?}\nto = {to:?}");
        reason(&Policy::parse(&text, Profile::Development).unwrap(), &digest())
    };
    assert_eq!(at("12:00", "12:01"), None);
    assert_eq!(at("11:00", "12:00"), Some(DeclineReason::OutsideHours));
}

#[test]
fn a_person_is_asked_by_account() {
    let intent = digest();
    let mine = account_of(&intent);
    let consent = |text: &str| {
        let policy = Policy::parse(&format!("[approval]\n{text}"), Profile::Development).unwrap();
        policy.judge(&intent, NOW)
    };
    assert_eq!(consent(""), Ok(Consent::Automatic));
    assert_eq!(consent("default = \"always\""), Ok(Consent::ByPerson));
    assert_eq!(consent(&format!("always = [\"{mine}\"]")), Ok(Consent::ByPerson));
    let but_mine = format!("default = \"always\"\nnever = [\"{mine}\"]");
    assert_eq!(consent(&but_mine), Ok(Consent::Automatic));
}

/// The house's own work needs nobody's word, under the strictest policy; but nobody's name may be
/// used in it.
#[test]
fn canaries_and_generations_are_not_asked_for() {
    let strict = policy(
        "payloads = []\n[accounts]\nallow = []\n[approval]\ndefault = \"always\"\n\
         [[hours]]\ndays = []",
    );
    let canary = unsigned(Payload::Canary { plan: PlanHash::new([9; 32]) });
    let keygen = Intent {
        kind: IntentKind::Keygen {
            account: AccountId::generate(),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(2),
        },
        ..digest()
    };
    let aux = Intent { kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 }, ..digest() };
    for intent in [&canary, &keygen, &aux] {
        assert_eq!(strict.judge(intent, NOW), Ok(Consent::Automatic));
    }
    assert!(strict.judge(&digest(), NOW).is_err());
    let key = Key::ed25519(1);
    let policy = policy(&requester("b", &key, ""));
    let named = signed(canary, "b", &key);
    assert_eq!(reason(&policy, &named), Some(DeclineReason::AuthorizationInvalid));
}

fn orders(rules: &[Rule]) -> Vec<Vec<Rule>> {
    let Some((first, rest)) = rules.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut order = order.clone();
            order.insert(at, *first);
            all.push(order);
        }
    }
    all
}

/// Over every combination of what can be wrong and every order of the rules: an intent passes if
/// and only if nothing is wrong with it.
#[test]
fn no_order_of_the_rules_lets_an_unauthorized_intent_pass() {
    let key = Key::ed25519(1);
    let orders = orders(&RULES);
    assert_eq!(orders.len(), 24);
    for wrong in 0..64_u8 {
        let is_wrong = |bit: u8| wrong & (1 << bit) != 0;
        let mut intent = signed(digest(), "b", &key);
        if is_wrong(0) {
            *authorization_of(&mut intent) = None;
        }
        if is_wrong(1) && !is_wrong(0) {
            authorization_of(&mut intent).as_mut().unwrap().signature[0] ^= 1;
        }
        let account = account_of(&intent);
        let mut text = String::new();
        if is_wrong(2) {
            text += "payloads = [\"bytes\"]\n";
        }
        if is_wrong(3) {
            text += &format!("[accounts]\ndeny = [\"{account}\"]\n");
        }
        if is_wrong(4) {
            text += "[[hours]]\ndays = [\"sun\"]\n";
        }
        text += &requester("b", &key, if is_wrong(5) { "accounts = []" } else { "" });
        let policy = policy(&text);
        for order in &orders {
            let passes = order.iter().all(|rule| rule(&policy, &intent, NOW).is_ok());
            assert_eq!(passes, wrong == 0, "wrong: {wrong:b}");
        }
        assert_eq!(policy.judge(&intent, NOW).is_ok(), wrong == 0, "wrong: {wrong:b}");
    }
}
