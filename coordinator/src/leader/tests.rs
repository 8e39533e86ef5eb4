//! Stories about one leader, told event by event; time passes only when a story says so.

mod clients;
mod fingerprints;
mod logs;
mod scene;
mod standing;

use convoy_common::ids::{Attempt, Generation, WorkerId};
use convoy_consensus::MembershipChange;
use convoy_journal::SnapshotMeta;
use convoy_state_machine::job::JobPhase;
use convoy_state_machine::records::Progress;
use convoy_state_machine::{Cluster, Command, Envelope, Refusal};

use super::session::QUEUED_DIRECTIVES;
use super::{AgentDirective, AgentReport, ClientRequest, Refused, WorkerDirective, WorkerReport};
use crate::consensus::{InMemoryLog, Log, LogEvent, ProposalId, ReadId};
use scene::{Scene, job_id, progress};

#[test]
fn job_that_nothing_disturbs_trains_until_it_is_finished() {
    let mut scene = Scene::training();
    let generation = Generation(1);
    scene.all_work_done(generation);
    assert!(
        matches!(scene.phase(), JobPhase::Finished { .. }),
        "{}",
        scene.phase()
    );
    for worker in 0..2 {
        let told = scene.read_all(worker);
        assert!(
            matches!(told.last(), Some(WorkerDirective::Finish { .. })),
            "{told:?}"
        );
    }
}

#[test]
fn silent_worker_fails_the_job_when_its_silence_was_too_long() {
    let mut scene = Scene::training();
    scene.pass_ms(2_900, &[0]);
    assert_eq!(scene.phase(), JobPhase::Training);
    scene.pass_ms(600, &[0]);
    scene.failed_with(&["nothing was heard of worker 1 on node n1"]);
    let why = scene.closed(1);
    assert!(matches!(why, Some(Refused::Silent { .. })), "{why:?}");
}

#[test]
fn leader_that_did_not_run_itself_calls_nobody_silent() {
    let mut scene = Scene::training();
    scene.jump_ms(60_000);
    assert_eq!(scene.phase(), JobPhase::Training);
    scene.pass_ms(2_000, &[0, 1]);
    assert_eq!(scene.phase(), JobPhase::Training);
}

#[test]
fn leader_that_did_not_run_itself_extends_every_deadline() {
    let mut scene = Scene::placed();
    scene.jump_ms(600_000);
    assert_eq!(scene.phase(), JobPhase::Forming, "nobody had to attach");
    scene.attach(0);
    scene.attach(1);
    let attempt = scene.stop_attempt(0);
    scene.stopped(0, attempt);
    scene.jump_ms(600_000);
    assert_eq!(scene.phase(), JobPhase::Forming, "nobody had to answer");
    scene.stopped(1, attempt);
    scene.ready(0, attempt);
    scene.ready(1, attempt);
    assert_eq!(scene.phase(), JobPhase::Training);
}

#[test]
fn silent_agent_fails_nothing_while_its_workers_are_heard() {
    let mut scene = Scene::training();
    scene.agent_is_heard = false;
    scene.pass_ms(10_000, &[0, 1]);
    assert_eq!(scene.phase(), JobPhase::Training);
}

#[test]
fn worker_that_never_attaches_is_named_with_its_log() {
    let mut scene = Scene::placed();
    let worker = scene.worker(1);
    scene.agent_reports(AgentReport::Started {
        worker,
        pid: 77,
        log_path: "/logs/worker-1.log".to_owned(),
    });
    scene.attach(0);
    scene.pass_ms(119_000, &[0]);
    assert_eq!(scene.phase(), JobPhase::Forming);
    scene.pass_ms(2_000, &[0]);
    scene.failed_with(&["worker 1 on node n1 did not attach", "/logs/worker-1.log"]);
}

#[test]
fn worker_that_never_answers_stop_is_named() {
    let mut scene = Scene::attached();
    let attempt = scene.stop_attempt(0);
    scene.stopped(0, attempt);
    scene.pass_ms(119_000, &[0, 1]);
    assert_eq!(scene.phase(), JobPhase::Forming);
    scene.pass_ms(2_000, &[0, 1]);
    scene.failed_with(&["worker 1", "stop and tell its position"]);
}

#[test]
fn worker_that_keeps_coming_back_does_not_keep_the_job_forming_for_ever() {
    let mut scene = Scene::attached();
    for _ in 0..130 {
        scene.pass_ms(1_000, &[0, 1]);
        if scene.phase() != JobPhase::Forming {
            break;
        }
        scene.attach(1);
        scene.read_all(0);
    }
    scene.failed_with(&["workers 0, 1", "within 120.0 s of attempt"]);
}

