//! Where a request comes from: the socket's peer or, behind a listed proxy, whom that names.

use crate::config::Networks;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Most hops that `X-Forwarded-For` may name: honest chains have a handful.
const MAX_HOPS: usize = 32;

/// Bits of an IPv6 address that name a network: whoever has one address has all of its /64.
const NETWORK_BITS: u32 = 64;

/// Where a request comes from. An IPv4 address is never written as an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    address: IpAddr,
    is_local: bool,
}

/// What is counted of a source: an IPv4 address, or an IPv6 network of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SourceNetwork(IpAddr);

/// An `X-Forwarded-For` that cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadForwardedFor {
    /// It is not text.
    #[error("X-Forwarded-For is not ASCII")]
    NotText,
    /// One of its hops is none.
    #[error("X-Forwarded-For must be a list of IP addresses with commas between")]
    NotAnAddress,
    /// It has too many hops.
    #[error("X-Forwarded-For names more than {MAX_HOPS} hops")]
    TooManyHops,
}

impl Source {
    /// The source of a request from `peer` with these values of `X-Forwarded-For`, in their order.
    ///
    /// The header counts only if the peer is a trusted proxy: anybody else could have written it.
    /// Each proxy adds whom it hears from on the right, so the right-most hop that is no trusted
    /// proxy is the last one that somebody trusted has seen. What stands to its left is hearsay.
    pub(crate) fn of<'a>(
        peer: IpAddr,
        forwarded_for: impl Iterator<Item = &'a [u8]>,
        trusted: &Networks,
    ) -> Result<Self, BadForwardedFor> {
        let peer = peer.to_canonical();
        let direct = Self { address: peer, is_local: peer.is_loopback() };
        if !trusted.contains(peer) {
            return Ok(direct);
        }
        let mut hops = Vec::new();
        for value in forwarded_for {
            let value = std::str::from_utf8(value).map_err(|_| BadForwardedFor::NotText)?;
            for hop in value.split(',') {
                if hops.len() == MAX_HOPS {
                    return Err(BadForwardedFor::TooManyHops);
                }
                hops.push(address(hop.trim()).ok_or(BadForwardedFor::NotAnAddress)?);
            }
        }
        let last_seen = hops.iter().rev().find(|hop| !trusted.contains(**hop));
        // If all of them are proxies, the first one asks for itself; with none, the peer does.
        let first = hops.first().copied();
        Ok(match last_seen.copied().or(first) {
            Some(address) => Self { address, is_local: false },
            None => direct,
        })
    }

    /// Its address.
    pub(crate) fn address(self) -> IpAddr {
        self.address
    }

    /// Whether it is a process of this machine that speaks for itself, through no proxy.
    pub(crate) fn is_local(self) -> bool {
        self.is_local
    }

    /// What is counted of it.
    pub(crate) fn network(self) -> SourceNetwork {
        SourceNetwork(match self.address {
            IpAddr::V4(_) => self.address,
            IpAddr::V6(address) => {
                let network = address.to_bits() >> NETWORK_BITS << NETWORK_BITS;
                Ipv6Addr::from_bits(network).into()
            }
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl fmt::Display for SourceNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/{NETWORK_BITS}"),
        }
    }
}

