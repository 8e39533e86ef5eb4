//! Which of several reports becomes the reason of a failed job, and when.

use convoy_common::ids::WorkerId;

use super::fixtures::*;
use crate::cause::{Cause, Evidence, Patience};
use crate::job::Obituary;
use crate::time::Moment;

const PATIENCE: Patience = Patience {
    settle_ms: 300,
    symptom_ms: 5_000,
};

fn broken(worker: u32) -> Cause {
    Cause::Broken {
        worker: WorkerId(worker),
        reason: "peer closed the connection".to_owned(),
    }
}

fn failed(worker: u32, reason: &str) -> Cause {
    Cause::Failed {
        worker: WorkerId(worker),
        reason: reason.to_owned(),
    }
}

/// Notes each cause at its time; the verdict at `now`.
fn verdict(causes: &[(u64, Cause)], now: u64) -> Option<String> {
    let story = Story::training();
    let mut evidence = Evidence::default();
    for (at, cause) in causes {
        evidence.note(cause.clone(), Moment::from_ms(*at));
    }
    evidence.verdict(story.job(), PATIENCE, Moment::from_ms(now))
}

#[test]
fn a_full_disk_explains_the_broken_rings_around_it() {
    let causes = [
        (0, broken(0)),
        (10, broken(2)),
        (20, failed(1, "disk full: 12 bytes free")),
    ];
    let text = verdict(&causes, 20).unwrap();
    assert_eq!(text, "worker 1 on node a failed: disk full: 12 bytes free");
}

#[test]
fn a_killed_worker_explains_the_broken_ring_of_its_neighbour() {
    let ended = Cause::Ended {
        worker: WorkerId(0),
        obituary: killed(),
    };
    let causes = [(0, broken(1)), (900, ended)];
    assert_eq!(verdict(&causes, 1_000), None, "last words may still come");
    assert_eq!(
        verdict(&causes, 1_200).unwrap(),
        "worker 0 on node a ended: killed by signal 9 (SIGKILL); its log is /logs/worker-0.log\n  last words"
    );
}

#[test]
fn last_words_beat_the_exit_code_that_came_before_them() {
    let ended = Obituary {
        how: "exit code 1".to_owned(),
        ..killed()
    };
    let ended = Cause::Ended {
        worker: WorkerId(1),
        obituary: ended,
    };
    let text = verdict(&[(0, ended), (100, failed(1, "truncated file"))], 100).unwrap();
    assert!(text.contains("truncated file"), "{text}");
}

#[test]
fn a_worker_that_ends_because_its_ring_broke_is_not_the_cause() {
    let gives_up = Obituary {
        how: "exit code 1".to_owned(),
        ..killed()
    };
    let gives_up = Cause::Ended {
        worker: WorkerId(1),
        obituary: gives_up,
    };
    let dead = Cause::Ended {
        worker: WorkerId(0),
        obituary: killed(),
    };
    let text = verdict(&[(0, broken(1)), (10, gives_up), (900, dead)], 2_000).unwrap();
    assert!(
        text.starts_with("worker 0 on node a ended: killed"),
        "{text}"
    );
}

#[test]
fn a_symptom_alone_is_the_reason_when_patience_ends() {
    let causes = [(0, broken(0))];
    assert_eq!(verdict(&causes, 4_999), None);
    assert_eq!(
        verdict(&causes, 5_000).unwrap(),
        "the collective of worker 0 on node a broke: peer closed the connection; \
         no worker's end or failure was reported within 5.0 s"
    );
}

#[test]
fn a_clean_exit_before_the_end_is_a_cause() {
    let obituary = Obituary {
        how: "exit code 0".to_owned(),
        clean: true,
        ..killed()
    };
    let text = verdict(
        &[(
            0,
            Cause::Ended {
                worker: WorkerId(0),
                obituary,
            },
        )],
        300,
    )
    .unwrap();
    assert!(
        text.starts_with("worker 0 on node a ended: exit code 0, before the job was done"),
        "{text}"
    );
}

#[test]
fn a_session_that_comes_back_is_forgiven() {
    let story = Story::training();
    let mut evidence = Evidence::default();
    let detached = Cause::Detached {
        worker: WorkerId(0),
        reason: "reset".to_owned(),
    };
    evidence.note(detached, Moment::from_ms(0));
    assert!(evidence.waits_for(story.job()).is_some());
    evidence.came_back(WorkerId(0));
    assert!(evidence.is_empty());
    assert_eq!(
        evidence.verdict(story.job(), PATIENCE, Moment::from_ms(9_000)),
        None
    );
}
