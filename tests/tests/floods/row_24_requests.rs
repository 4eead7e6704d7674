//! Many requests to sign at once, more than may run, with one party that takes little at a time.

use crate::house::{House, Signed};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Most that a house with a thousand requests may have, in kilobytes.
const MEMORY: u64 = 300 << 10;

/// Asks for so many signatures at once, over a line of so many bytes a second to one party; returns
/// what came of each, and what the house has counted.
async fn flood(requests: u64, order: Value) -> (Vec<Signed>, Value) {
    let house = House::build(order.clone()).await;
    let (before, _) = house.memory();
    house.forget_peak();
    let started = Instant::now();
    let signed = join_all((0..requests).map(|number| house.sign(number))).await;
    let took = started.elapsed();
    let (_, peak) = house.memory();
    let completed = signed.iter().filter(|signed| signed.state == "completed").count();
    let put_off: u32 = signed.iter().map(|signed| signed.put_off).sum();
    println!(
        "{requests} requests at once, {order}: {completed} signed and verified in {took:?}, put off \
         {put_off} times; memory {before} kB before, {peak} kB at most"
    );
    let again = signed.iter().filter(|signed| signed.attempt.as_u64() > Some(1)).count();
    println!("{again} in a later attempt");
    let mut others = BTreeMap::<_, u64>::new();
    for signed in signed.iter().filter(|signed| signed.state != "completed") {
        *others.entry(signed.state.to_string()).or_default() += 1;
    }
    println!("not signed: {others:?}");
    assert_eq!(signed.len() as u64, requests);
    assert!(peak < MEMORY, "{peak} kB");
    // It serves as before.
    let calm = Instant::now();
    assert_eq!(house.sign(requests).await.state, "completed");
    assert!(calm.elapsed() < Duration::from_secs(5), "{:?}", calm.elapsed());
    (signed, house.end().await)
}

/// How many of a hundred were signed, rounded down.
fn completed(signed: &[Signed]) -> usize {
    signed.iter().filter(|signed| signed.state == "completed").count() * 100 / signed.len()
}

#[actix_rt::test]
async fn row_24_more_requests_than_may_run_and_a_slow_consumer() {
    let (signed, _) = flood(120, json!({ "running": 40, "slow": 200_000 })).await;
    assert_eq!(completed(&signed), 100);
    assert!(signed.iter().any(|signed| signed.put_off > 0), "nothing was put off");
}

#[ignore = "takes half a minute"]
#[actix_rt::test]
async fn row_24_a_thousand_requests_and_a_slow_consumer() {
    let (signed, _) = flood(1_000, json!({ "running": 256, "slow": 200_000 })).await;
    assert_eq!(completed(&signed), 100);
    assert!(signed.iter().any(|signed| signed.put_off > 0), "nothing was put off");
}

#[actix_rt::test]
async fn three_hundred_requests_that_all_run_at_once() {
    let (signed, _) = flood(300, json!({})).await;
    assert_eq!(completed(&signed), 100);
    assert!(signed.iter().all(|signed| signed.attempt == 1), "nothing was lost");
}

#[ignore = "takes half a minute"]
#[actix_rt::test]
async fn a_thousand_requests_that_all_run_at_once() {
    let (signed, _) = flood(1_000, json!({})).await;
    assert_eq!(completed(&signed), 100);
}
