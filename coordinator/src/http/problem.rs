//! Every error as a problem document (RFC 9457) with a stable code.

use crate::accounts::CreateError;
use crate::failure::Failure;
use crate::opening::{OpenError, Stopping};
use crate::signing::SignError;
use crate::store::StoreError;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Map, Value, json};
use std::fmt;

/// Seconds after which too few parties, or a store that is away, are worth another try.
const RETRY_SECONDS: u32 = 5;

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
    NotFound = "not_found", NOT_FOUND, "There is nothing here";
    AccountNotFound = "account_not_found", NOT_FOUND, "There is no such account";
    SessionNotFound = "session_not_found", NOT_FOUND, "There is no such session";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Not a method of this resource";
    UnsupportedMediaType =
        "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    InvalidBody = "invalid_body", BAD_REQUEST, "The request is not as it should be";
    InvalidMessage = "invalid_message", UNPROCESSABLE_ENTITY, "The message cannot be signed";
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
    Overloaded = "overloaded", TOO_MANY_REQUESTS, "The coordinator has all it can carry";
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE, "The store does not answer";
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
    retry_after: Option<u32>,
    allow: Option<&'static str>,
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

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Self::new(Code::MethodNotAllowed, format!("use one of: {allow}"));
        Self { allow: Some(allow), ..problem }
    }

    /// A session that came to nothing, told to who asked for its product.
    pub(crate) fn failure(failure: &Failure) -> Self {
        let code = match failure.reason.as_str() {
            "expired" => Code::SessionExpired,
            "cancelled" => Code::SessionCancelled,
            _ => Code::SessionFailed,
        };
        Self::new(code, failure.detail.clone())
            .with("reason", &failure.reason)
            .with("parties", &failure.parties)
    }

    /// Says when to try again.
    pub(crate) fn retry(self) -> Self {
        Self { retry_after: Some(RETRY_SECONDS), ..self }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // What went wrong inside is for operators, not for callers.
        tracing::error!(%error, "the store failed a request");
        Self::new(Code::StoreUnavailable, "try again later").retry()
    }
}

impl From<Stopping> for Problem {
    fn from(_: Stopping) -> Self {
        Self::new(Code::Overloaded, "the coordinator is stopping, try again later").retry()
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
            SignError::Open(error) => error.into(),
        }
    }
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        let detail = error.to_string();
        match error {
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
        if let Some(methods) = self.allow {
            response.insert_header((ALLOW, methods));
        }
        response.body(document.to_string())
    }
}
