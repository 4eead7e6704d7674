//! The way to the gateway: its address, TCP, TLS if the address says so, and the WebSocket upgrade.

use crate::frames::Frames;
use actix_codec::Framed;
use actix_service::{Service, ServiceExt as _};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector as TcpConnector};
use awc::error::WsClientError;
use awc::http::Uri;
use awc::{BoxedSocket, Client, ClientResponse, Connector};
use mpc_wire::limits::{HANDSHAKE, MAX_FRAME, SUBPROTOCOL};
use mpc_wire::{PublicPlaintext, Transport};
use rustls::ClientConfig;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;

/// A WebSocket to whoever has answered.
pub(crate) type Socket = Framed<BoxedSocket, Frames>;

/// What a link over TLS needs.
#[derive(Clone)]
pub struct LinkTls {
    /// Whom the link trusts. The host of the gateway's URL must be in the certificate.
    pub config: Arc<ClientConfig>,
    /// Where the gateway is; without it, where the host of its URL resolves to.
    pub at: Option<SocketAddr>,
}

impl fmt::Debug for LinkTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkTls").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Why a gateway's address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no address of a gateway.
    #[error("`{0}` is no address of a gateway: give ws://host:port/path or wss://host:port/path")]
    Url(String),
    /// Its scheme is not that of the link's transport.
    #[error(
        "`{0}` does not fit the link: over TLS an address starts with wss://, without with ws://"
    )]
    Scheme(String),
    /// It is another host's, and would be spoken to in plain text.
    #[error(transparent)]
    Plaintext(#[from] PublicPlaintext),
}

/// Where the gateway is and what it calls itself.
#[derive(Debug, Clone)]
pub(crate) struct GatewayAddress {
    url: Uri,
    transport: Transport<LinkTls>,
    /// The name that the gateway must give in its challenge.
    pub(crate) server_name: String,
}

impl GatewayAddress {
    pub(crate) fn new(
        url: &str,
        transport: Transport<LinkTls>,
        server_name: String,
    ) -> Result<Self, AddressError> {
        let no_url = || AddressError::Url(url.to_owned());
        let parsed: Uri = url.parse().map_err(|_| no_url())?;
        let host = parsed.host().filter(|host| !host.is_empty()).ok_or_else(no_url)?;
        match (parsed.scheme_str(), transport.tls()) {
            (Some("ws"), None) | (Some("wss"), Some(_)) => {}
            (Some("ws"), Some(_)) | (Some("wss"), None) => {
                return Err(AddressError::Scheme(url.to_owned()));
            }
            (Some(_) | None, _) => return Err(no_url()),
        }
        transport.check_peer(host)?;
        Ok(Self { url: parsed, transport, server_name })
    }

    /// Connects as far as to the first frame. Whoever answers need not be the gateway yet: that is
    /// proven by the handshake that follows.
    pub(crate) async fn dial(&self) -> Result<(ClientResponse, Socket), WsClientError> {
        let connector = Connector::new().connector(undelayed());
        let connector = connector.timeout(HANDSHAKE).handshake_timeout(HANDSHAKE);
        let (connector, at) = match self.transport.tls() {
            Some(LinkTls { config, at }) => (connector.rustls_0_23(Arc::clone(config)), *at),
            None => (connector, None),
        };
        let client =
            Client::builder().timeout(HANDSHAKE).disable_redirects().connector(connector).finish();
        let request =
            client.ws(self.url.clone()).protocols([SUBPROTOCOL]).max_frame_size(MAX_FRAME);
        let (response, socket) = match at {
            Some(at) => request.address(at),
            None => request,
        }
        .connect()
        .await?;
        Ok((response, socket.into_map_codec(Frames::new)))
    }
}

/// A TCP connection to the host of a URL.
type Tcp = Connection<Uri, TcpStream>;

/// Connects with `TCP_NODELAY`, below TLS too: rounds are small messages that go back and forth,
/// and each would wait some forty milliseconds for the other side's delayed acknowledgement.
fn undelayed() -> impl Service<ConnectInfo<Uri>, Response = Tcp, Error = ConnectError> + Clone {
    TcpConnector::default().service().map(|connection: Tcp| {
        if let Err(error) = connection.io_ref().set_nodelay(true) {
            tracing::warn!(%error, "rounds over this connection will be slow");
        }
        connection
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::crypto::ring;
    use rustls::version::TLS13;

    fn tls() -> Transport<LinkTls> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Transport::Tls(LinkTls { config: Arc::new(config), at: None })
    }

    fn address(url: &str, transport: Transport<LinkTls>) -> Result<GatewayAddress, AddressError> {
        GatewayAddress::new(url, transport, "post".to_owned())
    }

    #[test]
    fn plain_text_stays_on_this_host_unless_told_otherwise() {
        assert!(address("ws://127.0.0.1:8082/v1/connect", Transport::Loopback).is_ok());
        assert!(address("ws://10.0.0.1:8082/v1/connect", Transport::Plaintext).is_ok());
        let refusal = address("ws://10.0.0.1:8082/v1/connect", Transport::Loopback).unwrap_err();
        assert_eq!(refusal, AddressError::Plaintext(PublicPlaintext::Peer("10.0.0.1".to_owned())));
    }

    #[test]
    fn the_scheme_must_say_what_the_link_does() {
        assert!(address("wss://example.com/v1/connect", tls()).is_ok());
        for transport in [Transport::Loopback, Transport::Plaintext] {
            let refusal = address("wss://localhost/v1/connect", transport).unwrap_err();
            assert!(matches!(refusal, AddressError::Scheme(_)), "{refusal}");
        }
        let refusal = address("ws://localhost/v1/connect", tls()).unwrap_err();
        assert!(matches!(refusal, AddressError::Scheme(_)), "{refusal}");
    }

    #[test]
    fn other_addresses_are_none() {
        for url in
            ["", "localhost:8082", "/v1/connect", "http://localhost", "ftp://localhost", "ws://"]
        {
            let refusal = address(url, Transport::Loopback).unwrap_err();
            assert_eq!(refusal, AddressError::Url(url.to_owned()));
        }
    }

    #[test]
    fn rounds_do_not_wait_for_more() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        actix::System::new().block_on(async {
            let info = ConnectInfo::new(url.parse::<Uri>().unwrap());
            let connection = undelayed().call(info).await.unwrap();
            assert!(connection.io_ref().nodelay().unwrap());
        });
    }
}
