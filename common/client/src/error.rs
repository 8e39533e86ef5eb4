//! What can go wrong between a client and the coordinators.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use convoy_common::address::CoordinatorAddress;
use convoy_wire::sources::with_sources;
use tonic::{Code, Status};

use crate::answers::EndpointAnswers;

/// A call or session failed; each says which coordinator.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No coordinator answered as the leader in time.
    #[error("{0}")]
    Unreachable(Box<Unreachable>),
    /// The coordinator answered, and the answer is no.
    #[error("the coordinator at {address} refused to {operation}: {message}{}", earlier(*.may_have_run))]
    Refused {
        /// Who answered.
        address: CoordinatorAddress,
        /// What was asked: "submit the job", "open an agent session".
        operation: &'static str,
        /// The kind of refusal.
        code: Code,
        /// Its reason in its own words.
        message: String,
        /// It would have changed something, and an earlier try may have reached a leader whose answer was lost.
        may_have_run: bool,
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

/// A search for the leader that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The coordinators that were named to this client.
    pub endpoints: String,
    /// What was to be done.
    pub operation: &'static str,
    /// For how long it was tried.
    pub limit: Duration,
    /// Some coordinator answered, and waits for a leader itself.
    pub is_leaderless: bool,
    /// It would have changed something, and may have reached a leader whose answer was lost.
    pub may_have_run: bool,
    /// What each coordinator answered.
    pub answers: Vec<EndpointAnswers>,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.endpoints.replace(',', ", ");
        if self.is_leaderless {
            write!(f, "no coordinator leads at {endpoints}")?;
        } else {
            write!(f, "no coordinator could be reached at {endpoints}")?;
        }
        let (limit, operation) = (self.limit.as_millis(), self.operation);
        write!(f, " to {operation}, tried for {limit} ms")?;
        for (at, endpoint) in self.answers.iter().enumerate() {
            let mark = if at == 0 { ": " } else { "; " };
            write!(f, "{mark}{endpoint}")?;
        }
        if self.may_have_run {
            f.write_str(". It may have been done all the same")?;
        }
        Ok(())
    }
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
                may_have_run: false,
            }
        }
    }

    /// As the answer to a command of which an earlier try may have arrived. A leader that looks at the command answers as it did
    /// the first time; one that refuses it for another reason, as a full disk, says nothing of that try.
    pub(crate) fn after_a_lost_try(mut self) -> Self {
        if let Self::Refused {
            code, may_have_run, ..
        } = &mut self
        {
            *may_have_run = !matches!(
                code,
                Code::NotFound | Code::InvalidArgument | Code::FailedPrecondition
            );
        }
        self
    }

    /// Whether a coordinator that leads says that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Refused { code, .. } => *code == Code::NotFound,
            Self::Unreachable(_) | Self::Lost { .. } | Self::Malformed { .. } => false,
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_connection_loss(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Lost { .. } => true,
            Self::Refused { .. } | Self::Malformed { .. } => false,
        }
    }
}

fn earlier(may_have_run: bool) -> &'static str {
    if may_have_run {
        ". An earlier try may have been carried out all the same"
    } else {
        ""
    }
}
