//! Why candidates can't become members of one generation.

use convoy_common::ids::{Attempt, JobId, NodeId, Position, StepIndex, WorkerId};

use super::Basis;
use crate::records::{DatasetFingerprint, Digest};
use crate::time::Seconds;

/// Why candidates can't become members of one generation. Both sides are named with their values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the message of each case says what its fields are"
)]
pub enum Disagreement {
    #[error(
        "{first} and {other} of job {job} train on different data: {first_dataset}, and {other_dataset}; give all nodes the same files"
    )]
    Datasets {
        job: JobId,
        first: Named,
        first_dataset: DatasetFingerprint,
        other: Named,
        other_dataset: DatasetFingerprint,
    },
    #[error(
        "{worker} of job {job} trains on {given}, the job began with {pinned}; restore the files it began with"
    )]
    OtherDataset {
        job: JobId,
        worker: Named,
        given: DatasetFingerprint,
        pinned: DatasetFingerprint,
    },
    #[error(
        "{first} and {other} of job {job} stand at different places: {first_position} and {other_position}; state transfer is not built yet"
    )]
    Positions {
        job: JobId,
        first: Named,
        first_position: Place,
        other: Named,
        other_position: Place,
    },
    #[error(
        "{first} and {other} of job {job} differ in the digest of their state at step {step}: {first_digest} and {other_digest}"
    )]
    States {
        job: JobId,
        step: StepIndex,
        first: Named,
        first_digest: Digest,
        other: Named,
        other_digest: Digest,
    },
    #[error("{who} of job {job} did not {what} within {} of attempt {attempt}", Seconds { ms: *.waited_ms })]
    Overdue {
        job: JobId,
        who: String,
        what: &'static str,
        attempt: Attempt,
        waited_ms: u64,
    },
}

/// A candidate in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which.
    pub worker: WorkerId,
    /// Where it runs.
    pub node: NodeId,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "worker {} on node {}", self.worker, self.node)
    }
}

/// A position in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub Position);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Position {
            generation,
            step,
            phase,
        } = self.0;
        write!(f, "generation {generation}, step {step}, phase {phase:?}")
    }
}

/// All digests of the state at `step`, each of a candidate, are equal.
pub(super) fn same_states<'a>(
    basis: &Basis,
    step: StepIndex,
    mut digests: impl Iterator<Item = (WorkerId, &'a Digest)>,
) -> Result<(), Box<Disagreement>> {
    let Some((first, first_digest)) = digests.next() else {
        return Ok(());
    };
    let Some((other, other_digest)) = digests.find(|(_, digest)| *digest != first_digest) else {
        return Ok(());
    };
    let (Some(first), Some(other)) = (basis.named(first), basis.named(other)) else {
        unreachable!("only candidates are asked for their state");
    };
    Err(Box::new(Disagreement::States {
        job: basis.job.clone(),
        step,
        first,
        first_digest: first_digest.clone(),
        other,
        other_digest: other_digest.clone(),
    }))
}
