use crate::client::Reply;
use crate::world::{API_KEY, World};
use awc::http::Method;
use coordinator::{DoorLimits, Rate};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/parties";

/// A second address of this machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

async fn world(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::offline(&[]).await;
    world.limits.door = DoorLimits {
        source_rate: world.limits.door.source_rate,
        key_rate: world.limits.door.key_rate,
        ..DoorLimits::default()
    };
    change(&mut world);
    world.restart().await;
    world
}

async fn from(world: &World, address: Ipv4Addr, headers: &[(&str, &str)]) -> Reply {
    world.request_from(address, Method::GET, PATH, headers, None).await
}

/// Asks as the client at `source` would be heard through the proxy at [`HERE`].
async fn through(world: &World, source: &str, key: &str) -> Reply {
    from(world, HERE, &[("X-Forwarded-For", source), ("X-API-Key", key)]).await
}

/// Asks `count` times on one connection, a hundred requests at a time, each with another key that
/// `key` makes, and counts the answers by their status.
fn flood(
    address: SocketAddr,
    count: usize,
    key: impl Fn(usize) -> String,
) -> std::io::Result<Statuses> {
    let stream = TcpStream::connect(address)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut requests = stream;
    let mut statuses = Statuses::default();
    let (mut line, mut body) = (String::new(), Vec::new());
    for first in (0..count).step_by(100) {
        let batch = 100.min(count - first);
        let batch: String = (first..first + batch)
            .map(|n| format!("GET {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n", key(n)))
            .collect();
        requests.write_all(batch.as_bytes())?;
        for _ in 0..100.min(count - first) {
            line.clear();
            answers.read_line(&mut line)?;
            let status = line.split(' ').nth(1).unwrap().to_owned();
            let mut length = 0;
            while line != "\r\n" {
                line.clear();
                answers.read_line(&mut line)?;
                let header = line.to_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            body.resize(length, 0);
            answers.read_exact(&mut body)?;
            match status.as_str() {
                "401" => statuses.unauthorized += 1,
                "429" => statuses.locked_out += 1,
                _ => panic!("{status}: {}", String::from_utf8_lossy(&body)),
            }
        }
    }
    Ok(statuses)
}

#[derive(Debug, Default, Clone, Copy)]
struct Statuses {
    unauthorized: usize,
    locked_out: usize,
}

#[actix_web::test]
async fn row_25_a_hundred_thousand_wrong_keys_open_nothing_and_lock_their_source_out() {
    const CONNECTIONS: usize = 4;
    const EACH: usize = 25_000;
    let world = world(|_| {}).await;
    let body = json!({"name": "victim", "scopes": ["read"]});
    let made = world.post("/api/v1/api-keys", &[], &body).await.expect(201);
    let (id, honest) = (made.text("id").to_owned(), made.text("key").to_owned());

    let address = world.address();
    let started = Instant::now();
    let floods: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let (id, honest) = (id.clone(), honest.clone());
            std::thread::spawn(move || {
                flood(address, EACH, |n| match n % 4 {
                    // A known id, an unknown id, the bootstrap key but for its end, garbage.
                    0 => format!("mpc_{id}_{connection:016x}{n:048x}"),
                    1 => format!("mpc_{n:016x}_{}", &honest[21..]),
                    2 => format!("{API_KEY}{n}"),
                    _ => format!("{n}-{connection}"),
                })
            })
        })
        .collect();
    // Meanwhile, who sits elsewhere is served.
    while floods.iter().any(|flood| !flood.is_finished()) {
        from(&world, ELSEWHERE, &[("X-API-Key", &honest)]).await.expect(200);
        from(&world, ELSEWHERE, &[]).await.expect(200);
    }
    let mut sum = Statuses::default();
    for flood in floods {
        let statuses = flood.join().unwrap().unwrap();
        sum.unauthorized += statuses.unauthorized;
        sum.locked_out += statuses.locked_out;
    }
    println!("{sum:?} in {:?}", started.elapsed());
    assert_eq!(sum.unauthorized + sum.locked_out, CONNECTIONS * EACH);
    // Ten are looked at, and what the other connections had under way at that moment.
    let stats = world.door_stats();
    assert_eq!(stats.wrong_keys, u64::try_from(sum.unauthorized).unwrap());
    assert!((10..10 + CONNECTIONS as u64).contains(&stats.wrong_keys), "{stats:?}");
    assert_eq!((stats.lock_outs, stats.locked_out), (1, sum.locked_out as u64));

    // The honest key is refused from there, too, without being looked at.
    let reply = from(&world, HERE, &[("X-API-Key", &honest)]).await;
    let reply = reply.expect_problem(429, "locked_out");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((800..=901).contains(&wait), "{wait}");
    from(&world, ELSEWHERE, &[("X-API-Key", &honest)]).await.expect(200);
    // Who needs no key is not concerned.
    world.request(Method::GET, "/health", &[], None).await.expect(200);
}

