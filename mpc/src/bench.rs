//! `mpc bench`: the whole road compared with the protocol alone.

mod sealing;

use self::sealing::{Carriage, Pair};
use crate::cli::BenchCommand;
use crate::own_node::{MadeAccount, OwnNode};
use crate::signals::Signals;
use crate::steps::Steps;
use anyhow::Context;
use hdrhistogram::Histogram;
use mpc::api::SignRequest;
use mpc_engine::raw::RawSigner;
use mpc_wire::{AccountId, Identity, Scheme};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Digits that the histograms keep: a thousandth is far below what the machine's noise allows.
const DIGITS: u8 = 3;

/// What `mpc bench sign --json` prints.
#[derive(Debug, Serialize)]
struct BenchReport {
    scheme: Scheme,
    count: u32,
    /// From the request over HTTP to its answer.
    http_ms: Quantiles,
    /// Two bare sessions in two threads.
    raw_ms: Quantiles,
    ratio_p50: f64,
    /// The engine alone with sealed messages, over the same with messages in the clear.
    sealing: SealingCost,
    /// Key generations on the same parties, without what follows them.
    keygen_ms: FirstSecond,
    /// The canary signatures that follow.
    canary_ms: FirstSecond,
}

/// The engine's runs in memory, with and without sealing, one after the other in turns.
#[derive(Debug, Serialize)]
struct SealingCost {
    sealed_ms: Quantiles,
    clear_ms: Quantiles,
    ratio_p50: f64,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p95: f64,
    p99: f64,
    min: f64,
    max: f64,
}

/// A figure of the first and of the second account of the same parties.
#[derive(Debug, Clone, Copy, Serialize)]
struct FirstSecond {
    first: Option<u64>,
    second: Option<u64>,
}

/// Runs `mpc bench`.
pub(crate) async fn run(command: BenchCommand) -> anyhow::Result<()> {
    let BenchCommand::Sign { json, count } = command;
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let steps = Steps::start();
    let own = OwnNode::start(None, &steps).await?;
    let result = tokio::select! {
        result = measure(&own, count, &steps) => result,
        signal = signals.next() => Err(anyhow::anyhow!("ended by {signal}")),
    };
    let stopped = own.stop().await;
    drop(steps);
    let report = result?;
    stopped?;
    let text = if json { serde_json::to_string(&report)? } else { report.to_string() };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

async fn measure(own: &OwnNode, count: u32, steps: &Steps) -> anyhow::Result<BenchReport> {
    let scheme = Scheme::default();
    own.parties_online(steps).await?;
    let first = own.make_account("bench", scheme, steps).await?;
    let second = own.make_account("bench", scheme, steps).await?;
    steps.show("dealing a key for the raw protocol");
    let raw = blocking(|| RawSigner::deal([Identity::generate(), Identity::generate()])).await??;
    let raw = Arc::new(raw);
    let pair = Arc::new(blocking(Pair::deal).await??);
    steps.done("keys for the raw protocol and the engine are dealt");

    let account = first.account.account_id;
    // One each that does not count: caches and connections are cold.
    http(own, account, 0).await?;
    bare(&raw, 0).await?;
    engine_run(&pair, 0, Carriage::Sealed).await?;
    engine_run(&pair, 0, Carriage::Clear).await?;
    let (mut http_times, mut raw_times) = (Histogram::new(DIGITS)?, Histogram::new(DIGITS)?);
    let (mut sealed_times, mut clear_times) = (Histogram::new(DIGITS)?, Histogram::new(DIGITS)?);
    for number in 1..=count {
        steps.show(&format!("signature {number} of {count}, each way"));
        record(&mut http_times, http(own, account, number).await?)?;
        record(&mut raw_times, bare(&raw, number).await?)?;
        // Turns change, so that neither is always the one behind the other.
        let turns = match number % 2 {
            0 => [Carriage::Sealed, Carriage::Clear],
            _ => [Carriage::Clear, Carriage::Sealed],
        };
        for carriage in turns {
            let took = engine_run(&pair, number, carriage).await?;
            record(
                match carriage {
                    Carriage::Sealed => &mut sealed_times,
                    Carriage::Clear => &mut clear_times,
                },
                took,
            )?;
        }
    }
    let (http_ms, raw_ms) = (Quantiles::of(&http_times), Quantiles::of(&raw_times));
    let (sealed_ms, clear_ms) = (Quantiles::of(&sealed_times), Quantiles::of(&clear_times));
    Ok(BenchReport {
        scheme,
        count,
        ratio_p50: ratio(&http_ms, &raw_ms),
        sealing: SealingCost { ratio_p50: ratio(&sealed_ms, &clear_ms), sealed_ms, clear_ms },
        http_ms,
        raw_ms,
        keygen_ms: FirstSecond::of(&first, &second, |made| made.account.timings_ms.keygen),
        canary_ms: FirstSecond::of(&first, &second, |made| made.account.timings_ms.canary),
    })
}

/// One signature through HTTP.
async fn http(own: &OwnNode, account: AccountId, number: u32) -> anyhow::Result<Duration> {
    let request = SignRequest::new(hex::encode(digest(number)), None);
    let began = Instant::now();
    let session = own.client().sign(account, &request).await?;
    let took = began.elapsed();
    session.signature.with_context(|| format!("the session ended as {}", session.state))?;
    Ok(took)
}

/// One signature by the protocol alone.
async fn bare(raw: &Arc<RawSigner>, number: u32) -> anyhow::Result<Duration> {
    let raw = Arc::clone(raw);
    Ok(blocking(move || raw.sign(digest(number))).await??)
}

/// One signature by two engines in memory.
async fn engine_run(pair: &Arc<Pair>, number: u32, carriage: Carriage) -> anyhow::Result<Duration> {
    let pair = Arc::clone(pair);
    blocking(move || pair.sign(digest(number), carriage)).await?
}

/// The ratio of two medians, to a thousandth.
fn ratio(one: &Quantiles, other: &Quantiles) -> f64 {
    (one.p50 / other.p50 * 1000.0).round() / 1000.0
}

/// Runs on a thread of its own, since the node's actors live on this one.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    actix_rt::task::spawn_blocking(work).await.context("a thread of the bench panicked")
}

