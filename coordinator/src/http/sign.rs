//! `/api/v1/accounts/{id}/sign`.

use super::problem::{Code, Problem};
use super::sessions::{self, Seen};
use super::views::SessionView;
use super::{Api, accounts, body, idempotency, prefer};
use crate::failure::Failure;
use crate::opening::OpenError;
use crate::signing::SignError;
use crate::store::session::StoredSession;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use mpc_wire::{HashFunction, Payload, SessionId};
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignBody {
    message: String,
    hash: Option<HashFunction>,
    encoding: Option<Encoding>,
}

/// How `message` stands for bytes that are to be hashed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Utf8,
    Hex,
}

/// Signs a message.
pub(crate) async fn sign(
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&request, payload).await?;
    let claim = idempotency::claim(&request, &bytes)?;
    let wait = prefer::wait(&request, api.limits.sign_wait, api.limits.max_wait);
    let payload = to_sign(body::parse(&bytes)?)?;
    if let Some(answer) = idempotency::replay(&api, claim.as_ref(), wait).await? {
        return Ok(answer);
    }
    let account = accounts::find(&api, &id).await?;
    match api.signing.open(account, payload, claim.clone()).await {
        Ok(mut end) => match api.within(wait, end.ended()).await {
            Some(Ok(stored)) => of_ended(&stored),
            Some(Err(_)) | None => answer(&api, end.session, Duration::ZERO).await,
        },
        Err(SignError::Open(OpenError::KeyTaken)) => {
            let twin = idempotency::replay(&api, claim.as_ref(), wait).await?;
            twin.ok_or_else(|| OpenError::KeyTaken.into())
        }
        Err(error) => Err(error.into()),
    }
}

fn to_sign(body: SignBody) -> Result<Payload, Problem> {
    let SignBody { message, hash, encoding } = body;
    let invalid = |detail: String| Problem::new(Code::InvalidMessage, detail);
    let payload = match hash {
        None => {
            if encoding == Some(Encoding::Utf8) {
                return Err(invalid("say how a text is to be hashed, with `hash`".into()));
            }
            let mut digest = [0; 32];
            hex::decode_to_slice(&message, &mut digest).map_err(|_| {
                invalid("message must be a digest of 64 hexadecimal digits; or give `hash`".into())
            })?;
            Payload::Digest(digest)
        }
        Some(hash) => {
            let bytes = match encoding.unwrap_or_default() {
                Encoding::Utf8 => message.into_bytes(),
                Encoding::Hex => {
                    hex::decode(&message).map_err(|error| invalid(format!("message: {error}")))?
                }
            };
            Payload::Bytes { bytes, hash }
        }
    };
    payload.check().map_err(|error| invalid(error.to_string()))?;
    Ok(payload)
}

/// Waits for a session to sign, and shows what came of it.
pub(crate) async fn answer(
    api: &Api,
    id: SessionId,
    wait: Duration,
) -> Result<HttpResponse, Problem> {
    match sessions::see(api, id, wait).await? {
        Seen::Ended(stored) => of_ended(&stored),
        Seen::Running(view) => {
            let location = format!("/api/v1/sessions/{id}");
            Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).json(view))
        }
    }
}

fn of_ended(stored: &StoredSession) -> Result<HttpResponse, Problem> {
    match Failure::of_record(&stored.record) {
        Some(failure) => Err(Problem::failure(&failure).with("session_id", stored.id())),
        None => Ok(HttpResponse::Ok().json(SessionView::of_stored(stored)?)),
    }
}
