use crate::client::Reply;
use crate::world::World;
use awc::http::Method;
use coordinator::{RouteInfo, routes};
use futures_util::future::join;
use mpc_wire::SessionId;
use serde_json::{Value, json};
use std::time::Duration;

const KEYS: &str = "/api/v1/api-keys";

/// Makes a key: its id and its text.
async fn make(world: &World, scopes: &[&str]) -> (String, String) {
    let body = json!({"name": "a backend", "scopes": scopes});
    let reply = world.post(KEYS, &[], &body).await.expect(201);
    (reply.text("id").to_owned(), reply.text("key").to_owned())
}

async fn ask(world: &World, key: &str, method: &str, path: &str) -> Reply {
    let body = (method == "POST").then(|| b"{}".to_vec());
    let headers = [("X-API-Key", key), ("Content-Type", "application/json")];
    world.request(method.parse().unwrap(), path, &headers, body).await
}

async fn get(world: &World, key: &str) -> Reply {
    ask(world, key, "GET", "/api/v1/parties").await
}

/// What each route needs. A new route has to be written down here, too.
const NEEDED: &[(&str, &str, &str)] = &[
    ("GET", "/api/v1/accounts", "read"),
    ("POST", "/api/v1/accounts", "sign"),
    ("GET", "/api/v1/accounts/{id}", "read"),
    ("POST", "/api/v1/accounts/{id}/sign", "sign"),
    ("GET", "/api/v1/sessions/{id}", "read"),
    ("DELETE", "/api/v1/sessions/{id}", "sign"),
    ("GET", "/api/v1/parties", "read"),
    ("POST", "/api/v1/parties", "admin"),
    ("POST", "/api/v1/parties/{id}/revoke", "admin"),
    ("POST", "/api/v1/enrolment-tokens", "admin"),
    ("DELETE", "/api/v1/enrolment-tokens/{id}", "admin"),
    ("GET", "/api/v1/aux", "read"),
    ("GET", "/api/v1/api-keys", "admin"),
    ("POST", "/api/v1/api-keys", "admin"),
    ("DELETE", "/api/v1/api-keys/{id}", "admin"),
];

#[actix_web::test]
async fn every_route_opens_for_its_scope_and_for_no_other() {
    let told: Vec<_> = routes().collect();
    let told: Vec<_> = told
        .iter()
        .map(|RouteInfo { method, path, scope }| (*method, path.as_str(), scope.name()))
        .collect();
    assert_eq!(told, NEEDED);

    let world = World::offline(&[]).await;
    let all = ["read", "sign", "admin"];
    for bits in 1..8_usize {
        let scopes: Vec<_> =
            all.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, s)| *s).collect();
        let (_, key) = make(&world, &scopes).await;
        for (method, path, needed) in NEEDED {
            let path = path.replace("{id}", &SessionId::generate().to_string());
            let reply = ask(&world, &key, method, &path).await;
            if scopes.contains(needed) {
                assert!(![401, 403, 405, 429].contains(&reply.status), "{method} {path} {reply:?}");
            } else {
                let reply = reply.expect_problem(403, "insufficient_scope");
                assert_eq!(reply.text("scope"), *needed);
                assert!(reply.text("detail").contains(needed), "{reply:?}");
            }
        }
        // What is not there is not there, whatever one may do.
        ask(&world, &key, "GET", "/api/v1/nothing").await.expect_problem(404, "not_found");
        ask(&world, &key, "PUT", "/api/v1/parties").await.expect_problem(405, "method_not_allowed");
    }
    // The bootstrap key may do all.
    for (method, path, _) in NEEDED {
        let path = path.replace("{id}", &SessionId::generate().to_string());
        let reply = ask(&world, crate::world::API_KEY, method, &path).await;
        assert!(![401, 403, 405, 429].contains(&reply.status), "{method} {path} {reply:?}");
    }
}

