//! A house in a process of its own, for tests that flood it: gateway, coordinator and parties with
//! stub runners. So what it holds can be told apart from what its attackers hold.
//!
//! It says where it is in one line of JSON, serves until its input ends, and says in another what it
//! has counted.

#![allow(clippy::expect_used, reason = "a house of tests fails by panicking")]

use anyhow::Context;
use coordinator::{Limits, Role};
use k256::ecdsa::SigningKey;
use mpc_tests::cluster::{Cluster, Engine, PartySpec};
use mpc_tests::stub::Log;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many parties there are; two sign.
const PARTIES: usize = 3;

static PANICS: AtomicU64 = AtomicU64::new(0);

fn main() -> anyhow::Result<()> {
    let order = std::env::args().nth(1).context("an order in JSON")?;
    let order: Value = serde_json::from_str(&order)?;
    let inherited = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        inherited(panic);
    }));
    actix_rt::System::new().block_on(serve(&order))
}

async fn serve(order: &Value) -> anyhow::Result<()> {
    let text = |name: &str| order.get(name).and_then(Value::as_str);
    let number = |name: &str| order.get(name).and_then(Value::as_u64);
    let folder = Path::new(text("folder").context("a folder")?);
    let mut limits = Limits::default();
    if let Some(running) = number("running") {
        limits.max_running_sessions = usize::try_from(running)?;
    }
    let key = SigningKey::from_slice(&[0x42; 32])?;
    let mut specs: Vec<_> = (0..PARTIES)
        .map(|_| PartySpec::new(Role::Server, Engine::Stub(key.clone(), Log::default())))
        .collect();
    if let (Some(rate), Some(last)) = (number("slow"), specs.last_mut()) {
        last.bytes_per_second = Some(usize::try_from(rate)?);
    }
    let cluster = Cluster::start_within(folder, specs, limits).await?;
    let account = cluster.create_account(2, &[0, 1, 2]).await?;
    println!(
        "{}",
        json!({
            "gateway": cluster.gateway.addr(), "api": cluster.coordinator.addr(),
            "account": account.get("account_id"),
        })
    );
    let end = actix_rt::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    end.await??;
    let stats = cluster.gateway.stats();
    println!(
        "{}",
        json!({
            "panics": PANICS.load(Ordering::Relaxed), "evicted": stats.evicted.value(),
            "cut": stats.cut.value(), "slow_consumers": stats.slow_consumers.value(),
            "refused": stats.refused.value(), "connections": stats.connections.value(),
        })
    );
    cluster.stop().await;
    Ok(())
}
