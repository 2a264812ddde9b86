//! Which addresses may be connected to.
//!
//! Owns the kinds of addresses and the one decision over them. By default only public addresses
//! over TLS: whoever may name a destination must not thereby reach what only this machine can
//! (server-side request forgery). Self-hosted users deliver to their own networks, so they can
//! allow those; what serves credentials to machines of a cloud stays closed whatever is allowed.
//!
//! Invariant: pure, and total: an address of a kind that is not known to be public is not.
//! Sources: the IANA special-purpose address registries (RFC 6890 and its successors).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What may be reached beyond public addresses over TLS. The default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Speaking without TLS.
    pub clear_text: bool,
    /// This machine itself.
    pub loopback: bool,
    /// Networks behind a router: RFC 1918, RFC 6598 (carrier-grade), RFC 4193 (ULA).
    pub private: bool,
    /// These networks, whatever their kind, except link-local and metadata addresses.
    pub networks: Vec<Network>,
    /// These host names, whatever their addresses, except link-local and metadata addresses.
    pub hosts: Vec<String>,
}

/// What an address is, as far as delivery is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anyone's.
    Public,
    /// This machine.
    Loopback,
    /// A network behind a router.
    Private,
    /// This cable only, or a service of the cloud for its own machines: never allowed.
    Local,
    /// Neither: multicast, documentation, translated addresses, not yet given out.
    Reserved,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Local => "link-local or metadata",
            Self::Reserved => "reserved",
        })
    }
}

/// Why the guard refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Without TLS, which is not allowed.
    #[error("clear text is not allowed: the destination must speak TLS")]
    ClearText,
    /// To an address of a kind that is not allowed.
    #[error("{host} has the {kind} address {address}, which is not allowed")]
    Address {
        /// As it was asked for.
        host: String,
        /// What it resolved to.
        address: IpAddr,
        /// What that is.
        kind: Kind,
    },
}

impl Allow {
    /// Everything but link-local and metadata addresses: for endpoints that the operator of
    /// this server names, as opposed to those that its users do.
    pub fn operator() -> Self {
        Self { clear_text: true, loopback: true, private: true, ..Self::default() }
    }

    /// Whether a connection may be opened with TLS or without.
    pub fn check_scheme(&self, is_tls: bool) -> Result<(), Refusal> {
        if is_tls || self.clear_text { Ok(()) } else { Err(Refusal::ClearText) }
    }

    /// Whether `host`, which resolved to `address`, may be connected to.
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        let kind = kind_of(address);
        let is_allowed = match kind {
            Kind::Public => true,
            Kind::Local => false,
            Kind::Loopback if self.loopback => true,
            Kind::Private if self.private => true,
            Kind::Loopback | Kind::Private | Kind::Reserved => {
                self.networks.iter().any(|network| network.contains(address))
                    || self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
            }
        };
        if is_allowed {
            return Ok(());
        }
        Err(Refusal::Address { host: host.to_owned(), address, kind })
    }
}

