//! `/api/v1/sessions`.

use super::Api;
use super::auth::Caller;
use super::problem::{Code, Problem};
use super::views::SessionView;
use crate::audit;
use crate::names::SessionState;
use crate::opening::Stopping;
use crate::session_actor::{Ask, ToSession};
use crate::store::session::StoredSession;
use crate::supervisor::{Find, RunningSession};
use actix_web::{HttpResponse, web};
use mpc_wire::SessionId;
use std::sync::Arc;
use std::time::Duration;

/// How long the answer to a cancellation waits for the session's end to be durable.
const CANCEL_PATIENCE: Duration = Duration::from_secs(2);

/// A session as it is found.
pub(crate) enum Seen {
    Ended(Arc<StoredSession>),
    Running(Box<SessionView>),
}

/// Shows a session.
pub(crate) async fn show(
    id: web::Path<String>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    match see(&api, parse_id(&id)?, Duration::ZERO).await? {
        Seen::Ended(stored) => Ok(HttpResponse::Ok().json(SessionView::of_stored(&stored)?)),
        Seen::Running(view) => Ok(HttpResponse::Ok().json(view)),
    }
}

/// Waits for a session's end; if it does not come, shows where the session stands.
pub(crate) async fn see(api: &Api, id: SessionId, wait: Duration) -> Result<Seen, Problem> {
    if let Some(RunningSession { mut end, .. }) = find(api, id).await?
        && let Some(Ok(stored)) = api.within(wait, end.ended()).await
    {
        return Ok(Seen::Ended(stored));
    }
    if let Some(RunningSession { actor: Some(actor), .. }) = find(api, id).await?
        // An actor that goes meanwhile has stored its end, or is being replaced.
        && let Ok(standing) = actor.send(Ask).await
    {
        return Ok(Seen::Running(Box::new(SessionView::of_running(&standing)?)));
    }
    let stored = api.store.session(id).await?.ok_or_else(|| not_found(&id.to_string()))?;
    if stored.record.end.is_some() {
        Ok(Seen::Ended(Arc::new(stored)))
    } else {
        Ok(Seen::Running(Box::new(SessionView::of_stored(&stored)?)))
    }
}

/// Cancels a session.
pub(crate) async fn cancel(
    id: web::Path<String>,
    caller: web::ReqData<Caller>,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let id = parse_id(&id)?;
    if let Some(RunningSession { actor: Some(actor), mut end }) = find(&api, id).await? {
        api.store.note(audit::cancel_asked(id, &caller.asker())).await?;
        // If it has just gone, the store knows more.
        if actor.send(ToSession::Cancel).await.is_ok()
            && let Some(Ok(stored)) = api.within(CANCEL_PATIENCE, end.ended()).await
            && stored.state() == SessionState::Cancelled
        {
            return Ok(HttpResponse::Accepted().json(SessionView::of_stored(&stored)?));
        }
    }
    match see(&api, id, Duration::ZERO).await? {
        Seen::Ended(stored) => {
            let detail = format!("the session was {} before", stored.state());
            Err(Problem::new(Code::SessionEnded, detail).with("session_id", id))
        }
        // The end is not durable yet, so it cannot be told.
        Seen::Running(_) => {
            let detail = "the cancellation is not stored yet, ask again";
            Err(Problem::new(Code::StoreUnavailable, detail).retry().with("session_id", id))
        }
    }
}

async fn find(api: &Api, id: SessionId) -> Result<Option<RunningSession>, Stopping> {
    api.staff().supervisor.send(Find(id)).await.map_err(|_| Stopping)
}

fn parse_id(id: &str) -> Result<SessionId, Problem> {
    id.parse().map_err(|_| not_found(id))
}

fn not_found(id: &str) -> Problem {
    Problem::new(Code::SessionNotFound, format!("no session has the id `{id}`"))
}
