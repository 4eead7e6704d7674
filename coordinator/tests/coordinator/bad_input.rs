use crate::world::{API_KEY, World};
use awc::http::Method;
use coordinator::{ApiKey, Store, StoreError};
use mpc_wire::limits::MAX_PAYLOAD_BYTES;
use mpc_wire::{AccountId, Identity, SessionId};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

#[actix_web::test]
async fn only_the_key_opens_the_api() {
    let world = World::of_three().await;
    let prefix = &API_KEY[..API_KEY.len() - 1];
    let longer = format!("{API_KEY}0");
    for key in ["", "wrong", prefix, &longer, &API_KEY.to_uppercase()] {
        for path in ["/api/v1/accounts", "/api/v1/nothing", "/api/v1/parties"] {
            let reply = world.request(Method::GET, path, &[("X-API-Key", key)], None).await;
            let reply = reply.expect_problem(401, "unauthorized");
            assert!(!reply.json.to_string().contains(API_KEY));
        }
    }
    let health = world.request(Method::GET, "/health", &[("X-API-Key", "")], None).await;
    assert_eq!(health.expect(200).json, json!({"status": "ok"}));
    world.get("/api/v1/parties").await.expect(200);
}

#[actix_web::test]
async fn bad_requests_are_problems_and_leave_nothing_behind() {
    let world = World::of_three().await;
    let account = world.account().await;
    let before = world.rows().await;
    let sign = format!("/api/v1/accounts/{account}/sign");
    let create = "/api/v1/accounts".to_owned();
    let unknown = format!("/api/v1/accounts/{}/sign", AccountId::generate());
    let message = "ab".repeat(32);
    let me = world.ids[0].to_string();
    let stranger = Identity::generate().party().to_string();
    let too_long = "m".repeat(MAX_PAYLOAD_BYTES + 1);
    let many: Vec<_> = (0..21).map(|_| Identity::generate().party().to_string()).collect();
    let cases: Vec<(&str, Value, u16, &str)> = vec![
        (&unknown, json!({"message": message}), 404, "account_not_found"),
        ("/api/v1/accounts/nonsense/sign", json!({"message": message}), 404, "account_not_found"),
        (&sign, json!({"message": "ab"}), 422, "invalid_message"),
        (&sign, json!({"message": "zz".repeat(32)}), 422, "invalid_message"),
        (&sign, json!({"message": format!("0x{message}")}), 422, "invalid_message"),
        (&sign, json!({"message": format!("{message}00")}), 422, "invalid_message"),
        (&sign, json!({"message": ""}), 422, "invalid_message"),
        (&sign, json!({"message": message, "encoding": "utf8"}), 422, "invalid_message"),
        (
            &sign,
            json!({"message": "xyz", "hash": "sha256", "encoding": "hex"}),
            422,
            "invalid_message",
        ),
        (&sign, json!({"message": too_long, "hash": "sha256"}), 422, "invalid_message"),
        (&sign, json!({"message": message, "hash": "md5"}), 400, "invalid_body"),
        (&sign, json!({"message": 5}), 400, "invalid_body"),
        (&sign, json!({}), 400, "invalid_body"),
        (&sign, json!({"message": message, "colour": "red"}), 400, "invalid_body"),
        (&sign, json!([message]), 400, "invalid_body"),
        (&sign, json!([message, null, null]), 400, "invalid_body"),
        (&create, json!({}), 400, "invalid_body"),
        (&create, json!({"user_id": ""}), 400, "invalid_body"),
        (&create, json!({"user_id": "a\nb"}), 400, "invalid_body"),
        (&create, json!({"user_id": "a".repeat(257)}), 400, "invalid_body"),
        (&create, json!({"user_id": "a", "colour": "red"}), 400, "invalid_body"),
        (&create, json!({"user_id": "a", "parties": "all"}), 400, "invalid_body"),
        (&create, json!({"user_id": "a", "parties": ["ab"]}), 400, "invalid_body"),
        (&create, json!({"user_id": "a", "parties": [me, me]}), 400, "invalid_body"),
        (&create, json!({"user_id": "a", "parties": 21}), 400, "invalid_body"),
        (&create, json!({"user_id": "a", "parties": many}), 400, "invalid_body"),
        (&create, json!({"user_id": "a", "parties": -1}), 400, "invalid_body"),
        (&create, json!({"user_id": "a", "threshold": 70_000}), 400, "invalid_body"),
        (&create, json!({"user_id": "a", "scheme": "rsa"}), 422, "unsupported_scheme"),
        (&create, json!({"user_id": "a", "threshold": 1}), 422, "invalid_threshold"),
        (&create, json!({"user_id": "a", "threshold": 4}), 422, "invalid_threshold"),
        (&create, json!({"user_id": "a", "parties": 1}), 422, "invalid_threshold"),
        (&create, json!({"user_id": "a", "parties": []}), 422, "invalid_threshold"),
        (&create, json!({"user_id": "a", "parties": [me, stranger]}), 422, "unknown_party"),
        (&create, json!({"user_id": "a", "parties": 4}), 503, "not_enough_parties"),
    ];
    for (n, (path, body, status, code)) in cases.into_iter().enumerate() {
        let key = format!("bad-{n}");
        let reply = world.post(path, &[("Idempotency-Key", &key)], &body).await;
        let reply = reply.expect_problem(status, code);
        if body.get("colour").is_some() {
            assert!(reply.text("detail").contains("colour"), "{reply:?}");
        }
    }
    for body in ["", "{", "null", "{\"message\": \"a\"} x", "\u{fffd}"] {
        let headers = [("Content-Type", "application/json; charset=utf-8")];
        let reply =
            world.request(Method::POST, &sign, &headers, Some(body.as_bytes().to_vec())).await;
        reply.expect_problem(400, "invalid_body");
    }
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let headers = [("Content-Type", media)];
        let reply = world.request(Method::POST, &sign, &headers, Some(b"{}".to_vec())).await;
        reply.expect_problem(415, "unsupported_media_type");
    }
    assert_eq!(world.rows().await, before);
}

