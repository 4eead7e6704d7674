//! `/api/v1/parties` and `/api/v1/enrolment-tokens`: who is let in, and who no more.

use super::auth::Caller;
use super::problem::{Code, Problem};
use super::views::{EnrolmentTokenView, PartyView};
use super::{Api, body, idempotency};
use crate::enrolment::{
    CannotSign, DEFAULT_TOKEN_LIFE, EnrolmentSecret, MAX_TOKEN_LIFE, Ticket, TokenId,
};
use crate::hub::{Revoke, RevokeError};
use crate::names::{Role, UnknownName};
use crate::opening::Stopping;
use crate::store::enrolment::{Cancelled, MAX_TOKENS, TokenMade};
use crate::store::party::{RegisterError, Registered};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use mpc_wire::PartyId;
use mpc_wire::limits::MAX_LABEL;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPartyBody {
    party_id: String,
    role: String,
    #[serde(default)]
    label: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTokenBody {
    role: String,
    label: Option<String>,
    /// Seconds from now.
    expires_in: Option<u64>,
}

/// Lists every party that was ever registered.
pub(crate) async fn list(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let online = api.roster.online();
    let parties = api.store.parties().await?.into_iter().map(|party| {
        let is_online = online.contains(&party.id);
        PartyView::new(party, is_online)
    });
    Ok(HttpResponse::Ok().json(json!({ "parties": parties.collect::<Vec<_>>() })))
}

/// Registers a party by its id, or gives a registered one another role and label.
pub(crate) async fn register(
    request: HttpRequest,
    payload: web::Payload,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&request, payload).await?;
    let NewPartyBody { party_id, role, label } = body::parse(&bytes)?;
    let party: PartyId = party_id.parse().map_err(invalid_id)?;
    let (role, label) = (read_role(&role)?, read_label(label)?);
    let status = match api.store.register(party, role, &label, &caller.asker()).await {
        Ok(Registered::New) => StatusCode::CREATED,
        Ok(Registered::Before) => StatusCode::OK,
        Err(RegisterError::Store(error)) => return Err(error.into()),
        Err(error @ RegisterError::Revoked) => {
            return Err(
                Problem::new(Code::PartyRevoked, error.to_string()).with("parties", [party])
            );
        }
        Err(error @ RegisterError::NoIdentity) => return Err(invalid_id(error)),
        Err(error @ RegisterError::LabelTooLong(_)) => {
            return Err(Problem::new(Code::InvalidBody, error.to_string()));
        }
    };
    tracing::info!(%party, %role, by = %caller.id, by_name = caller.name, "a party was registered");
    let known = api.store.party(party).await?.ok_or_else(|| not_found(&party_id))?;
    Ok(HttpResponse::build(status).json(PartyView::new(known, api.roster.is_online(party))))
}

/// Revokes a party: it is disconnected, takes part in nothing that comes after the answer, and does
/// not come back.
pub(crate) async fn revoke(
    id: web::Path<String>,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let party: PartyId = id.parse().map_err(|_| not_found(&id))?;
    let order = Revoke { party, asker: caller.asker() };
    let known = match api.staff().hub.send(order).await.map_err(|_| Stopping)? {
        Ok(known) => known.ok_or_else(|| not_found(&id))?,
        Err(RevokeError::Store(error)) => return Err(error.into()),
        Err(RevokeError::Undeliverable(error)) => {
            tracing::error!(%party, %error, "a revoked party may still be connected");
            let detail = "the party is revoked and takes part in nothing more, but its connection \
                          may still be open: ask again";
            return Err(Problem::new(Code::GatewayUnavailable, detail).retry());
        }
    };
    tracing::info!(%party, by = %caller.id, by_name = caller.name, "a party is revoked");
    Ok(HttpResponse::Ok().json(PartyView::new(known, false)))
}