#[actix_web::test]
async fn a_key_is_told_once() {
    let world = World::offline(&[]).await;
    let body = json!({"name": "a backend", "scopes": ["sign", "read"]});
    let made = world.post(KEYS, &[], &body).await.expect(201);
    let (id, key) = (made.text("id"), made.text("key"));
    assert_eq!(key, format!("mpc_{id}_{}", &key[21..]));
    assert_eq!((id.len(), key.len()), (16, 85));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert_eq!(made.header("location").unwrap(), format!("{KEYS}/{id}"));
    assert_eq!((&made.json["scopes"], made.text("state")), (&json!(["read", "sign"]), "active"));
    let listed = world.get(KEYS).await.expect(200);
    let mut expected = made.json.clone();
    expected.as_object_mut().unwrap().remove("key");
    assert_eq!(listed.json["api_keys"], json!([expected]));
    get(&world, key).await.expect(200);
    // Nothing less and nothing else is the key.
    let other = format!("mpc_{id}_{}", "0".repeat(64));
    for wrong in [&key[..84], &key[4..], &key.to_uppercase(), &format!("{key}0"), &other, id] {
        get(&world, wrong).await.expect_problem(401, "unauthorized");
    }
    let twice = [("X-API-Key", key), ("X-API-Key", key)];
    let twice = world.request(Method::GET, "/api/v1/parties", &twice, None).await;
    twice.expect_problem(401, "unauthorized");
}

#[actix_web::test]
async fn a_revoked_key_is_closed_at_once() {
    let world = World::offline(&[]).await;
    let (id, key) = make(&world, &["read", "admin"]).await;
    let (other, _) = make(&world, &["read"]).await;
    get(&world, &key).await.expect(200);
    let path = format!("{KEYS}/{id}");
    let first = world.delete(&path).await.expect(200);
    assert_eq!((first.text("state"), first.text("id")), ("revoked", id.as_str()));
    let refused = get(&world, &key).await.expect_problem(401, "unauthorized");
    // Told from an unknown key by nothing.
    let unknown = format!("mpc_{}_{}", "0".repeat(16), "0".repeat(64));
    assert_eq!(get(&world, &unknown).await.json, refused.json);
    // A second time changes nothing.
    assert_eq!(world.delete(&path).await.expect(200).json, first.json);
    let listed = world.get(KEYS).await.expect(200).json;
    let state = |wanted: &str| {
        let keys = listed["api_keys"].as_array().unwrap();
        keys.iter().find(|key| key["id"] == wanted).unwrap()["state"].clone()
    };
    assert_eq!((state(&id), state(&other)), (json!("revoked"), json!("active")));
    for nobody in ["0000000000000000", "bootstrap", "x"] {
        let reply = world.delete(&format!("{KEYS}/{nobody}")).await;
        reply.expect_problem(404, "api_key_not_found");
    }
    // Under way while it happens: what is asked after the answer is refused, without exception.
    for _ in 0..20 {
        let (id, key) = make(&world, &["read"]).await;
        let path = format!("{KEYS}/{id}");
        let (_, revoked) = join(get(&world, &key), world.delete(&path)).await;
        revoked.expect(200);
        get(&world, &key).await.expect_problem(401, "unauthorized");
    }
}

