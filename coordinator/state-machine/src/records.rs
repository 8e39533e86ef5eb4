//! What is recorded about a job: members, progress, evaluations, checkpoints.

use std::fmt;

use convoy_common::ids::{
    Attempt, EpochIndex, Generation, Position, Rank, ShardIndex, StepIndex, WorkerRef,
};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A digest of some bytes, shown in hexadecimal. Compared, never computed here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub Vec<u8>);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As bytes: derived, it would be a list of numbers, half of them two bytes long.
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(DigestBytes)
    }
}

struct DigestBytes;

impl<'de> Visitor<'de> for DigestBytes {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a digest")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Digest, E> {
        Ok(Digest(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Digest, E> {
        Ok(Digest(bytes))
    }

    /// For formats without bytes, as JSON.
    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Digest, A::Error> {
        let mut digest = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            digest.push(byte);
        }
        Ok(Digest(digest))
    }
}

/// Lengths of both splits and a hash over their headers, lengths and labels: equal for all members of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetFingerprint {
    /// Samples of the training split.
    pub train_samples: u64,
    /// Samples of the test split.
    pub test_samples: u64,
    /// 32 bytes.
    pub index_hash: Digest,
}

impl fmt::Display for DatasetFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            train_samples,
            test_samples,
            index_hash,
        } = self;
        write!(
            f,
            "{train_samples} training and {test_samples} test samples with index hash {index_hash}"
        )
    }
}

/// One worker's part in a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub worker: WorkerRef,
    /// Its place in the ring.
    pub rank: Rank,
    /// `host:port` of its ring listener.
    pub data_address: String,
    /// The data shards it owns, ascending.
    pub shards: Vec<ShardIndex>,
}

/// A committed membership of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationRecord {
    /// Its number, one more than the parent's.
    pub number: Generation,
    /// The attempt that formed it.
    pub attempt: Attempt,
    /// The generation it continues; 0 for the first.
    pub parent: Generation,
    /// Completed steps at its beginning.
    pub start: StepIndex,
    /// Its members by rank.
    pub members: Vec<Member>,
    /// Whether a member reported work in it.
    pub started: bool,
}

/// How far a job is and how fast, over all workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Where the reporting worker stands.
    pub position: Position,
    /// The epoch it is in, from 0.
    pub epoch: EpochIndex,
    /// Epochs of the whole job.
    pub epochs: u32,
    /// Steps of the whole job.
    pub steps: u64,
    /// Mean loss of the most recent reported step.
    pub loss: f64,
    /// Training accuracy of the most recent reported step, 0 to 1.
    pub accuracy: f64,
    /// Images per second since training began, without evaluation and checkpoints.
    pub images_per_second: f64,
    /// Samples consumed by completed steps since the job's start.
    pub samples: u64,
    /// Seconds spent in training steps.
    pub step_seconds: f64,
    /// Seconds since Go that were not spent in training steps.
    pub other_seconds: f64,
    /// The first steps whose gradients were not finite: consumed and skipped.
    pub skipped_steps: Vec<StepIndex>,
    /// How many there are.
    pub skipped: u64,
    /// How often workers that trained had to wait for the coordinators to take their reports.
    #[serde(default)]
    pub coordinator_waits: u64,
}

/// Exact counts of one evaluation over the whole test split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Completed steps of the evaluated state.
    pub step: StepIndex,
    /// Samples looked at.
    pub samples: u64,
    /// Samples whose class was told right.
    pub correct: u64,
    /// Mean cross-entropy per sample.
    pub loss: f64,
}

impl Evaluation {
    /// Percentage of samples whose class was told right; 0 without samples.
    #[must_use]
    pub fn accuracy_percent(&self) -> f64 {
        if self.samples == 0 {
            0.0
        } else {
            100.0 * self.correct as f64 / self.samples as f64
        }
    }
}

/// One rank's part of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The rank that wrote it.
    pub rank: Rank,
    /// Relative to the checkpoint's folder.
    pub file: String,
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, 32 bytes.
    pub blake3: Digest,
}

/// A slice together with what its writer says about the whole state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceReport {
    /// The slice.
    pub slice: Slice,
    /// SHA-256 over parameters and buffers in name order; the same for every rank.
    pub weights_sha256: Digest,
}

/// Which checkpoint: the state after `step` updates, as the collective of `attempt` reached it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CheckpointKey {
    /// The generation that ran step `step - 1`.
    pub generation: Generation,
    /// The attempt that formed that generation.
    pub attempt: Attempt,
    /// Completed steps.
    pub step: StepIndex,
    /// Completed epochs.
    pub epoch: EpochIndex,
    /// Folder of slices and manifest.
    pub folder: String,
    /// Whether the job ends with it.
    pub last: bool,
}

/// A committed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Which one.
    pub key: CheckpointKey,
    /// One slice per rank.
    pub slices: Vec<Slice>,
    /// SHA-256 over parameters and buffers in name order.
    pub weights_sha256: Digest,
    /// Whether rank 0 reported that the manifest lies beside the slices.
    pub manifest_written: bool,
}
