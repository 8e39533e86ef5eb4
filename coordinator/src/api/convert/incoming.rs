//! What peers send: parsed once, here; what is missing or malformed is an invalid argument that names it.

use convoy_common::ids::{EpochIndex, Generation, JobId, NodeId, Rank, StepIndex};
use convoy_common::limits::MAX_LISTED_SKIPPED_STEPS;
use convoy_common::spec::JobSpec;
use convoy_proto::v1;
use convoy_proto::v1::agent_report::Report as FromAgent;
use convoy_proto::v1::worker_report::Report as FromWorker;
use convoy_state_machine::command::{AgentRef, Origin};
use convoy_state_machine::job::Obituary;
use convoy_state_machine::membership::Standing;
use convoy_state_machine::node::NodeOffer;
use convoy_state_machine::records::{
    CheckpointKey, DatasetFingerprint, Digest, Evaluation, Progress, Slice, SliceReport,
};
use convoy_state_machine::spec::StoredSpec;
use convoy_wire::{self as words, MalformedMessage};
use tonic::Status;

use super::logs;
use crate::leader::{
    AgentHello, AgentReport, Note, SliceWritten, Submission, WorkerHello, WorkerReport,
};

/// Bytes of a SHA-256 or BLAKE3.
const DIGEST_BYTES: usize = 32;

pub(super) fn malformed(error: MalformedMessage) -> Status {
    Status::invalid_argument(error.to_string())
}

fn missing(what: &str) -> Status {
    Status::invalid_argument(format!("malformed message: no {what}"))
}

pub(in crate::api) fn job_id(text: &str) -> Result<JobId, Status> {
    words::parse_job_id(text).map_err(malformed)
}

pub(in crate::api) fn submission(request: v1::SubmitRequest) -> Result<Submission, Status> {
    let v1::SubmitRequest {
        client_id,
        sequence,
        spec_json,
        workers,
    } = request;
    let spec = JobSpec::from_json(&spec_json)
        .and_then(|spec| StoredSpec::new(&spec))
        .map_err(|errors| Status::invalid_argument(errors.to_string()))?;
    Ok(Submission {
        origin: origin(client_id, sequence).ok_or_else(|| missing("client_id"))?,
        spec,
        workers,
    })
}

/// Who wants it and how often they wanted something before; none without a client's id.
pub(in crate::api) fn origin(client_id: String, sequence: u64) -> Option<Origin> {
    (!client_id.is_empty()).then_some(Origin {
        client_id,
        sequence,
    })
}

pub(in crate::api) fn note(request: v1::AnnotateRequest) -> Result<Note, Status> {
    let v1::AnnotateRequest {
        job_id: job,
        key,
        value,
        client_id,
        sequence,
    } = request;
    Ok(Note {
        job: job_id(&job)?,
        key,
        value,
        origin: origin(client_id, sequence),
    })
}

pub(in crate::api) fn node_id(text: String) -> Result<NodeId, Status> {
    NodeId::try_from(text).map_err(|error| Status::invalid_argument(error.to_string()))
}

pub(in crate::api) fn agent_hello(message: v1::AgentReport) -> Result<AgentHello, Status> {
    let Some(FromAgent::Hello(hello)) = message.report else {
        return Err(Status::invalid_argument(
            "an agent's session begins with its hello",
        ));
    };
    Ok(AgentHello {
        agent: AgentRef {
            node: node_id(hello.node_id)?,
            incarnation: hello.incarnation,
        },
        offer: NodeOffer {
            slots: hello.slots,
            advertised_host: hello.advertised_host,
            labels: hello.labels,
            build: hello.build,
            protocol_version: hello.protocol_version,
            worker_memory_bytes: hello.worker_memory_bytes,
        },
    })
}

pub(in crate::api) fn agent_report(message: v1::AgentReport) -> Result<AgentReport, Status> {
    Ok(
        match message
            .report
            .ok_or_else(|| missing("report that this version knows"))?
        {
            FromAgent::Hello(_) => {
                return Err(Status::invalid_argument("a second hello in one session"));
            }
            FromAgent::Heartbeat(_) => AgentReport::Heartbeat,
            FromAgent::WorkerStarted(v1::WorkerStarted {
                worker,
                pid,
                log_path,
            }) => AgentReport::Started {
                worker: words::parse_worker_ref(worker.as_ref()).map_err(malformed)?,
                pid,
                log_path,
            },
            FromAgent::WorkerExited(v1::WorkerExited {
                worker,
                pid,
                how,
                clean,
                last_lines,
                log_path,
            }) => AgentReport::Exited {
                worker: words::parse_worker_ref(worker.as_ref()).map_err(malformed)?,
                obituary: Obituary {
                    pid,
                    how,
                    clean,
                    last_lines,
                    log_path,
                },
            },
            FromAgent::Leaving(v1::AgentLeaving { reason }) => AgentReport::Leaving { reason },
            FromAgent::LogRead(v1::LogRead { request, outcome }) => AgentReport::LogRead {
                request,
                part: logs::outcome(outcome.ok_or_else(|| missing("outcome"))?)?,
            },
        },
    )
}

