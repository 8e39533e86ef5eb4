//! The worker's side of the membership protocol; pure.
//!
//! ```text
//! Stop(attempt) -> Stopped -> Prepare(attempt, members) -> group -> Ready -> Go(generation) -> training -> Trained -> Finish
//! ```
//!
//! Inputs go into [`Membership::step`], what to do comes out. Everything is fenced by the attempt: what belongs to a smaller one
//! than the newest that was adopted is ignored, and said so.
//!
//! **Invariant:** the adopted attempt never decreases; training starts at most once per generation and only in the newest
//! attempt; after a Stop nothing of an older attempt is built, trained or reported.

mod messages;
mod phase;

#[cfg(test)]
mod tests;

pub use messages::{Input, Member, Output, Report};

use convoy_common::ids::{Attempt, Generation, StepIndex, WorkerRef};

use phase::Phase;

/// Where this worker stands in the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    me: WorkerRef,
    /// The newest attempt that was adopted.
    adopted: Attempt,
    phase: Phase,
    /// The newest generation that was trained.
    trained: Generation,
}

impl Membership {
    /// A worker that has heard nothing yet.
    #[must_use]
    pub fn new(me: WorkerRef) -> Self {
        Self {
            me,
            adopted: Attempt::default(),
            phase: Phase::Idle,
            trained: Generation::default(),
        }
    }

    /// The newest attempt that was adopted.
    #[must_use]
    pub fn adopted(&self) -> Attempt {
        self.adopted
    }

    /// Takes one input and says what to do, in order.
    pub fn step(&mut self, input: Input) -> Vec<Output> {
        match input {
            Input::Stop { attempt } => self.stop(attempt),
            Input::Prepare {
                attempt,
                members,
                start,
                ..
            } => self.prepare(attempt, members, start),
            Input::CollectiveBuilt {
                attempt,
                state_digest,
            } => self.built(attempt, state_digest),
            Input::CollectiveFailed { attempt, reason } => self.failed(attempt, reason),
            Input::Go {
                attempt,
                generation,
            } => self.go(attempt, generation),
            Input::TrainingDone {
                generation,
                position,
            } => self.done(generation, position),
            Input::Finish { reason } => vec![
                Output::LeaveCollective {
                    reason: reason.clone(),
                },
                Output::Exit { reason },
            ],
        }
    }

    fn stop(&mut self, attempt: Attempt) -> Vec<Output> {
        if attempt < self.adopted {
            return self.stale("Stop", attempt);
        }
        self.adopted = attempt;
        self.phase = Phase::Stopped;
        let reason = format!("attempt {attempt} begins");
        vec![
            Output::LeaveCollective { reason },
            Output::Report(Report::Stopped { attempt }),
        ]
    }

    fn prepare(&mut self, attempt: Attempt, members: Vec<Member>, start: StepIndex) -> Vec<Output> {
        if attempt < self.adopted {
            return self.stale("Prepare", attempt);
        }
        if attempt == self.adopted && !matches!(self.phase, Phase::Idle | Phase::Stopped) {
            return self.ignored(format!("a second Prepare of attempt {attempt}"));
        }
        self.adopted = attempt;
        let mut outputs = Vec::new();
        if self.phase.has_group() {
            // A Prepare may overtake its Stop; two groups at once are never held.
            let reason = format!("attempt {attempt} is prepared");
            outputs.push(Output::LeaveCollective { reason });
        }
        let Some(own) = members.iter().position(|member| member.worker == self.me) else {
            self.phase = Phase::Stopped;
            let reason = format!(
                "attempt {attempt} has {} members, and {} is none of them",
                members.len(),
                self.me
            );
            outputs.push(Output::Report(Report::Broken {
                attempt,
                generation: Generation::default(),
                reason,
            }));
            return outputs;
        };
        self.phase = Phase::Building { start };
        outputs.push(Output::BuildCollective {
            attempt,
            members,
            own,
        });
        outputs
    }

    fn built(&mut self, attempt: Attempt, state_digest: [u8; 32]) -> Vec<Output> {
        if attempt != self.adopted {
            return self.stale("the group", attempt);
        }
        let Phase::Building { start } = self.phase else {
            return self.ignored(format!(
                "a group of attempt {attempt} that nobody asked for"
            ));
        };
        self.phase = Phase::Ready { start };
        vec![Output::Report(Report::Ready {
            attempt,
            state_digest,
        })]
    }

    fn failed(&mut self, attempt: Attempt, reason: String) -> Vec<Output> {
        if attempt < self.adopted {
            return self.stale("a broken group", attempt);
        }
        let generation = self.phase.generation();
        self.phase = Phase::Stopped;
        vec![Output::Report(Report::Broken {
            attempt,
            generation,
            reason,
        })]
    }

    fn go(&mut self, attempt: Attempt, generation: Generation) -> Vec<Output> {
        if attempt != self.adopted {
            return self.stale("Go", attempt);
        }
        if generation <= self.trained {
            return self.ignored(format!(
                "Go for generation {generation}, generation {} was begun already",
                self.trained
            ));
        }
        let Phase::Ready { start } = self.phase else {
            return self.ignored(format!(
                "Go for attempt {attempt}, whose group does not stand here"
            ));
        };
        self.phase = Phase::Training { generation };
        self.trained = generation;
        vec![Output::StartTraining {
            attempt,
            generation,
            start,
        }]
    }

    fn done(
        &mut self,
        generation: Generation,
        position: convoy_common::ids::Position,
    ) -> Vec<Output> {
        if self.phase != (Phase::Training { generation }) {
            return self.ignored(format!(
                "the end of generation {generation}, which is not the running one"
            ));
        }
        self.phase = Phase::Done;
        vec![Output::Report(Report::Trained {
            generation,
            position,
        })]
    }

    fn stale(&self, what: &str, attempt: Attempt) -> Vec<Output> {
        self.ignored(format!(
            "{what} of attempt {attempt}: attempt {} was adopted",
            self.adopted
        ))
    }

    #[expect(clippy::unused_self, reason = "reads as what the worker does")]
    fn ignored(&self, what: String) -> Vec<Output> {
        vec![Output::Ignored { what }]
    }
}
