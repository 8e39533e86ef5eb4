//! Between the wire and the worker's own words. Nothing else in this crate reads or writes protocol types.

use anyhow::Context;
use convoy_checkpoint::{Digest, FORMAT_VERSION, Manifest, SliceRecord};
use convoy_common::ids::{Attempt, EpochIndex, Generation, Rank, ShardIndex, StepIndex};
use convoy_membership::Member;
use convoy_proto::v1;
use convoy_proto::v1::worker_directive::Directive as Wire;
use convoy_proto::v1::worker_report::Report as WireReport;
use convoy_wire as words;

use crate::replica::{Progress, Standing, WrittenSlice};

/// What the coordinator tells a worker.
#[derive(Debug)]
pub(crate) enum Directive {
    Welcome,
    Stop {
        attempt: Attempt,
    },
    Prepare {
        attempt: Attempt,
        members: Vec<Member>,
        start: StepIndex,
        parent: Generation,
    },
    Go {
        attempt: Attempt,
        generation: Generation,
    },
    WriteManifest {
        manifest: Manifest,
        folder: std::path::PathBuf,
    },
    Finish {
        reason: String,
    },
}

pub(crate) fn directive(wire: Wire) -> anyhow::Result<Directive> {
    Ok(match wire {
        Wire::Welcome(_) => Directive::Welcome,
        Wire::Stop(stop) => Directive::Stop {
            attempt: words::parse_attempt(stop.attempt.as_ref())?,
        },
        Wire::Prepare(prepare) => Directive::Prepare {
            attempt: words::parse_attempt(prepare.attempt.as_ref())?,
            members: prepare
                .members
                .into_iter()
                .map(member)
                .collect::<anyhow::Result<_>>()?,
            start: StepIndex(prepare.start_step),
            parent: Generation(prepare.parent_generation),
        },
        Wire::Go(go) => Directive::Go {
            attempt: words::parse_attempt(go.attempt.as_ref())?,
            generation: Generation(go.generation),
        },
        Wire::WriteManifest(write) => {
            let wire = write.manifest.context("no manifest in WriteManifest")?;
            let folder = wire.folder.clone().into();
            Directive::WriteManifest {
                manifest: manifest(wire)?,
                folder,
            }
        }
        Wire::Finish(finish) => Directive::Finish {
            reason: finish.reason,
        },
    })
}

fn member(wire: v1::Member) -> anyhow::Result<Member> {
    Ok(Member {
        worker: words::parse_worker_ref(wire.worker.as_ref())?,
        rank: Rank(wire.rank),
        data_address: wire.data_address,
        shards: wire.shards.into_iter().map(ShardIndex).collect(),
    })
}

fn manifest(wire: v1::Manifest) -> anyhow::Result<Manifest> {
    Ok(Manifest {
        format_version: FORMAT_VERSION,
        job: words::parse_job_id(&wire.job_id)?,
        step: StepIndex(wire.step),
        epoch: EpochIndex(wire.epoch),
        generation: Generation(wire.generation),
        attempt: words::parse_attempt(wire.attempt.as_ref())?,
        slices: wire
            .slices
            .into_iter()
            .map(slice)
            .collect::<anyhow::Result<_>>()?,
        weights_sha256: digest(&wire.weights_sha256)?,
        is_final: wire.r#final,
    })
}

fn slice(wire: v1::Slice) -> anyhow::Result<SliceRecord> {
    Ok(SliceRecord {
        rank: Rank(wire.rank),
        file: wire.file,
        bytes: wire.bytes,
        blake3: digest(&wire.blake3)?,
    })
}

fn digest(bytes: &[u8]) -> anyhow::Result<Digest> {
    let bytes: [u8; 32] = bytes
        .try_into()
        .with_context(|| format!("a digest of {} bytes instead of 32", bytes.len()))?;
    Ok(Digest(bytes))
}

pub(crate) fn stopped(attempt: Attempt, standing: &Standing) -> WireReport {
    WireReport::Stopped(v1::Stopped {
        attempt: Some(words::attempt(attempt)),
        position: Some(words::position(standing.position)),
        dataset: Some(v1::DatasetFingerprint {
            train_samples: standing.dataset.train_samples,
            test_samples: standing.dataset.test_samples,
            index_hash: standing.dataset.index_hash.to_vec(),
        }),
        state_digest: standing.state_digest.to_vec(),
    })
}

pub(crate) fn ready(attempt: Attempt, state_digest: [u8; 32]) -> WireReport {
    WireReport::Ready(v1::Ready {
        attempt: Some(words::attempt(attempt)),
        state_digest: state_digest.to_vec(),
    })
}

pub(crate) fn broken(attempt: Attempt, generation: Generation, reason: String) -> WireReport {
    WireReport::Broken(v1::CollectiveBroken {
        attempt: Some(words::attempt(attempt)),
        generation: generation.0,
        reason,
    })
}

pub(crate) fn failed(reason: String) -> WireReport {
    WireReport::Failed(v1::WorkerFailed { reason })
}

pub(crate) fn slice_written(written: WrittenSlice) -> WireReport {
    WireReport::SliceWritten(v1::SliceWritten {
        generation: written.generation.0,
        attempt: Some(words::attempt(written.attempt)),
        step: written.step.0,
        epoch: written.epochs.0,
        slice: Some(v1::Slice {
            rank: written.slice.rank.0,
            file: written.slice.file,
            bytes: written.slice.bytes,
            blake3: written.slice.blake3.0.to_vec(),
        }),
        weights_sha256: written.weights_sha256.to_vec(),
        folder: written.folder.to_string_lossy().into_owned(),
        r#final: written.is_final,
    })
}

pub(crate) fn manifest_written(manifest: &Manifest) -> WireReport {
    WireReport::ManifestWritten(v1::ManifestWritten {
        generation: manifest.generation.0,
        step: manifest.step.0,
    })
}

pub(crate) fn trained(
    generation: Generation,
    position: convoy_common::ids::Position,
) -> WireReport {
    WireReport::Trained(v1::Trained {
        generation: generation.0,
        position: Some(words::position(position)),
    })
}

pub(crate) fn evaluated(
    generation: Generation,
    step: StepIndex,
    counts: &convoy_training::EvaluationCounts,
) -> WireReport {
    let evaluation = v1::Evaluation {
        step: step.0,
        samples: counts.samples,
        correct: counts.correct,
        loss: counts.loss,
    };
    WireReport::Evaluated(v1::Evaluated {
        generation: generation.0,
        evaluation: Some(evaluation),
    })
}

pub(crate) fn progress(progress: &Progress) -> WireReport {
    WireReport::Progress(v1::Progress {
        position: Some(words::position(progress.position)),
        epoch: progress.epoch.0,
        epochs: progress.epochs,
        steps: progress.total_steps,
        loss: progress.loss,
        accuracy: progress.accuracy,
        images_per_second: progress.images_per_second(),
        samples: progress.samples,
        step_seconds: progress.in_steps.as_secs_f64(),
        other_seconds: progress.elsewhere.as_secs_f64(),
        skipped_steps: progress.first_skipped.to_vec(),
        skipped: progress.skipped,
        coordinator_waits: progress.coordinator_waits,
    })
}
