//! Lists of networks, such as `10.0.0.0/8, 192.0.2.7, 2001:db8::/32`.

use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;
use std::str::FromStr;

/// Most networks of a list: every request is compared with each of them.
const MAX_NETWORKS: usize = 1024;

/// The bits before the IPv4 address in an IPv6 address that stands for one (`::ffff:0:0/96`).
const MAPPED_PREFIX: u8 = 96;

/// A list of networks; may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// A text that is no list of networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// One of its parts is no network.
    #[error(
        "`{0}` is no network: give addresses or networks with commas between, as in \
         10.0.0.0/8,192.0.2.7"
    )]
    Part(String),
    /// It has too many.
    #[error("a list of {0} networks: at most {MAX_NETWORKS} are taken, join some of them")]
    TooMany(usize),
}

impl Networks {
    /// Whether the list has no networks.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in one of the networks. An IPv4 address is the same address when an
    /// IPv6 socket shows it as `::ffff:a.b.c.d`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = BadNetwork;

    /// Empty parts do not count: an empty text is an empty list.
    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let networks = parts.map(network).collect::<Result<Vec<_>, _>>()?;
        if networks.len() > MAX_NETWORKS {
            return Err(BadNetwork::TooMany(networks.len()));
        }
        Ok(Self(networks))
    }
}

fn network(part: &str) -> Result<IpNet, BadNetwork> {
    let network = match part.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => part.parse::<IpNet>().map_err(|_| BadNetwork::Part(part.to_owned()))?,
    };
    Ok(canonical(network))
}

/// A network of IPv4 addresses that is written in IPv6, as what it is.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(address) = v6.addr().to_ipv4_mapped()
        && let Some(prefix) = v6.prefix_len().checked_sub(MAPPED_PREFIX)
        && let Ok(v4) = Ipv4Net::new(address, prefix)
    {
        return IpNet::V4(v4);
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(networks: &str, address: &str) -> bool {
        networks.parse::<Networks>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn addresses_and_networks_of_both_families() {
        let list = " 10.0.0.0/8,192.0.2.7 ,, 2001:db8::/32 , ::1";
        for inside in ["10.255.0.1", "192.0.2.7", "2001:db8:1::5", "::1", "::ffff:10.1.2.3"] {
            assert!(contains(list, inside), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::2", "::ffff:11.0.0.1", "::"] {
            assert!(!contains(list, outside), "{outside}");
        }
        // Bits beyond the prefix do not count.
        assert!(contains("10.1.2.3/8", "10.9.9.9"));
    }

    #[test]
    fn networks_of_mapped_addresses_are_ipv4() {
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!contains("::ffff:10.0.0.0/104", "11.1.2.3"));
        assert!(contains("::ffff:192.0.2.7", "192.0.2.7"));
    }

    #[test]
    fn an_empty_text_is_an_empty_list() {
        for empty in ["", " ", " , "] {
            let networks: Networks = empty.parse().unwrap();
            assert!(networks.is_empty() && !networks.contains([127, 0, 0, 1].into()));
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for bad in ["10.0.0.0/33", "10.0.0", "localhost", "10.0.0.1;10.0.0.2", "*", "::/129"] {
            let error = format!("127.0.0.1,{bad}").parse::<Networks>().unwrap_err();
            assert_eq!(error, BadNetwork::Part(bad.to_owned()));
        }
        let many = "10.0.0.1,".repeat(MAX_NETWORKS + 1);
        assert_eq!(many.parse::<Networks>(), Err(BadNetwork::TooMany(MAX_NETWORKS + 1)));
    }
}
