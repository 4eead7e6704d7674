//! Secrets of a party: master keys and their sources, stored records, channels, backups.

use crate::engine::Duo;
use crate::shown::{BYTES, Case, Shown, TEXT, check_all};
use age::secrecy::ExposeSecret;
use mpc_engine::SecretBytes;
use mpc_wire::{
    EnrolmentToken, Identity, PlanHash, PublicKey, Scheme, SessionId, SharesHash, Threshold,
    Transport, UnixMillis,
};
use party_runtime::backup::{self, Identities, OpenedBackup, Recipients};
use party_runtime::policy::{Policy, Profile};
use party_runtime::seal::{Channels, FreshJoiner};
use party_runtime::vault::{
    AuxRecord, Kek, KekProvider, NewKey, Passphrase, ProviderKind, ShareRecord, Wanted,
};
use party_runtime::{CpuPool, KeySource, LivePolicy, PartyConfig, Vault};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Secret types of `party-runtime`.
pub(crate) const CASES: &[Case] = &[
    ("Kek", kek),
    ("NewKey", new_key),
    ("KeySource", key_source),
    ("Passphrase", passphrase),
    ("Vault", vault),
    ("ShareRecord", share_record),
    ("AuxRecord", aux_record),
    ("Channels", channels),
    ("FreshJoiner", fresh_joiner),
    ("PartyConfig", config),
    ("Identities", backup),
    ("Policy", policy),
];

