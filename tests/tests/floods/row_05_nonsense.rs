//! Malformed messages from strangers and from parties that were let in.

use crate::hostile::{Hostile, dial, play};
use crate::house::{House, percentile, seed};
use crate::nonsense::{Kind, Numbers};
use futures_util::future::{Either, select};
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
        // The flood's rate, which is what is tested: nothing is waited for by it.
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

/// Signs for as long as it pours, and says how long each took.
async fn sign_while<T>(
    house: &House,
    numbers: &mut u64,
    pouring: impl Future<Output = T>,
) -> (Vec<Duration>, T) {
    let mut pouring = std::pin::pin!(pouring);
    let mut times = Vec::new();
    loop {
        let signing = std::pin::pin!(sign(house, *numbers..*numbers + 1));
        *numbers += 1;
        match select(pouring.as_mut(), signing).await {
            Either::Left((poured, signing)) => {
                times.extend(signing.await);
                return (times, poured);
            }
            Either::Right((signed, _)) => times.extend(signed),
        }
    }
}

/// Calm and flood take turns, so that what else the machine does weighs on both.
async fn flood(turns: u64, messages: u64, signings: u64, percent: usize) {
    let seed = seed();
    let house = House::build(json!({})).await;
    let gateway = house.gateway;
    let mut enrolled = Vec::new();
    for hostile in 0..HOSTILE {
        enrolled.push(if hostile % 2 == 0 { Some(house.enrol().await) } else { None });
    }
    // Caches, pools and the allocator have their size.
    sign(&house, 0..20).await;
    let mut next = 20;
    let (mut calm, mut flooded, mut sent) = (Vec::new(), Vec::new(), BTreeMap::new());
    let (before, _) = house.memory();
    house.forget_peak();
    for turn in 0..turns {
        calm.extend(sign(&house, next..next + signings).await);
        next += signings;
        let scripts = (0..HOSTILE).zip(&enrolled).map(|(hostile, identity)| {
            let (from, identity) = (Ipv4Addr::new(127, 5, 0, hostile + 1), identity.clone());
            let (seed, count) =
                (seed ^ (turn << 8 | u64::from(hostile)), messages / u64::from(HOSTILE));
            Box::new(move || pour(gateway, from, identity, seed, count)) as Box<_>
        });
        let (times, poured) = sign_while(&house, &mut next, play(scripts)).await;
        flooded.extend(times);
        for (kind, count) in poured.into_iter().flatten() {
            *sent.entry(kind).or_insert(0) += count;
        }
    }
    let (_, peak) = house.memory();
    let growth = peak.saturating_sub(before);
    let (slow_calm, slow_flooded) =
        (percentile(percent, &mut calm), percentile(percent, &mut flooded));
    println!(
        "{} malformed messages: {sent:?}\n\
         memory {before} kB before, {peak} kB at most, {growth} kB more; \
         p{percent} of {} calm signings {slow_calm:?}, of {} in the flood {slow_flooded:?}",
        turns * messages,
        calm.len(),
        flooded.len()
    );
    assert_eq!(sent.values().sum::<u64>(), turns * messages);
    assert_eq!(sent.len(), Kind::ALL.len());
    assert!(growth < 50 << 10, "{growth} kB");
    assert!(slow_flooded <= 2 * slow_calm.max(CALM), "{slow_flooded:?} against {slow_calm:?}");
    house.end().await;
}

#[actix_rt::test]
async fn row_05_malformed_messages() {
    // Of so few signings the slowest hundredth is one that something else has disturbed.
    flood(4, 252, 20, 90).await;
}

#[ignore = "takes a minute"]
#[actix_rt::test]
async fn row_05_ten_thousand_malformed_messages() {
    flood(20, 500, 25, 99).await;
}
