//! A real party's link over TLS: it comes online where it may trust, and nowhere else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use gateway::{Admission, Answer, CONNECT_PATH, Claim, Gateway, GatewayConfig, Roster};
use mpc::tls::{self, ListenerTls};
use mpc_wire::{Downlink, PartyId, ProvenKey, Transport, Uplink};
use party_runtime::policy::Profile;
use party_runtime::{CpuPool, KeySource, LinkTls, LivePolicy, Party, PartyConfig, Vault};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::fs;
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The host in the gateway's address. No resolver knows it.
const HOST: &str = "gateway.test";

/// What the gateway calls itself in its challenge.
const SERVER: &str = "post";

/// Lets everybody in.
struct Anybody;

impl Roster for Anybody {
    fn admit(&self, _: Claim) -> Answer<'_> {
        Box::pin(async { Ok(Admission::Admitted) })
    }

    fn confirm(&self, _: PartyId, _: ProvenKey) -> Answer<'_> {
        Box::pin(async { Ok(Admission::Admitted) })
    }
}

/// An authority, its own certificate and one that it signed, as files.
struct Authority {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new(folder: &Path, name: &str, sign: impl FnOnce(&mut CertificateParams)) -> Self {
        let file = |what: &str| folder.join(format!("{name}-{what}.pem"));
        let files = Self { ca: file("ca"), cert: file("cert"), key: file("key") };
        let mut own = CertificateParams::default();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.distinguished_name.push(DnType::CommonName, name);
        let own_key = KeyPair::generate().unwrap();
        fs::write(&files.ca, own.self_signed(&own_key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(own, own_key);
        let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
        sign(&mut params);
        let key = KeyPair::generate().unwrap();
        fs::write(&files.cert, params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::set_permissions(&files.key, PermissionsExt::from_mode(0o600)).unwrap();
        files
    }
}

/// A gateway that shows an authority's certificate, and the coordinator's ends of its channels.
struct Post {
    gateway: Gateway,
    uplink: mpsc::Receiver<Uplink>,
    _downlink: mpsc::Sender<Downlink>,
}

async fn open(authority: &Authority) -> Post {
    let tls = ListenerTls::load(&authority.cert, &authority.key).unwrap();
    let mut config = GatewayConfig::new(([127, 0, 0, 1], 0).into(), SERVER);
    config.transport = Transport::Tls(tls.config());
    let (sender, uplink) = mpsc::channel(16);
    let (downlink, receiver) = mpsc::channel(16);
    let gateway = gateway::start(config, Arc::new(Anybody), sender, receiver).await.unwrap();
    Post { gateway, uplink, _downlink: downlink }
}

/// Starts a party that trusts an authority and nobody else.
async fn party(folder: &Path, trusted: &Authority, post: &Post) -> Party {
    let key = KeySource::File(folder.join("master.key"));
    let vault = Vault::open_or_create(&folder.join("vault.sqlite"), &key).await.unwrap();
    let at = post.gateway.addr();
    let config = tls::client(Some(&trusted.ca)).unwrap();
    let config = PartyConfig {
        gateway_url: format!("wss://{HOST}:{}{CONNECT_PATH}", at.port()),
        transport: Transport::Tls(LinkTls { config, at: Some(at) }),
        server_name: SERVER.to_owned(),
        label: "over tls".to_owned(),
        policy: LivePolicy::of_profile(Profile::Development).unwrap(),
        control: None,
        enrolment_token: None,
        cpu: CpuPool::start(NonZero::<usize>::MIN).unwrap(),
    };
    Party::start(config, vault).unwrap()
}

async fn up(post: &mut Post) -> Uplink {
    timeout(PATIENCE, post.uplink.recv()).await.unwrap().unwrap()
}

#[actix_rt::test]
async fn a_party_comes_online_where_it_may_trust() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "right", |_| {});
    let mut post = open(&authority).await;
    let party = party(folder.path(), &authority, &post).await;
    let online = Uplink::Online { party: party.id(), label: "over tls".to_owned() };
    assert_eq!(up(&mut post).await, online);
    let offline = Uplink::Offline { party: party.id() };
    party.stop().await;
    assert_eq!(up(&mut post).await, offline);
    assert_eq!(post.gateway.stats().handshakes_failed.value(), 0);
    post.gateway.stop().await;
}

/// The party tries, is shown this certificate, and says nothing to whoever shows it.
async fn is_refused(shown: &Authority, trusted: &Authority, folder: &Path) {
    let mut post = open(shown).await;
    let party = party(folder, trusted, &post).await;
    let stats = post.gateway.stats();
    let refused_twice = async {
        while stats.handshakes_failed.value() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, refused_twice).await.unwrap();
    assert_eq!(stats.connections.value(), 0);
    assert!(post.uplink.try_recv().is_err(), "nobody came online");
    party.stop().await;
    post.gateway.stop().await;
}

#[actix_rt::test]
async fn another_authority_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shown = Authority::new(folder.path(), "shown", |_| {});
    let trusted = Authority::new(folder.path(), "trusted", |_| {});
    is_refused(&shown, &trusted, folder.path()).await;
}

#[actix_rt::test]
async fn another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "elsewhere", |params| {
        *params = CertificateParams::new(["elsewhere.test".to_owned()]).unwrap();
    });
    is_refused(&authority, &authority, folder.path()).await;
}

#[actix_rt::test]
async fn an_expired_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "expired", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    });
    is_refused(&authority, &authority, folder.path()).await;
}
