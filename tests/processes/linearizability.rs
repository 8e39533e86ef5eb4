//! The checker of histories: what it accepts and what it does not, by hand and against trying every order.

use harness::linearizability::{Action, NEVER, Operation, Value, check};
use harness::random::Random;

/// Histories that are compared with trying every order.
const SMALL_HISTORIES: u64 = 10_000;

const fn answered(client: u64, called: u64, ended: u64, action: Action) -> Operation {
    Operation {
        client,
        action,
        called,
        ended,
        is_answered: true,
    }
}

const fn wrote(client: u64, called: u64, ended: u64, value: u64) -> Operation {
    answered(client, called, ended, Action::Write(Some(value)))
}

const fn deleted(client: u64, called: u64, ended: u64) -> Operation {
    answered(client, called, ended, Action::Write(None))
}

const fn read(client: u64, called: u64, ended: u64, found: Value) -> Operation {
    answered(client, called, ended, Action::Read(found))
}

/// A write without an answer, which can have no effect after `ended`.
const fn lost(client: u64, called: u64, ended: u64, value: u64) -> Operation {
    Operation {
        is_answered: false,
        ..wrote(client, called, ended, value)
    }
}

const POSSIBLE: &[(&str, &[Operation])] = &[
    ("nothing happened", &[]),
    (
        "one after the other",
        &[
            read(1, 1, 2, None),
            wrote(1, 3, 4, 7),
            read(2, 5, 6, Some(7)),
            deleted(2, 7, 8),
            read(1, 9, 10, None),
        ],
    ),
    (
        "two writes at once in either order, the later call first",
        &[
            wrote(1, 1, 10, 7),
            wrote(2, 2, 9, 8),
            read(1, 11, 12, Some(7)),
        ],
    ),
    (
        "a read during a write finds what was, or what is",
        &[
            wrote(1, 1, 10, 7),
            read(2, 2, 3, None),
            read(3, 4, 5, Some(7)),
        ],
    ),
    (
        "a write without an answer happened",
        &[lost(1, 1, NEVER, 7), read(2, 2, 3, Some(7))],
    ),
    (
        "a write without an answer happened long after",
        &[
            lost(1, 1, NEVER, 7),
            read(2, 2, 3, None),
            wrote(2, 4, 5, 8),
            read(2, 6, 7, Some(8)),
            read(2, 8, 9, Some(7)),
        ],
    ),
    (
        "a write without an answer did not happen",
        &[lost(1, 1, 4, 7), read(2, 5, 6, None)],
    ),
    (
        "the only order that fits is not that of the calls",
        &[
            wrote(1, 1, 20, 1),
            wrote(2, 2, 20, 2),
            wrote(3, 3, 20, 3),
            read(4, 4, 5, Some(3)),
            read(4, 6, 7, Some(1)),
            read(4, 21, 22, Some(2)),
        ],
    ),
];

const IMPOSSIBLE: &[(&str, &[Operation])] = &[
    (
        "a stale read: what it found had been replaced before it began",
        &[wrote(1, 1, 2, 7), wrote(1, 3, 4, 8), read(2, 5, 6, Some(7))],
    ),
    (
        "a lost write: it was acknowledged, and is not there",
        &[wrote(1, 1, 2, 7), read(2, 3, 4, None)],
    ),
    (
        "a lost deletion",
        &[wrote(1, 1, 2, 7), deleted(1, 3, 4), read(2, 5, 6, Some(7))],
    ),
    (
        "a write applied twice: it comes back after the next one",
        &[
            wrote(1, 1, 2, 7),
            wrote(2, 3, 4, 8),
            read(3, 5, 6, Some(8)),
            read(3, 7, 8, Some(7)),
        ],
    ),
    (
        "a write without an answer applied twice",
        &[
            lost(1, 1, NEVER, 7),
            read(2, 2, 3, Some(7)),
            wrote(2, 4, 5, 8),
            read(2, 6, 7, Some(8)),
            read(2, 8, 9, Some(7)),
        ],
    ),
    (
        "a write without an answer happened after its client's next command",
        &[
            lost(1, 1, 4, 7),
            read(2, 5, 6, None),
            read(2, 7, 8, Some(7)),
        ],
    ),
    (
        "a value that nobody ever wrote",
        &[wrote(1, 1, 2, 7), read(2, 3, 4, Some(9))],
    ),
    (
        "a value from the future",
        &[read(2, 1, 2, Some(7)), wrote(1, 3, 4, 7)],
    ),
    (
        "two reads at one time that saw two writes in different orders",
        &[
            wrote(1, 1, 20, 1),
            wrote(2, 1, 20, 2),
            read(3, 2, 3, Some(1)),
            read(3, 4, 5, Some(2)),
            read(4, 6, 7, Some(1)),
        ],
    ),
];

#[test]
fn history_that_a_register_can_have_is_accepted() {
    for (what, history) in POSSIBLE {
        check(None, history).unwrap_or_else(|violation| panic!("{what}: {violation}"));
    }
}

#[test]
fn history_that_no_register_can_have_is_refused() {
    for (what, history) in IMPOSSIBLE {
        assert!(check(None, history).is_err(), "{what}");
    }
}

