//! The address of a network interface.

use std::io;
use std::net::IpAddr;

/// An interface has no address to listen on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InterfaceError {
    #[error("cannot list the network interfaces: {0}")]
    List(#[from] io::Error),
    #[error("no network interface {name} has an address; there are {}", known.join(", "))]
    Unknown { name: String, known: Vec<String> },
}

/// The address that others use for what listens on `interface`: its first IPv4 address, or else its first IPv6 address
/// that means the same on every machine.
pub(crate) fn address_of(interface: &str) -> Result<IpAddr, InterfaceError> {
    let all: Vec<(String, IpAddr)> = if_addrs::get_if_addrs()?
        .into_iter()
        .map(|found| (found.name.clone(), found.ip()))
        .collect();
    choose(interface, &all).ok_or_else(|| InterfaceError::Unknown {
        name: interface.to_owned(),
        known: all
            .iter()
            .map(|(name, address)| format!("{name} ({address})"))
            .collect(),
    })
}

fn choose(interface: &str, all: &[(String, IpAddr)]) -> Option<IpAddr> {
    let mut own = all
        .iter()
        .filter(|(name, _)| name == interface)
        .map(|(_, address)| *address);
    let is_global = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    let global: Vec<IpAddr> = own.by_ref().filter(is_global).collect();
    let first_v4 = global.iter().find(|address| address.is_ipv4());
    first_v4.or(global.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(interface: &str) -> Option<String> {
        let all = [
            ("lo", "127.0.0.1"),
            ("eth0", "fe80::1"),
            ("eth0", "fd00::5"),
            ("eth0", "10.0.0.5"),
            ("eth0", "10.0.0.6"),
            ("ib0", "fe80::2"),
            ("ib0", "fd00::6"),
            ("down0", "fe80::3"),
        ]
        .map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
        choose(interface, &all).map(|address| address.to_string())
    }

    #[test]
    fn ipv4_comes_first_and_link_local_addresses_never() {
        assert_eq!(chosen("eth0").as_deref(), Some("10.0.0.5"));
        assert_eq!(chosen("ib0").as_deref(), Some("fd00::6"));
        assert_eq!(chosen("down0"), None);
        assert_eq!(chosen("eth1"), None);
    }

    #[test]
    fn unknown_interface_is_told_with_those_there_are() {
        let error = address_of("nowhere7").unwrap_err().to_string();
        assert!(
            error.starts_with("no network interface nowhere7 has an address; there are "),
            "{error}"
        );
    }
}