#[actix_web::test]
async fn paths_and_methods_that_are_none() {
    let world = World::of_three().await;
    let id = SessionId::generate();
    for path in [format!("/api/v1/sessions/{id}"), "/api/v1/sessions/x".into()] {
        world.get(&path).await.expect_problem(404, "session_not_found");
        world.delete(&path).await.expect_problem(404, "session_not_found");
    }
    for path in [format!("/api/v1/accounts/{id}"), "/api/v1/accounts/x".into()] {
        world.get(&path).await.expect_problem(404, "account_not_found");
    }
    for path in ["/", "/api", "/api/v1", "/api/v1/nothing", "/api/v2/accounts", "/health/x"] {
        world.get(path).await.expect_problem(404, "not_found");
    }
    for (method, path, allow) in [
        (Method::PUT, "/api/v1/accounts", "GET, POST"),
        (Method::POST, "/health", "GET"),
        (Method::GET, "/api/v1/accounts/x/sign", "POST"),
        (Method::POST, "/api/v1/sessions/x", "GET, DELETE"),
    ] {
        let reply = world.request(method, path, &[], None).await;
        let reply = reply.expect_problem(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some(allow));
    }
}

#[actix_web::test]
async fn parties_are_listed() {
    let world = World::of_three().await;
    world.offline_now(world.ids[1]).await;
    let reply = world.get("/api/v1/parties").await.expect(200);
    let parties = reply.json["parties"].as_array().unwrap();
    assert_eq!(parties.len(), 3);
    for party in parties {
        let is_online = party["party_id"] != world.ids[1].to_string();
        assert_eq!((&party["online"], &party["role"]), (&json!(is_online), &json!("server")));
        assert!(party["label"].as_str().unwrap().starts_with("party-"));
        let at = party["registered_at"].as_str().unwrap();
        assert!(at.starts_with("20") && at.ends_with('Z') && at.len() == 24, "{at}");
    }
}

/// Reads one answer: its status line and its body.
fn answer(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head.lines().next().unwrap().to_owned(), String::from_utf8(body).unwrap())
}

#[actix_web::test]
async fn a_body_of_10_mb_is_refused_and_the_connection_goes_on() {
    let world = World::of_three().await;
    let account = world.account().await;
    let before = world.rows().await;
    let address = world.address();
    let talk = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let body = vec![b'x'; 10 << 20];
        for framing in ["length", "chunks"] {
            write!(
                stream,
                "POST /api/v1/accounts/{account}/sign HTTP/1.1\r\nHost: x\r\n\
                 X-API-Key: {API_KEY}\r\nContent-Type: application/json\r\n"
            )
            .unwrap();
            if framing == "length" {
                write!(stream, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
                stream.write_all(&body).unwrap();
            } else {
                write!(stream, "Transfer-Encoding: chunked\r\n\r\n").unwrap();
                for chunk in body.chunks(1 << 16) {
                    write!(stream, "{:x}\r\n", chunk.len()).unwrap();
                    stream.write_all(chunk).unwrap();
                    write!(stream, "\r\n").unwrap();
                }
                write!(stream, "0\r\n\r\n").unwrap();
            }
            let (status, problem) = answer(&mut stream);
            assert!(status.contains(" 413 "), "{status}");
            assert!(problem.contains("\"code\":\"body_too_large\""), "{problem}");
        }
        write!(stream, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        answer(&mut stream)
    };
    let (status, health) = actix_web::rt::task::spawn_blocking(talk).await.unwrap();
    assert!(status.contains(" 200 ") && health.contains("ok"), "{status} {health}");
    assert_eq!(world.rows().await, before);
}

#[actix_web::test]
async fn what_the_coordinator_will_not_start_with() {
    assert!(ApiKey::try_from("short".to_owned()).is_err());
    for url in ["sqlite::memory:", "sqlite://x?mode=memory"] {
        assert!(matches!(Store::open(url).await, Err(StoreError::NotAFile)));
    }
    assert!(Store::open("sqlite:///nonexistent/folder/x.db?mode=rwc").await.is_err());
    let world = World::offline(&[]).await;
    let store = Store::open(&world.url()).await.unwrap();
    let label = "l".repeat(65);
    let party = Identity::generate().party();
    let result = store.register_party(party, coordinator::Role::Server, &label).await;
    assert!(result.is_err() && !store.is_registered(party).await.unwrap());
}
