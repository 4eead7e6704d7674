//! What is logged: to stderr, filtered as asked, never what would give secrets away.

use anyhow::Context as _;
use std::io::IsTerminal as _;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// Libraries that log secret values of their protocols at `trace`.
const CAPPED: [&str; 2] = ["manul", "synedrion"];

/// The most that [`CAPPED`] libraries may say.
const CAP: Level = Level::WARN;

/// Starts logging.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("`{filter}` is no filter for the log"))?;
    tracing_subscriber::registry()
        .with(
            fmt::layer()
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr)
                .with_filter(capped(filter)),
        )
        .try_init()
        .context("cannot start logging")
}

/// The filter, but with the cap that nothing can lift.
fn capped<S: Subscriber + for<'a> LookupSpan<'a>>(filter: EnvFilter) -> impl Filter<S> {
    filter.and(filter_fn(is_within_cap))
}

fn is_within_cap(metadata: &Metadata<'_>) -> bool {
    let library = metadata.target().split("::").next().unwrap_or_default();
    !CAPPED.contains(&library) || *metadata.level() <= CAP
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let subscriber = tracing_subscriber::registry().with(
            fmt::layer()
                .with_writer(move || writer.clone())
                .with_filter(capped(EnvFilter::new(filter))),
        );
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "manul", "secret 1");
            tracing::trace!(target: "manul::session::echo", "secret 2");
            tracing::debug!(target: "synedrion::protocols::signing", "secret 3");
            tracing::info!(target: "synedrion", "secret 4");
            let span = tracing::trace_span!(target: "manul::session", "span", key = "secret 5");
            span.in_scope(|| tracing::trace!(target: "mpc", "ours"));
            tracing::warn!(target: "manul::session", "a warning");
            tracing::trace!(target: "manuluncle", "a namesake");
        });
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_filter_lifts_the_cap() {
        for filter in [
            "trace",
            "trace,manul=trace,synedrion=trace",
            "trace,manul::session=trace,manul::session::echo=trace,synedrion::protocols=debug",
            "trace,manul[span]=trace,[span{key=\"secret 5\"}]=trace",
        ] {
            let text = logged(filter);
            assert!(!text.contains("secret"), "{filter}: {text}");
            for expected in ["ours", "a warning", "a namesake"] {
                assert!(text.contains(expected), "{filter}: {text}");
            }
        }
    }

    #[test]
    fn the_filter_still_filters() {
        assert_eq!(logged("off"), "");
        let text = logged("warn");
        assert!(text.contains("a warning") && !text.contains("ours"), "{text}");
    }
}