#[test]
fn no_secret_of_a_party_is_told() {
    check_all(CASES);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn hex_source() -> KeySource {
    KeySource::Hex(Zeroizing::new(hex::encode(BYTES)))
}

fn canary_phrase() -> Passphrase {
    Passphrase::new(Zeroizing::new(TEXT.to_owned()))
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

fn kek(shown: &mut Shown) {
    let kek = Kek::new(&Zeroizing::new(BYTES));
    shown.debug(&kek);
    shown.debug(kek.id());
    shown.display(kek.id());
    let digits = hex::encode(BYTES);
    for wrong in [&digits[1..], &format!("{digits}0"), &digits.replace('c', "x"), TEXT] {
        shown.refused(Kek::from_hex(wrong));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    kek.save(&path).unwrap();
    shown.refused(kek.save(&path));
}

fn new_key(shown: &mut Shown) {
    shown.debug(&NewKey::from(Kek::new(&Zeroizing::new(BYTES))));
    shown.debug(&KeySource::Passphrase(canary_phrase()).new_key(None).unwrap());
}

fn key_source(shown: &mut Shown) {
    let kek = Kek::new(&Zeroizing::new([1; 32]));
    let wanted = Wanted { key_id: kek.id(), provider: ProviderKind::Environment, derivation: None };
    shown.debug(&wanted);
    for source in [hex_source(), KeySource::Passphrase(canary_phrase())] {
        shown.debug(&source);
        shown.display(&source.kind());
    }
    shown.refused(KeySource::Passphrase(canary_phrase()).key(&wanted));
    shown.refused(KeySource::Hex(Zeroizing::new(TEXT.to_owned())).key(&wanted));
    // A key file that others can read, and files that hold something else than a key.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    private(&path, &hex::encode(BYTES));
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    for source in [KeySource::File(path.clone()), KeySource::ExistingFile(path.clone())] {
        shown.debug(&source);
        shown.refused(source.key(&wanted));
    }
    for text in [TEXT, &hex::encode(&BYTES[1..])] {
        private(&path, text);
        shown.refused(KeySource::File(path.clone()).key(&wanted));
        shown.refused(KeySource::ExistingFile(path.clone()).new_key(None));
    }
}

fn passphrase(shown: &mut Shown) {
    shown.debug(&canary_phrase());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passphrase");
    fs::write(&path, TEXT).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    shown.refused(Passphrase::read(&path));
    fs::write(&path, [TEXT.as_bytes(), b"\xff", TEXT.as_bytes()].concat()).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    shown.refused(Passphrase::read(&path));
    let short = TEXT[..11].to_owned();
    shown.look_for(short.as_bytes());
    let short = Passphrase::new(Zeroizing::new(short));
    shown.debug(&short);
    shown.refused(KeySource::Passphrase(short).new_key(None));
}

/// A vault around the canary: its own words, and those of all who have the wrong key.
fn vault(shown: &mut Shown) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sqlite");
    let other = || KeySource::Hex(Zeroizing::new("11".repeat(32)));
    block_on(async {
        let vault = Vault::create(&path, &hex_source()).await.unwrap();
        shown.look_for(vault.identity().seed().as_slice());
        shown.debug(&vault);
        shown.debug(&vault.status().await.unwrap());
        shown.refused(vault.rotate(std::sync::Arc::new(hex_source())).await);
        vault.close().await.unwrap();
        shown.refused(Vault::create(&path, &hex_source()).await);
        for wrong in [other(), KeySource::Passphrase(canary_phrase())] {
            shown.refused(Vault::open(&path, &wrong).await);
        }
        // The canary as the wrong key of another's vault.
        let path = folder.path().join("other.sqlite");
        Vault::create(&path, &other()).await.unwrap().close().await.unwrap();
        shown.refused(Vault::open(&path, &hex_source()).await);
    });
}

fn share_record(shown: &mut Shown) {
    shown.debug(&ShareRecord {
        session: SessionId::generate(),
        plan: PlanHash::new([1; 32]),
        public_shares: SharesHash::new([2; 32]),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
        holders: [Identity::generate().party()].into(),
        public_key: PublicKey::new([2; 33]),
        share: SecretBytes::new(BYTES.to_vec()),
    });
    shown.refused(rmp_serde::from_slice::<ShareRecord>(&BYTES));
}

fn aux_record(shown: &mut Shown) {
    let parties = [Identity::generate().party()].into();
    let secret = SecretBytes::new(BYTES.to_vec());
    shown.debug(&AuxRecord { scheme: Scheme::EcdsaCggmp24, parties, secret });
    shown.refused(rmp_serde::from_slice::<AuxRecord>(&BYTES));
}

fn channels(shown: &mut Shown) {
    let Duo { me, plan, prepared, joins, .. } = Duo::new();
    let channels = Channels::new(me.party(), &prepared.secret, plan.hash(), &joins);
    shown.debug(&channels.unwrap());
    // Whose member's key is none: the all-zero point.
    let peer = Identity::generate();
    let join = mpc_wire::SignedJoin::sign(&peer, plan.hash(), mpc_wire::Nonce::generate(), [0; 32]);
    let joins: BTreeMap<_, _> = [(peer.party(), join.verify().unwrap())].into();
    match Channels::new(me.party(), &prepared.secret, plan.hash(), &joins) {
        Ok(channels) => shown.debug(&channels),
        Err(error) => shown.error(&error),
    }
}

fn fresh_joiner(shown: &mut Shown) {
    let joiner = FreshJoiner::new(Identity::from_seed(&BYTES));
    shown.debug(&joiner);
    let prepared = joiner.prepare(&Duo::new().plan);
    shown.look_for(prepared.secret.expose());
    shown.debug(&prepared);
}

fn config(shown: &mut Shown) {
    shown.debug(&PartyConfig {
        gateway_url: "ws://127.0.0.1:1/".to_owned(),
        transport: Transport::Loopback,
        server_name: "s".to_owned(),
        label: "x".to_owned(),
        enrolment_token: Some(EnrolmentToken::try_from(TEXT.to_owned()).unwrap()),
        cpu: CpuPool::for_this_machine().unwrap(),
        policy: LivePolicy::of_profile(Profile::Development).unwrap(),
        control: None,
    });
}

/// Identities of backups, which are never formatted; what is said where one is in a wrong place,
/// and of a backup that cannot be opened.
fn backup(shown: &mut Shown) {
    let identity = age::x25519::Identity::generate();
    let text = identity.to_string();
    let text = text.expose_secret();
    shown.look_for(text.as_bytes());
    shown
        .refused(Recipients::parse(&[identity.to_public().to_string(), text.to_owned()]).map(drop));
    shown.refused(Recipients::parse(&[TEXT.to_owned()]).map(drop));
    for wrong in [&text[..60], &text[1..], &format!("{text}{text}"), TEXT] {
        shown.refused(Identities::parse(wrong).map(drop));
    }
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let path = folder.path().join("vault.sqlite");
        let vault = Vault::create(&path, &hex_source()).await.unwrap();
        shown.look_for(vault.identity().seed().as_slice());
        let recipients = Recipients::parse(&[identity.to_public().to_string()]).unwrap();
        let mut sealed = Vec::new();
        let summary = backup::write(&vault, &recipients, UnixMillis(1), &mut sealed).await;
        shown.debug(&summary.unwrap());
        let stranger = age::x25519::Identity::generate();
        let stranger = Identities::parse(stranger.to_string().expose_secret()).unwrap();
        let own = Identities::parse(text).unwrap();
        shown.refused(OpenedBackup::read(&stranger, sealed.as_slice()).map(drop));
        shown.refused(OpenedBackup::read(&own, &sealed[..sealed.len() - 1]).map(drop));
        // What is no backup, though it is sealed as one: the canary is told by no parser.
        for content in [TEXT.to_owned(), format!("{{\"format\": \"{TEXT}\"}}")] {
            let sealed = age::encrypt(&identity.to_public(), content.as_bytes()).unwrap();
            shown.refused(OpenedBackup::read(&own, sealed.as_slice()).map(drop));
        }
    });
}

/// A policy holds no secret; but private keys are taken for public ones.
fn policy(shown: &mut Shown) {
    let pem = "-----BEGIN PRIVATE KEY-----\\n".to_owned() + TEXT + "\\n-----END PRIVATE KEY-----";
    for text in [
        format!("[[requester]]\nname = \"a\"\npublic_key = \"{pem}\"\n"),
        format!("[[requester]]\nname = \"{TEXT}{TEXT}{TEXT}\"\npublic_key = \"\"\n"),
        format!("[[requester]]\nprivate_key = \"{pem}\"\n"),
        format!("password = \"{TEXT}\"\n"),
        format!("payloads = [\"{TEXT}\n"),
    ] {
        shown.refused(Policy::parse(&text, Profile::Production));
    }
}
