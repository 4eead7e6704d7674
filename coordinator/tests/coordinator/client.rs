//! A small HTTP client.

use crate::world::API_KEY;
use awc::http::Method;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::time::Duration;

/// An answer with its JSON.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) json: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.text("code")), (status, code), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.json["status"], status);
        assert!(!self.text("title").is_empty() && !self.text("detail").is_empty());
        assert_eq!(self.text("type"), format!("urn:mpc:problem:{code}"));
        self
    }
}

/// Sends a request with the API key, unless `headers` brings another one.
pub(crate) async fn send(
    base: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Reply {
    send_from(None, base, method, path, headers, body).await
}

/// Sends a request from this address of the machine.
pub(crate) async fn send_from(
    from: Option<Ipv4Addr>,
    base: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Reply {
    let mut connector = awc::Connector::new();
    if let Some(from) = from {
        connector = connector.local_address(from.into());
    }
    let timeout = Duration::from_secs(30);
    let client = awc::Client::builder().timeout(timeout).connector(connector).finish();
    let mut request = client.request(method, format!("{base}{path}"));
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-api-key")) {
        request = request.insert_header(("X-API-Key", API_KEY));
    }
    for header in headers {
        request = request.append_header(*header);
    }
    let mut response = match body {
        Some(body) => request.send_body(body).await,
        None => request.send().await,
    }
    .unwrap();
    let headers = response.headers().iter();
    let headers = headers.map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
    let bytes = response.body().await.unwrap();
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Reply { status: response.status().as_u16(), headers, json }
}
