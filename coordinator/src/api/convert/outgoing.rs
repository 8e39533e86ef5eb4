//! What peers and clients are told.

use convoy_common::ids::JobId;
use convoy_proto::v1;
use convoy_proto::v1::agent_directive::Directive as ToAgent;
use convoy_proto::v1::worker_directive::Directive as ToWorker;
use convoy_state_machine::Refusal;
use convoy_state_machine::job::PhaseName;
use convoy_state_machine::records::{Checkpoint, Evaluation, Member, Progress, Slice};
use convoy_state_machine::view::{WorkerStage, WorkerView};
use convoy_wire as words;
use convoy_wire::redirect::Redirect;
use tonic::Status;

use super::logs;
use crate::leader::{AgentDirective, DesiredWorker, NumberedView, Refused, WorkerDirective};

pub(in crate::api) fn status(refused: &Refused) -> Status {
    let text = refused.to_string();
    match refused {
        Refused::NotLeader { leader } => {
            let leader = leader.clone();
            Redirect { leader }.status()
        }
        Refused::Undecided { leader } => {
            let leader = leader.clone();
            Redirect { leader }.undecided_status()
        }
        Refused::NoSuchJob { .. } | Refused::State(Refusal::UnknownJob { .. }) => {
            Status::not_found(text)
        }
        Refused::Invalid(_) | Refused::SequenceReused { .. } => Status::invalid_argument(text),
        Refused::Slow { .. } | Refused::DiskFull { .. } => Status::resource_exhausted(text),
        // Who was silent comes back: it was paused or cut off, and its next session begins anew.
        Refused::ShuttingDown | Refused::Silent { .. } | Refused::NotNow(_) => {
            Status::unavailable(text)
        }
        Refused::Replaced { .. } => Status::aborted(text),
        Refused::State(_)
        | Refused::Protocol { .. }
        | Refused::Build(_)
        | Refused::Change(_)
        | Refused::NodeAway { .. }
        | Refused::NoLog { .. } => Status::failed_precondition(text),
    }
}

pub(in crate::api) fn agent_directive(directive: AgentDirective) -> v1::AgentDirective {
    let directive = match directive {
        AgentDirective::Welcome { term } => ToAgent::Welcome(v1::Welcome { term }),
        AgentDirective::Desired(workers) => ToAgent::Desired(v1::DesiredWorkers {
            workers: workers.into_iter().map(assignment).collect(),
        }),
        AgentDirective::Shutdown { reason } => ToAgent::Shutdown(v1::Shutdown { reason }),
        AgentDirective::ReadLog { request, wanted } => ToAgent::ReadLog(v1::ReadLog {
            request,
            what: Some(logs::wanted(&wanted)),
        }),
    };
    v1::AgentDirective {
        directive: Some(directive),
    }
}

fn assignment(desired: DesiredWorker) -> v1::Assignment {
    v1::Assignment {
        worker: Some(words::worker_ref(&desired.worker)),
        slot: desired.slot.0,
        spec_json: desired.spec_json.to_string(),
    }
}

pub(in crate::api) fn worker_directive(directive: WorkerDirective) -> v1::WorkerDirective {
    let directive = match directive {
        WorkerDirective::Welcome { term } => ToWorker::Welcome(v1::Welcome { term }),
        WorkerDirective::Stop { attempt } => ToWorker::Stop(v1::Stop {
            attempt: Some(words::attempt(attempt)),
        }),
        WorkerDirective::Prepare { attempt, plan } => ToWorker::Prepare(v1::Prepare {
            attempt: Some(words::attempt(attempt)),
            members: plan.members.into_iter().map(member).collect(),
            start_step: plan.start.0,
            parent_generation: plan.parent.0,
        }),
        WorkerDirective::Go {
            attempt,
            generation,
        } => ToWorker::Go(v1::Go {
            attempt: Some(words::attempt(attempt)),
            generation: generation.0,
        }),
        WorkerDirective::WriteManifest { job, checkpoint } => {
            ToWorker::WriteManifest(v1::WriteManifest {
                manifest: Some(manifest(&job, &checkpoint)),
            })
        }
        WorkerDirective::Finish { reason } => ToWorker::Finish(v1::Finish { reason }),
    };
    v1::WorkerDirective {
        directive: Some(directive),
    }
}

