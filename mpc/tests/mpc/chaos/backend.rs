//! A backend as one would be written: it gives each request an idempotency key and asks again with
//! the same key whenever no answer came.

use crate::running::KEY;
use awc::http::StatusCode;
use mpc::api::{Problem, Session};
use mpc_wire::SessionId;
use serde_json::json;
use std::time::{Duration, Instant};

/// How long one HTTP answer may take before it counts as none.
const ANSWER: Duration = Duration::from_secs(5);

/// How often the backend asks, and how soon it asks again where nobody answers.
const POLL: Duration = Duration::from_millis(1);

/// A request to sign.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) account: String,
    /// 64 hexadecimal digits.
    pub(crate) digest: String,
    /// The idempotency key.
    pub(crate) key: String,
    /// How long the session may take, in seconds.
    pub(crate) life: u64,
}

/// What the API says to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Here is the session.
    Session(Box<Session>),
    /// It says no, and why.
    Refused(Problem),
    /// Nobody answered, or the answer broke off.
    None(String),
}

/// The backend.
#[derive(Clone)]
pub(crate) struct Backend {
    http: awc::Client,
    url: String,
}

impl Backend {
    /// Must be made inside an actix system.
    pub(crate) fn new(url: String) -> Self {
        let http = awc::Client::builder().timeout(ANSWER).add_default_header(("x-api-key", KEY));
        Self { http: http.finish(), url }
    }

    /// Asks once for a signature, and does not wait for it.
    pub(crate) async fn ask(&self, request: &Request) -> Answer {
        let url = format!("{}/api/v1/accounts/{}/sign", self.url, request.account);
        let body = json!({ "message": request.digest, "expires_in": request.life });
        let post = self.http.post(url);
        let post = post
            .insert_header(("prefer", "respond-async"))
            .insert_header(("idempotency-key", request.key.as_str()));
        read(post.send_json(&body)).await
    }

    /// Asks for a signature until the request is taken.
    pub(crate) async fn place(&self, request: &Request, patience: Duration) -> SessionId {
        let begun = Instant::now();
        loop {
            let answer = self.ask(request).await;
            if let Answer::Session(session) = &answer {
                return session.session_id;
            }
            assert!(begun.elapsed() < patience, "the request is not taken: {answer:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The session as it is now.
    pub(crate) async fn session(&self, id: SessionId) -> Answer {
        read(self.http.get(format!("{}/api/v1/sessions/{id}", self.url)).send()).await
    }

    /// Cancels the session.
    pub(crate) async fn cancel(&self, id: SessionId) -> Answer {
        read(self.http.delete(format!("{}/api/v1/sessions/{id}", self.url)).send()).await
    }

    /// Follows the session, through outages too, until it is as wanted.
    pub(crate) async fn until(
        &self,
        id: SessionId,
        patience: Duration,
        is_so: impl Fn(&Session) -> bool,
    ) -> Session {
        let begun = Instant::now();
        loop {
            let answer = self.session(id).await;
            if let Answer::Session(session) = &answer
                && is_so(session)
            {
                return (**session).clone();
            }
            assert!(begun.elapsed() < patience, "after {patience:?}: {answer:#?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Follows the session to its end.
    pub(crate) async fn end(&self, id: SessionId, patience: Duration) -> Session {
        self.until(id, patience, |session| session.state.has_ended()).await
    }

    /// How many parties are online; none if nobody answers.
    pub(crate) async fn online(&self) -> usize {
        let answer = self.http.get(format!("{}/api/v1/parties", self.url)).send().await;
        let Ok(mut answer) = answer else { return 0 };
        let Ok(list) = answer.json::<serde_json::Value>().await else { return 0 };
        let parties = list["parties"].as_array().map(Vec::as_slice).unwrap_or_default();
        parties.iter().filter(|party| party["online"] == true).count()
    }

    /// Waits until so many parties are online.
    pub(crate) async fn await_parties(&self, parties: usize, patience: Duration) {
        let begun = Instant::now();
        while self.online().await != parties {
            assert!(begun.elapsed() < patience, "the parties do not come online");
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn read(request: awc::SendClientRequest) -> Answer {
    let mut answer = match request.await {
        Ok(answer) => answer,
        Err(error) => return Answer::None(error.to_string()),
    };
    let status = answer.status();
    let body = match answer.body().await {
        Ok(body) => body,
        Err(error) => return Answer::None(error.to_string()),
    };
    let text = || String::from_utf8_lossy(&body).into_owned();
    if status == StatusCode::OK || status == StatusCode::ACCEPTED {
        let session = serde_json::from_slice(&body);
        return Answer::Session(session.unwrap_or_else(|error| panic!("{error}: {}", text())));
    }
    let problem = serde_json::from_slice(&body);
    let problem: Problem = problem.unwrap_or_else(|error| panic!("{error}: {}", text()));
    assert_eq!(problem.status, status.as_u16());
    Answer::Refused(problem)
}