#[test]
fn answer_given_twice_counts_once() {
    let mut scene = Scene::attached();
    let attempt = scene.stop_attempt(0);
    scene.stopped(0, attempt);
    scene.stopped(0, attempt);
    assert!(scene.read_all(1).iter().all(|told| !is_prepare(told)));
    scene.stopped(1, attempt);
    scene.ready(0, attempt);
    scene.ready(0, attempt);
    scene.stopped(1, attempt);
    assert_eq!(scene.phase(), JobPhase::Forming);
    scene.ready(1, attempt);
    assert_eq!(scene.phase(), JobPhase::Training);
    scene.ready(1, attempt);
    assert_eq!(scene.phase(), JobPhase::Training);
}

fn is_prepare(directive: &WorkerDirective) -> bool {
    matches!(directive, WorkerDirective::Prepare { .. })
}

#[test]
fn worker_that_comes_back_while_forming_begins_a_new_attempt_and_old_answers_count_no_more() {
    let mut scene = Scene::attached();
    let old = scene.stop_attempt(0);
    scene.attach(1);
    let new = scene.stop_attempt(0);
    assert!(new > old, "{new} after {old}");
    assert_eq!(scene.stop_attempt(1), new);
    scene.stopped(0, old);
    scene.stopped(1, old);
    assert!(scene.read_all(0).iter().all(|told| !is_prepare(told)));
    scene.form(new);
    assert_eq!(scene.phase(), JobPhase::Training);
}

#[test]
fn worker_that_comes_back_while_training_is_told_to_go_again() {
    let mut scene = Scene::training();
    scene.detach(1, "its connection broke");
    scene.pass_ms(1_000, &[0]);
    scene.attach(1);
    let told = scene.read_all(1);
    assert!(matches!(told[..], [WorkerDirective::Go { .. }]), "{told:?}");
    scene.pass_ms(20_000, &[0, 1]);
    assert_eq!(scene.phase(), JobPhase::Training);
}

#[test]
fn older_session_of_a_worker_is_closed_and_its_words_count_no_more() {
    let mut scene = Scene::training();
    let old = scene.session(1);
    let mut old_outgoing = scene.attach(1).expect("it was attached before");
    assert!(matches!(
        scene::closed(&mut old_outgoing),
        Some(Refused::Replaced { .. })
    ));
    let reason = "said by a zombie".to_owned();
    scene.report_in(1, old, WorkerReport::Failed { reason });
    scene.detach_in(1, old, "its connection ended");
    scene.pass_ms(10_000, &[0, 1]);
    assert_eq!(scene.phase(), JobPhase::Training);
}

#[test]
fn worker_that_leaves_its_directives_unread_is_dropped_with_their_number() {
    let mut scene = Scene::attached();
    for _ in 0..=QUEUED_DIRECTIVES {
        scene.attach(0);
    }
    let why = scene.closed(1);
    let Some(Refused::Slow { queued, .. }) = why else {
        panic!("{why:?}")
    };
    assert_eq!(queued, QUEUED_DIRECTIVES);
    scene.pass_ms(6_000, &[0]);
    scene.failed_with(&["worker 1"]);
}

#[test]
fn slow_watcher_misses_views_and_never_the_newest() {
    let mut scene = Scene::training();
    let mut views = scene.watch().expect("the job is there");
    let first = views.borrow_and_update().revision;
    for step in 1..50 {
        scene.report(0, WorkerReport::Progress(progress(step)));
        scene.pass_ms(100, &[0, 1]);
    }
    let newest = views.borrow_and_update().clone();
    assert!(newest.revision > first + 40, "{}", newest.revision);
    let step = newest.view.progress.as_ref().map(|at| at.position.step.0);
    assert_eq!(step, Some(49));
}

#[test]
fn waits_for_the_coordinators_are_added_up_over_workers() {
    let mut scene = Scene::training();
    let views = scene.watch().expect("the job is there");
    let mut shown = |waits: [u64; 2]| {
        for (worker, coordinator_waits) in waits.into_iter().enumerate() {
            let progress = Progress {
                coordinator_waits,
                ..progress(1)
            };
            scene.report(worker as u32, WorkerReport::Progress(progress));
        }
        scene.pass_ms(100, &[0, 1]);
        let newest = views.borrow();
        newest.view.progress.as_ref().map(|at| at.coordinator_waits)
    };
    assert_eq!(shown([0, 0]), Some(0));
    assert_eq!(shown([3, 0]), Some(3));
    assert_eq!(shown([3, 4]), Some(7));
}