#[actix_web::test]
async fn an_expired_key_is_closed() {
    let world = World::offline(&[]).await;
    let body = json!({"name": "short", "scopes": ["read"], "expires_in": 1});
    let made = world.post(KEYS, &[], &body).await.expect(201);
    let key = made.text("key").to_owned();
    get(&world, &key).await.expect(200);
    let until_refused = async {
        while get(&world, &key).await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), until_refused).await.unwrap();
    get(&world, &key).await.expect_problem(401, "unauthorized");
    assert_eq!(world.get(KEYS).await.json["api_keys"][0]["state"], "expired");

    let at = "2093-01-01T00:00:00Z";
    for (expires, value) in [
        ("expires_in", json!(0)),
        ("expires_in", json!(-1)),
        ("expires_in", json!(u64::MAX)),
        ("expires_at", json!("2020-01-01T00:00:00Z")),
        ("expires_at", json!(at)),
        ("expires_at", json!("tomorrow")),
        ("expires_at", json!(5)),
    ] {
        let body = json!({"name": "n", "scopes": ["read"], expires: value});
        world.post(KEYS, &[], &body).await.expect_problem(400, "invalid_body");
    }
    let year = made.text("expires_at")[..4].parse::<u32>().unwrap() + 1;
    let at = format!("{year}-06-01T12:00:00.500+02:00");
    let body = json!({"name": "n", "scopes": ["read"], "expires_at": at});
    let made = world.post(KEYS, &[], &body).await.expect(201);
    assert_eq!(made.text("expires_at"), format!("{year}-06-01T10:00:00.500Z"));
    let body = json!({"name": "n", "scopes": ["read"], "expires_at": at, "expires_in": 5});
    world.post(KEYS, &[], &body).await.expect_problem(400, "invalid_body");
}

#[actix_web::test]
async fn keys_that_are_none_are_refused() {
    let world = World::offline(&[]).await;
    for body in [
        json!({}),
        json!({"name": "n"}),
        json!({"scopes": ["read"]}),
        json!({"name": "", "scopes": ["read"]}),
        json!({"name": "a\nb", "scopes": ["read"]}),
        json!({"name": "n".repeat(65), "scopes": ["read"]}),
        json!({"name": "n", "scopes": []}),
        json!({"name": "n", "scopes": "read"}),
        json!({"name": "n", "scopes": ["read", "write"]}),
        json!({"name": "n", "scopes": ["read"], "id": "0000000000000000"}),
    ] {
        let reply = world.post(KEYS, &[], &body).await.expect_problem(400, "invalid_body");
        if body["scopes"] == json!(["read", "write"]) {
            assert!(reply.text("detail").contains("read, sign, admin"), "{reply:?}");
        }
    }
    assert_eq!(world.get(KEYS).await.json, json!({"api_keys": []}));
}