/// What `address` is.
fn kind_of(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

/// Beside 169.254/16: where Alibaba, Azure and Oracle serve metadata (documented by each).
const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// Where AWS and Google serve metadata over IPv6: all of fd00:ec2::/32, and fd20:ce::254.
const METADATA_V6: (Ipv6Addr, Ipv6Addr) = (
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
);

fn kind_of_v4(address: Ipv4Addr) -> Kind {
    if METADATA_V4.contains(&address) || address.is_link_local() {
        return Kind::Local;
    }
    match address.octets() {
        [127, ..] => Kind::Loopback,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Kind::Private,
        // This network; IETF protocols; documentation; 6to4 relays; benchmarks; multicast and up.
        [0 | 224..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Kind::Reserved,
        _ => Kind::Public,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    let segments = address.segments();
    let aws_metadata = segments[..2] == METADATA_V6.0.segments()[..2];
    let carries_metadata = carried_v4(segments).is_some_and(|v4| kind_of_v4(v4) == Kind::Local);
    let is_link_local = segments[0] & 0xffc0 == 0xfe80;
    if aws_metadata || address == METADATA_V6.1 || is_link_local || carries_metadata {
        return Kind::Local;
    }
    if address == Ipv6Addr::LOCALHOST {
        return Kind::Loopback;
    }
    match segments {
        [0xfc00..=0xfdff, ..] => Kind::Private,
        // IETF protocols with Teredo; documentation twice; 6to4. Of the rest only 2000::/3 is
        // given out; an IPv4 address in IPv6 clothes (mapped, NAT64) is outside of it.
        [0x2001, 0x0000..=0x01ff | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0x0000..=0x0fff, ..] => {
            Kind::Reserved
        }
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Reserved,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64, 6to4.
fn carried_v4(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let (high, low) = match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => {
            (high, low)
        }
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

/// A network in CIDR form, such as `10.20.0.0/16`; an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network: an address, a slash and the prefix's length")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let refuse = || NetworkError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            Some(bits) => bits.parse().map_err(|_| refuse())?,
            None => bits_max,
        };
        if prefix_bits > bits_max {
            return Err(refuse());
        }
        Ok(Self { address, prefix_bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl Network {
    /// Whether `address` lies in it. An IPv4 network holds no IPv6 address, mapped or not.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                u128::from(own.to_bits() ^ other.to_bits()) << 96
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => own.to_bits() ^ other.to_bits(),
            _ => return false,
        };
        differing.leading_zeros() >= self.prefix_bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind {
        kind_of(text.parse().unwrap())
    }

    #[test]
    fn each_address_is_of_one_kind() {
        let rows = [
            (Kind::Public, "8.8.8.8 1.1.1.1 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1"),
            (Kind::Public, "192.0.1.1 198.17.0.1 198.20.0.1 223.255.255.255 169.253.1.1"),
            (Kind::Public, "2001:200::1 2606:4700::1111 2a00:1450::1 3fff:1000::1"),
            (Kind::Loopback, "127.0.0.1 127.255.255.254 ::1"),
            (Kind::Private, "10.0.0.1 192.168.1.1 172.16.0.1 172.31.255.255 100.64.0.1"),
            (Kind::Private, "fc00::1 fdff::1 fd12:3456::1"),
            (Kind::Local, "169.254.169.254 169.254.0.1 fe80::1 febf::1"),
            (Kind::Local, "fd00:ec2::254 fd00:ec2::23 fd20:ce::254"),
            (Kind::Local, "100.100.100.200 168.63.129.16 192.0.0.192"),
            (Kind::Reserved, "0.0.0.0 0.1.2.3 192.0.0.1 192.0.2.1 198.51.100.1 203.0.113.1"),
            (Kind::Reserved, "198.18.0.1 198.19.255.255 192.88.99.1 224.0.0.1 240.0.0.1"),
            (Kind::Reserved, "255.255.255.255 :: ff02::1 2001:db8::1 3fff::1 2002:7f00:1::"),
            (Kind::Reserved, "2001::1 100::1 4000::1 fec0::1"),
            // IPv4 in IPv6 clothes: mapped, compatible, NAT64.
            (Kind::Reserved, "::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1"),
            (Kind::Reserved, "64:ff9b::7f00:1 64:ff9b:1::a00:1"),
        ];
        for (expected, addresses) in rows {
            for address in addresses.split(' ') {
                assert_eq!(kind(address), expected, "{address}");
            }
        }
    }

    #[test]
    fn nothing_but_public_addresses_over_tls_is_allowed_unless_said() {
        let allow = Allow::default();
        assert_eq!(allow.check_scheme(false), Err(Refusal::ClearText));
        assert_eq!(allow.check_scheme(true), Ok(()));
        assert_eq!(allow.check_address("h", "8.8.8.8".parse().unwrap()), Ok(()));
        for address in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:8.8.8.8", "fc00::1"] {
            let refused = allow.check_address("h", address.parse().unwrap());
            assert!(refused.is_err(), "{address}");
        }
    }

    #[test]
    fn what_is_said_is_allowed_and_no_more() {
        let check = |allow: &Allow, host: &str, address: &str| {
            allow.check_address(host, address.parse().unwrap()).is_ok()
        };
        let loopback = Allow { loopback: true, ..Allow::default() };
        assert!(check(&loopback, "h", "127.0.0.1"));
        assert!(!check(&loopback, "h", "10.0.0.1"));
        let private = Allow { private: true, ..Allow::default() };
        assert!(check(&private, "h", "192.168.0.1"));
        assert!(!check(&private, "h", "127.0.0.1"));
        assert!(!check(&private, "h", "fd00:ec2::254"), "metadata stays closed");
        let networks = Allow {
            networks: vec!["10.20.0.0/16".parse().unwrap(), "fc00:1::/32".parse().unwrap()],
            ..Allow::default()
        };
        assert!(check(&networks, "h", "10.20.255.1"));
        assert!(!check(&networks, "h", "10.21.0.1"));
        assert!(check(&networks, "h", "fc00:1::7"));
        assert!(!check(&networks, "h", "fc00:2::7"));
        let hosts = Allow { hosts: vec!["search.lan".to_owned()], ..Allow::default() };
        assert!(check(&hosts, "Search.LAN", "10.0.0.1"));
        assert!(!check(&hosts, "other.lan", "10.0.0.1"));
    }

    #[test]
    fn no_setting_opens_link_local_or_metadata_addresses() {
        let all = Allow {
            networks: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
            hosts: vec!["h".to_owned()],
            ..Allow::operator()
        };
        for address in ["169.254.169.254", "fe80::1", "fd00:ec2::254", "168.63.129.16"] {
            assert!(all.check_address("h", address.parse().unwrap()).is_err(), "{address}");
        }
        assert!(all.check_address("h", "::ffff:127.0.0.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_mapped_metadata_address_is_not_a_way_around() {
        let all = Allow {
            networks: vec!["::/0".parse().unwrap()],
            hosts: vec!["h".to_owned()],
            ..Allow::operator()
        };
        for address in ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"] {
            assert!(all.check_address("h", address.parse().unwrap()).is_err(), "{address}");
        }
    }

    #[test]
    fn a_network_is_an_address_and_a_length() {
        for text in ["10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "::/129", "", "a/8", "10.0.0.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let one: Network = "10.0.0.1".parse().unwrap();
        assert_eq!(one.to_string(), "10.0.0.1/32");
        assert!(one.contains("10.0.0.1".parse().unwrap()));
        assert!(!one.contains("10.0.0.2".parse().unwrap()));
        let everything: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everything.contains("200.1.2.3".parse().unwrap()));
        assert!(!everything.contains("::1".parse().unwrap()));
    }
}
