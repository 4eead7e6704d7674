//! One request, one session: `Idempotency-Key`.

use super::Api;
use super::problem::{Code, Problem};
use crate::store::idempotency::{Claim, Claimed};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};
use std::time::Duration;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key: more than any UUID or hash needs.
const MAX_KEY: usize = 255;

/// The request's claim on its key, if it has one.
pub(crate) fn claim(request: &HttpRequest, body: &[u8]) -> Result<Option<Claim>, Problem> {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let is_key = |key: &&str| {
        (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let key = key.to_str().ok().filter(is_key).filter(|_| keys.next().is_none());
    let key = key.ok_or_else(|| {
        let detail = format!("send one key of 1 to {MAX_KEY} visible ASCII characters");
        Problem::new(Code::IdempotencyKeyInvalid, detail)
    })?;
    Ok(Some(Claim {
        key: key.to_owned(),
        path: request.path().to_owned(),
        body_hash: Sha256::digest(body).into(),
    }))
}

/// Answers a request whose key is known as its first use is answered, waiting for that if need be.
pub(crate) async fn replay(
    api: &Api,
    claim: Option<&Claim>,
    wait: Duration,
) -> Result<Option<HttpResponse>, Problem> {
    let Some(claim) = claim else {
        return Ok(None);
    };
    let Some((first, claimed)) = api.store.claimed(&claim.key).await? else {
        return Ok(None);
    };
    if first != *claim {
        let detail = "use another key for another request";
        return Err(Problem::new(Code::IdempotencyKeyReused, detail));
    }
    let answer = match claimed {
        Claimed::Account(account) => super::accounts::answer(api, account, wait).await,
        Claimed::Session(session) => super::sign::answer(api, session, wait).await,
        Claimed::ApiKey(id) => Err(super::api_keys::spent(id)),
        Claimed::EnrolmentToken(id) => super::parties::answer(api, id).await,
    };
    // A failure is replayed like a success.
    let mut response = answer.unwrap_or_else(HttpResponse::from_error);
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    Ok(Some(response))
}