/// Makes a token that lets one party in.
pub(crate) async fn create_token(
    request: HttpRequest,
    payload: web::Payload,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&request, payload).await?;
    let claim = idempotency::claim(&request, &bytes)?;
    let NewTokenBody { role, label, expires_in } = body::parse(&bytes)?;
    let (role, label) = (read_role(&role)?, label.map(read_label).transpose()?);
    let life = read_life(expires_in)?;
    secret(&api)?;
    if let Some(answer) = idempotency::replay(&api, claim.as_ref(), Duration::ZERO).await? {
        return Ok(answer);
    }
    let ticket = Ticket::new(role, label, api.clock.wall(), life);
    match api.store.add_enrolment_token(&ticket, claim.as_ref(), &caller.asker()).await? {
        TokenMade::Stored => {}
        TokenMade::ClaimTaken => {
            let twin = idempotency::replay(&api, claim.as_ref(), Duration::ZERO).await?;
            return twin.ok_or_else(|| {
                Problem::new(Code::Overloaded, "the same request is being worked on").retry()
            });
        }
        TokenMade::TooMany => {
            let detail = format!(
                "there are {MAX_TOKENS} enrolment tokens: cancel some, or wait until they expire"
            );
            return Err(Problem::new(Code::TooManyEnrolmentTokens, detail));
        }
    }
    let (id, by, by_name) = (ticket.id, caller.id, &caller.name);
    tracing::info!(token = %id, %role, %by, by_name, "an enrolment token was made");
    show(&api, ticket)
}

/// The token of a request that was answered before: the same one.
pub(crate) async fn answer(api: &Api, id: TokenId) -> Result<HttpResponse, Problem> {
    let ticket = api.store.enrolment_token(id).await?.ok_or_else(|| {
        let detail = "this request made an enrolment token, which is gone: ask again with another \
                      Idempotency-Key";
        Problem::new(Code::IdempotencyKeySpent, detail).with("token_id", id)
    })?;
    show(api, ticket)
}

/// Cancels a token that nobody has used.
pub(crate) async fn cancel_token(
    id: web::Path<String>,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let not_found = || {
        let detail = format!("no enrolment token has the id `{id}`: perhaps it has expired");
        Problem::new(Code::EnrolmentTokenNotFound, detail)
    };
    let token: TokenId = id.parse().map_err(|_| not_found())?;
    match api.store.cancel_enrolment_token(token, &caller.asker()).await? {
        Cancelled::Done => {
            tracing::info!(%token, by = %caller.id, by_name = caller.name, "a token was cancelled");
            Ok(HttpResponse::NoContent().finish())
        }
        Cancelled::Used(party) => {
            let detail = "the token was used: to put the party out, revoke it";
            Err(Problem::new(Code::EnrolmentTokenUsed, detail).with("parties", [party]))
        }
        Cancelled::Unknown => Err(not_found()),
    }
}

fn show(api: &Api, ticket: Ticket) -> Result<HttpResponse, Problem> {
    let token = ticket.sign(secret(api)?)?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/api/v1/enrolment-tokens/{}", ticket.id)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(EnrolmentTokenView::new(ticket, token)))
}

fn secret(api: &Api) -> Result<&EnrolmentSecret, Problem> {
    api.enrolment.as_ref().ok_or_else(|| {
        let detail = "start the coordinator with JWT_SECRET_KEY (32 random bytes or more), or \
                      register parties by their id: POST /api/v1/parties";
        Problem::new(Code::EnrolmentOff, detail)
    })
}

fn read_role(name: &str) -> Result<Role, Problem> {
    name.parse().map_err(|error: UnknownName| {
        let known = [Role::Server, Role::Device, Role::Delegate].map(Role::name).join(", ");
        Problem::new(Code::InvalidBody, format!("{error}; the roles are: {known}"))
    })
}

fn read_label(label: String) -> Result<String, Problem> {
    if label.len() > MAX_LABEL || label.chars().any(char::is_control) {
        let detail = format!("label may have {MAX_LABEL} bytes and no control characters");
        return Err(Problem::new(Code::InvalidBody, detail));
    }
    Ok(label)
}

fn read_life(seconds: Option<u64>) -> Result<Duration, Problem> {
    let life = seconds.map_or(DEFAULT_TOKEN_LIFE, Duration::from_secs);
    if life.is_zero() || life > MAX_TOKEN_LIFE {
        let detail = format!("expires_in must be 1 to {} seconds", MAX_TOKEN_LIFE.as_secs());
        return Err(Problem::new(Code::InvalidBody, detail));
    }
    Ok(life)
}

fn invalid_id(error: impl std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidPartyId, error.to_string())
}

fn not_found(id: &str) -> Problem {
    Problem::new(Code::PartyNotFound, format!("no party has the id `{id}`"))
}

impl From<CannotSign> for Problem {
    fn from(error: CannotSign) -> Self {
        tracing::error!(%error, "no enrolment token can be made");
        Self::new(Code::Overloaded, "no token can be made now, try again later").retry()
    }
}