fn member(member: Member) -> v1::Member {
    v1::Member {
        worker: Some(words::worker_ref(&member.worker)),
        rank: member.rank.0,
        data_address: member.data_address,
        shards: member.shards.into_iter().map(|shard| shard.0).collect(),
    }
}

fn manifest(job: &JobId, checkpoint: &Checkpoint) -> v1::Manifest {
    let key = &checkpoint.key;
    v1::Manifest {
        job_id: job.to_string(),
        step: key.step.0,
        epoch: key.epoch.0,
        generation: key.generation.0,
        attempt: Some(words::attempt(key.attempt)),
        slices: checkpoint.slices.iter().map(slice).collect(),
        weights_sha256: checkpoint.weights_sha256.0.clone(),
        folder: key.folder.clone(),
        r#final: key.last,
    }
}

fn slice(slice: &Slice) -> v1::Slice {
    v1::Slice {
        rank: slice.rank.0,
        file: slice.file.clone(),
        bytes: slice.bytes,
        blake3: slice.blake3.0.clone(),
    }
}

pub(in crate::api) fn job_view(numbered: &NumberedView) -> v1::JobView {
    let view = &numbered.view;
    v1::JobView {
        job_id: view.id.to_string(),
        name: view.name.clone(),
        state: job_state(view.phase.name()).into(),
        reason: view.reason.clone(),
        generation: view.generation.0,
        workers: view.workers.iter().map(worker_view).collect(),
        progress: view.progress.as_ref().map(progress),
        evaluations: view.evaluations.iter().map(evaluation).collect(),
        checkpoints: view
            .checkpoints
            .iter()
            .map(|checkpoint| manifest(&view.id, checkpoint))
            .collect(),
        revision: numbered.revision,
        term: numbered.term,
        annotations: view.annotations.clone(),
    }
}

pub(super) fn job_state(phase: PhaseName) -> v1::JobState {
    match phase {
        PhaseName::Waiting => v1::JobState::Waiting,
        PhaseName::Forming => v1::JobState::Forming,
        PhaseName::Training => v1::JobState::Training,
        PhaseName::Finished => v1::JobState::Finished,
        PhaseName::Failed => v1::JobState::Failed,
        PhaseName::Cancelled => v1::JobState::Cancelled,
    }
}

fn worker_view(worker: &WorkerView) -> v1::WorkerView {
    let state = match worker.stage {
        WorkerStage::Assigned => "assigned",
        WorkerStage::Started => "started",
        WorkerStage::Attached => "attached",
        WorkerStage::Ready => "ready",
        WorkerStage::Training => "training",
        WorkerStage::Exited => "exited",
    };
    v1::WorkerView {
        worker_id: worker.worker.0,
        incarnation: worker.incarnation.0,
        node_id: worker.node.to_string(),
        slot: worker.slot.0,
        pid: worker.pid,
        log_path: worker.log_path.clone(),
        state: state.to_owned(),
        rank: worker.rank.0,
    }
}

fn evaluation(evaluation: &Evaluation) -> v1::Evaluation {
    v1::Evaluation {
        step: evaluation.step.0,
        samples: evaluation.samples,
        correct: evaluation.correct,
        loss: evaluation.loss,
    }
}

fn progress(progress: &Progress) -> v1::Progress {
    v1::Progress {
        position: Some(words::position(progress.position)),
        epoch: progress.epoch.0,
        epochs: progress.epochs,
        steps: progress.steps,
        loss: progress.loss,
        accuracy: progress.accuracy,
        images_per_second: progress.images_per_second,
        samples: progress.samples,
        step_seconds: progress.step_seconds,
        other_seconds: progress.other_seconds,
        skipped_steps: progress.skipped_steps.iter().map(|step| step.0).collect(),
        skipped: progress.skipped,
        coordinator_waits: progress.coordinator_waits,
    }
}