#[test]
fn unknown_job_is_refused_by_name() {
    let mut scene = Scene::training();
    let job = job_id("other-7");
    let refused = scene.ask(|reply| ClientRequest::Describe {
        job: job.clone(),
        reply,
    });
    let refused = refused.expect_err("there is none");
    assert_eq!(refused.to_string(), "there is no job other-7");
    let refused = scene.ask(|reply| ClientRequest::Cancel {
        job: job.clone(),
        reason: "why not".to_owned(),
        origin: None,
        reply,
    });
    assert_eq!(refused, Err(Refused::State(Refusal::UnknownJob { job })));
}

#[test]
fn worker_of_an_unknown_job_is_refused_and_no_session_kept() {
    let mut scene = Scene::training();
    let mut stranger = scene.worker(0);
    stranger.job = job_id("other-7");
    let refused = scene.attach_as(&stranger).expect_err("nobody knows it");
    assert!(refused.to_string().contains("other-7"), "{refused}");
    let mut beyond = scene.worker(0);
    beyond.worker = WorkerId(9);
    scene.attach_as(&beyond).expect_err("the job has two");
}

#[test]
fn agent_of_another_node_cannot_bury_a_worker() {
    let mut scene = Scene::training();
    let session = scene.attach_agent("n2", 2);
    let worker = scene.worker(0);
    let obituary = scene::killed();
    let report = AgentReport::Exited { worker, obituary };
    scene.agent_reports_as("n2", session, report);
    scene.pass_ms(1_000, &[0, 1]);
    assert_eq!(scene.phase(), JobPhase::Training);
}

#[test]
fn broken_collective_waits_for_the_death_that_explains_it() {
    let mut scene = Scene::training();
    let attempt = scene.attempt;
    let reason = "lost rank 1".to_owned();
    scene.report(0, WorkerReport::Broken { attempt, reason });
    scene.pass_ms(1_000, &[0, 1]);
    assert_eq!(scene.phase(), JobPhase::Training);
    let worker = scene.worker(1);
    let obituary = scene::killed();
    scene.agent_reports(AgentReport::Exited { worker, obituary });
    scene.pass_ms(500, &[0]);
    scene.failed_with(&["worker 1", "SIGKILL"]);
}

#[test]
fn workers_of_a_job_that_is_over_are_ended_after_their_time_to_leave() {
    let mut scene = Scene::training();
    let attempt = Attempt::default();
    scene.report(
        0,
        WorkerReport::Broken {
            attempt,
            reason: "of another attempt".to_owned(),
        },
    );
    assert_eq!(scene.phase(), JobPhase::Training, "it counts for nothing");
    scene.report(
        0,
        WorkerReport::Failed {
            reason: "no memory".to_owned(),
        },
    );
    scene.failed_with(&["no memory"]);
    scene.read_agent();
    scene.pass_ms(9_000, &[0, 1]);
    assert!(scene.read_agent().is_empty());
    scene.pass_ms(2_000, &[0, 1]);
    let told = scene.read_agent();
    assert!(
        matches!(&told[..], [AgentDirective::Desired(none)] if none.is_empty()),
        "{told:?}"
    );
}

/// Commits another evaluation than was proposed with each Finish, so that the state refuses every one of them.
#[derive(Default)]
struct Meddling(InMemoryLog);

impl Log for Meddling {
    fn propose(&mut self, mut envelope: Envelope) -> ProposalId {
        if let Command::FinishJob { evaluation, .. } = &mut envelope.command {
            *evaluation = None;
        }
        self.0.propose(envelope)
    }

    fn read(&mut self) -> ReadId {
        self.0.read()
    }

    fn change(&mut self, change: MembershipChange) -> ProposalId {
        self.0.change(change)
    }

    fn hand_over(&mut self) {}

    fn save(&mut self, _: SnapshotMeta, _: Cluster) {}

    fn publish_addresses(&mut self, _: &Cluster) {}

    fn next_event(&mut self) -> Option<LogEvent> {
        self.0.next_event()
    }
}

#[test]
fn decision_that_is_refused_again_and_again_fails_the_job_and_does_not_spin() {
    let mut scene = Scene::training_with(Meddling::default());
    scene.all_work_done(Generation(1));
    scene.failed_with(&["refused", "evaluation"]);
}
