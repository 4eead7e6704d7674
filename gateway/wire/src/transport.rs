//! Plain text or TLS: who may speak without encryption, and to whom.
//!
//! Plain text is for processes of one host. A private network is no exception: whoever has one
//! machine in it reads along, so its addresses count as public. Neither are container networks,
//! whose hosts may be many.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// How the bytes of a listener or of a link travel. `T` is what TLS needs: certificate and key of
/// a listener, trusted roots of a link.
#[derive(Clone, Default)]
pub enum Transport<T> {
    /// In plain text, within this host only.
    #[default]
    Loopback,
    /// In plain text, anywhere: something else protects the bytes, such as a TLS terminator.
    Plaintext,
    /// Over TLS.
    Tls(T),
}

/// Bytes would travel in plain text beyond this host, and nobody has said that they may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublicPlaintext {
    /// A listener would be open to other hosts.
    #[error(
        "{0} is open to other hosts, and without TLS they read what passes: give --tls-cert and \
         --tls-key or, if something else protects it, --allow-plaintext (MPC_ALLOW_PLAINTEXT=true)"
    )]
    Listener(SocketAddr),
    /// Another host would be spoken to.
    #[error(
        "{0} is not this host, and without TLS what is sent there can be read on the way: use its \
         https:// or wss:// address or, if something else protects the way, --allow-plaintext \
         (MPC_ALLOW_PLAINTEXT=true)"
    )]
    Peer(String),
}

impl<T> Transport<T> {
    /// What TLS needs, if this is TLS.
    pub fn tls(&self) -> Option<&T> {
        match self {
            Self::Tls(tls) => Some(tls),
            Self::Loopback | Self::Plaintext => None,
        }
    }

    /// The same transport with something else for TLS.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Transport<U> {
        match self {
            Self::Loopback => Transport::Loopback,
            Self::Plaintext => Transport::Plaintext,
            Self::Tls(tls) => Transport::Tls(change(tls)),
        }
    }

    /// Whether a listener may be opened at this address.
    ///
    /// # Errors
    /// [`PublicPlaintext::Listener`] if others could reach it in plain text.
    pub fn check_listener(&self, addr: SocketAddr) -> Result<(), PublicPlaintext> {
        match self {
            Self::Loopback if !is_loopback(addr.ip()) => Err(PublicPlaintext::Listener(addr)),
            Self::Loopback | Self::Plaintext | Self::Tls(_) => Ok(()),
        }
    }

    /// Whether a host may be spoken to; `host` as it stands in a URL.
    ///
    /// # Errors
    /// [`PublicPlaintext::Peer`] if it may be another host than this and would be spoken to in
    /// plain text.
    pub fn check_peer(&self, host: &str) -> Result<(), PublicPlaintext> {
        match self {
            Self::Loopback if !is_this_host(host) => Err(PublicPlaintext::Peer(host.to_owned())),
            Self::Loopback | Self::Plaintext | Self::Tls(_) => Ok(()),
        }
    }
}

/// Certificates and keys are nobody's business in a log.
impl<T> fmt::Debug for Transport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "Loopback",
            Self::Plaintext => "Plaintext",
            Self::Tls(_) => "Tls",
        })
    }
}

/// An unspecified address is none: it stands for all of the host's.
fn is_loopback(ip: IpAddr) -> bool {
    // `::ffff:127.0.0.1` is 127.0.0.1.
    ip.to_canonical().is_loopback()
}

/// Any name but `localhost`, which RFC 6761 reserves, may resolve to anything.
fn is_this_host(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse().map_or_else(|_| bare.eq_ignore_ascii_case("localhost"), is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_HOST: [&str; 5] = ["0.0.0.0", "::", "10.0.0.1", "192.0.2.1", "2001:db8::1"];
    const THIS_HOST: [&str; 4] = ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"];

    fn at(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 4000)
    }

    #[test]
    fn plain_listeners_are_for_this_host_unless_told_otherwise() {
        for ip in THIS_HOST {
            assert_eq!(Transport::<()>::Loopback.check_listener(at(ip)), Ok(()), "{ip}");
        }
        for ip in EVERY_HOST.into_iter().chain(["::ffff:10.0.0.1", "169.254.1.1", "fe80::1"]) {
            let refusal = Transport::<()>::Loopback.check_listener(at(ip)).unwrap_err();
            assert_eq!(refusal, PublicPlaintext::Listener(at(ip)), "{ip}");
            let text = refusal.to_string();
            assert!(text.contains("--tls-cert") && text.contains("--allow-plaintext"), "{text}");
            assert_eq!(Transport::<()>::Plaintext.check_listener(at(ip)), Ok(()), "{ip}");
            assert_eq!(Transport::Tls(()).check_listener(at(ip)), Ok(()), "{ip}");
        }
    }

    #[test]
    fn plain_peers_are_this_host_unless_told_otherwise() {
        for host in THIS_HOST.into_iter().chain(["localhost", "LocalHost", "[::1]"]) {
            assert_eq!(Transport::<()>::Loopback.check_peer(host), Ok(()), "{host}");
        }
        let names = ["", "example.com", "localhost.example.com", "127.0.0.1.example.com", "[::]"];
        for host in EVERY_HOST.into_iter().chain(names) {
            let refusal = Transport::<()>::Loopback.check_peer(host).unwrap_err();
            assert_eq!(refusal, PublicPlaintext::Peer(host.to_owned()));
            assert_eq!(Transport::<()>::Plaintext.check_peer(host), Ok(()), "{host}");
            assert_eq!(Transport::Tls(()).check_peer(host), Ok(()), "{host}");
        }
    }

    #[test]
    fn what_tls_needs_is_not_formatted() {
        assert_eq!(format!("{:?}", Transport::Tls("a key")), "Tls");
    }
}