#[actix_web::test]
async fn row_25_a_forged_x_forwarded_for_is_not_believed() {
    let allow = |world: &mut World| {
        world.allowed = "127.0.0.2, 192.0.2.0/24".parse().unwrap();
        world.trusted_proxies = "127.0.0.3, 10.0.0.0/8".parse().unwrap();
    };
    let world = world(allow).await;
    let proxy = Ipv4Addr::new(127, 0, 0, 3);
    for forged in ["127.0.0.2", "192.0.2.7", "127.0.0.3", "10.0.0.1, 192.0.2.7", "garbage"] {
        let headers =
            [("X-Forwarded-For", forged), ("Forwarded", "for=192.0.2.7"), ("X-Real-IP", forged)];
        let reply = from(&world, HERE, &headers).await;
        reply.expect_problem(403, "source_not_allowed");
        // Who is allowed is not put off by it, either.
        from(&world, ELSEWHERE, &headers).await.expect(200);
    }
    for (list, is_allowed) in [
        (&["192.0.2.7"][..], true),
        (&["203.0.113.1, 192.0.2.7, 10.1.2.3"], true),
        (&["203.0.113.1", "192.0.2.7"], true),
        (&["::ffff:192.0.2.7"], true),
        // What the client wrote itself stands on the left.
        (&["192.0.2.7, 203.0.113.1"], false),
        (&["192.0.2.7", "203.0.113.1, 10.1.2.3"], false),
        (&["203.0.113.1"], false),
        (&["10.1.2.3"], false),
        (&[], false),
    ] {
        let headers: Vec<_> = list.iter().map(|value| ("X-Forwarded-For", *value)).collect();
        let reply = from(&world, proxy, &headers).await;
        if is_allowed {
            reply.expect(200);
        } else {
            reply.expect_problem(403, "source_not_allowed");
        }
    }
    for garbage in ["unknown", "192.0.2.7,", "garbage, 192.0.2.7", "192.0.2.7;203.0.113.1"] {
        let reply = from(&world, proxy, &[("X-Forwarded-For", garbage)]).await;
        reply.expect_problem(400, "invalid_forwarded_for");
    }
}

#[actix_web::test]
async fn row_25_forged_sources_neither_escape_a_lock_out_nor_put_it_on_others() {
    let world = world(|world| world.trusted_proxies = "127.0.0.3".parse().unwrap()).await;
    // No proxy: whatever it writes, it is one source.
    for n in 0..10 {
        let victim = format!("192.0.2.{n}");
        through(&world, &victim, "wrong").await.expect_problem(401, "unauthorized");
    }
    through(&world, "192.0.2.99", API_KEY).await.expect_problem(429, "locked_out");
    // Those whom it named are free.
    let proxy = Ipv4Addr::new(127, 0, 0, 3);
    from(&world, proxy, &[("X-Forwarded-For", "192.0.2.0")]).await.expect(200);
}

#[actix_web::test]
async fn without_the_right_address_nothing_is_open_but_the_probe_of_the_node_itself() {
    let world = world(|world| {
        world.allowed = "127.0.0.2".parse().unwrap();
        world.trusted_proxies = "127.0.0.3".parse().unwrap();
    })
    .await;
    for path in [PATH, "/", "/api/v1/nothing", "/health/x"] {
        let reply = world.request_from(HERE, Method::GET, path, &[], None).await;
        reply.expect_problem(403, "source_not_allowed");
    }
    let health = |from: Ipv4Addr, header: Option<&'static str>| {
        let headers = header.map(|value| ("X-Forwarded-For", value));
        let world = &world;
        async move {
            let headers: Vec<_> = headers.into_iter().collect();
            world.request_from(from, Method::GET, "/health", &headers, None).await
        }
    };
    health(HERE, None).await.expect(200);
    health(ELSEWHERE, None).await.expect(200);
    let through = Ipv4Addr::new(127, 0, 0, 3);
    for foreign in ["203.0.113.1", "127.0.0.1", "::1"] {
        let reply = health(through, Some(foreign)).await;
        reply.expect_problem(403, "source_not_allowed");
    }
    health(through, Some("127.0.0.2")).await.expect(200);
    assert_eq!(world.door_stats().not_allowed, 7);
}

#[actix_web::test]
async fn a_lock_out_ends() {
    let limits = |world: &mut World| {
        world.limits.door.wrong_of_source = 3;
        world.limits.door.lock_out = Duration::from_millis(500);
    };
    let world = world(limits).await;
    // Showing none is no guess.
    for _ in 0..10 {
        from(&world, HERE, &[("X-API-Key", "")]).await.expect_problem(401, "unauthorized");
    }
    for _ in 0..3 {
        from(&world, HERE, &[("X-API-Key", "x")]).await.expect_problem(401, "unauthorized");
    }
    let reply = from(&world, HERE, &[]).await.expect_problem(429, "locked_out");
    assert_eq!(reply.header("retry-after"), Some("1"));
    let until_free = async {
        while from(&world, HERE, &[]).await.status == 429 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), until_free).await.unwrap();
    from(&world, HERE, &[]).await.expect(200);
}

