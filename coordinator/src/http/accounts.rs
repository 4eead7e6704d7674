//! `/api/v1/accounts`.

use super::auth::Caller;
use super::problem::{Code, Problem};
use super::views::AccountView;
use super::{Api, body, idempotency, prefer};
use crate::accounts::{AccountOrder, Create, CreateError, Follow, PartyChoice};
use crate::audit::Asker;
use crate::names::AccountState;
use crate::opening::{OpenError, Stopping};
use crate::store::StoreError;
use crate::store::account::Account;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use mpc_wire::limits::MAX_PARTIES;
use mpc_wire::{AccountId, PartyId, Scheme, Threshold};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Longest name of a user, in bytes: an e-mail address or any usual id fits.
const MAX_USER_ID: usize = 256;

/// Most accounts that one answer lists.
const MAX_LISTED: u64 = 100;

/// Most canary sessions that an account names, the newest.
const MAX_CANARIES_LISTED: u64 = 32;

const DEFAULT_THRESHOLD: Threshold = Threshold(2);
const DEFAULT_PARTIES: usize = 3;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccountBody {
    user_id: String,
    scheme: Option<String>,
    threshold: Option<Threshold>,
    parties: Option<PartiesBody>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "parties must be a number or a list of party ids")]
enum PartiesBody {
    Count(usize),
    Named(Vec<PartyId>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    user_id: Option<String>,
}

/// Creates an account.
pub(crate) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(&request, payload).await?;
    let claim = idempotency::claim(&request, &bytes)?;
    let wait = prefer::wait(&request, api.limits.account_wait, api.limits.max_wait);
    let order = order(body::parse(&bytes)?)?;
    if let Some(answer) = idempotency::replay(&api, claim.as_ref(), wait).await? {
        return Ok(answer);
    }
    let order = AccountOrder { claim: claim.clone(), asker: caller.asker(), ..order };
    match api.staff().accounts.send(Create(order)).await.map_err(|_| Stopping)? {
        Ok((account, _)) => answer(&api, account, wait).await,
        Err(CreateError::Open(OpenError::KeyTaken)) => {
            let twin = idempotency::replay(&api, claim.as_ref(), wait).await?;
            twin.ok_or_else(|| OpenError::KeyTaken.into())
        }
        Err(error) => Err(error.into()),
    }
}

fn order(body: NewAccountBody) -> Result<AccountOrder, Problem> {
    let NewAccountBody { user_id, scheme, threshold, parties } = body;
    if user_id.is_empty() || user_id.len() > MAX_USER_ID || user_id.chars().any(char::is_control) {
        let detail =
            format!("user_id must have 1 to {MAX_USER_ID} bytes and no control characters");
        return Err(Problem::new(Code::InvalidBody, detail));
    }
    let scheme: Scheme = scheme.map_or(Ok(Scheme::default()), |name| name.parse()).map_err(
        |error: mpc_wire::scheme::UnknownScheme| {
            Problem::new(Code::UnsupportedScheme, error.to_string())
        },
    )?;
    let (parties, count) = match parties.unwrap_or(PartiesBody::Count(DEFAULT_PARTIES)) {
        PartiesBody::Count(count) => (PartyChoice::Servers(count), count),
        PartiesBody::Named(named) => {
            let count = named.len();
            let parties: BTreeSet<_> = named.into_iter().collect();
            if parties.len() != count {
                return Err(Problem::new(Code::InvalidBody, "parties names one twice"));
            }
            (PartyChoice::Named(parties), count)
        }
    };
    if count > MAX_PARTIES {
        let detail = format!("an account has at most {MAX_PARTIES} parties");
        return Err(Problem::new(Code::InvalidBody, detail));
    }
    let threshold = threshold.unwrap_or(DEFAULT_THRESHOLD);
    if !(2..=count).contains(&usize::from(threshold.0)) {
        let detail = format!(
            "threshold {threshold} of {count} parties: it must be at least 2 and at most all"
        );
        return Err(Problem::new(Code::InvalidThreshold, detail));
    }
    let asker = Asker::default();
    Ok(AccountOrder { user_id, scheme, threshold, parties, claim: None, asker })
}

/// Waits for an account on its way, and shows it.
pub(crate) async fn answer(
    api: &Api,
    id: AccountId,
    wait: Duration,
) -> Result<HttpResponse, Problem> {
    let mut account = load(api, id).await?;
    if matches!(account.state, AccountState::Generating | AccountState::Activating) {
        let mut state = api.staff().accounts.send(Follow(id)).await.map_err(|_| Stopping)?;
        let settled =
            state.wait_for(|state| matches!(state, AccountState::Active | AccountState::Failed));
        api.within(wait, settled).await;
        account = load(api, id).await?;
    }
    let location = format!("/api/v1/accounts/{id}");
    match account.state {
        AccountState::Active => {
            let view = view(api, account).await?;
            Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(view))
        }
        AccountState::Generating | AccountState::Activating => {
            let view = view(api, account).await?;
            Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).json(view))
        }
        AccountState::Failed => {
            let problem = account.failure.as_ref().map_or_else(
                || Problem::new(Code::SessionFailed, "the account's key was not generated"),
                Problem::failure,
            );
            Err(problem.with("account_id", id).with("session_id", account.keygen))
        }
    }
}

/// Lists the newest accounts.
pub(crate) async fn list(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = web::Query::<ListQuery>::from_query(request.query_string())
        .map_err(|error| Problem::new(Code::InvalidBody, error.to_string()))?;
    let accounts = api.store.accounts(query.user_id.as_deref(), MAX_LISTED).await?;
    let labels = labels(&api).await?;
    let mut views = Vec::with_capacity(accounts.len());
    for account in accounts {
        let canaries = api.store.canary_ids(account.id, MAX_CANARIES_LISTED).await?;
        views.push(AccountView::new(account, canaries, &labels));
    }
    Ok(HttpResponse::Ok().json(json!({ "accounts": views })))
}

/// Shows an account.
pub(crate) async fn show(
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let account = load(&api, parse_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(view(&api, account).await?))
}

/// The account of a path, if there is one.
pub(crate) async fn find(api: &Api, id: &str) -> Result<Account, Problem> {
    load(api, parse_id(id)?).await
}

fn parse_id(id: &str) -> Result<AccountId, Problem> {
    id.parse().map_err(|_| not_found(id))
}

async fn load(api: &Api, id: AccountId) -> Result<Account, Problem> {
    api.store.account(id).await?.ok_or_else(|| not_found(&id.to_string()))
}

fn not_found(id: &str) -> Problem {
    Problem::new(Code::AccountNotFound, format!("no account has the id `{id}`"))
}

async fn view(api: &Api, account: Account) -> Result<AccountView, StoreError> {
    let canaries = api.store.canary_ids(account.id, MAX_CANARIES_LISTED).await?;
    Ok(AccountView::new(account, canaries, &labels(api).await?))
}

async fn labels(api: &Api) -> Result<BTreeMap<PartyId, String>, StoreError> {
    Ok(api.store.parties().await?.into_iter().map(|party| (party.id, party.label)).collect())
}
