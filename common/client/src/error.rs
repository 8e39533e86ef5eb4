//! What can go wrong between a client and the coordinator.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use tonic::{Code, Status};

use crate::address::CoordinatorAddress;

/// A call or session failed; each says which coordinator.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The text is no address.
    #[error(
        "{text:?} is no coordinator address ({reason}); it must look like http://127.0.0.1:7700"
    )]
    InvalidAddress {
        /// The text given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answered in time.
    #[error(
        "no coordinator could be reached at {address} ({attempts} tries within {} ms; the last: {last})",
        .limit.as_millis()
    )]
    Unreachable {
        /// Where it was looked for.
        address: CoordinatorAddress,
        /// How often.
        attempts: u32,
        /// For how long.
        limit: Duration,
        /// How the last try failed.
        last: String,
    },
    /// The coordinator answered, and the answer is no.
    #[error("the coordinator at {address} refused to {operation}: {message}")]
    Refused {
        /// Who answered.
        address: CoordinatorAddress,
        /// What was asked: "submit the job", "open an agent session".
        operation: &'static str,
        /// The kind of refusal.
        code: Code,
        /// Its reason in its own words.
        message: String,
    },
    /// The connection broke while a call or session was under way.
    #[error(
        "the connection to the coordinator at {address} broke while it was to {operation}: {message}"
    )]
    Lost {
        /// The other end.
        address: CoordinatorAddress,
        /// What was under way.
        operation: &'static str,
        /// What was noticed.
        message: String,
    },
    /// The answer makes no sense; the coordinator is of another version.
    #[error("the coordinator at {address} answered what this version does not understand: {what}")]
    Malformed {
        /// Who answered.
        address: CoordinatorAddress,
        /// What is wrong with the answer.
        what: String,
    },
}

impl ClientError {
    /// Sorts a gRPC status: a broken connection can be mended by trying again, a refusal can't.
    pub(crate) fn from_status(
        address: &CoordinatorAddress,
        operation: &'static str,
        status: &Status,
    ) -> Self {
        let address = address.clone();
        let message = match (status.message(), status.source()) {
            ("", None) => status.code().description().to_owned(),
            (text, None) => text.to_owned(),
            (_, Some(source)) => with_sources(source),
        };
        let broken = status.source().is_some()
            || matches!(status.code(), Code::Unavailable | Code::Cancelled);
        if broken {
            Self::Lost {
                address,
                operation,
                message,
            }
        } else {
            Self::Refused {
                address,
                operation,
                code: status.code(),
                message,
            }
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_connection_loss(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::InvalidAddress { .. } | Self::Refused { .. } | Self::Malformed { .. } => false,
        }
    }
}

/// An error with all its sources in one line; the transport's own says only "transport error".
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            // Writing to a String can't fail.
            let _ = write!(text, ": {more}");
        }
        source = error.source();
    }
    text
}