#[actix_web::test]
async fn a_key_that_many_sources_guess_at_still_opens_for_its_holder() {
    let limits = |world: &mut World| {
        world.trusted_proxies = "127.0.0.1".parse().unwrap();
        world.limits.door.wrong_of_key = 20;
    };
    let world = world(limits).await;
    let body = json!({"name": "victim", "scopes": ["read"]});
    let made = world.post("/api/v1/api-keys", &[], &body).await.expect(201);
    let (id, honest) = (made.text("id"), made.text("key"));
    let wrong = format!("mpc_{id}_{}", "0".repeat(64));
    for n in 0..20 {
        let source = format!("192.0.2.{n}");
        through(&world, &source, &wrong).await.expect_problem(401, "unauthorized");
    }
    // From now on a single wrong secret for this key locks its source out, and only that.
    for n in 20..120 {
        let source = format!("192.0.2.{n}");
        through(&world, &source, &wrong).await.expect_problem(401, "unauthorized");
        through(&world, &source, &wrong).await.expect_problem(429, "locked_out");
    }
    assert_eq!(world.door_stats().lock_outs, 100);
    // The holder is served, wherever he is; and who guesses at another key has his ten guesses.
    for source in ["198.51.100.1", "198.51.100.2", "192.0.2.0"] {
        through(&world, source, honest).await.expect(200);
    }
    for _ in 0..2 {
        through(&world, "198.51.100.3", "x").await.expect_problem(401, "unauthorized");
    }
    through(&world, "198.51.100.3", API_KEY).await.expect(200);
}

/// A key of another coordinator secret cannot be told from a guess, so there is no guessing at it for
/// nothing.
#[actix_web::test]
async fn row_25_a_key_of_another_coordinator_secret_counts_as_a_wrong_one() {
    let limits = |world: &mut World| world.trusted_proxies = "127.0.0.1".parse().unwrap();
    let mut world = world(limits).await;
    let body = json!({"name": "of before", "scopes": ["read"]});
    let made = world.post("/api/v1/api-keys", &[], &body).await.expect(201);
    let (id, key) = (made.text("id"), made.text("key"));
    through(&world, "192.0.2.1", key).await.expect(200);
    world.secret = "5b".repeat(32);
    world.restart().await;
    let guess = format!("mpc_{id}_{}", "0".repeat(64));
    for (source, shown) in [("192.0.2.1", key), ("192.0.2.2", guess.as_str())] {
        for _ in 0..10 {
            through(&world, source, shown).await.expect_problem(401, "unauthorized");
        }
        through(&world, source, API_KEY).await.expect_problem(429, "locked_out");
    }
    let stats = world.door_stats();
    assert_eq!((stats.wrong_keys, stats.lock_outs), (20, 2));
}

#[actix_web::test]
async fn sources_of_ipv6_count_by_their_network() {
    let limits = |world: &mut World| world.trusted_proxies = "127.0.0.1".parse().unwrap();
    let world = world(limits).await;
    for n in 0..10 {
        let source = format!("2001:db8:0:1:{n}::{n}");
        through(&world, &source, "x").await.expect_problem(401, "unauthorized");
    }
    through(&world, "2001:db8:0:1::99", API_KEY).await.expect_problem(429, "locked_out");
    through(&world, "2001:db8:0:2::99", API_KEY).await.expect(200);
}

fn rate(per_second: u32, burst: u32) -> Rate {
    let of = |count| NonZeroU32::new(count).unwrap();
    Rate { per_second: of(per_second), burst: of(burst) }
}

#[actix_web::test]
async fn too_many_requests_of_a_source_or_under_a_key_have_to_wait() {
    let limits = |world: &mut World| {
        world.limits.door.source_rate = rate(1, 8);
        world.limits.door.key_rate = rate(1, 4);
    };
    let world = world(limits).await;
    for address in [HERE, ELSEWHERE] {
        for _ in 0..2 {
            from(&world, address, &[]).await.expect(200);
        }
    }
    // Under the key, from whom it may be.
    for address in [HERE, ELSEWHERE] {
        let reply = from(&world, address, &[]).await.expect_problem(429, "rate_limited");
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert!(reply.text("detail").contains("key"), "{reply:?}");
    }
    // Of the source, whatever it asks for.
    let mut last = 200;
    for _ in 0..10 {
        last = world.request_from(HERE, Method::GET, "/health", &[], None).await.status;
    }
    assert_eq!(last, 429);
    world.request_from(ELSEWHERE, Method::GET, "/health", &[], None).await.expect(200);
    assert!(world.door_stats().rate_limited >= 3);
}
