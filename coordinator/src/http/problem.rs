//! Every error as a problem document (RFC 9457) with a stable code.

use crate::accounts::CreateError;
use crate::failure::{Failure, Reason};
use crate::opening::{OpenError, Stopping};
use crate::signing::SignError;
use crate::store::StoreError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use mpc_wire::DeclineReason;
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::Duration;

/// Seconds after which too few parties, a store that is away, or a coordinator that stops (another
/// may be there, or the same again), are worth another try.
const RETRY_SECONDS: u64 = 5;

macro_rules! codes {
    ($($variant:ident = $name:literal, $status:ident, $title:literal;)+) => {
        /// The stable codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code {
            $($variant,)+
        }

        impl Code {
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            const fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status,)+
                }
            }

            const fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)+
                }
            }
        }
    };
}

codes! {
    Unauthorized = "unauthorized", UNAUTHORIZED, "The API key is missing or wrong";
    InsufficientScope = "insufficient_scope", FORBIDDEN, "The API key may not do this";
    SourceNotAllowed = "source_not_allowed", FORBIDDEN, "Not from this address";
    InvalidForwardedFor =
        "invalid_forwarded_for", BAD_REQUEST, "Where the request comes from cannot be told";
    LockedOut = "locked_out", TOO_MANY_REQUESTS, "Too many wrong API keys";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    NotFound = "not_found", NOT_FOUND, "There is nothing here";
    AccountNotFound = "account_not_found", NOT_FOUND, "There is no such account";
    SessionNotFound = "session_not_found", NOT_FOUND, "There is no such session";
    ApiKeyNotFound = "api_key_not_found", NOT_FOUND, "There is no such API key";
    PartyNotFound = "party_not_found", NOT_FOUND, "There is no such party";
    PartyRevoked = "party_revoked", CONFLICT, "The party was revoked";
    InvalidPartyId = "invalid_party_id", UNPROCESSABLE_ENTITY, "The party's id is not one";
    EnrolmentOff = "enrolment_off", CONFLICT, "Enrolment by token is off";
    EnrolmentTokenNotFound =
        "enrolment_token_not_found", NOT_FOUND, "There is no such enrolment token";
    EnrolmentTokenUsed = "enrolment_token_used", CONFLICT, "The enrolment token was used";
    TooManyEnrolmentTokens =
        "too_many_enrolment_tokens", CONFLICT, "There are too many enrolment tokens";
    StoreCorrupt = "store_corrupt", INTERNAL_SERVER_ERROR, "What is stored cannot be believed";
    GatewayUnavailable =
        "gateway_unavailable", SERVICE_UNAVAILABLE, "The gateway takes no messages";
    TooManyApiKeys = "too_many_api_keys", CONFLICT, "There are too many API keys";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Not a method of this resource";
    UnsupportedMediaType =
        "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    InvalidBody = "invalid_body", BAD_REQUEST, "The request is not as it should be";
    InvalidMessage = "invalid_message", UNPROCESSABLE_ENTITY, "The message cannot be signed";
    UnsupportedPath = "unsupported_path", UNPROCESSABLE_ENTITY, "No key can be derived so";
    InvalidAuthorization =
        "invalid_authorization", UNPROCESSABLE_ENTITY, "The authorization cannot be used";
    AuthorizationExpired =
        "authorization_expired", UNPROCESSABLE_ENTITY, "The authorization has expired";
    InvalidExpiry = "invalid_expiry", UNPROCESSABLE_ENTITY, "The session cannot take so long";
    RequestIdReused = "request_id_reused", CONFLICT, "The request id was used before";
    UnsupportedScheme = "unsupported_scheme", UNPROCESSABLE_ENTITY, "The scheme is not supported";
    InvalidThreshold =
        "invalid_threshold", UNPROCESSABLE_ENTITY, "The threshold does not fit the parties";
    UnknownParty = "unknown_party", UNPROCESSABLE_ENTITY, "A party is not registered";
    NotEnoughParties = "not_enough_parties", SERVICE_UNAVAILABLE, "Too few parties are online";
    AccountNotActive = "account_not_active", CONFLICT, "The account cannot sign";
    IdempotencyKeyInvalid =
        "idempotency_key_invalid", BAD_REQUEST, "The idempotency key is not one";
    IdempotencyKeyReused =
        "idempotency_key_reused", CONFLICT, "The idempotency key was used for another request";
    IdempotencyKeySpent =
        "idempotency_key_spent", CONFLICT, "The request was answered, with what is told only once";
    Overloaded = "overloaded", TOO_MANY_REQUESTS, "The coordinator has all it can carry";
    ShuttingDown = "shutting_down", SERVICE_UNAVAILABLE, "The coordinator is stopping";
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE, "The store does not answer";
    Declined = "declined", FORBIDDEN, "The parties refuse the request";
    SessionFailed = "session_failed", BAD_GATEWAY, "The session failed";
    SessionExpired = "session_expired", GATEWAY_TIMEOUT, "The session's deadline passed";
    SessionCancelled = "session_cancelled", CONFLICT, "The session was cancelled";
    SessionEnded = "session_ended", CONFLICT, "The session is over";
}

