//! A client of the backend API.

use crate::api::{Account, Accounts, AuxSets, NewAccount, Parties, Problem, Session, SignRequest};
use awc::error::PayloadError;
use awc::http::header::{HeaderName, HeaderValue};
use awc::http::{Method, StatusCode, Uri};
use awc::{ClientRequest, SendClientRequest};
use mpc_wire::{AccountId, SessionId};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The header that carries the API key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How long an answer may take: longer than the API lets any request wait (300 s).
const PATIENCE: Duration = Duration::from_secs(330);

/// How often a session that outlasted the API's wait is asked for. The API has no events yet.
const POLL: Duration = Duration::from_millis(500);

/// Largest answer, in bytes: a hundred accounts of twenty parties stay well below it.
const MAX_ANSWER: usize = 4 << 20;

/// Why a request has no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("`{0}` is no address of the API: give http://host:port")]
    Url(String),
    /// The key cannot stand in a header.
    #[error("the API key has characters that no HTTP header can carry")]
    Key,
    /// No answer came.
    #[error("no answer from {url}: {detail}")]
    NoAnswer {
        /// Who was asked.
        url: String,
        /// What happened. A text: the library's error cannot leave its thread.
        detail: String,
    },
    /// The answer broke off.
    #[error("the answer broke off: {0}")]
    Broken(#[from] PayloadError),
    /// The API refuses, and says why.
    #[error("{0}")]
    Problem(Problem),
    /// What answered does not speak this API.
    #[error("{url} does not answer as this API does: HTTP {status}, {detail}")]
    Foreign {
        /// Who was asked.
        url: String,
        /// The answer's status.
        status: StatusCode,
        /// What is wrong with the answer.
        detail: String,
    },
}

/// A client of the backend API. Works inside an actix system only.
#[derive(Clone)]
pub struct Client {
    http: awc::Client,
    base: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({}, key redacted)", self.base)
    }
}

impl Client {
    /// A client of the API at `url` (`http://host:port`) with this key.
    ///
    /// # Errors
    /// [`ClientError::Url`] and [`ClientError::Key`].
    pub fn new(url: &str, api_key: &str) -> Result<Self, ClientError> {
        let base = url.trim_end_matches('/').to_owned();
        if !is_base(&base) {
            return Err(ClientError::Url(url.to_owned()));
        }
        let mut key = HeaderValue::from_str(api_key).map_err(|_| ClientError::Key)?;
        key.set_sensitive(true);
        let http = awc::Client::builder()
            .timeout(PATIENCE)
            // A redirect would carry the key to somebody else.
            .disable_redirects()
            .add_default_header((API_KEY, key))
            .finish();
        Ok(Self { http, base })
    }

    /// Asks for an account and waits for it to be active, as long as the API lets it wait.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_account(&self, account: &NewAccount) -> Result<Account, ClientError> {
        self.answer(self.request(Method::POST, "/accounts").send_json(account)).await
    }

    /// Asks for an account and does not wait for it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn begin_account(&self, account: &NewAccount) -> Result<Account, ClientError> {
        let request =
            self.request(Method::POST, "/accounts").insert_header(("prefer", "respond-async"));
        self.answer(request.send_json(account)).await
    }

    /// The newest accounts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn accounts(&self) -> Result<Accounts, ClientError> {
        self.read("/accounts").await
    }

    /// An account.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn account(&self, id: AccountId) -> Result<Account, ClientError> {
        self.read(&format!("/accounts/{id}")).await
    }

    /// Asks for a signature and waits for the session's end, which comes by its deadline at the
    /// latest.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign(
        &self,
        account: AccountId,
        request: &SignRequest,
    ) -> Result<Session, ClientError> {
        let path = format!("/accounts/{account}/sign");
        let mut session: Session =
            self.answer(self.request(Method::POST, &path).send_json(request)).await?;
        // The API waits for most signatures itself; what takes longer is asked for.
        while !session.state.has_ended() {
            tokio::time::sleep(POLL).await;
            session = self.session(session.session_id).await?;
        }
        Ok(session)
    }

    /// A session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn session(&self, id: SessionId) -> Result<Session, ClientError> {
        self.read(&format!("/sessions/{id}")).await
    }

    /// The registered parties.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn parties(&self) -> Result<Parties, ClientError> {
        self.read("/parties").await
    }

    /// The aux sets.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn aux_sets(&self) -> Result<AuxSets, ClientError> {
        self.read("/aux").await
    }

    fn request(&self, method: Method, path: &str) -> ClientRequest {
        self.http.request(method, format!("{}/api/v1{path}", self.base))
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.answer(self.request(Method::GET, path).send()).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: SendClientRequest,
    ) -> Result<T, ClientError> {
        let mut response = request.await.map_err(|error| ClientError::NoAnswer {
            url: self.base.clone(),
            detail: error.to_string(),
        })?;
        let status = response.status();
        let body = response.body().limit(MAX_ANSWER).await?;
        let foreign = |error: serde_json::Error| ClientError::Foreign {
            url: self.base.clone(),
            status,
            detail: error.to_string(),
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(foreign);
        }
        Err(ClientError::Problem(serde_json::from_slice(&body).map_err(foreign)?))
    }
}

/// Whether this is `http://host[:port]`. TLS ends at a proxy, or on the way through one.
fn is_base(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("http")
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_an_api_are_taken() {
        for url in ["http://127.0.0.1:4000", "http://127.0.0.1:4000/", "http://[::1]:4000"] {
            assert!(Client::new(url, "key").is_ok(), "{url}");
        }
        for url in
            ["", "127.0.0.1:4000", "https://127.0.0.1", "http://", "http://:4000", "http://a?b"]
        {
            assert!(matches!(Client::new(url, "key"), Err(ClientError::Url(_))), "{url}");
        }
    }

    #[test]
    fn a_key_that_is_no_header_is_refused_and_no_key_is_formatted() {
        assert!(matches!(Client::new("http://a", "a\nb"), Err(ClientError::Key)));
        let client = Client::new("http://a", "correct-horse-battery").unwrap();
        assert_eq!(format!("{client:?}"), "Client(http://a, key redacted)");
    }
}
