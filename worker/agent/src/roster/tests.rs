use super::*;

fn worker(worker: u32, incarnation: u64) -> WorkerRef {
    WorkerRef {
        job: JobId::try_from("toy-1".to_owned()).unwrap(),
        worker: WorkerId(worker),
        incarnation: Incarnation(incarnation),
    }
}

fn assigned(id: u32, incarnation: u64, slot: u32) -> Assignment {
    Assignment {
        worker: worker(id, incarnation),
        slot: SlotIndex(slot),
        spec_json: "{}".to_owned(),
    }
}

fn started(id: u32, incarnation: u64) -> Started {
    Started {
        worker: worker(id, incarnation),
        pid: 100 + id,
        log_path: "log".into(),
    }
}

fn ended(id: u32, incarnation: u64) -> Obituary {
    Obituary {
        worker: worker(id, incarnation),
        pid: Some(100 + id),
        how: "exit code 1".to_owned(),
        clean: false,
        last_lines: Vec::new(),
        log_path: Some("log".into()),
    }
}

/// A roster of two slots on which workers 0 and 1 (incarnations 1 and 2) run.
fn two_running() -> Roster {
    let mut roster = Roster::new(2);
    roster.desire(vec![assigned(0, 1, 0), assigned(1, 2, 1)]);
    roster.started(started(0, 1));
    roster.started(started(1, 2));
    roster
}

#[test]
fn what_is_missing_is_started_once() {
    let mut roster = Roster::new(2);
    let desired = vec![assigned(0, 1, 0), assigned(1, 2, 1)];
    let expected: Vec<_> = desired.iter().cloned().map(Action::Start).collect();
    assert_eq!(roster.desire(desired.clone()), expected);
    assert_eq!(roster.desire(desired), []);
    assert_eq!(
        roster.started(started(0, 1)),
        [Action::ReportStarted(started(0, 1))]
    );
}

#[test]
fn what_is_not_named_is_stopped_once() {
    let mut roster = two_running();
    assert_eq!(
        roster.desire(vec![assigned(0, 1, 0)]),
        [Action::Stop(worker(1, 2))]
    );
    assert_eq!(roster.desire(vec![assigned(0, 1, 0)]), []);
    assert_eq!(
        roster.ended(ended(1, 2)),
        [Action::ReportEnded(ended(1, 2))]
    );
}

#[test]
fn worker_that_is_still_starting_can_be_stopped() {
    let mut roster = Roster::new(1);
    roster.desire(vec![assigned(0, 1, 0)]);
    assert_eq!(roster.desire(vec![]), [Action::Stop(worker(0, 1))]);
    assert!(!roster.is_empty());
    roster.ended(ended(0, 1));
    assert!(roster.is_empty());
}

#[test]
fn incarnation_that_ended_is_never_started_again() {
    let mut roster = two_running();
    roster.ended(ended(0, 1));
    assert_eq!(
        roster.desire(vec![assigned(0, 1, 0), assigned(1, 2, 1)]),
        []
    );
    roster.desire(vec![assigned(1, 2, 1)]);
    assert_eq!(
        roster.desire(vec![assigned(0, 1, 0), assigned(1, 2, 1)]),
        []
    );
}

#[test]
fn successor_starts_only_after_its_predecessor_was_waited_for() {
    let mut roster = two_running();
    let desired = vec![assigned(0, 3, 0), assigned(1, 2, 1)];
    assert_eq!(roster.desire(desired.clone()), [Action::Stop(worker(0, 1))]);
    assert_eq!(roster.desire(desired.clone()), []);
    assert_eq!(
        roster.ended(ended(0, 1)),
        [
            Action::ReportEnded(ended(0, 1)),
            Action::Start(desired[0].clone())
        ]
    );
}

#[test]
fn older_incarnation_of_a_stale_directive_is_not_started() {
    let mut roster = Roster::new(1);
    roster.desire(vec![assigned(0, 5, 0)]);
    assert_eq!(
        roster.desire(vec![assigned(0, 4, 0)]),
        [Action::Stop(worker(0, 5))]
    );
    assert_eq!(
        roster.ended(ended(0, 5)),
        [Action::ReportEnded(ended(0, 5))]
    );
}

#[test]
fn slot_that_does_not_exist_is_refused_with_the_numbers() {
    let mut roster = Roster::new(2);
    let actions = roster.desire(vec![assigned(0, 1, 2)]);
    let [Action::ReportEnded(obituary)] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(
        obituary.how,
        "could not be started: slot 2 does not exist on this node, which has 2"
    );
    assert_eq!(
        roster.desire(vec![assigned(0, 1, 2)]),
        [],
        "and refused once"
    );
}

#[test]
fn two_workers_for_one_slot_are_one_too_many() {
    let mut roster = Roster::new(2);
    let actions = roster.desire(vec![assigned(0, 1, 0), assigned(1, 2, 0)]);
    let [Action::Start(first), Action::ReportEnded(second)] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(*first, assigned(0, 1, 0));
    assert!(
        second
            .how
            .contains("slot 0 belongs to worker 0 of job toy-1"),
        "{}",
        second.how
    );
}

#[test]
fn new_session_hears_of_everything_that_runs_or_ended_unheard() {
    let mut roster = two_running();
    roster.ended(ended(0, 1));
    assert_eq!(
        roster.session_opened(),
        [
            Action::ReportStarted(started(1, 2)),
            Action::ReportEnded(ended(0, 1))
        ]
    );
    roster.desire(vec![assigned(1, 2, 1)]);
    assert_eq!(
        roster.session_opened(),
        [Action::ReportStarted(started(1, 2))],
        "a coordinator that no longer names the worker knows of its end"
    );
}

#[test]
fn leaving_stops_all_and_starts_nothing_more() {
    let mut roster = two_running();
    assert_eq!(
        roster.leave(),
        [Action::Stop(worker(0, 1)), Action::Stop(worker(1, 2))]
    );
    assert_eq!(roster.desire(vec![assigned(0, 7, 0)]), []);
    roster.ended(ended(0, 1));
    assert!(!roster.is_empty());
    roster.ended(ended(1, 2));
    assert!(roster.is_empty());
}
