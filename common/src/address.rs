//! Where a coordinator is.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest host name there is (RFC 1035, section 2.3.4, as text).
const MAX_HOST_BYTES: usize = 253;

/// Address of a coordinator, `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CoordinatorAddress {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    host: String,
    port: u16,
}

/// Why a text is no address of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no coordinator address ({reason}); it must look like http://127.0.0.1:7700")]
pub struct InvalidAddress {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl CoordinatorAddress {
    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for CoordinatorAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        split(text)
            .map(|(host, port)| Self {
                host: host.to_owned(),
                port,
            })
            .map_err(|reason| InvalidAddress {
                text: text.to_owned(),
                reason,
            })
    }
}

fn split(text: &str) -> Result<(&str, u16), &'static str> {
    let rest = text
        .strip_prefix("http://")
        .ok_or("it does not start with http://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err("it goes on after the port");
    }
    let (host, port) = match rest.rfind(']') {
        Some(end) => (&rest[..=end], rest[end + 1..].strip_prefix(':')),
        None => rest
            .rsplit_once(':')
            .map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    check_host(host)?;
    let port = port.ok_or("it names no port")?;
    let is_number = !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if is_number && port > 0 => Ok((host, port)),
        Ok(_) | Err(_) => Err("it names no port from 1 to 65535"),
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("it names no host");
    }
    if host.len() > MAX_HOST_BYTES {
        return Err("its host is longer than 253 letters");
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').map(Ipv6Addr::from_str);
        return match address {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => Err("the brackets hold no IPv6 address"),
        };
    }
    let is_name =
        |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'.' | b'_');
    if host.bytes().all(is_name) {
        Ok(())
    } else {
        Err("its host is no name or IP address; an IPv6 address stands in brackets")
    }
}

impl fmt::Display for CoordinatorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

impl TryFrom<String> for CoordinatorAddress {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl From<SocketAddr> for CoordinatorAddress {
    fn from(address: SocketAddr) -> Self {
        let host = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self {
            host,
            port: address.port(),
        }
    }
}

impl From<CoordinatorAddress> for String {
    fn from(address: CoordinatorAddress) -> Self {
        address.to_string()
    }
}

impl JsonSchema for CoordinatorAddress {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CoordinatorAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "coordinator-address" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let found = text.parse::<CoordinatorAddress>();
        match (found, expected) {
            (Ok(address), Ok(shown)) => assert_eq!(address.to_string(), shown),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn address_is_parsed_once_and_shown_as_written() {
        check("http://127.0.0.1:7700", Ok("http://127.0.0.1:7700"));
        check("http://[::1]:7700/", Ok("http://[::1]:7700"));
        check("http://train-3.example:1", Ok("http://train-3.example:1"));
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        check("127.0.0.1:7700", Err("does not start with http://"));
        check("https://host:7700", Err("does not start with http://"));
        check("http://host", Err("names no port"));
        check("http://host:", Err("names no port"));
        check("http://host:0", Err("names no port from 1"));
        check("http://host:+1", Err("names no port from 1"));
        check("http://host:65536", Err("names no port from 1"));
        check("http://:7700", Err("names no host"));
        check("http://host:7700/jobs", Err("goes on after the port"));
        check("http://host:7700?x", Err("goes on after the port"));
        check("http://fd00::1:7700", Err("stands in brackets"));
        check("http://[fd00::x]:7700", Err("no IPv6 address"));
        check("http://[::1]7700", Err("names no port"));
        check("http://a b:7700", Err("no name or IP address"));
        check("http://user@host:7700", Err("no name or IP address"));
        check("", Err("\"\""));
    }

    #[test]
    fn socket_addresses_are_addresses() {
        for text in ["127.0.0.1:7700", "[fd00::1]:1"] {
            let address = CoordinatorAddress::from(text.parse::<SocketAddr>().unwrap());
            assert_eq!(Ok(address.clone()), address.to_string().parse());
            assert_eq!(address.to_string(), format!("http://{text}"));
        }
    }

    #[test]
    fn wire_form_is_the_text() {
        let address: CoordinatorAddress = "http://[::1]:7700".parse().unwrap();
        let json = serde_json::to_string(&address).unwrap();
        assert_eq!(json, "\"http://[::1]:7700\"");
        assert_eq!(
            serde_json::from_str::<CoordinatorAddress>(&json).unwrap(),
            address
        );
    }
}
