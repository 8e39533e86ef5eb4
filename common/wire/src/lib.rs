//! The words that every message shares, between their wire form and their types: ids, attempts, positions, how a
//! follower names the leader, and what a transport's error says.
//!
//! **Boundary:** conversions only; who talks to whom is nothing to it.

pub mod redirect;
pub mod sources;

use convoy_common::ids::{
    Attempt, Generation, Incarnation, JobId, Phase, Position, StepIndex, WorkerId, WorkerRef,
};
use convoy_proto::v1;

/// A message lacks a part or carries one that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {what}")]
pub struct MalformedMessage {
    what: String,
}

impl MalformedMessage {
    fn missing(what: &str) -> Self {
        Self {
            what: format!("no {what}"),
        }
    }
}

/// A job id from its text.
///
/// # Errors
/// If the text is no id.
pub fn parse_job_id(text: &str) -> Result<JobId, MalformedMessage> {
    JobId::try_from(text.to_owned()).map_err(|error| MalformedMessage {
        what: error.to_string(),
    })
}

/// The wire form of a worker's name.
#[must_use]
pub fn worker_ref(worker: &WorkerRef) -> v1::WorkerRef {
    v1::WorkerRef {
        job_id: worker.job.to_string(),
        worker_id: worker.worker.0,
        incarnation: worker.incarnation.0,
    }
}

/// A worker's name from its wire form.
///
/// # Errors
/// If it is missing or its job id is none.
pub fn parse_worker_ref(worker: Option<&v1::WorkerRef>) -> Result<WorkerRef, MalformedMessage> {
    let worker = worker.ok_or_else(|| MalformedMessage::missing("worker"))?;
    Ok(WorkerRef {
        job: parse_job_id(&worker.job_id)?,
        worker: WorkerId(worker.worker_id),
        incarnation: Incarnation(worker.incarnation),
    })
}

/// The wire form of an attempt.
#[must_use]
pub fn attempt(attempt: Attempt) -> v1::Attempt {
    v1::Attempt {
        term: attempt.term,
        counter: attempt.counter,
    }
}

/// An attempt from its wire form.
///
/// # Errors
/// If it is missing.
pub fn parse_attempt(attempt: Option<&v1::Attempt>) -> Result<Attempt, MalformedMessage> {
    let attempt = attempt.ok_or_else(|| MalformedMessage::missing("attempt"))?;
    Ok(Attempt {
        term: attempt.term,
        counter: attempt.counter,
    })
}

/// The wire form of a position.
#[must_use]
pub fn position(position: Position) -> v1::Position {
    let phase = match position.phase {
        Phase::Train => v1::Phase::Train,
        Phase::Evaluate => v1::Phase::Evaluate,
        Phase::Finish => v1::Phase::Finish,
    };
    v1::Position {
        generation: position.generation.0,
        step: position.step.0,
        phase: phase.into(),
    }
}

/// A position from its wire form.
///
/// # Errors
/// If it is missing or its phase is unknown.
pub fn parse_position(position: Option<&v1::Position>) -> Result<Position, MalformedMessage> {
    let position = position.ok_or_else(|| MalformedMessage::missing("position"))?;
    let unknown = || MalformedMessage {
        what: format!("position of unknown phase {}", position.phase),
    };
    let phase = match v1::Phase::try_from(position.phase).map_err(|_| unknown())? {
        v1::Phase::Unspecified => return Err(unknown()),
        v1::Phase::Train => Phase::Train,
        v1::Phase::Evaluate => Phase::Evaluate,
        v1::Phase::Finish => Phase::Finish,
    };
    Ok(Position {
        generation: Generation(position.generation),
        step: StepIndex(position.step),
        phase,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_went() {
        let worker = WorkerRef {
            job: parse_job_id("fashion-mnist-1").unwrap(),
            worker: WorkerId(3),
            incarnation: Incarnation(9),
        };
        assert_eq!(parse_worker_ref(Some(&worker_ref(&worker))), Ok(worker));
        let one = Attempt {
            term: 2,
            counter: 5,
        };
        assert_eq!(parse_attempt(Some(&attempt(one))), Ok(one));
        for phase in [Phase::Train, Phase::Evaluate, Phase::Finish] {
            let place = Position {
                generation: Generation(4),
                step: StepIndex(469),
                phase,
            };
            assert_eq!(parse_position(Some(&position(place))), Ok(place));
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let check = |error: MalformedMessage, part: &str| {
            assert!(error.to_string().contains(part), "{error}")
        };
        check(parse_worker_ref(None).unwrap_err(), "no worker");
        check(parse_attempt(None).unwrap_err(), "no attempt");
        check(parse_position(None).unwrap_err(), "no position");
        check(parse_job_id("../etc").unwrap_err(), "\"../etc\"");
        let place = |phase| v1::Position {
            generation: 1,
            step: 1,
            phase,
        };
        check(
            parse_position(Some(&place(0))).unwrap_err(),
            "unknown phase 0",
        );
        check(
            parse_position(Some(&place(77))).unwrap_err(),
            "unknown phase 77",
        );
    }
}
