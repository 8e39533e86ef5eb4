//! Texts of a form of their own, so that a malformed one is told with its place like a number out of range.

use std::net::{IpAddr, SocketAddr};

use crate::address::CoordinatorAddress;
use crate::ids::NodeId;

/// The form of a text, as the `format` of its JSON schema names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// An IP address of either kind.
    Ip,
    /// An IP address and a port.
    SocketAddress,
    /// `http://host:port`.
    CoordinatorAddress,
    /// The name of a machine.
    NodeId,
}

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "ip" => Some(Self::Ip),
            "socket-address" => Some(Self::SocketAddress),
            "coordinator-address" => Some(Self::CoordinatorAddress),
            "node-id" => Some(Self::NodeId),
            _ => None,
        }
    }

    /// What a text of this form is, for messages.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            Self::Ip => "an IP address such as \"10.0.0.5\" or \"fd00::5\"",
            Self::SocketAddress => "an IP address with a port, such as \"10.0.0.5:7700\"",
            Self::CoordinatorAddress => "an address such as \"http://10.0.0.5:7700\"",
            Self::NodeId => "a name such as \"gpu-01\"",
        }
    }

    /// # Errors
    /// What is wrong with the text.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        match self {
            Self::Ip => text.parse::<IpAddr>().map(drop).map_err(|e| wrong(&e)),
            Self::SocketAddress => text.parse::<SocketAddr>().map(drop).map_err(|e| wrong(&e)),
            Self::CoordinatorAddress => text
                .parse::<CoordinatorAddress>()
                .map(drop)
                .map_err(|error| error.reason.to_owned()),
            Self::NodeId => NodeId::try_from(text.to_owned())
                .map(drop)
                .map_err(|e| wrong(&e)),
        }
    }
}
