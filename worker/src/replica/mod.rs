//! The thread that owns the model: it takes commands, trains, and tells what happened.
//!
//! **Boundary:** the only thread of a worker that calls libtorch. It blocks in training for as long as a generation lasts; what must
//! end that sooner goes through the collective's abort handle, never through the queue of commands.

mod load;
mod progress;
mod reducer;
mod saving;
mod teller;
mod training;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use convoy_checkpoint::SliceRecord;
use convoy_collective::{AbortHandle, RingListener};
use convoy_common::ids::{Attempt, EpochIndex, Generation, Position, StepIndex, WorkerRef};
use convoy_common::spec::JobSpec;
use convoy_data::Fingerprint;
use convoy_membership::Member;
use convoy_training::EvaluationCounts;
use tokio::sync::{mpsc, watch};

pub(crate) use progress::Progress;
pub(crate) use reducer::GroupReducer;
use teller::{Events, Teller};
pub(crate) use training::{BATCHES_AHEAD_PER_SHARD, DATA_THREADS};

/// Commands come one per membership change; more than this many unanswered ones mean that the other side is broken.
const MAX_COMMANDS: usize = 64;
/// Events come a few per epoch.
const MAX_EVENTS: usize = 64;

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Leave the group, if there is one, and say where you stand.
    Stand { attempt: Attempt },
    /// Build the group of this attempt.
    Join { group: Group, abort: AbortHandle },
    /// Train from `start` until the job's end or the group's.
    Train {
        attempt: Attempt,
        generation: Generation,
        start: StepIndex,
    },
}

/// A group to build, and the own place in it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) attempt: Attempt,
    pub(crate) members: Vec<Member>,
    /// Index of the own entry in `members`, which are ordered by rank.
    pub(crate) own: usize,
}

/// What the thread tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// Answer to [`Command::Stand`].
    Standing {
        attempt: Attempt,
        standing: Standing,
    },
    /// The group stands and passed its check.
    Joined {
        attempt: Attempt,
        state_digest: [u8; 32],
    },
    /// The group could not be built.
    JoinFailed { attempt: Attempt, reason: String },
    /// The group broke while training.
    Broken { attempt: Attempt, reason: String },
    /// All members evaluated this step.
    Evaluated {
        generation: Generation,
        step: StepIndex,
        counts: EvaluationCounts,
    },
    /// The own slice of a checkpoint is durable.
    SliceWritten(WrittenSlice),
    /// Every step, evaluation and checkpoint of the job is done.
    Trained {
        generation: Generation,
        position: Position,
    },
    /// The worker can't go on.
    Failed { reason: String },
}

/// Where a replica stands.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) position: Position,
    pub(crate) dataset: Fingerprint,
    pub(crate) state_digest: [u8; 32],
}

/// A slice that is durable.
#[derive(Clone, Debug)]
pub(crate) struct WrittenSlice {
    pub(crate) generation: Generation,
    pub(crate) attempt: Attempt,
    pub(crate) step: StepIndex,
    /// Completed epochs.
    pub(crate) epochs: EpochIndex,
    pub(crate) slice: SliceRecord,
    pub(crate) weights_sha256: [u8; 32],
    pub(crate) folder: PathBuf,
    pub(crate) is_final: bool,
}

/// The handle to the thread.
pub(crate) struct Replica {
    commands: mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread sends and publishes.
pub(crate) struct Outlets {
    pub(crate) events: mpsc::Receiver<Event>,
    /// The newest progress; written at every step, read when someone wants it.
    pub(crate) progress: watch::Receiver<Progress>,
}

impl Replica {
    /// Starts the thread, which loads the data and builds the model before it takes its first command.
    ///
    /// # Errors
    /// If the thread can't be started.
    pub(crate) fn start(
        spec: JobSpec,
        me: WorkerRef,
        listener: RingListener,
    ) -> std::io::Result<(Self, Outlets)> {
        let (commands, inbox) = mpsc::channel(MAX_COMMANDS);
        let (outbox, events) = mpsc::channel(MAX_EVENTS);
        let (publish, progress) = watch::channel(Progress::default());
        let thread = std::thread::Builder::new()
            .name("replica".to_owned())
            .spawn(move || {
                run(
                    spec,
                    me,
                    listener,
                    inbox,
                    &Teller::new(Events::into(outbox), publish),
                )
            })?;
        Ok((
            Self {
                commands,
                thread: Some(thread),
            },
            Outlets { events, progress },
        ))
    }

    /// Queues a command; a thread that ended has said why in an event.
    pub(crate) fn tell(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::warn!(%error, "the replica takes no more commands");
        }
    }

    /// Ends the thread and waits for it. The group's abort handle must have been used, or the thread trains on.
    pub(crate) fn end(mut self) {
        drop(self.commands);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the replica thread panicked");
        }
    }
}

fn run(
    spec: JobSpec,
    me: WorkerRef,
    listener: RingListener,
    mut inbox: mpsc::Receiver<Command>,
    teller: &Teller,
) {
    let mut training = match load::load(Arc::new(spec), me) {
        Ok(loaded) => training::Training::new(loaded, listener),
        Err(error) => {
            return teller.tell(Event::Failed {
                reason: error.to_string(),
            });
        }
    };
    while let Some(command) = inbox.blocking_recv() {
        let answer = match command {
            Command::Stand { attempt } => training.stand(attempt),
            Command::Join { group, abort } => training.join(group, &abort),
            Command::Train {
                attempt,
                generation,
                start,
            } => training.train(attempt, generation, start, teller),
        };
        teller.tell(answer);
    }
}
