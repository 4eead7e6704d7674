//! What the arguments say about TLS.

use anyhow::bail;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use mpc::node::NodeTls;
use mpc::tls::{self, ListenerTls, TlsError};
use mpc_wire::Transport;
use rustls::ClientConfig;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of what listens.
#[derive(Debug, Args)]
pub(crate) struct ListenerTlsArgs {
    /// The certificates of the API and the gateway: a PEM file, the own one first. With them both
    /// speak TLS only.
    #[arg(long, env = "MPC_TLS_CERT", value_parser = file(), value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Their private key: a PEM file of mode 0600. On SIGHUP both files are read again.
    #[arg(long, env = "MPC_TLS_KEY", value_parser = file(), value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Authorities that the node's own parties trust besides the certificates in --tls-cert, in
    /// PEM; needed if the one that signed them is not in that file.
    #[arg(long, env = "MPC_TLS_CA", value_parser = file(), value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) plaintext: PlaintextArgs,
}

/// Arguments of what connects.
#[derive(Debug, Args)]
pub(crate) struct ClientTlsArgs {
    /// The authorities to trust with https:// and wss://, in PEM, and nobody else; without it,
    /// those that the operating system trusts.
    #[arg(long, env = "MPC_TLS_CA", value_parser = file(), value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) plaintext: PlaintextArgs,
}

/// Leave to do without TLS.
#[derive(Debug, Args)]
pub(crate) struct PlaintextArgs {
    /// Does without TLS even towards other hosts: something else protects the bytes, such as a
    /// TLS terminator.
    #[arg(long, env = "MPC_ALLOW_PLAINTEXT", value_parser = yes_or_no)]
    pub(crate) allow_plaintext: bool,
}

impl ListenerTlsArgs {
    /// How the bytes of the listeners travel.
    pub(crate) fn transport(self) -> Result<Transport<NodeTls>, TlsError> {
        match (given(self.tls_cert), given(self.tls_key)) {
            (Some(cert), Some(key)) => {
                let listener = ListenerTls::load(&cert, &key)?;
                Ok(Transport::Tls(NodeTls { listener, ca: given(self.tls_ca) }))
            }
            (None, None) => Ok(self.plaintext.transport()),
            (Some(_), None) | (None, Some(_)) => Err(TlsError::Pair),
        }
    }
}

impl ClientTlsArgs {
    /// How the bytes to `url` travel.
    pub(crate) fn transport(self, url: &str) -> Result<Transport<Arc<ClientConfig>>, TlsError> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if matches!(scheme.as_deref(), Some("https" | "wss")) {
            return Ok(Transport::Tls(tls::client(given(self.tls_ca).as_deref())?));
        }
        Ok(self.plaintext.transport())
    }
}

impl PlaintextArgs {
    fn transport<T>(&self) -> Transport<T> {
        if self.allow_plaintext { Transport::Plaintext } else { Transport::Loopback }
    }
}

/// Takes an empty name too, which the parser that `clap` has for paths refuses.
fn file() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Compose files pass variables that are not set as empty ones.
fn given(file: Option<PathBuf>) -> Option<PathBuf> {
    file.filter(|file| !file.as_os_str().is_empty())
}

/// An explicit yes is wanted, so that no slip of the pen is one.
fn yes_or_no(text: &str) -> anyhow::Result<bool> {
    match text {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => bail!("give true or false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Node {
        #[command(flatten)]
        tls: ListenerTlsArgs,
    }

    fn transport(args: &[&str]) -> Result<Transport<NodeTls>, TlsError> {
        let args = [&["node"], args].concat();
        Node::try_parse_from(args).unwrap().tls.transport()
    }

    #[test]
    fn plain_text_is_for_this_host_unless_told_otherwise() {
        assert!(matches!(transport(&[]).unwrap(), Transport::Loopback));
        assert!(matches!(transport(&["--allow-plaintext"]).unwrap(), Transport::Plaintext));
        // As a compose file passes what is not set.
        assert!(matches!(
            transport(&["--tls-cert=", "--tls-key=", "--tls-ca="]).unwrap(),
            Transport::Loopback
        ));
    }

    #[test]
    fn a_certificate_needs_its_key() {
        for args in [["--tls-cert=a"], ["--tls-key=a"]] {
            assert!(matches!(transport(&args), Err(TlsError::Pair)), "{args:?}");
        }
        let missing = transport(&["--tls-cert=not there", "--tls-key=not there"]);
        assert!(matches!(missing, Err(TlsError::Read { .. })), "{missing:?}");
    }

    #[test]
    fn only_a_plain_yes_is_one() {
        assert!(yes_or_no("true").unwrap());
        assert!(!yes_or_no("false").unwrap() && !yes_or_no("").unwrap());
        for text in ["yes", "1", "TRUE", "flase"] {
            assert!(yes_or_no(text).is_err(), "{text}");
        }
    }
}
