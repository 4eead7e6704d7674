//! Who may ask for signatures: requesters' own signatures, the parties' policies and their people,
//! over real sockets and real vaults. The parties sign with stub runners: what is tried here is
//! decided before any protocol begins.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

#[path = "authorization/house.rs"]
mod house;

use house::{House, RULES, requests};
use mpc::requester::{Algorithm, RequesterKey};
use mpc_tests::cluster::open_vault;
use mpc_wire::{PartyId, SessionId};
use party_runtime::control::{ControlAnswer, ControlError, ControlRequest, KeyChoice};
use party_runtime::{KeySource, Vault, VaultError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

/// The reasons of every party that was asked: two of three at least, because without them the third
/// cannot help.
#[track_caller]
fn declined_by_all(answer: &(u16, Value), reason: &str) {
    let (status, problem) = answer;
    assert_eq!((*status, &problem["code"]), (403, &json!("declined")), "{problem}");
    assert_eq!(problem["reason"], "declined", "{problem}");
    let declines = problem["declines"].as_array().unwrap();
    assert!((2..=3).contains(&declines.len()), "{problem}");
    let parties: BTreeSet<_> =
        declines.iter().map(|decline| decline["party_id"].as_str().unwrap()).collect();
    assert_eq!(parties.len(), declines.len());
    for decline in declines {
        assert_eq!(decline["reason"], reason, "{problem}");
        assert!(!decline["detail"].as_str().unwrap().is_empty());
    }
}

/// The reasons of a quorum that declined.
#[track_caller]
fn declines_of((_, problem): &(u16, Value)) -> BTreeSet<String> {
    assert_eq!(problem["reason"], "declined", "{problem}");
    let declines = problem["declines"].as_array().unwrap();
    assert!(declines.len() >= 2, "{problem}");
    declines.iter().map(|decline| decline["reason"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn signed(answer: &(u16, Value)) {
    assert_eq!((answer.0, &answer.1["state"]), (200, &json!("completed")), "{}", answer.1);
}

#[actix_rt::test]
async fn parties_sign_only_what_a_requester_has_signed() {
    let [ed25519, p256, stranger] = [Algorithm::Ed25519, Algorithm::P256, Algorithm::Ed25519]
        .map(|algorithm| RequesterKey::generate(algorithm).unwrap());
    let policy = RULES.to_owned()
        + &requests::requester("backend", &ed25519)
        + &requests::requester("treasury", &p256);
    let house = House::start(&policy).await;
    let plain = json!({ "message": "ab".repeat(32) });
    let unsigned = house.sign(&plain).await;
    declined_by_all(&unsigned, "authorization_missing");
    // The session says so too.
    let session = unsigned.1["session_id"].as_str().unwrap();
    let (_, shown) = house.cluster.get(&format!("/api/v1/sessions/{session}")).await.unwrap();
    assert_eq!(shown["declines"], unsigned.1["declines"]);

    for (name, key) in [("backend", &ed25519), ("treasury", &p256)] {
        let good = house.authorized(name, key);
        let answer = house.sign(&good).await;
        signed(&answer);
        assert_eq!(answer.1["authorization"]["requester"], name);
        assert_eq!(answer.1["request_id"], good["request_id"]);
    }

    let unknown = house.authorized("nobody", &ed25519);
    declined_by_all(&house.sign(&unknown).await, "unknown_requester");
    for name in ["backend", "treasury"] {
        let forged = house.authorized(name, &stranger);
        declined_by_all(&house.sign(&forged).await, "authorization_invalid");
    }
    // Signed for something else than what is asked for.
    let other = house.other_account().await;
    for key in [&ed25519, &p256] {
        let name = if std::ptr::eq(key, &ed25519) { "backend" } else { "treasury" };
        let mut payload = house.authorized(name, key);
        payload["message"] = json!("cd".repeat(32));
        let mut request = house.authorized(name, key);
        request["request_id"] = json!(mpc_wire::RequestId::generate());
        let path = house.authorized_for(name, key, house.account, "m/0", requests::MINUTE);
        let account = house.authorized_for(name, key, other, "m", requests::MINUTE);
        for body in [payload, request, path, account] {
            declined_by_all(&house.sign(&body).await, "authorization_invalid");
        }
    }
    // Of the limits of time the coordinator knows the one, the parties both.
    let late = house.authorized_for("backend", &ed25519, house.account, "m", 0);
    let (status, problem) = house.sign(&late).await;
    assert_eq!((status, &problem["code"]), (422, &json!("authorization_expired")), "{problem}");
    let long = 61 * requests::MINUTE;
    let long = house.authorized_for("backend", &ed25519, house.account, "m", long);
    declined_by_all(&house.sign(&long).await, "authorization_expired");
    house.stop().await;
}

#[actix_rt::test]
async fn a_request_is_never_signed_in_another_session() {
    let key = RequesterKey::generate(Algorithm::Ed25519).unwrap();
    let policy = RULES.to_owned() + &requests::requester("backend", &key);
    let mut house = House::start(&policy).await;
    let request = house.authorized("backend", &key);
    signed(&house.sign(&request).await);
    let (status, problem) = house.sign(&request).await;
    assert_eq!((status, &problem["code"]), (409, &json!("request_id_reused")), "{problem}");

    // A coordinator that has lost its memory, or wishes it had, asks again in a new session.
    house.coordinator_forgets_requests().await;
    declined_by_all(&house.sign(&request).await, "request_reused");
    for party in 0..3 {
        house.restart_party(party).await;
    }
    house.coordinator_forgets_requests().await;
    declined_by_all(&house.sign(&request).await, "request_reused");
    // Nothing is left broken.
    let fresh = house.authorized("backend", &key);
    signed(&house.sign(&fresh).await);
    house.stop().await;
}

/// A party that cannot tell any more what was used signs nothing, and says why, until it is restored.
#[actix_rt::test]
async fn row_20_a_used_request_that_is_deleted_is_signed_by_nobody_again() {
    let key = RequesterKey::generate(Algorithm::Ed25519).unwrap();
    let policy = RULES.to_owned() + &requests::requester("backend", &key);
    let mut house = House::start(&policy).await;
    let request = house.authorized("backend", &key);
    signed(&house.sign(&request).await);
    for party in 0..3 {
        house.delete_used_requests(party).await;
    }
    for _ in 0..2 {
        house.coordinator_forgets_requests().await;
        // Who still has the session itself knows the request without its list.
        let known = ["ledger_damaged", "request_reused"].map(str::to_owned);
        let reasons = declines_of(&house.sign(&request).await);
        assert!(reasons.is_subset(&known.into()), "{reasons:?}");
        let fresh = house.sign(&house.authorized("backend", &key)).await;
        assert_eq!((fresh.0, &fresh.1["code"]), (502, &json!("session_failed")), "{}", fresh.1);
        assert_eq!(declines_of(&fresh), BTreeSet::from(["ledger_damaged".to_owned()]));
        for party in 0..3 {
            house.restart_party(party).await;
        }
    }
    house.stop().await;
}

#[actix_rt::test]
async fn limits_are_kept_across_restarts() {
    let mut house =
        House::start("[[limit]]\nwindow = \"1h\"\nrequests = 3\nper = \"account\"").await;
    let plain = json!({ "message": "ab".repeat(32) });
    // Every signature counts in two of the three parties.
    let mut made = 0;
    let refused = loop {
        let answer = house.sign(&plain).await;
        if answer.0 != 200 {
            break answer;
        }
        made += 1;
        assert!(made <= 4, "two parties of three, three each: at most four");
    };
    assert!(made >= 3, "{made}");
    declined_by_all(&refused, "limit_reached");
    for party in 0..3 {
        house.restart_party(party).await;
    }
    declined_by_all(&house.sign(&plain).await, "limit_reached");
    // Another account has its own count.
    house.account = house.other_account().await;
    signed(&house.sign(&plain).await);
    house.stop().await;
}

#[actix_rt::test]
async fn a_person_approves_or_refuses() {
    let mut house = House::start("[approval]\ndefault = \"always\"").await;
    let body = json!({
        "message": "pay 5\u{1b}[2J to bob", "hash": "sha256", "expires_in": 600,
    });
    let asked = house.sign_and_wait_for_approval(&body).await;
    let waiting = house.waiting(asked).await;
    assert_eq!(waiting.len(), 2);
    for party in &waiting {
        let [approval] = &house.approvals(*party).await[..] else { panic!("one session waits") };
        assert_eq!(approval.session, asked);
        let shown = format!("{:?}", approval.payload);
        assert!(shown.contains("pay 5") && !shown.contains('\u{1b}'), "{shown}");
    }
    // Half of a quorum signs nothing.
    let [first, second] = waiting[..] else { panic!("a quorum of two") };
    house.decide(first, ControlRequest::Approve { session: asked }).await.unwrap();
    let again = house.decide(first, ControlRequest::Approve { session: asked }).await;
    assert_eq!(again, Err(ControlError::ApprovalDecided));
    assert_eq!(house.state(asked).await, "waiting_for_approval");
    house.decide(second, ControlRequest::Approve { session: asked }).await.unwrap();
    let done = house.ended(asked).await;
    assert_eq!(done["state"], "completed", "{done}");

    // A party that is restarted asks its person again.
    let asked = house.sign_and_wait_for_approval(&body).await;
    let [first, _] = house.waiting(asked).await[..] else { panic!("a quorum of two") };
    house.restart_party(first).await;
    let again = house.open_somewhere(asked).await;
    for party in again {
        let decided = house.decide(party, ControlRequest::Refuse { session: asked }).await;
        assert!(matches!(decided, Ok(()) | Err(ControlError::ApprovalEnded)), "{decided:?}");
    }
    let refused = house.refuse_everywhere(asked).await;
    assert_eq!(refused["state"], "failed", "{refused}");
    assert_eq!(refused["failure"]["reason"], "declined");
    let declines = refused["declines"].as_array().unwrap();
    assert!(declines.len() >= 2 && declines.iter().all(|d| d["reason"] == "refused"), "{refused}");
    house.stop().await;
}

#[actix_rt::test]
async fn who_decides_too_late_is_told() {
    let house = House::start("[approval]\ndefault = \"always\"").await;
    let body = json!({ "message": "ab".repeat(32), "expires_in": 2 });
    let asked = house.sign_and_wait_for_approval(&body).await;
    let [party, other] = house.waiting(asked).await[..] else { panic!("a quorum of two") };
    let done = house.ended(asked).await;
    assert_eq!(done["state"], "expired", "{done}");
    for (party, request) in [
        (party, ControlRequest::Approve { session: asked }),
        (other, ControlRequest::Refuse { session: asked }),
    ] {
        let decided = house.decide(party, request).await;
        assert_eq!(decided, Err(ControlError::ApprovalExpired));
    }
    let unknown = ControlRequest::Approve { session: SessionId::generate() };
    assert_eq!(house.decide(party, unknown).await, Err(ControlError::NoApproval));

    // One whose request was taken back meanwhile.
    let body = json!({ "message": "ab".repeat(32), "expires_in": 600 });
    let asked = house.sign_and_wait_for_approval(&body).await;
    let [party, _] = house.waiting(asked).await[..] else { panic!("a quorum of two") };
    let (status, _) = house.cluster.delete(&format!("/api/v1/sessions/{asked}")).await.unwrap();
    assert_eq!(status, 202);
    house.until_nothing_waits(party).await;
    let decided = house.decide(party, ControlRequest::Approve { session: asked }).await;
    assert_eq!(decided, Err(ControlError::ApprovalEnded));
    house.stop().await;
}

#[actix_rt::test]
async fn a_running_party_takes_a_new_policy_and_bans() {
    let house = House::start("").await;
    let plain = json!({ "message": "ab".repeat(32) });
    signed(&house.sign(&plain).await);
    let before = house.status(0).await;

    for party in 0..3 {
        house.write_policy(party, "max_authorization_life = \"12h\"\npayloads = [\"bytes\"]");
        house.decide(party, ControlRequest::ReloadPolicy).await.unwrap();
    }
    declined_by_all(&house.sign(&plain).await, "not_allowed");
    assert_ne!(house.status(0).await.policy, before.policy);
    // A file with a mistake changes nothing, and the mistake is told.
    house.write_policy(0, "payloads = [\"bytes\"");
    let answer = house.control(0, ControlRequest::ReloadPolicy).await;
    let ControlAnswer::Refused { error, detail } = answer else { panic!("{answer:?}") };
    assert_eq!(error, ControlError::PolicyUnusable);
    assert!(detail.contains("line 1"), "{detail}");
    declined_by_all(&house.sign(&plain).await, "not_allowed");

    // The first party bans the second: they never sign together again, the others do.
    for party in 0..3 {
        house.write_policy(party, "");
        house.decide(party, ControlRequest::ReloadPolicy).await.unwrap();
    }
    let [first, second, _] = house.ids()[..] else { panic!("three parties") };
    let own = house.decide(0, ControlRequest::Ban { party: first }).await;
    assert_eq!(own, Err(ControlError::OwnBan));
    house.decide(0, ControlRequest::Ban { party: second }).await.unwrap();
    let together = |answer: &Value| {
        let signers: BTreeSet<PartyId> = serde_json::from_value(answer["signers"].clone()).unwrap();
        signers.contains(&first) && signers.contains(&second)
    };
    for _ in 0..4 {
        let answer = house.sign(&plain).await;
        signed(&answer);
        assert!(!together(&answer.1), "{}", answer.1);
    }
    let mut house = house;
    house.write_policy(2, "max_authorization_life = \"20h\"");
    for party in [0, 2] {
        house.restart_party(party).await;
    }
    assert_eq!(house.status(0).await.banned, [second]);
    for _ in 0..4 {
        let answer = house.sign(&plain).await;
        signed(&answer);
        assert!(!together(&answer.1), "{}", answer.1);
    }
    // Reloaded or started with, a policy is remembered for the longest life that it has allowed.
    let folders = [0, 2].map(|party| house.party_folder(party));
    let _folder = house.stop().await;
    for (folder, hours) in folders.iter().zip([12, 20]) {
        let longest = open_vault(folder).await.unwrap().authorization_life().await.unwrap();
        assert_eq!(longest, Some(Duration::from_secs(hours * 3600)));
    }
}

#[actix_rt::test]
async fn the_python_example_signs_requests() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/wire/vectors/sign_request.py");
    if Command::new("python3").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        eprintln!("SKIPPED: there is no python3 here");
        return;
    }
    let keys = tempfile::tempdir().unwrap();
    let algorithms = [Algorithm::Ed25519, Algorithm::P256];
    let file = |algorithm| keys.path().join(format!("{algorithm:?}.pem"));
    let mut policy = RULES.to_owned();
    for algorithm in algorithms {
        let key = RequesterKey::generate(algorithm).unwrap();
        key.write(&file(algorithm)).unwrap();
        policy += &requests::requester(&format!("{algorithm:?}"), &key);
    }
    let house = House::start(&policy).await;
    for algorithm in algorithms {
        for payload in
            [&["--message", &"ab".repeat(32)][..], &["--message", "00ff", "--hash", "keccak256"]]
        {
            let output = Command::new("python3")
                .arg(script)
                .args(["--account", &house.account.to_string()])
                .args(["--public-key", &house.public_key.to_string()])
                .args(["--requester", &format!("{algorithm:?}")])
                .arg("--key")
                .arg(file(algorithm))
                .args(payload)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let body: Value = serde_json::from_slice(&output.stdout).unwrap();
            signed(&house.sign(&body).await);
        }
    }
    house.stop().await;
}

#[actix_rt::test]
async fn a_running_party_changes_the_key_of_its_vault() {
    let house = House::start("").await;
    let plain = json!({ "message": "ab".repeat(32) });
    let [old, new] = ["master.key", "new.key"].map(|name| house.party_folder(0).join(name));
    let rotate = |path| ControlRequest::RotateKey { to: KeyChoice::KeyFile { path } };
    house.decide(0, rotate(new.clone())).await.unwrap();
    for _ in 0..2 {
        signed(&house.sign(&plain).await);
    }
    let path = house.party_folder(0).join("no such file");
    let nothing = ControlRequest::RotateKey { to: KeyChoice::PassphraseFile { path } };
    assert_eq!(house.decide(0, nothing).await, Err(ControlError::KeyRotation));
    let vault = house.party_folder(0).join("vault.sqlite");
    let _folder = house.stop().await;
    let refused = Vault::open(&vault, &KeySource::ExistingFile(old)).await;
    assert!(matches!(refused, Err(VaultError::WrongKey { .. })), "{refused:?}");
    Vault::open(&vault, &KeySource::ExistingFile(new)).await.unwrap();
}