/// A hop: an address, in brackets if its writer puts ports behind, and then perhaps a port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
        None => hop.parse().ok().or_else(|| hop.parse().ok().map(|with: SocketAddr| with.ip())),
    };
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: &str = "10.0.0.0/8, 2001:db8:ffff::/48";

    fn source(peer: &str, forwarded_for: &[&str]) -> Result<String, BadForwardedFor> {
        let trusted = PROXIES.parse().unwrap();
        let values = forwarded_for.iter().map(|value| value.as_bytes());
        Source::of(peer.parse().unwrap(), values, &trusted).map(|source| source.to_string())
    }

    #[test]
    fn who_is_no_proxy_speaks_for_itself() {
        for forged in [&["127.0.0.1"][..], &["10.0.0.1"], &["garbage"], &["", "::1"], &[]] {
            assert_eq!(source("192.0.2.7", forged).unwrap(), "192.0.2.7");
            assert_eq!(source("::ffff:192.0.2.7", forged).unwrap(), "192.0.2.7");
        }
    }

    #[test]
    fn the_right_most_hop_that_is_no_proxy_counts() {
        for (list, expected) in [
            (&["192.0.2.7"][..], "192.0.2.7"),
            (&["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
            (&["127.0.0.1,10.0.0.9 ,192.0.2.7,10.0.0.2"], "192.0.2.7"),
            // Several headers are one list.
            (&["198.51.100.1", "192.0.2.7", "10.0.0.2"], "192.0.2.7"),
            (&["192.0.2.7, 198.51.100.1", "10.0.0.2"], "198.51.100.1"),
            // IPv4 in IPv6 is IPv4, as a hop and as a proxy.
            (&["::ffff:192.0.2.7, ::ffff:10.0.0.2"], "192.0.2.7"),
            (&["2001:db8::7, 2001:db8:ffff::1"], "2001:db8::7"),
            // Some proxies write ports.
            (&["192.0.2.7:50000"], "192.0.2.7"),
            (&["[2001:db8::7]:50000"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            // Nobody but proxies: the first one asks.
            (&["10.0.0.5, 10.0.0.2"], "10.0.0.5"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(source("10.0.0.1", list).unwrap(), expected, "{list:?}");
        }
        assert_eq!(source("::ffff:10.0.0.1", &["192.0.2.7"]).unwrap(), "192.0.2.7");
    }

    #[test]
    fn garbage_is_refused_wherever_it_stands() {
        for garbage in [
            "",
            "unknown",
            "_hidden",
            "192.0.2.7, ",
            ", 192.0.2.7",
            "garbage, 192.0.2.7",
            "192.0.2.7 198.51.100.1",
            "192.0.2.07",
            "192.0.2.7/32",
            "2001:db8::7:x",
            "[192.0.2.7]",
            "[2001:db8::7",
            "192.0.2.7:65536",
        ] {
            let refused = source("10.0.0.1", &[garbage]);
            assert_eq!(refused, Err(BadForwardedFor::NotAnAddress), "{garbage}");
        }
        let two = source("10.0.0.1", &["192.0.2.7", "garbage"]);
        assert_eq!(two, Err(BadForwardedFor::NotAnAddress));
        let trusted = PROXIES.parse().unwrap();
        let not_text = Source::of([10, 0, 0, 1].into(), [&b"\xff"[..]].into_iter(), &trusted);
        assert_eq!(not_text, Err(BadForwardedFor::NotText));
        let many = vec!["192.0.2.7"; MAX_HOPS + 1].join(",");
        assert_eq!(source("10.0.0.1", &[&many]), Err(BadForwardedFor::TooManyHops));
        assert!(source("10.0.0.1", &[&many[10..]]).is_ok());
    }

    #[test]
    fn ipv6_sources_count_by_network_and_only_direct_ones_are_local() {
        let of = |peer: &str| {
            Source::of(peer.parse().unwrap(), std::iter::empty(), &Networks::default()).unwrap()
        };
        assert_eq!(of("2001:db8::1").network(), of("2001:db8::ffff:1").network());
        assert_ne!(of("2001:db8::1").network(), of("2001:db8:0:1::1").network());
        assert_ne!(of("192.0.2.1").network(), of("192.0.2.2").network());
        assert_eq!(of("2001:db8::1").network().to_string(), "2001:db8::/64");
        assert!(of("::1").is_local() && of("::ffff:127.0.0.1").is_local());
        assert!(!of("192.0.2.1").is_local());
        let trusted = "127.0.0.1".parse().unwrap();
        let through = |hop: &'static [u8]| {
            Source::of([127, 0, 0, 1].into(), [hop].into_iter(), &trusted).unwrap()
        };
        assert!(!through(b"127.0.0.1").is_local() && !through(b"::1").is_local());
    }
}