/// A digest of its own for every signature.
fn digest(number: u32) -> [u8; 32] {
    Sha256::digest(number.to_be_bytes()).into()
}

fn record(histogram: &mut Histogram<u64>, took: Duration) -> anyhow::Result<()> {
    Ok(histogram.record(u64::try_from(took.as_micros())?)?)
}

impl Quantiles {
    fn of(microseconds: &Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes fit a double")]
        let ms = |microseconds: u64| microseconds as f64 / 1000.0;
        Self {
            p50: ms(microseconds.value_at_quantile(0.50)),
            p95: ms(microseconds.value_at_quantile(0.95)),
            p99: ms(microseconds.value_at_quantile(0.99)),
            min: ms(microseconds.min()),
            max: ms(microseconds.max()),
        }
    }
}

impl FirstSecond {
    fn of(
        first: &MadeAccount,
        second: &MadeAccount,
        figure: impl Fn(&MadeAccount) -> Option<u64>,
    ) -> Self {
        Self { first: figure(first), second: figure(second) }
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, count, http_ms, raw_ms, ratio_p50, sealing, keygen_ms, canary_ms } =
            self;
        writeln!(f, "{count} signatures each way, one at a time, {scheme}; milliseconds")?;
        writeln!(f)?;
        writeln!(f, "               p50      p95      p99      min      max")?;
        writeln!(f, "through HTTP {http_ms}")?;
        writeln!(f, "raw protocol {raw_ms}")?;
        writeln!(f, "ratio of p50 {ratio_p50:8.3}")?;
        writeln!(f)?;
        writeln!(f, "sealed run   {}", sealing.sealed_ms)?;
        writeln!(f, "in the clear {}", sealing.clear_ms)?;
        writeln!(f, "ratio of p50 {:8.3}", sealing.ratio_p50)?;
        writeln!(f)?;
        writeln!(f, "                first   second account of the same parties")?;
        writeln!(f, "keygen       {keygen_ms}")?;
        write!(f, "canaries     {canary_ms}")
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p95, p99, min, max } = self;
        write!(f, "{p50:8.1} {p95:8.1} {p99:8.1} {min:8.1} {max:8.1}")
    }
}

impl fmt::Display for FirstSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        write!(f, "{:>8} {:>8}", figure(self.first), figure(self.second))
    }
}
