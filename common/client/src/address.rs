//! Where the coordinator is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::{Endpoint, Uri};

use crate::error::ClientError;

/// Opening a connection takes one round trip; a host that doesn't answer within this is tried again from the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A peer that vanished without a word is noticed after both together. Longer than any pause of a healthy coordinator:
/// losing a session makes an agent end its workers, while training itself never waits for the coordinator.
const PING_PERIOD: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Address of a coordinator, `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorAddress {
    uri: Arc<Uri>,
}

impl CoordinatorAddress {
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from(Uri::clone(&self.uri))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_PERIOD)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
    }
}

impl FromStr for CoordinatorAddress {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let invalid = |reason: String| ClientError::InvalidAddress {
            text: text.to_owned(),
            reason,
        };
        let uri: Uri = text.parse().map_err(|error| invalid(format!("{error}")))?;
        if uri.scheme_str() != Some("http") {
            return Err(invalid("it does not start with http://".to_owned()));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(invalid("it names no host".to_owned()));
        }
        if uri.port_u16().is_none_or(|port| port == 0) {
            return Err(invalid("it names no port".to_owned()));
        }
        if uri
            .path_and_query()
            .is_some_and(|rest| rest.as_str() != "/")
        {
            return Err(invalid("it goes on after the port".to_owned()));
        }
        Ok(Self { uri: Arc::new(uri) })
    }
}

impl fmt::Display for CoordinatorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(f, "http://{authority}")
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
        check("127.0.0.1:7700", Err("http://"));
        check("https://host:7700", Err("does not start with http://"));
        check("http://host", Err("names no port"));
        check("http://host:0", Err("names no port"));
        check("http://:7700", Err("\"http://:7700\""));
        check("http://host:7700/jobs", Err("goes on after the port"));
        check("", Err("\"\""));
        check("http://host:7700?x", Err("goes on after the port"));
    }
}
