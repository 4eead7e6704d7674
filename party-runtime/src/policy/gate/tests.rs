use super::super::Profile;
use super::*;
use crate::backup::{self, Identities, OpenedBackup, Recipients};
use crate::quarantine::RestoreMode;
use crate::vault::{KeySource, Kind};
use age::secrecy::ExposeSecret;
use mpc_engine::SecretBytes;
use mpc_wire::{
    Authorization, DerivationPath, PlanHash, PublicKey, RequestId, Scheme, SharesHash, Threshold,
};
use std::path::Path;
use tempfile::TempDir;

const MINUTE: u64 = 60_000;

/// A party that is alone with its account.
struct Party {
    folder: TempDir,
    vault: Vault,
    account: AccountId,
    identity: age::x25519::Identity,
}

fn key(folder: &Path) -> KeySource {
    KeySource::File(folder.join("master.key"))
}

fn gate(vault: &Vault, life: &str, quarantine: Quarantine) -> Gate {
    let text = format!("max_authorization_life = \"{life}\"");
    let policy = Policy::parse(&text, Profile::Development).unwrap();
    Gate::new(vault.clone(), LivePolicy::fixed(policy), quarantine)
}

impl Party {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.sqlite");
        let vault = Vault::create(&path, &key(folder.path())).await.unwrap();
        let account = AccountId::generate();
        let share = ShareRecord {
            session: SessionId::generate(),
            plan: PlanHash::new([1; 32]),
            public_shares: SharesHash::new([2; 32]),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(1),
            holders: BTreeSet::from([vault.party()]),
            public_key: PublicKey::new([2; 33]),
            share: SecretBytes::new(vec![7; 32]),
        };
        vault.store_share(account, FIRST_EPOCH, &share).await.unwrap();
        Self { folder, vault, account, identity: age::x25519::Identity::generate() }
    }

    /// A request that a requester has signed; here nobody looks at how.
    fn signed(&self) -> Intent {
        let expires_at = UnixMillis(wall_clock().0 + MINUTE);
        Intent {
            session: SessionId::generate(),
            request: RequestId::generate(),
            eligible: BTreeSet::from([self.vault.party()]),
            expires_at,
            kind: IntentKind::Sign {
                account: self.account,
                epoch: FIRST_EPOCH,
                scheme: Scheme::EcdsaCggmp24,
                threshold: Threshold(1),
                public_key: PublicKey::new([2; 33]),
                path: DerivationPath::default(),
                payload: Payload::Digest([3; 32]),
                authorization: Some(Authorization {
                    requester: "backend".parse().unwrap(),
                    expires_at,
                    signature: [0; 64],
                }),
            },
        }
    }

    /// The party, restored so long ago from a backup of now.
    async fn restored(&self, minutes_ago: u64) -> (TempDir, Vault, Quarantine) {
        let recipients = Recipients::parse(&[self.identity.to_public().to_string()]).unwrap();
        let mut sealed = Vec::new();
        let at = UnixMillis(wall_clock().0 - minutes_ago * MINUTE);
        backup::write(&self.vault, &recipients, at, &mut sealed).await.unwrap();
        let identity = self.identity.to_string();
        let identities = Identities::parse(identity.expose_secret()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.sqlite");
        let opened = OpenedBackup::read(&identities, sealed.as_slice()).unwrap();
        let disaster = RestoreMode::Disaster;
        let vault = opened.restore(&path, &key(folder.path()), disaster, at).await.unwrap();
        let quarantine = Quarantine::default();
        quarantine.set(crate::peers::restoration(&vault).await.unwrap());
        (folder, vault, quarantine)
    }
}

async fn asked(gate: &Gate, intent: &Intent) -> Option<DeclineReason> {
    let judged = gate.judge_own(intent, &BTreeSet::new()).await.unwrap();
    judged.err().map(|refusal| refusal.reason)
}

/// A signature that was used under an older policy may live longer than the present one allows.
#[tokio::test]
async fn a_restored_party_waits_as_long_as_any_policy_has_let_a_signature_live() {
    let party = Party::new().await;
    for life in ["30m", "2h", "1h"] {
        let gate = gate(&party.vault, life, Quarantine::default());
        assert_eq!(asked(&gate, &party.signed()).await, None);
    }
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
    assert_eq!(party.vault.authorization_life().await.unwrap(), hours(2), "it only grows");

    // Nobody was asked under this policy, or it is the first one here.
    for (minutes_ago, life, expected) in [
        (119, "1h", Some(DeclineReason::Quarantined)),
        (121, "1h", None),
        (121, "3h", Some(DeclineReason::Quarantined)),
        (181, "3h", None),
    ] {
        let (_folder, vault, quarantine) = party.restored(minutes_ago).await;
        assert_eq!(vault.authorization_life().await.unwrap(), hours(2), "with the backup");
        let gate = gate(&vault, life, quarantine);
        let reason = asked(&gate, &party.signed()).await;
        assert_eq!(reason, expected, "restored {minutes_ago} minutes ago, {life} now");
    }
}

/// The way out for an operator: a backup can be made of a party whose ledger is not right, and what
/// is restored from it begins a new one, behind the time for which a used request may be good.
#[tokio::test]
async fn a_party_whose_ledger_was_tampered_with_comes_back_by_a_backup() {
    let party = Party::new().await;
    let gate_of_before = gate(&party.vault, "1h", Quarantine::default());
    let used = party.signed();
    assert_eq!(asked(&gate_of_before, &used).await, None);
    let url = format!("sqlite://{}", party.folder.path().join("vault.sqlite").display());
    let other = sea_orm::Database::connect(&url).await.unwrap();
    let delete = "DELETE FROM used_requests";
    sea_orm::ConnectionTrait::execute_unprepared(&other, delete).await.unwrap();
    other.close().await.unwrap();
    let again = Intent { session: SessionId::generate(), ..used };
    assert_eq!(asked(&gate_of_before, &again).await, Some(DeclineReason::LedgerDamaged));

    let (_folder, vault, quarantine) = party.restored(0).await;
    let tally: Option<serde::de::IgnoredAny> =
        vault.read_record(Kind::Ledger, "", Epoch(0)).await.unwrap();
    assert!(tally.is_none(), "the tally of other rows");
    let judging = gate(&vault, "1h", quarantine);
    assert_eq!(asked(&judging, &again).await, Some(DeclineReason::Quarantined));
    // What no requester has signed was nobody's to use up.
    let mut unsigned = party.signed();
    let IntentKind::Sign { authorization, .. } = &mut unsigned.kind else {
        panic!("a sign intent")
    };
    *authorization = None;
    assert_eq!(asked(&judging, &unsigned).await, None);

    let (_folder, vault, quarantine) = party.restored(61).await;
    let judging = gate(&vault, "1h", quarantine);
    assert_eq!(asked(&judging, &party.signed()).await, None);
}
