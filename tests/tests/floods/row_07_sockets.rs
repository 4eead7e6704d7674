//! Idle sockets and slow handshakes, from many addresses and from one.

use crate::hostile::{Hostile, NotIn, dial, play};
use crate::house::House;
use serde_json::json;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What the gateway gives one address at a time.
const PER_ADDRESS: usize = 256;

/// Within this time a handshake must be done.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What a cut may come later by on a busy machine: the watchdog and the server's clock look at
/// intervals.
const SLACK: Duration = Duration::from_secs(1);

/// Longest that an honest party's joining may take.
const JOINING: Duration = Duration::from_secs(2);

/// The address of the hostile host with this number.
fn host(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 7, (number / 250) as u8, (number % 250) as u8 + 1)
}

/// Waits until the gateway closes the socket; says how long after `since`.
fn until_cut(mut socket: TcpStream, since: Instant) -> Duration {
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("a socket stays open")
        }
        Ok(_) | Err(_) => since.elapsed(),
    }
}

/// Begins so many handshakes from a few hosts and ends none; says when each was closed.
fn dawdle(gateway: SocketAddr, count: usize) -> Vec<Duration> {
    let begun: Vec<_> = (0..count)
        .map(|number| {
            let since = Instant::now();
            let socket = Hostile::upgrade(dial(host(1000 + number % 4), gateway).unwrap());
            (socket.unwrap(), since)
        })
        .collect();
    begun
        .into_iter()
        .map(|(mut socket, since)| {
            assert_eq!(socket.close_code(), Some(1008));
            since.elapsed()
        })
        .collect()
}

/// Opens so many sockets from many hosts and says nothing over any; says when each was cut, and
/// tells `opened` once all are open.
fn idle(gateway: SocketAddr, count: usize, opened: &std::sync::mpsc::Sender<()>) -> Vec<Duration> {
    let since = Instant::now();
    let sockets: Vec<_> =
        (0..count).map(|number| dial(host(number % 100), gateway).unwrap()).collect();
    opened.send(()).unwrap();
    sockets.into_iter().map(|socket| until_cut(socket, since)).collect()
}

/// Opens more connections from one host than it may have; says how many it got.
fn crowd(gateway: SocketAddr, count: usize) -> usize {
    let sockets: Vec<_> =
        (0..count).map(|_| Hostile::upgrade(dial(host(2000), gateway).unwrap())).collect();
    sockets.iter().filter(|socket| !matches!(socket, Err(NotIn::Refused(429) | NotIn::Cut))).count()
}

async fn flood(idle_sockets: usize, slow_handshakes: usize) {
    let house = House::build(json!({})).await;
    let gateway = house.gateway;
    let (before, _) = house.memory();
    house.forget_peak();

    let script = move || crowd(gateway, PER_ADDRESS + 50);
    let scripts: [Box<dyn FnOnce() -> usize + Send>; 1] = [Box::new(script)];
    let crowd = play(scripts).await;
    assert_eq!(crowd, [PER_ADDRESS], "of one address");

    let script = move || dawdle(gateway, slow_handshakes);
    let scripts: [Box<dyn FnOnce() -> _ + Send>; 1] = [Box::new(script)];
    let [slow] = play(scripts).await.try_into().unwrap();
    let (first, last) = (slow.iter().min().unwrap(), slow.iter().max().unwrap());
    println!("{slow_handshakes} slow handshakes were closed after {first:?} to {last:?}");
    assert!(*last < HANDSHAKE + SLACK, "{last:?}");
    assert!(*first > HANDSHAKE - SLACK, "{first:?}");

    let honest = [house.enrol().await, house.enrol().await, house.enrol().await];
    let (opened, are_open) = std::sync::mpsc::channel();
    let join = move || {
        let mut times = Vec::new();
        are_open.recv().unwrap();
        for identity in honest {
            let started = Instant::now();
            let socket = dial(Ipv4Addr::LOCALHOST, gateway).unwrap();
            Hostile::upgrade(socket).unwrap().proven(&identity).unwrap();
            times.push(started.elapsed());
        }
        times
    };
    let flood = move || idle(gateway, idle_sockets, &opened);
    let scripts: [Box<dyn FnOnce() -> Vec<Duration> + Send>; 2] = [Box::new(flood), Box::new(join)];
    let (played, signed) = futures_util::future::join(play(scripts), house.sign(1)).await;
    let [cut, joined] = played.try_into().unwrap();
    let (_, peak) = house.memory();
    println!(
        "{idle_sockets} idle sockets were cut after at most {:?}; honest parties joined in \
         {joined:?} meanwhile; memory {before} kB before, {peak} kB at most",
        cut.iter().max().unwrap()
    );
    assert_eq!(signed.state, "completed");
    assert!(joined.iter().all(|time| *time < JOINING), "{joined:?}");
    let counts = house.end().await;
    println!("{counts}");
    // More than can be unproven at a time had to make room.
    assert!(counts["evicted"].as_u64().unwrap() > 0, "{counts}");
}

#[actix_rt::test]
async fn row_07_idle_sockets_and_slow_handshakes() {
    flood(1_500, 100).await;
}

#[ignore = "needs twelve thousand descriptors"]
#[actix_rt::test]
async fn row_07_five_thousand_idle_sockets_and_five_hundred_slow_handshakes() {
    flood(5_000, 500).await;
}
