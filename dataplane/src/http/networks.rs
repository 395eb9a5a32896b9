//! Networks of addresses in CIDR notation, and whether an address is in one of them. An IPv4 address that is written as an
//! IPv6 one counts as IPv4. It never asks who an address belongs to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Most networks of a list: each is compared with an address one after the other.
pub const NETWORKS_MAX: usize = 64;

/// A list of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// All addresses of a family that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    V4 { first: u32, mask: u32 },
    V6 { first: u128, mask: u128 },
}

/// Why a text is no list of networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworksError {
    /// An element is neither an address nor a network.
    NotANetwork(String),
    /// An address behind which more bits are set than its prefix has; the network that it is in.
    BitsBehindPrefix(String, String),
    /// More than [`NETWORKS_MAX`].
    TooMany,
}

impl fmt::Display for NetworksError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworksError::NotANetwork(text) => write!(out, "{text:?} is not a network"),
            NetworksError::BitsBehindPrefix(text, meant) => {
                write!(out, "{text} has bits behind its prefix; is {meant} meant?")
            }
            NetworksError::TooMany => write!(out, "more than {NETWORKS_MAX} networks"),
        }
    }
}

impl Networks {
    /// Whether an address is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| match (*network, address) {
            (Network::V4 { first, mask }, IpAddr::V4(address)) => address.to_bits() & mask == first,
            (Network::V6 { first, mask }, IpAddr::V6(address)) => address.to_bits() & mask == first,
            (Network::V4 { .. }, IpAddr::V6(_)) | (Network::V6 { .. }, IpAddr::V4(_)) => false,
        })
    }

    /// Whether no address is in any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Networks {
    type Err = NetworksError;

    /// Reads networks with commas between them. An address without a prefix is a network of one.
    fn from_str(text: &str) -> Result<Networks, NetworksError> {
        let networks = text.split(',').map(|element| network(element.trim()));
        let networks = networks.collect::<Result<Vec<Network>, NetworksError>>()?;
        match networks.len() {
            ..=NETWORKS_MAX => Ok(Networks(networks)),
            _ => Err(NetworksError::TooMany),
        }
    }
}

fn network(text: &str) -> Result<Network, NetworksError> {
    let not_a_network = || NetworksError::NotANetwork(text.to_owned());
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| not_a_network())?;
    let bits_max = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let bits = prefix.map_or(Some(bits_max), |prefix| prefix_bits(prefix, bits_max));
    let bits = bits.ok_or_else(not_a_network)?;
    let behind = |meant: IpAddr| {
        let meant = format!("{meant}/{bits}");
        NetworksError::BitsBehindPrefix(text.to_owned(), meant)
    };
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let first = address.to_bits() & mask;
            match first == address.to_bits() {
                true => Ok(Network::V4 { first, mask }),
                false => Err(behind(IpAddr::V4(first.into()))),
            }
        }
        // Such an address counts as IPv4, so that no address would be in its network.
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Err(not_a_network()),
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            let first = address.to_bits() & mask;
            match first == address.to_bits() {
                true => Ok(Network::V6 { first, mask }),
                false => Err(behind(IpAddr::V6(first.into()))),
            }
        }
    }
}

/// Plain digits without a sign or leading zeros.
fn prefix_bits(text: &str, bits_max: u32) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    let bits = text.parse().ok()?;
    (is_plain && !has_leading_zero && bits <= bits_max).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(networks: &str, address: &str) -> bool {
        let networks: Networks = networks.parse().unwrap();
        networks.contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_the_networks_that_begin_as_it_does() {
        for (networks, address, expect) in [
            ("127.0.0.0/8", "127.255.255.255", true),
            ("127.0.0.0/8", "128.0.0.0", false),
            ("127.0.0.0/8", "126.255.255.255", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("192.0.2.0/31", "192.0.2.1", true),
            ("192.0.2.0/31", "192.0.2.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "203.0.113.9", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
            ("::1", "::2", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::/0", "::ffff:10.1.2.3", false),
            ("10.0.0.0/8, 2001:db8::/32 ,192.0.2.7", "192.0.2.7", true),
            ("10.0.0.0/8, 2001:db8::/32 ,192.0.2.7", "2001:db8::", true),
        ] {
            assert_eq!(is_in(networks, address), expect, "{networks}: {address}");
        }
        assert!(!Networks::default().contains("::".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0/8",
            "010.0.0.0/8",
            "::/129",
            "10.0.0.0/8,",
            "10.0.0.0/8 10.0.0.0/8",
            "10.0.0.0/255.0.0.0",
            "::ffff:10.0.0.0/104",
            "[::1]",
            "127.0.0.1:80",
        ] {
            let read = text.parse::<Networks>();
            let refused = matches!(read, Err(NetworksError::NotANetwork(_)));
            assert!(refused, "{text:?}: {read:?}");
        }
        let many = vec!["::1"; NETWORKS_MAX];
        assert!(many.join(",").parse::<Networks>().is_ok());
        let many = vec!["::1"; NETWORKS_MAX + 1].join(",");
        assert_eq!(many.parse::<Networks>(), Err(NetworksError::TooMany));
    }

    #[test]
    fn an_address_with_a_prefix_is_told_its_network() {
        for (text, told) in [
            (
                "127.0.0.1/8",
                "127.0.0.1/8 has bits behind its prefix; is 127.0.0.0/8 meant?",
            ),
            (
                "2001:db8::1/32",
                "2001:db8::1/32 has bits behind its prefix; is 2001:db8::/32 meant?",
            ),
            (
                "1.0.0.0/0",
                "1.0.0.0/0 has bits behind its prefix; is 0.0.0.0/0 meant?",
            ),
        ] {
            assert_eq!(text.parse::<Networks>().unwrap_err().to_string(), told);
        }
    }
}
