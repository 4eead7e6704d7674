//! `/api/v1/api-keys`.

use super::auth::Caller;
use super::problem::{Code, Problem};
use super::views::ApiKeyView;
use super::{Api, body, idempotency, time};
use crate::api_key::{Key, KeyId, NoRandomness, Scopes};
use crate::names::{Scope, UnknownName};
use crate::store::api_key::{Added, MAX_KEYS, StoredKey};
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use mpc_wire::UnixMillis;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// Longest name of a key, in bytes: it is for people who look through a list.
const MAX_NAME: usize = 64;

/// The longest life of a key that expires: ten years. A key that is to live longer does not expire.
const MAX_LIFE: Duration = Duration::from_secs(10 * 366 * 86_400);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKeyBody {
    name: String,
    scopes: Vec<String>,
    /// RFC 3339.
    expires_at: Option<String>,
    /// Seconds from now.
    expires_in: Option<u64>,
}

/// Makes a key. Its text is in this answer and nowhere else, so the answer cannot be given again:
/// a second request with its idempotency key is told which key was made.
pub(crate) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&request, payload).await?;
    let claim = idempotency::claim(&request, &bytes)?;
    let now = api.clock.wall();
    let NewKeyBody { name, scopes, expires_at, expires_in } = body::parse(&bytes)?;
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        let detail = format!("name must have 1 to {MAX_NAME} bytes and no control characters");
        return Err(Problem::new(Code::InvalidBody, detail));
    }
    let scopes = read_scopes(&scopes)?;
    let expires_at = expiry(expires_at.as_deref(), expires_in, now)?;
    if let Some(answer) = idempotency::replay(&api, claim.as_ref(), Duration::ZERO).await? {
        return Ok(answer);
    }
    let key = Key::generate()?;
    let hasher = &api.keys.hasher;
    let stored = StoredKey {
        id: key.id,
        name,
        hash: hasher.hash(&key, &scopes, expires_at),
        scopes,
        secret_id: hasher.secret_id().to_owned(),
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    match api.store.add_api_key(&stored, claim.as_ref(), &caller.asker()).await? {
        Added::Stored => {}
        Added::ClaimTaken => {
            let twin = idempotency::replay(&api, claim.as_ref(), Duration::ZERO).await?;
            return twin.ok_or_else(|| {
                Problem::new(Code::Overloaded, "the same request is being worked on").retry()
            });
        }
        Added::TooMany => {
            let detail = format!("there are {MAX_KEYS} valid API keys: revoke some of them");
            return Err(Problem::new(Code::TooManyApiKeys, detail));
        }
    }
    let (scopes, by, by_name) = (&stored.scopes, caller.id, &caller.name);
    tracing::info!(id = %key.id, %scopes, %by, by_name, "an API key was made");
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/api/v1/api-keys/{}", key.id)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(ApiKeyView::of_new(stored, &key, now)))
}

/// Lists the newest keys.
pub(crate) async fn list(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let (keys, now) = (api.store.api_keys().await?, api.clock.wall());
    let keys: Vec<_> = keys.into_iter().map(|key| ApiKeyView::new(key, now)).collect();
    Ok(HttpResponse::Ok().json(json!({ "api_keys": keys })))
}

/// Revokes a key: no request that comes after the answer passes with it.
pub(crate) async fn revoke(
    id: web::Path<String>,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let not_found = || Problem::new(Code::ApiKeyNotFound, format!("no API key has the id `{id}`"));
    let id: KeyId = id.parse().map_err(|_| not_found())?;
    let now = api.clock.wall();
    let key = api.store.revoke_api_key(id, now, &caller.asker()).await?.ok_or_else(not_found)?;
    tracing::info!(%id, by = %caller.id, by_name = caller.name, "an API key is revoked");
    Ok(HttpResponse::Ok().json(ApiKeyView::new(key, now)))
}

/// The answer to a request that has made a key before.
pub(crate) fn spent(id: KeyId) -> Problem {
    let detail = format!(
        "this request made the API key {id}; its text was told once: if it is lost, revoke the \
         key and ask again with another Idempotency-Key"
    );
    Problem::new(Code::IdempotencyKeySpent, detail).with("id", id)
}

fn read_scopes(names: &[String]) -> Result<Scopes, Problem> {
    let scopes: Result<Scopes, UnknownName> = names.iter().map(|name| name.parse()).collect();
    let known = [Scope::Read, Scope::Sign, Scope::Admin].map(Scope::name).join(", ");
    match scopes {
        Ok(scopes) if !scopes.is_empty() => Ok(scopes),
        Ok(_) => {
            Err(Problem::new(Code::InvalidBody, format!("give at least one scope of: {known}")))
        }
        Err(error) => {
            Err(Problem::new(Code::InvalidBody, format!("{error}; the scopes are: {known}")))
        }
    }
}

fn expiry(
    at: Option<&str>,
    seconds: Option<u64>,
    now: UnixMillis,
) -> Result<Option<UnixMillis>, Problem> {
    let invalid = |detail: String| Problem::new(Code::InvalidBody, detail);
    let at = match (at, seconds) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(invalid("give expires_at or expires_in, not both".into()));
        }
        (None, Some(seconds)) => UnixMillis(now.0.saturating_add(seconds.saturating_mul(1000))),
        (Some(text), None) => time::parse_rfc3339(text).ok_or_else(|| {
            invalid("expires_at must be a time such as 2026-01-31T12:00:00Z".into())
        })?,
    };
    let life = Duration::from_millis(at.0.saturating_sub(now.0));
    if life.is_zero() || life > MAX_LIFE {
        return Err(invalid("a key must expire in the future and within ten years".into()));
    }
    Ok(Some(at))
}

impl From<NoRandomness> for Problem {
    fn from(error: NoRandomness) -> Self {
        tracing::error!(%error, "no API key can be made");
        Self::new(Code::Overloaded, "no key can be made now, try again later").retry()
    }
}