#[test]
fn register_need_not_be_empty_at_first() {
    let history = [read(1, 1, 2, Some(5))];
    assert_eq!(check(Some(5), &history), Ok(()));
    assert!(check(None, &history).is_err());
}

#[test]
fn violation_tells_how_far_an_order_goes_and_what_does_not_fit() {
    let history = [wrote(1, 1, 2, 7), wrote(1, 3, 4, 8), read(2, 5, 6, Some(7))];
    let violation = check(None, &history).unwrap_err();
    assert_eq!((violation.fits.len(), violation.holds), (2, Some(8)));
    assert_eq!(violation.next, [history[2]]);
    let text = violation.to_string();
    let expected = "then it holds Some(8), and none of these can be next:\n         5 to        6: client 2 reads 7\n";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn answer_is_the_same_as_from_trying_every_order() {
    let mut random = Random::new(20_261_124);
    let (mut possible, mut impossible) = (0, 0);
    for number in 0..SMALL_HISTORIES {
        let history = small_history(&mut random);
        let expected = some_order_fits(None, &history);
        let answer = check(None, &history);
        assert_eq!(answer.is_ok(), expected, "history {number}: {history:#?}");
        if expected {
            possible += 1;
        } else {
            impossible += 1;
        }
    }
    assert!(
        possible > SMALL_HISTORIES / 10 && impossible > SMALL_HISTORIES / 10,
        "{possible} possible, {impossible} impossible"
    );
}

#[test]
fn long_history_of_many_clients_is_checked_and_one_lost_write_in_it_is_found() {
    let mut random = Random::new(7);
    let (history, _) = of_a_register(&mut random, 8, 3_000);
    check(None, &history).unwrap_or_else(|violation| panic!("{violation}"));
    let found = |value: Value| {
        let read_it = |operation: &&Operation| operation.action == Action::Read(value);
        history.iter().any(|operation| read_it(&operation))
    };
    let observed = history.iter().position(|operation| match operation.action {
        Action::Write(value) => value.is_some() && operation.is_answered && found(value),
        Action::Read(_) => false,
    });
    let mut without = history.clone();
    without.remove(observed.expect("some write was seen"));
    assert!(check(None, &without).is_err());
}

/// Up to six operations at any times, most of which mean little.
fn small_history(random: &mut Random) -> Vec<Operation> {
    let operations = 1 + random.below(6);
    let value = |random: &mut Random| match random.below(4) {
        0 => None,
        number => Some(number),
    };
    let mut history = Vec::new();
    for client in 0..operations {
        let called = random.below(12);
        let action = if random.chance(500) {
            Action::Write(value(random))
        } else {
            Action::Read(value(random))
        };
        let is_write = matches!(action, Action::Write(_));
        history.push(Operation {
            client,
            action,
            called,
            ended: called + random.below(8),
            is_answered: !(is_write && random.chance(300)),
        });
    }
    history
}

/// By trying each subset of the unanswered in each order.
fn some_order_fits(holds: Value, open: &[Operation]) -> bool {
    if open.iter().all(|operation| !operation.is_answered) {
        return true;
    }
    // What ended before another began comes before it, also if it did not happen: then it is left out.
    let first_end = open.iter().map(|operation| operation.ended).min();
    (0..open.len()).any(|index| {
        let mut rest = open.to_vec();
        let first = rest.remove(index);
        if Some(first.called) > first_end {
            return false;
        }
        let happened = match first.action {
            Action::Write(value) => some_order_fits(value, &rest),
            Action::Read(found) => found == holds && some_order_fits(holds, &rest),
        };
        happened || (!first.is_answered && some_order_fits(holds, &rest))
    })
}

/// What so many clients of a real register saw, and what it held in the end. Moments are steps of its course.
fn of_a_register(random: &mut Random, clients: u64, steps: u64) -> (Vec<Operation>, Value) {
    /// What a client is at.
    #[derive(Clone, Copy)]
    enum At {
        Nothing,
        Called(Operation),
        Done(Operation),
    }
    let (mut holds, mut history) = (None, Vec::new());
    let mut at = vec![At::Nothing; clients as usize];
    for now in 1..=steps {
        let client = random.below(clients);
        let place = &mut at[client as usize];
        *place = match *place {
            At::Nothing => At::Called(match random.below(3) {
                0 => wrote(client, now, NEVER, now),
                1 => deleted(client, now, NEVER),
                _ => read(client, now, NEVER, None),
            }),
            At::Called(mut operation) => {
                match &mut operation.action {
                    Action::Write(value) => holds = *value,
                    Action::Read(found) => *found = holds,
                }
                At::Done(operation)
            }
            At::Done(operation) => {
                let ended = now;
                history.push(Operation { ended, ..operation });
                At::Nothing
            }
        };
    }
    for place in at {
        match place {
            At::Nothing => {}
            At::Called(operation) | At::Done(operation) => {
                if matches!(operation.action, Action::Write(_)) {
                    history.push(Operation {
                        is_answered: false,
                        ..operation
                    });
                }
            }
        }
    }
    (history, holds)
}
