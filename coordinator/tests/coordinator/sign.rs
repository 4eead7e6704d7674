use crate::parties::{Manner, is_sign_invite, key};
use crate::world::World;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use mpc_wire::{AccountId, AttemptOutcome, DeclineReason, SessionId, ToCoordinator, ToParty};
use serde_json::{Value, json};

/// Checks the answer's signature with the curve's library alone.
#[track_caller]
pub(crate) fn verify(account: AccountId, session: &Value) {
    let field = |name: &str| hex::decode(session["signature"][name].as_str().unwrap()).unwrap();
    let digest = hex::decode(session["message"].as_str().unwrap()).unwrap();
    let compact = field("compact");
    assert_eq!(compact, [field("r"), field("s")].concat());
    let signature = Signature::from_slice(&compact).unwrap();
    assert_eq!(Signature::from_der(&field("der")).unwrap(), signature);
    key(account).verifying_key().verify_prehash(&digest, &signature).unwrap();
    let id = u8::try_from(session["signature"]["recovery_id"].as_u64().unwrap()).unwrap();
    let recovered =
        VerifyingKey::recover_from_prehash(&digest, &signature, RecoveryId::from_byte(id).unwrap());
    assert_eq!(recovered.unwrap(), *key(account).verifying_key());
    assert_eq!(field("ethereum"), [compact, vec![27 + id]].concat());
}

#[actix_web::test]
async fn signs_digests_and_texts() {
    let world = World::of_three().await;
    let account = world.account().await;
    let path = format!("/api/v1/accounts/{account}/sign");
    let digest = "ab".repeat(32);
    // SHA-256 and Keccak-256 of "abc": FIPS 180-4, and the Keccak team's vectors.
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let keccak = "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45";
    let cases = [
        (json!({"message": digest}), &*digest),
        (json!({"message": "abc", "hash": "sha256"}), sha),
        (json!({"message": "616263", "hash": "sha256", "encoding": "hex"}), sha),
        (json!({"message": "abc", "hash": "keccak256", "encoding": "utf8"}), keccak),
    ];
    for (body, signed) in cases {
        let reply = world.post(&path, &[], &body).await.expect(200);
        assert_eq!(reply.text("message"), signed);
        assert_eq!((reply.text("state"), reply.text("kind")), ("completed", "sign"));
        assert_eq!(reply.text("account_id"), account.to_string());
        assert_eq!(reply.json["signers"].as_array().unwrap().len(), 2);
        assert!(reply.json["duration_ms"].is_u64());
        verify(account, &reply.json);
        let shown = world.get(&format!("/api/v1/sessions/{}", reply.text("session_id"))).await;
        assert_eq!(shown.expect(200).json, reply.json);
    }
}

#[actix_web::test]
async fn answers_at_once_if_asked_to() {
    let world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Stalls);
    }
    for wait in ["respond-async", "respond-async, wait=0", "wait=0"] {
        let reply = world.sign(account, &[("Prefer", wait)]).await.expect(202);
        let location = reply.header("location").unwrap().to_owned();
        assert_eq!(location, format!("/api/v1/sessions/{}", reply.text("session_id")));
        assert!(reply.json.get("signature").is_none());
        // Everybody has joined, and the attempt runs: it says for whom it waits.
        let running = world.until(&location, |reply| reply.json["state"] == "running").await;
        assert_eq!(running.json["attempt"], 1);
        assert_eq!(running.json["quorum"], running.json["waiting_for"]);
        assert_eq!(running.json["quorum"].as_array().unwrap().len(), 2);

        // A member says where it stands and whom it lacks.
        let session: SessionId = reply.text("session_id").parse().unwrap();
        let members: Vec<mpc_wire::PartyId> =
            serde_json::from_value(running.json["quorum"].clone()).unwrap();
        let [a, b] = members[..] else { unreachable!() };
        let progress = ToCoordinator::Progress {
            session,
            attempt: mpc_wire::Attempt(1),
            stage: mpc_wire::Stage(1),
            round: mpc_wire::Round(3),
            waiting_for: [b].into(),
        };
        world.say(a, progress).await;
        let lacking = world.until(&location, |reply| reply.json["position"]["round"] == 3).await;
        assert_eq!(lacking.json["waiting_for"], json!([b.to_string()]));

        let digest = [0xab; 32];
        let outcome = AttemptOutcome::Signed(crate::parties::signature(account, &digest));
        let attempt = mpc_wire::Attempt(1);
        world.say(a, ToCoordinator::Outcome { session, attempt, outcome }).await;
        let done = world.until(&location, |reply| reply.json["state"] == "completed").await;
        verify(account, &done.json);
    }
}

