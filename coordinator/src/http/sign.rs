//! `/api/v1/accounts/{id}/sign`.

use super::auth::Caller;
use super::problem::{Code, Problem};
use super::sessions::{self, Seen};
use super::views::{DeclineView, SessionView};
use super::{Api, accounts, body, idempotency, prefer};
use crate::failure::{self, Failure};
use crate::opening::OpenError;
use crate::signing::{SignError, SignOrder};
use crate::store::idempotency::Claim;
use crate::store::session::StoredSession;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use mpc_wire::{
    Authorization, DerivationPath, HashFunction, Payload, RequestId, RequesterName, Scheme,
    SessionId, UnixMillis,
};
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignBody {
    message: String,
    hash: Option<HashFunction>,
    encoding: Option<Encoding>,
    path: Option<String>,
    request_id: Option<RequestId>,
    authorization: Option<AuthorizationBody>,
    /// In seconds.
    expires_in: Option<u64>,
}

/// A requester's signature under its request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizationBody {
    requester: RequesterName,
    /// In milliseconds since the Unix epoch.
    expires_at: UnixMillis,
    /// 128 hexadecimal digits.
    signature: String,
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
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&request, payload).await?;
    let claim = idempotency::claim(&request, &bytes)?;
    let wait = prefer::wait(&request, api.limits.sign_wait, api.limits.max_wait);
    let body = body::parse(&bytes)?;
    if let Some(answer) = idempotency::replay(&api, claim.as_ref(), wait).await? {
        return Ok(answer);
    }
    let account = accounts::find(&api, &id).await?;
    let order = order(&api, account.scheme, body, claim.clone(), &caller)?;
    match api.staff().signing.open(account, order).await {
        Ok(mut end) => match api.within(wait, end.ended()).await {
            Some(Ok(stored)) => of_ended(&stored),
            Some(Err(_)) | None => answer(&api, end.session, Duration::ZERO).await,
        },
        // Perhaps by this request's own twin, which was quicker: then its answer is this one's.
        Err(error @ (SignError::Open(OpenError::KeyTaken) | SignError::RequestReused)) => {
            let twin = idempotency::replay(&api, claim.as_ref(), wait).await?;
            twin.ok_or_else(|| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What the body asks for. Whether the parties will do it is for them to say.
fn order(
    api: &Api,
    scheme: Scheme,
    body: SignBody,
    claim: Option<Claim>,
    caller: &Caller,
) -> Result<SignOrder, Problem> {
    let SignBody { message, hash, encoding, path, request_id, authorization, expires_in } = body;
    let payload = to_sign(scheme, message, hash, encoding)?;
    let path = path.map_or(Ok(DerivationPath::default()), |path| root(&path))?;
    let authorization = authorization.map(|given| authorize(api, given, request_id)).transpose()?;
    let life = expires_in.map(|seconds| life(api, seconds)).transpose()?;
    let asker = caller.asker();
    Ok(SignOrder { payload, path, request: request_id, authorization, life, claim, asker })
}

fn root(path: &str) -> Result<DerivationPath, Problem> {
    let invalid = |detail: String| Problem::new(Code::UnsupportedPath, detail);
    let path: DerivationPath = path.parse().map_err(|error| invalid(format!("path: {error}")))?;
    if path.is_root() {
        Ok(path)
    } else {
        Err(invalid("derivation is not supported yet: leave `path` out, or give \"m\"".into()))
    }
}

fn authorize(
    api: &Api,
    given: AuthorizationBody,
    request: Option<RequestId>,
) -> Result<Authorization, Problem> {
    let AuthorizationBody { requester, expires_at, signature: digits } = given;
    let invalid = |detail: &str| Problem::new(Code::InvalidAuthorization, detail);
    if request.is_none() {
        return Err(invalid("the signature is over a request id: give it as `request_id`"));
    }
    let mut signature = [0; 64];
    hex::decode_to_slice(&digits, &mut signature)
        .map_err(|_| invalid("signature must be 128 hexadecimal digits"))?;
    // The parties judge by their own clocks; what has expired by this one need not trouble them.
    if expires_at <= api.clock.wall() {
        let detail = "sign the request again, with a later expires_at and a new request_id";
        return Err(Problem::new(Code::AuthorizationExpired, detail));
    }
    Ok(Authorization { requester, expires_at, signature })
}

fn life(api: &Api, seconds: u64) -> Result<Duration, Problem> {
    let longest = api.limits.max_requested_life;
    let life = Duration::from_secs(seconds);
    if life.is_zero() || life > longest {
        let detail = format!("expires_in must be 1 to {} seconds", longest.as_secs());
        return Err(Problem::new(Code::InvalidExpiry, detail));
    }
    Ok(life)
}

fn to_sign(
    scheme: Scheme,
    message: String,
    hash: Option<HashFunction>,
    encoding: Option<Encoding>,
) -> Result<Payload, Problem> {
    let invalid = |detail: String| Problem::new(Code::InvalidMessage, detail);
    let bytes = |message: String| match encoding.unwrap_or_default() {
        Encoding::Utf8 => Ok(message.into_bytes()),
        Encoding::Hex => {
            hex::decode(&message).map_err(|error| invalid(format!("message: {error}")))
        }
    };
    let payload = match hash {
        // Else a digest for one scheme would be a text for another one.
        None if scheme.signs_bytes() && encoding.is_none() && looks_like_hex(&message) => {
            let detail = "say with `encoding` whether the message is `hex`, or a text (`utf8`)";
            return Err(invalid(detail.into()));
        }
        None if scheme.signs_bytes() => Payload::Message(bytes(message)?),
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
        Some(hash) => Payload::Bytes { bytes: bytes(message)?, hash },
    };
    payload.check().map_err(|error| invalid(error.to_string()))?;
    payload.check_fits(scheme).map_err(|error| invalid(error.to_string()))?;
    Ok(payload)
}

fn looks_like_hex(message: &str) -> bool {
    let digits = message.strip_prefix("0x").unwrap_or(message);
    digits.len() >= 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
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
        Some(failure) => {
            let problem = match failure::refusal(&stored.record) {
                Some(refusal) => Problem::declined(&failure, refusal),
                None => Problem::failure(&failure),
            };
            let problem = problem.with("session_id", stored.id());
            let declines = DeclineView::all(&stored.record);
            Err(if declines.is_empty() { problem } else { problem.with("declines", declines) })
        }
        None => Ok(HttpResponse::Ok().json(SessionView::of_stored(stored)?)),
    }
}
