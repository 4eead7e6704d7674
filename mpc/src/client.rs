//! A client of the backend API.

use crate::api::{
    Account, Accounts, ApiKey, ApiKeyId, ApiKeys, AuxSets, EnrolmentToken, NewAccount, NewApiKey,
    NewEnrolmentToken, NewParty, Parties, Party, Problem, Session, SignRequest,
};
use actix_service::{Service, ServiceExt};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector as TcpConnector};
use awc::error::PayloadError;
use awc::http::header::{HeaderName, HeaderValue};
use awc::http::{Method, StatusCode, Uri};
use awc::{ClientRequest, Connector, SendClientRequest};
use bytes::Bytes;
use mpc_wire::{AccountId, PartyId, PublicPlaintext, SessionId, Transport};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use uuid::Uuid;

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
    #[error(
        "`{0}` is no address of the API: give https://host:port, or http://host:port for one on \
         this host"
    )]
    Url(String),
    /// The key would be sent to another host in plain text.
    #[error(transparent)]
    Plaintext(#[from] PublicPlaintext),
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
    Problem(Box<Problem>),
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
    /// A client of the API at `url` with this key: over TLS `https://host:port`, else
    /// `http://host:port`.
    ///
    /// # Errors
    /// [`ClientError::Url`], [`ClientError::Plaintext`] and [`ClientError::Key`].
    pub fn new(
        url: &str,
        transport: &Transport<Arc<ClientConfig>>,
        api_key: &str,
    ) -> Result<Self, ClientError> {
        let base = url.trim_end_matches('/').to_owned();
        let host = host_of(&base, transport).ok_or_else(|| ClientError::Url(url.to_owned()))?;
        transport.check_peer(&host)?;
        let mut key = HeaderValue::from_str(api_key).map_err(|_| ClientError::Key)?;
        key.set_sensitive(true);
        let connector = Connector::new().connector(undelayed());
        let connector = match transport.tls() {
            Some(tls) => connector.rustls_0_23(Arc::clone(tls)),
            None => connector,
        };
        let http = awc::Client::builder()
            .timeout(PATIENCE)
            // A redirect would carry the key to somebody else.
            .disable_redirects()
            .add_default_header((API_KEY, key))
            .connector(connector)
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

    /// Registers a party by its id, or gives a registered one another role and label.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn register_party(&self, party: &NewParty) -> Result<Party, ClientError> {
        self.answer(self.request(Method::POST, "/parties").send_json(party)).await
    }

    /// Revokes a party for good.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_party(&self, party: PartyId) -> Result<Party, ClientError> {
        let path = format!("/parties/{party}/revoke");
        self.answer(self.request(Method::POST, &path).send()).await
    }

    /// Makes a token that lets one party in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_enrolment_token(
        &self,
        token: &NewEnrolmentToken,
    ) -> Result<EnrolmentToken, ClientError> {
        self.answer(self.request(Method::POST, "/enrolment-tokens").send_json(token)).await
    }

    /// Cancels a token that no party has used.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_enrolment_token(&self, id: Uuid) -> Result<(), ClientError> {
        let path = format!("/enrolment-tokens/{id}");
        self.content(self.request(Method::DELETE, &path).send()).await.map(drop)
    }

    /// The aux sets.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn aux_sets(&self) -> Result<AuxSets, ClientError> {
        self.read("/aux").await
    }

    /// Makes an API key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_api_key(&self, key: &NewApiKey) -> Result<ApiKey, ClientError> {
        self.answer(self.request(Method::POST, "/api-keys").send_json(key)).await
    }

    /// The newest API keys, without their texts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn api_keys(&self) -> Result<ApiKeys, ClientError> {
        self.read("/api-keys").await
    }

    /// Revokes an API key, or shows when it was revoked.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_api_key(&self, id: &ApiKeyId) -> Result<ApiKey, ClientError> {
        self.answer(self.request(Method::DELETE, &format!("/api-keys/{id}")).send()).await
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
        let (status, body) = self.content(request).await?;
        serde_json::from_slice(&body).map_err(|error| self.foreign(status, &error))
    }

    /// The body of an answer that is none of the API's problems.
    async fn content(
        &self,
        request: SendClientRequest,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let mut response = request.await.map_err(|error| ClientError::NoAnswer {
            url: self.base.clone(),
            detail: error.to_string(),
        })?;
        let status = response.status();
        let body = response.body().limit(MAX_ANSWER).await?;
        if status.is_success() {
            return Ok((status, body));
        }
        let problem = serde_json::from_slice(&body);
        let problem: Problem = problem.map_err(|error| self.foreign(status, &error))?;
        Err(ClientError::Problem(Box::new(problem)))
    }

    fn foreign(&self, status: StatusCode, error: &serde_json::Error) -> ClientError {
        ClientError::Foreign { url: self.base.clone(), status, detail: error.to_string() }
    }
}

/// The host of `http://host[:port]`, or of the same with `https` over TLS.
fn host_of(url: &str, transport: &Transport<Arc<ClientConfig>>) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme = if transport.tls().is_some() { "https" } else { "http" };
    let is_base = uri.scheme_str() == Some(scheme) && uri.query().is_none();
    uri.host().filter(|host| is_base && !host.is_empty()).map(str::to_owned)
}

/// A TCP connection to the host of a URL.
type Tcp = Connection<Uri, TcpStream>;

/// Connects with `TCP_NODELAY`: over TLS a request follows the handshake's last message at once
/// and would wait for that one's delayed acknowledgement.
fn undelayed() -> impl Service<ConnectInfo<Uri>, Response = Tcp, Error = ConnectError> + Clone {
    TcpConnector::default().service().map(|connection: Tcp| {
        if let Err(error) = connection.io_ref().set_nodelay(true) {
            tracing::debug!(%error, "requests over this connection will be slow");
        }
        connection
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_an_api_are_taken() {
        let plain = Transport::Loopback;
        for url in ["http://127.0.0.1:4000", "http://127.0.0.1:4000/", "http://[::1]:4000"] {
            assert!(Client::new(url, &plain, "key").is_ok(), "{url}");
        }
        for url in
            ["", "127.0.0.1:4000", "https://127.0.0.1", "http://", "http://:4000", "http://a?b"]
        {
            assert!(matches!(Client::new(url, &plain, "key"), Err(ClientError::Url(_))), "{url}");
        }
    }

    #[test]
    fn a_key_goes_to_another_host_over_tls_or_when_told_so() {
        for url in ["http://10.0.0.1:4000", "http://api.example.com"] {
            let refused = Client::new(url, &Transport::Loopback, "key");
            assert!(matches!(refused, Err(ClientError::Plaintext(_))), "{url}");
            assert!(Client::new(url, &Transport::Plaintext, "key").is_ok(), "{url}");
        }
    }

    #[test]
    fn a_key_that_is_no_header_is_refused_and_no_key_is_formatted() {
        let plain = Transport::Loopback;
        let url = "http://localhost";
        assert!(matches!(Client::new(url, &plain, "a\nb"), Err(ClientError::Key)));
        let client = Client::new(url, &plain, "correct-horse-battery").unwrap();
        assert_eq!(format!("{client:?}"), "Client(http://localhost, key redacted)");
    }
}