#[actix_web::test]
async fn one_request_makes_one_key_and_a_replay_tells_which() {
    let world = World::offline(&[]).await;
    let body = json!({"name": "n", "scopes": ["read"]});
    let header = [("Idempotency-Key", "make")];
    let made = world.post(KEYS, &header, &body).await.expect(201);
    let again = world.post(KEYS, &header, &body).await;
    let again = again.expect_problem(409, "idempotency_key_spent");
    assert_eq!(again.text("id"), made.text("id"));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert!(!again.json.to_string().contains(&made.text("key")[21..]), "{again:?}");
    let other = json!({"name": "m", "scopes": ["read"]});
    let other = world.post(KEYS, &header, &other).await;
    other.expect_problem(409, "idempotency_key_reused");
    let elsewhere = world.post("/api/v1/accounts", &header, &json!({"user_id": "a"})).await;
    elsewhere.expect_problem(409, "idempotency_key_reused");
    // Twins that come at the same time make one key, too.
    let header = [("Idempotency-Key", "twins")];
    let (a, b) = join(world.post(KEYS, &header, &body), world.post(KEYS, &header, &body)).await;
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{a:?} {b:?}");
    assert_eq!(world.get(KEYS).await.json["api_keys"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn keys_outlive_a_restart_but_not_another_secret() {
    let mut world = World::offline(&[]).await;
    let (id, key) = make(&world, &["read"]).await;
    let (revoked, past) = make(&world, &["read"]).await;
    world.delete(&format!("{KEYS}/{revoked}")).await.expect(200);
    world.restart().await;
    get(&world, &key).await.expect(200);
    get(&world, &past).await.expect_problem(401, "unauthorized");

    let first = std::mem::replace(&mut world.secret, "5b".repeat(32));
    world.restart().await;
    get(&world, &key).await.expect_problem(401, "unauthorized");
    let listed = world.get(KEYS).await.expect(200);
    assert_eq!(listed.json["api_keys"].as_array().unwrap().len(), 2);
    let (_, new) = make(&world, &["read"]).await;
    get(&world, &new).await.expect(200);

    world.secret = first;
    world.restart().await;
    get(&world, &key).await.expect(200);
    get(&world, &new).await.expect_problem(401, "unauthorized");
    assert_eq!(world.delete(&format!("{KEYS}/{id}")).await.expect(200).text("id"), id);
}

/// Runs a statement behind the coordinator's back.
async fn alter(world: &World, sql: &str) {
    use sea_orm::{ConnectionTrait, Database};
    let db = Database::connect(world.url()).await.unwrap();
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

#[actix_web::test]
async fn who_writes_the_database_makes_no_key() {
    let world = World::offline(&[]).await;
    let (id, key) = make(&world, &["read"]).await;
    let (other, _) = make(&world, &["read", "sign", "admin"]).await;
    for change in [
        format!("UPDATE api_keys SET scopes = 'read,sign,admin' WHERE key_id = '{id}'"),
        format!(
            "UPDATE api_keys SET scopes = 'read', expires_at = 9999999999999 \
                 WHERE key_id = '{id}'"
        ),
        format!(
            "UPDATE api_keys SET expires_at = NULL, hash = (SELECT hash FROM api_keys \
                 WHERE key_id = '{other}') WHERE key_id = '{id}'"
        ),
    ] {
        get(&world, &key).await.expect(200);
        let keep = "CREATE TABLE kept AS SELECT * FROM api_keys";
        alter(&world, keep).await;
        alter(&world, &change).await;
        get(&world, &key).await.expect_problem(401, "unauthorized");
        let back = "DELETE FROM api_keys; INSERT INTO api_keys SELECT * FROM kept; DROP TABLE kept";
        alter(&world, back).await;
    }
    // The hash of one key under the name of another.
    let moved = format!(
        "UPDATE api_keys SET hash = (SELECT hash FROM api_keys \
                         WHERE key_id = '{id}') WHERE key_id = '{other}'"
    );
    alter(&world, &moved).await;
    let swapped = format!("mpc_{other}_{}", &key[21..]);
    get(&world, &swapped).await.expect_problem(401, "unauthorized");
    get(&world, &key).await.expect(200);
}

#[actix_web::test]
async fn no_key_is_in_the_database() {
    let mut world = World::offline(&[]).await;
    let header = [("Idempotency-Key", "make")];
    let body = json!({"name": "n", "scopes": ["read"]});
    let made = world.post(KEYS, &header, &body).await.expect(201);
    let key = made.text("key");
    get(&world, key).await.expect(200);
    let digits = &key[21..];
    let bytes = hex::decode(digits).unwrap();
    let secret = hex::decode(&world.secret).unwrap();
    // While it runs, with its write-ahead log, and after.
    for is_running in [true, false] {
        if !is_running {
            world.stop().await;
        }
        let mut seen = 0;
        for entry in std::fs::read_dir(world.folder()).unwrap() {
            let content = std::fs::read(entry.unwrap().path()).unwrap();
            let has = |part: &[u8]| content.windows(part.len()).any(|window| window == part);
            seen += usize::from(has(made.text("id").as_bytes()));
            let canaries = [key, digits, &digits[..32], crate::world::API_KEY, &world.secret];
            assert!(!canaries.iter().any(|canary| has(canary.as_bytes())));
            assert!(!has(&bytes) && !has(&secret));
        }
        assert!(seen > 0, "the key's id must be somewhere, or the search is of no use");
    }
    world.start().await;
    let listed: Value = world.get(KEYS).await.json;
    assert!(!listed.to_string().contains(digits));
}
