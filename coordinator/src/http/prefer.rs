//! How long a caller wants to wait (RFC 7240).

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use std::time::Duration;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The wait that the request asks for, or `default`; never more than `longest`. Preferences that
/// are not understood are ignored, as the RFC asks.
pub(crate) fn wait(request: &HttpRequest, default: Duration, longest: Duration) -> Duration {
    let values = request.headers().get_all(PREFER).filter_map(|value| value.to_str().ok());
    wait_of(values).unwrap_or(default).min(longest)
}

fn wait_of<'a>(values: impl Iterator<Item = &'a str>) -> Option<Duration> {
    let mut is_async = false;
    let mut wait = None;
    for preference in values.flat_map(|value| value.split(',')) {
        let preference = preference.split(';').next().unwrap_or_default().trim();
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case("respond-async") {
            is_async = true;
        } else if name.eq_ignore_ascii_case("wait") && wait.is_none() {
            wait = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    // With both, the answer may come within the wait and be asynchronous after it.
    wait.or(is_async.then_some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(value: &str) -> Option<u64> {
        wait_of([value].into_iter()).map(|wait| wait.as_secs())
    }

    #[test]
    fn preferences_are_read_as_the_rfc_writes_them() {
        assert_eq!(seconds("respond-async"), Some(0));
        assert_eq!(seconds("Respond-Async; x=1, Wait = 10"), Some(10));
        assert_eq!(seconds("wait=\"7\""), Some(7));
        assert_eq!(seconds("wait=3, wait=9"), Some(3));
        assert_eq!(seconds("return=minimal"), None);
        assert_eq!(seconds("wait=soon"), None);
        assert_eq!(seconds("wait=-1"), None);
        assert_eq!(seconds(""), None);
    }
}
