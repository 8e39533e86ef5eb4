//! One of everything that is kept or sent.

use convoy_common::ids::{Generation, ReplicaId, StepIndex};

use super::super::fixtures::*;
use crate::Cluster;
use crate::command::{Command, Envelope, Outcome};
use crate::replica::Replica;
use crate::version::ClusterVersion;

fn replica() -> Replica {
    Replica {
        raft_address: "c1:7000".to_owned(),
        api_address: "c1:7001".to_owned(),
        build: "convoy test".to_owned(),
        supports: ClusterVersion(1),
    }
}

fn submission() -> Command {
    Command::SubmitJob {
        spec: spec(),
        workers: 2,
    }
}

/// One command of each case.
pub(super) fn commands() -> Vec<Command> {
    let id = job("digits-1");
    let by = || by(&id, 1);
    let mut skipping = progress(12);
    skipping.skipped_steps = vec![StepIndex(3), StepIndex(300)];
    skipping.coordinator_waits = 5;
    vec![
        submission(),
        Command::CancelJob {
            job: id.clone(),
            reason: "no more".to_owned(),
        },
        annotate(&id, "best", Some("yes")),
        register("a", 1, 2),
        lose("a", 1),
        place(&id, &[("a", 0), ("a", 1)]),
        started(worker(&id, 0, 1)),
        ended(worker(&id, 0, 1)),
        Command::FormGeneration(formation(Story::placed().job(), 1, 0)),
        Command::GenerationStarted { by: by() },
        Command::RecordProgress {
            by: by(),
            progress: skipping,
        },
        Command::RecordEvaluation {
            by: by(),
            evaluation: evaluation(30, 91),
        },
        Command::CommitCheckpoint {
            worker: worker(&id, 1, 2),
            key: checkpoint(30, true),
            slices: vec![slice(0, 5), slice(1, 5)],
        },
        Command::ManifestWritten {
            by: by(),
            step: StepIndex(30),
        },
        Command::FinishJob {
            job: id.clone(),
            generation: Generation(1),
            evaluation: Some(StepIndex(30)),
            checkpoint: StepIndex(30),
        },
        Command::FailJob {
            job: id,
            reason: "disk full".to_owned(),
        },
        Command::SetClusterVersion {
            version: ClusterVersion(1),
        },
        Command::SetMember {
            replica: ReplicaId(1),
            member: replica(),
        },
        Command::RemoveMember {
            replica: ReplicaId(1),
        },
    ]
}

pub(super) fn of_a_client() -> Envelope {
    annotate(&job("digits-1"), "best", None).from_client("cli", 7)
}

/// One outcome of each case.
pub(super) fn outcomes() -> Vec<Outcome> {
    let id = job("digits-1");
    vec![
        Outcome::Done,
        Outcome::Unchanged,
        Outcome::Submitted(id.clone()),
        Outcome::Placed(vec![worker(&id, 0, 1), worker(&id, 1, 2)]),
        Outcome::Formed(Generation(1)),
    ]
}

/// A state in which everything has some value: each phase, each process, each kind of node, answers of both kinds.
pub(super) fn state() -> Cluster {
    let mut story = Story::submitted();
    // The first job trains, tells about it, and finishes.
    for command in commands() {
        let is_end = matches!(command, Command::CancelJob { .. } | Command::FailJob { .. });
        let is_early = matches!(
            command,
            Command::SubmitJob { .. } | Command::NodeLost { .. }
        );
        let is_death = matches!(
            command,
            Command::WorkerEnded { .. } | Command::RemoveMember { .. }
        );
        if !is_end && !is_early && !is_death {
            story.ok(command);
        }
    }
    story.ok(ended(worker(&story.id, 0, 1)));
    // One trains, one waits for its workers, two are over by force, one waits.
    story.ok(register("b", 1, 4));
    story.ok(register("c", 7, 1));
    story.ok(register("c", 8, 1));
    story.ok(lose("c", 8));
    for sequence in 2..=6 {
        story.ok(submit(sequence, 2));
    }
    story.ok(place(&job("digits-2"), &[("b", 0), ("b", 1)]));
    let second = formation(story.cluster.job(&job("digits-2")).unwrap(), 1, 0);
    story.ok(Command::FormGeneration(second));
    story.ok(place(&job("digits-3"), &[("b", 2), ("b", 3)]));
    story.ok(Command::CancelJob {
        job: job("digits-4"),
        reason: "no more".to_owned(),
    });
    story.ok(Command::FailJob {
        job: job("digits-5"),
        reason: "disk full".to_owned(),
    });
    story.ok(of_a_client());
    let refused = annotate(&job("other-9"), "a", None).from_client("tool", 3);
    story.cluster.apply(refused).unwrap_err();
    story.cluster
}
