//! Malformed messages from strangers and from parties that were let in.

use crate::hostile::{Hostile, dial, play};
use crate::house::{House, p99, seed};
use crate::nonsense::{Kind, Numbers};
use mpc_wire::Identity;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Connections that send nonsense at a time; half of them are parties that were let in.
const HOSTILE: u8 = 4;

/// What a calm signing takes at least on a machine with other work: below it the doubling of a time
/// says nothing.
const CALM: Duration = Duration::from_millis(50);

/// How long a hostile connection takes for a message: four of them send 250 a second. As fast as they
/// can they would keep a small machine's CPUs from whoever is honest, whatever the house does.
const BEAT: Duration = Duration::from_millis(16);

/// Sends so many malformed messages, each over a connection of its own since it ends with it; says
/// how many of each kind there were.
fn pour(
    gateway: SocketAddr,
    from: Ipv4Addr,
    enrolled: Option<Identity>,
    seed: u64,
    count: u64,
) -> BTreeMap<Kind, u64> {
    let mut numbers = Numbers(seed);
    let stranger = Identity::generate();
    let mut sent = BTreeMap::new();
    let started = Instant::now();
    for beat in 0..count {
        let due = started + BEAT * beat as u32;
        // The rate itself.
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut socket = Hostile::upgrade(dial(from, gateway).unwrap()).unwrap();
        let challenge = socket.challenge().unwrap();
        if let Some(identity) = &enrolled {
            socket.prove(&challenge, identity);
        }
        let kind = Kind::ALL[numbers.below(Kind::ALL.len())];
        kind.say(&mut socket, &challenge, enrolled.as_ref().unwrap_or(&stranger), &mut numbers);
        let code = socket.close_code();
        assert!(code.is_some_and(|code| kind.codes().contains(&code)), "{kind:?}: {code:?}");
        *sent.entry(kind).or_default() += 1;
    }
    sent
}

/// Signs so often, one after the other, and says how long each took.
async fn sign(house: &House, numbers: std::ops::Range<u64>) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in numbers {
        let started = Instant::now();
        assert_eq!(house.sign(number).await.state, "completed");
        times.push(started.elapsed());
    }
    times
}

async fn flood(messages: u64, signings: u64) {
    let seed = seed();
    let house = House::build(json!({})).await;
    // Caches, pools and the allocator have their size.
    sign(&house, 0..20).await;
    let mut calm = sign(&house, 20..20 + signings).await;
    let (before, _) = house.memory();
    house.forget_peak();

    let gateway = house.gateway;
    let mut scripts: Vec<Box<dyn FnOnce() -> BTreeMap<Kind, u64> + Send>> = Vec::new();
    for hostile in 0..HOSTILE {
        let enrolled = if hostile % 2 == 0 { Some(house.enrol().await) } else { None };
        let from = Ipv4Addr::new(127, 5, 0, hostile + 1);
        let (seed, count) = (seed ^ u64::from(hostile), messages / u64::from(HOSTILE));
        scripts.push(Box::new(move || pour(gateway, from, enrolled, seed, count)));
    }
    let started = Instant::now();
    let pouring = std::pin::pin!(play(scripts));
    let mut pouring = futures_util::future::maybe_done(pouring);
    let (mut flooded, mut next) = (Vec::new(), 10_000);
    // For as long as it pours.
    loop {
        let signing = std::pin::pin!(sign(&house, next..next + 1));
        let waited = futures_util::future::select(&mut pouring, signing).await;
        match waited {
            futures_util::future::Either::Left(((), signing)) => {
                flooded.extend(signing.await);
                break;
            }
            futures_util::future::Either::Right((times, _)) => flooded.extend(times),
        }
        next += 1;
    }
    let took = started.elapsed();
    let sent = std::pin::Pin::new(&mut pouring).take_output().unwrap();
    let sent: BTreeMap<_, u64> =
        sent.into_iter().flatten().fold(BTreeMap::new(), |mut all, (kind, count)| {
            *all.entry(kind).or_default() += count;
            all
        });
    let (_, peak) = house.memory();
    let growth = peak.saturating_sub(before);
    let (calm, flooded_p99) = (p99(&mut calm), p99(&mut flooded));
    println!(
        "{messages} malformed messages in {took:?}: {sent:?}\n\
         memory {before} kB before, {peak} kB at most, {growth} kB more; \
         p99 of {signings} calm signings {calm:?}, of {} in the flood {flooded_p99:?}",
        flooded.len()
    );
    assert_eq!(sent.values().sum::<u64>(), messages);
    assert_eq!(sent.len(), Kind::ALL.len());
    assert!(growth < 50 << 10, "{growth} kB");
    assert!(flooded_p99 <= 2 * calm.max(CALM), "{flooded_p99:?} against {calm:?}");
    house.end().await;
}

#[actix_rt::test]
async fn row_05_malformed_messages() {
    flood(1_000, 80).await;
}

#[ignore = "takes a minute"]
#[actix_rt::test]
async fn row_05_ten_thousand_malformed_messages() {
    flood(10_000, 300).await;
}