/// A problem document.
#[derive(Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    /// Members beside those of the RFC.
    more: Map<String, Value>,
    retry_after: Option<u64>,
    allow: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), more: Map::new(), retry_after: None, allow: None }
    }

    /// Adds a member.
    pub(crate) fn with(mut self, name: &str, value: impl serde::Serialize) -> Self {
        self.more.insert(name.to_owned(), json!(value));
        self
    }

    pub(crate) fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::new(Code::MethodNotAllowed, format!("use one of: {allow}"));
        Self { allow: Some(allow.to_owned()), ..problem }
    }

    /// A session that came to nothing, told to who asked for its product.
    pub(crate) fn failure(failure: &Failure) -> Self {
        let code = match failure.reason {
            Reason::Expired => Code::SessionExpired,
            Reason::Cancelled => Code::SessionCancelled,
            Reason::Declined | Reason::AttemptsExhausted | Reason::ResultsDiffer => {
                Code::SessionFailed
            }
        };
        Self::of_failure(code, failure.detail.clone(), failure)
    }

    /// A request that the parties' policies or people have refused, for this reason first. So it is
    /// for a limit that was reached, too: the answer under an idempotency key stays what it is, and
    /// when another request would be let through the parties alone know.
    pub(crate) fn declined(failure: &Failure, refusal: DeclineReason) -> Self {
        Self::of_failure(Code::Declined, refusal.to_string(), failure)
    }

    fn of_failure(code: Code, detail: String, failure: &Failure) -> Self {
        Self::new(code, detail).with("reason", failure.reason).with("parties", &failure.parties)
    }

    /// Says when to try again.
    pub(crate) fn retry(self) -> Self {
        Self { retry_after: Some(RETRY_SECONDS), ..self }
    }

    /// Says that it is of no use to try again before `wait` is over.
    pub(crate) fn retry_in(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait.as_secs().saturating_add(1)), ..self }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // What went wrong inside is for operators, not for callers.
        tracing::error!(%error, "the store failed a request");
        match error {
            StoreError::Database(_) | StoreError::Closed | StoreError::Superseded => {
                Self::new(Code::StoreUnavailable, "try again later").retry()
            }
            // Trying again does not mend it.
            StoreError::Corrupt { .. } | StoreError::NotAFile | StoreError::SessionOver => {
                Self::new(
                    Code::StoreCorrupt,
                    "have the operator look into the log, and run `mpc audit verify`",
                )
            }
        }
    }
}

impl From<Stopping> for Problem {
    fn from(_: Stopping) -> Self {
        Self::new(Code::ShuttingDown, "nothing new is begun now, try again later").retry()
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        let detail = error.to_string();
        match error {
            OpenError::NotEnoughParties { online, needed, missing } => {
                Self::new(Code::NotEnoughParties, detail)
                    .with("online", online)
                    .with("needed", needed)
                    .with("missing", missing)
                    .retry()
            }
            OpenError::Overloaded => Self::new(Code::Overloaded, detail).retry(),
            // Sessions opened for requests have fresh ids, and a taken key is looked up before
            // it comes to this: both are lost races with the request's own twin.
            OpenError::SessionExists | OpenError::KeyTaken => {
                Self::new(Code::Overloaded, "the same request is being worked on").retry()
            }
            OpenError::Store(error) => error.into(),
            OpenError::Stopping => Stopping.into(),
        }
    }
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        match error {
            SignError::NotActive(state) => {
                Self::new(Code::AccountNotActive, error.to_string()).with("state", state)
            }
            SignError::RequestReused => {
                Self::new(Code::RequestIdReused, "give each request an id of its own")
            }
            SignError::Open(error) => error.into(),
        }
    }
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        let detail = error.to_string();
        match error {
            CreateError::RevokedParty(party) => {
                Self::new(Code::PartyRevoked, detail).with("parties", [party])
            }
            CreateError::UnknownParty(party) => {
                Self::new(Code::UnknownParty, detail).with("parties", [party])
            }
            CreateError::Overloaded => Self::new(Code::Overloaded, detail).retry(),
            CreateError::Open(error) => error.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut document = json!({
            "type": format!("urn:mpc:problem:{}", self.code.name()),
            "title": self.code.title(),
            "status": self.code.status().as_u16(),
            "detail": self.detail,
            "code": self.code.name(),
        });
        if let Some(members) = document.as_object_mut() {
            members.extend(self.more.clone());
        }
        let mut response = HttpResponse::build(self.code.status());
        response.content_type("application/problem+json");
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(methods) = &self.allow {
            response.insert_header((ALLOW, methods.as_str()));
        }
        response.body(document.to_string())
    }
}