#[actix_web::test]
async fn round_messages_pass_to_their_recipient_unopened() {
    let world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Stalls);
    }
    let reply = world.sign(account, &[("Prefer", "respond-async")]).await.expect(202);
    let session: SessionId = reply.text("session_id").parse().unwrap();
    let path = format!("/api/v1/sessions/{session}");
    let running = world.until(&path, |reply| reply.json["state"] == "running").await;
    let members: Vec<mpc_wire::PartyId> =
        serde_json::from_value(running.json["quorum"].clone()).unwrap();
    let [from, to] = members[..] else { unreachable!() };
    let envelope = |from, seq| mpc_wire::RoundEnvelope {
        header: mpc_wire::RoundHeader {
            session,
            attempt: mpc_wire::Attempt(1),
            from,
            to,
            stage: mpc_wire::Stage(1),
            round: mpc_wire::Round(1),
            seq: mpc_wire::Seq(seq),
        },
        sealed: vec![0xc5; 150_000],
    };
    // A sender that is not the speaker is not believed.
    world.say(from, ToCoordinator::Round(envelope(to, 0))).await;
    for seq in 0..50 {
        world.say(from, ToCoordinator::Round(envelope(from, seq))).await;
    }
    let passed = world
        .parties
        .told(|told| {
            let rounds: Vec<_> = told
                .iter()
                .filter_map(|(party, message)| match message {
                    ToParty::Round(round) => Some((*party, round.clone())),
                    _ => None,
                })
                .collect();
            (rounds.len() >= 50).then_some(rounds)
        })
        .await;
    let sent: Vec<_> = (0..50).map(|seq| (to, envelope(from, seq))).collect();
    assert!(passed == sent, "not in order, or not unopened");
}

#[actix_web::test]
async fn a_cancelled_session_says_so_to_everybody() {
    let world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Silent);
    }
    let reply = world.sign(account, &[("Prefer", "respond-async")]).await.expect(202);
    let session: SessionId = reply.text("session_id").parse().unwrap();
    world.parties.told_n(2, |_, message| is_sign_invite(message)).await;
    let path = format!("/api/v1/sessions/{session}");
    let cancelled = world.delete(&path).await.expect(202);
    assert_eq!(cancelled.text("state"), "cancelled");
    world.delete(&path).await.expect_problem(409, "session_ended");
    let shown = world.get(&path).await.expect(200);
    assert_eq!(shown.json, cancelled.json);
    assert_eq!(shown.json["failure"]["reason"], "cancelled");
    for wanted in ["abort", "finished"] {
        let is_it = |message: &ToParty| match message {
            ToParty::Abort { session: s, .. } => wanted == "abort" && *s == session,
            ToParty::Finished { session: s } => wanted == "finished" && *s == session,
            _ => false,
        };
        world.parties.told_n(2, |_, message| is_it(message)).await;
    }
}

#[actix_web::test]
async fn declines_leave_a_quorum_or_end_the_session() {
    let world = World::of_three().await;
    let account = world.account().await;
    let [a, b, _] = world.ids[..] else { unreachable!() };
    world.parties.behave(a, Manner::Declines(DeclineReason::Refused));
    // Two others are enough.
    for _ in 0..3 {
        let reply = world.sign(account, &[]).await.expect(200);
        assert!(!reply.json["signers"].to_string().contains(&a.to_string()));
        verify(account, &reply.json);
    }
    world.parties.behave(b, Manner::Declines(DeclineReason::NoShare));
    let reply = world.sign(account, &[]).await.expect_problem(403, "declined");
    assert_eq!(reply.text("reason"), "declined");
    assert_eq!(reply.json["parties"].as_array().unwrap().len(), 2);
    let session = world.get(&format!("/api/v1/sessions/{}", reply.text("session_id"))).await;
    assert_eq!(session.expect(200).text("state"), "failed");
}

#[actix_web::test]
async fn attempts_are_numbered_and_bounded() {
    let world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Fails);
    }
    let reply = world.sign(account, &[]).await.expect_problem(502, "session_failed");
    assert_eq!(reply.text("reason"), "attempts_exhausted");
    let session = world.get(&format!("/api/v1/sessions/{}", reply.text("session_id"))).await;
    let past = session.json["past_attempts"].as_array().unwrap();
    let numbers: Vec<_> = past.iter().map(|past| past["attempt"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(past.iter().all(|past| past["reason"] == "panicked"));
}
