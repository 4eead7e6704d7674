//! Request bodies: JSON, bounded, and without surprises.

use super::problem::{Code, Problem};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::timeout;

/// Largest body: four times the largest message that can be signed, in hexadecimal and quoted.
const MAX_BODY: usize = 256 << 10;

/// How much of a body that is too large is still read: a client that is told of its mistake only
/// after it has sent everything understands it, and can use its connection again.
const MAX_DRAINED: usize = 16 << 20;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Reads the body's bytes, which must be declared as JSON.
pub(crate) async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Vec<u8>, Problem> {
    if !is_json(request) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "send the header Content-Type: application/json",
        ));
    }
    timeout(BODY_PATIENCE, collect(payload))
        .await
        .unwrap_or_else(|_| Err(Problem::new(Code::InvalidBody, "the body did not arrive in time")))
}

/// Reads a value from a body; fields that it does not have are refused. The body must be an
/// object: serde would also take an array of the fields in their order.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(Code::InvalidBody, "the body must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| Problem::new(Code::InvalidBody, error.to_string()))
}

fn is_json(request: &HttpRequest) -> bool {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

async fn collect(mut payload: web::Payload) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    let mut length = 0_usize;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Problem::new(Code::InvalidBody, error.to_string()))?;
        length = length.saturating_add(chunk.len());
        if length > MAX_DRAINED {
            break;
        }
        if length > MAX_BODY {
            body = Vec::new();
        } else {
            body.extend_from_slice(&chunk);
        }
    }
    if length > MAX_BODY {
        let detail = format!("at most {MAX_BODY} bytes are taken");
        return Err(Problem::new(Code::BodyTooLarge, detail));
    }
    Ok(body)
}