pub(in crate::api) fn worker_hello(message: v1::WorkerReport) -> Result<WorkerHello, Status> {
    let Some(FromWorker::Hello(hello)) = message.report else {
        return Err(Status::invalid_argument(
            "a worker's session begins with its hello",
        ));
    };
    Ok(WorkerHello {
        protocol_version: hello.protocol_version,
        build: hello.build,
        worker: words::parse_worker_ref(hello.worker.as_ref()).map_err(malformed)?,
        pid: hello.pid,
        data_address: hello.data_address,
    })
}

pub(in crate::api) fn worker_report(message: v1::WorkerReport) -> Result<WorkerReport, Status> {
    Ok(
        match message
            .report
            .ok_or_else(|| missing("report that this version knows"))?
        {
            FromWorker::Hello(_) => {
                return Err(Status::invalid_argument("a second hello in one session"));
            }
            FromWorker::Heartbeat(_) => WorkerReport::Heartbeat,
            FromWorker::Stopped(stopped) => {
                let attempt = words::parse_attempt(stopped.attempt.as_ref()).map_err(malformed)?;
                WorkerReport::Stopped {
                    attempt,
                    standing: standing(stopped)?,
                }
            }
            FromWorker::Ready(ready) => WorkerReport::Ready {
                attempt: words::parse_attempt(ready.attempt.as_ref()).map_err(malformed)?,
                state_digest: digest(ready.state_digest)?,
            },
            FromWorker::Broken(broken) => WorkerReport::Broken {
                attempt: words::parse_attempt(broken.attempt.as_ref()).map_err(malformed)?,
                reason: broken.reason,
            },
            FromWorker::Progress(wire) => WorkerReport::Progress(progress(wire)?),
            FromWorker::Evaluated(evaluated) => WorkerReport::Evaluated {
                generation: Generation(evaluated.generation),
                evaluation: evaluation(&evaluated.evaluation.ok_or_else(|| missing("evaluation"))?),
            },
            FromWorker::SliceWritten(written) => {
                WorkerReport::SliceWritten(slice_written(written)?)
            }
            FromWorker::ManifestWritten(written) => WorkerReport::ManifestWritten {
                generation: Generation(written.generation),
                step: StepIndex(written.step),
            },
            FromWorker::Trained(trained) => WorkerReport::Trained {
                generation: Generation(trained.generation),
                position: words::parse_position(trained.position.as_ref()).map_err(malformed)?,
            },
            FromWorker::Failed(failed) => WorkerReport::Failed {
                reason: failed.reason,
            },
        },
    )
}

fn standing(stopped: v1::Stopped) -> Result<Standing, Status> {
    let dataset = stopped.dataset.ok_or_else(|| missing("dataset"))?;
    Ok(Standing {
        position: words::parse_position(stopped.position.as_ref()).map_err(malformed)?,
        dataset: DatasetFingerprint {
            train_samples: dataset.train_samples,
            test_samples: dataset.test_samples,
            index_hash: digest(dataset.index_hash)?,
        },
        state_digest: digest(stopped.state_digest)?,
    })
}

fn progress(wire: v1::Progress) -> Result<Progress, Status> {
    Ok(Progress {
        position: words::parse_position(wire.position.as_ref()).map_err(malformed)?,
        epoch: EpochIndex(wire.epoch),
        epochs: wire.epochs,
        steps: wire.steps,
        loss: wire.loss,
        accuracy: wire.accuracy,
        images_per_second: wire.images_per_second,
        samples: wire.samples,
        step_seconds: wire.step_seconds,
        other_seconds: wire.other_seconds,
        skipped_steps: wire
            .skipped_steps
            .into_iter()
            .take(MAX_LISTED_SKIPPED_STEPS)
            .map(StepIndex)
            .collect(),
        skipped: wire.skipped,
        coordinator_waits: wire.coordinator_waits,
    })
}

fn evaluation(wire: &v1::Evaluation) -> Evaluation {
    Evaluation {
        step: StepIndex(wire.step),
        samples: wire.samples,
        correct: wire.correct,
        loss: wire.loss,
    }
}

fn slice_written(wire: v1::SliceWritten) -> Result<SliceWritten, Status> {
    let slice = wire.slice.ok_or_else(|| missing("slice"))?;
    let key = CheckpointKey {
        generation: Generation(wire.generation),
        attempt: words::parse_attempt(wire.attempt.as_ref()).map_err(malformed)?,
        step: StepIndex(wire.step),
        epoch: EpochIndex(wire.epoch),
        folder: wire.folder,
        last: wire.r#final,
    };
    let slice = Slice {
        rank: Rank(slice.rank),
        file: slice.file,
        bytes: slice.bytes,
        blake3: digest(slice.blake3)?,
    };
    Ok(SliceWritten {
        key,
        report: SliceReport {
            slice,
            weights_sha256: digest(wire.weights_sha256)?,
        },
    })
}

fn digest(bytes: Vec<u8>) -> Result<Digest, Status> {
    if bytes.len() == DIGEST_BYTES {
        return Ok(Digest(bytes));
    }
    Err(Status::invalid_argument(format!(
        "malformed message: a digest of {} bytes instead of {DIGEST_BYTES}",
        bytes.len()
    )))
}
