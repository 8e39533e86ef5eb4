//! Why candidates can't become members of one generation.

use convoy_common::ids::{Attempt, JobId, Position, StepIndex, WorkerId};

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
        "workers {first} and {other} of job {job} train on different data: {first_dataset}, and {other_dataset}; give all nodes the same files"
    )]
    Datasets {
        job: JobId,
        first: WorkerId,
        first_dataset: DatasetFingerprint,
        other: WorkerId,
        other_dataset: DatasetFingerprint,
    },
    #[error(
        "worker {worker} of job {job} trains on {given}, the job began with {pinned}; restore the files it began with"
    )]
    OtherDataset {
        job: JobId,
        worker: WorkerId,
        given: DatasetFingerprint,
        pinned: DatasetFingerprint,
    },
    #[error(
        "workers {first} and {other} of job {job} stand at different places: {first_position} and {other_position}; state transfer is not built yet"
    )]
    Positions {
        job: JobId,
        first: WorkerId,
        first_position: Place,
        other: WorkerId,
        other_position: Place,
    },
    #[error(
        "workers {first} and {other} of job {job} differ in the digest of their state at step {step}: {first_digest} and {other_digest}"
    )]
    States {
        job: JobId,
        step: StepIndex,
        first: WorkerId,
        first_digest: Digest,
        other: WorkerId,
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

/// All digests of the state at `step` are equal.
pub(super) fn same_states<'a>(
    job: &JobId,
    step: StepIndex,
    mut digests: impl Iterator<Item = (WorkerId, &'a Digest)>,
) -> Result<(), Disagreement> {
    let Some((first, first_digest)) = digests.next() else {
        return Ok(());
    };
    match digests.find(|(_, digest)| *digest != first_digest) {
        None => Ok(()),
        Some((other, other_digest)) => Err(Disagreement::States {
            job: job.clone(),
            step,
            first,
            first_digest: first_digest.clone(),
            other,
            other_digest: other_digest.clone(),
        }),
    }
}
