//! Clients that write, read and submit, and note down what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convoy_client::{ClientError, JobsClient};
use convoy_common::ids::JobId;
use convoy_proto::v1;
use harness::linearizability::{Action, NEVER, Operation, Value};
use harness::random::Random;
use tokio::sync::watch;
use tokio::time::timeout;

use super::ledger::{History, KEYS, Place, Submissions, Values};
use crate::cluster::spec;

/// Before a client gives a call up: in that time it may have been sent, written down, answered, or nothing.
const MOST_PATIENCE_US: u64 = 4_000;

/// Commands that a client tries in vain before it takes the cluster for dead; each has ten seconds.
const MOST_IN_VAIN: u32 = 6;

/// What all clients share.
pub(crate) struct Shared {
    /// The job whose notes are the registers.
    pub(crate) job: JobId,
    /// Counts moments. One number for each call and each answer, so that their order is known.
    clock: AtomicU64,
    /// Counts values: each is written once.
    values: AtomicU64,
    /// Counts answers.
    answered: watch::Sender<u64>,
    stops: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(job: JobId) -> Arc<Self> {
        Arc::new(Self {
            job,
            clock: AtomicU64::new(0),
            values: AtomicU64::new(0),
            answered: watch::Sender::new(0),
            stops: watch::Sender::new(false),
        })
    }

    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn answered(&self) -> u64 {
        *self.answered.borrow()
    }

    /// Waits until so many more calls were answered.
    pub(crate) async fn wait_for_answers(&self, more: u64) {
        let expected = self.answered() + more;
        let mut answered = self.answered.subscribe();
        // It never closes: the sender is here.
        let _ = answered.wait_for(|answered| *answered >= expected).await;
    }

    /// Tells the clients to go on, or to end what they are at.
    pub(crate) fn stop(&self, stops: bool) {
        self.stops.send_replace(stops);
    }
}

/// What a client was told of a command.
enum Told<T> {
    Answer(T),
    /// Nothing: it may have happened.
    Nothing,
    /// That it did not happen.
    No,
}

/// What clients did, and how often.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: u64,
    pub(crate) lost: u64,
    pub(crate) reads: u64,
    pub(crate) submissions: u64,
}

/// One client, which does one thing after the other.
pub(crate) struct Client {
    number: u64,
    jobs: JobsClient,
    random: Random,
    shared: Arc<Shared>,
    history: History,
    /// Writes without an answer that may still have their effect: until a later command is answered.
    open: Vec<Place>,
    has_open_submission: bool,
    submissions: Submissions,
    submitted: u64,
    pub(crate) seen: Seen,
}

impl Client {
    pub(crate) fn new(number: u64, jobs: JobsClient, random: Random, shared: &Arc<Shared>) -> Self {
        Self {
            number,
            jobs,
            random,
            shared: Arc::clone(shared),
            history: History::default(),
            open: Vec::new(),
            has_open_submission: false,
            submissions: Submissions::default(),
            submitted: 0,
            seen: Seen::default(),
        }
    }

    /// Goes on until told to stop, and then until everything it did has happened or never will.
    pub(crate) async fn work(mut self) -> Self {
        while !*self.shared.stops.borrow() {
            self.step().await;
        }
        self.settle().await;
        self
    }

    async fn step(&mut self) {
        match self.random.below(100) {
            0..45 => {
                self.read().await;
            }
            45..78 => self.write(true, None).await,
            78..86 => self.write(false, None).await,
            86..94 => {
                let patience = self.patience();
                self.write(true, Some(patience)).await;
            }
            94..98 => self.submit(None).await,
            _ => {
                let patience = self.patience();
                self.submit(Some(patience)).await;
            }
        }
    }

    fn patience(&mut self) -> Duration {
        Duration::from_micros(self.random.below(MOST_PATIENCE_US))
    }

    pub(crate) async fn write_times(&mut self, times: u64) {
        for _ in 0..times {
            self.write(true, None).await;
        }
    }

    /// Writes a value of its own, or deletes, and gives up after `patience`.
    async fn write(&mut self, is_value: bool, patience: Option<Duration>) {
        let key = self.random.pick(&KEYS);
        let value: Value = is_value.then(|| self.shared.values.fetch_add(1, Ordering::SeqCst));
        let text = value.map(|value| value.to_string());
        let called = self.shared.now();
        let call = self.jobs.annotate(&self.shared.job, key, text.as_deref());
        let told = told(patience, call).await;
        let (ended, is_answered) = match told {
            Told::Answer(()) => (self.shared.now(), true),
            Told::Nothing => (NEVER, false),
            Told::No => return,
        };
        let operation = Operation {
            client: self.number,
            action: Action::Write(value),
            called,
            ended,
            is_answered,
        };
        let place = self.history.push(key, operation);
        if is_answered {
            self.command_answered(ended);
        } else {
            self.open.push(place);
            self.seen.lost += 1;
        }
    }

    /// Earlier commands of a client have no effect after a later one.
    fn command_answered(&mut self, moment: u64) {
        for place in self.open.drain(..) {
            self.history.seal(place, moment);
        }
        self.has_open_submission = false;
        self.note_answer();
    }

    fn note_answer(&mut self) {
        self.seen.answered += 1;
        self.shared.answered.send_modify(|answered| *answered += 1);
    }

    /// Reads all registers; what they hold, if the answer came.
    pub(crate) async fn read(&mut self) -> Option<Values> {
        let called = self.shared.now();
        let described = self.jobs.describe(&self.shared.job).await;
        let view = match expected(described) {
            Told::Answer(view) => view,
            Told::Nothing | Told::No => return None,
        };
        let ended = self.shared.now();
        let values = values(&view);
        for key in KEYS {
            let operation = Operation {
                client: self.number,
                action: Action::Read(values.get(key).copied()),
                called,
                ended,
                is_answered: true,
            };
            self.history.push(key, operation);
        }
        self.seen.reads += 1;
        self.note_answer();
        Some(values)
    }

    /// Submits a job under a name of its own, and cancels it.
    async fn submit(&mut self, patience: Option<Duration>) {
        self.submitted += 1;
        let name = format!("of-{}-{}", self.number, self.submitted);
        let told = told(patience, self.jobs.submit(spec(&name), 1)).await;
        let job = match told {
            Told::Answer(job) => job,
            Told::Nothing => {
                self.seen.lost += 1;
                self.has_open_submission = true;
                self.submissions.by_name.insert(name, None);
                return;
            }
            Told::No => return,
        };
        self.submissions.by_name.insert(name, Some(job.to_string()));
        self.seen.submissions += 1;
        let now = self.shared.now();
        self.command_answered(now);
        let cancelled = self.jobs.cancel(&job, "it was only a test").await;
        if let Told::Answer(()) = expected(cancelled) {
            self.note_answer();
        }
    }

    /// Makes sure that nothing of this client has an effect from now on.
    async fn settle(&mut self) {
        let mut in_vain = 0;
        while self.has_open_submission || !self.open.is_empty() {
            assert!(
                in_vain < MOST_IN_VAIN,
                "client {} was not answered any more",
                self.number
            );
            in_vain += 1;
            self.write(true, None).await;
        }
    }

    pub(crate) fn take_history(&mut self) -> History {
        std::mem::take(&mut self.history)
    }

    pub(crate) fn take_submissions(&mut self) -> Submissions {
        std::mem::take(&mut self.submissions)
    }
}

/// What the notes of a job say.
pub(crate) fn values(view: &v1::JobView) -> Values {
    let value = |key: &'static str| {
        let text = view.annotations.get(key)?;
        let value = text.parse();
        Some((
            key,
            value.unwrap_or_else(|_| panic!("nobody wrote {text:?} as note {key}")),
        ))
    };
    KEYS.into_iter().filter_map(value).collect()
}

/// Waits for the answer of a call, if there is a limit only so long.
async fn told<T>(
    patience: Option<Duration>,
    call: impl Future<Output = Result<T, ClientError>>,
) -> Told<T> {
    match patience {
        None => expected(call.await),
        Some(patience) => match timeout(patience, call).await {
            Ok(answer) => expected(answer),
            Err(_) => Told::Nothing,
        },
    }
}

/// # Panics
/// If a call was refused: nothing that clients ask for here may be.
fn expected<T>(answer: Result<T, ClientError>) -> Told<T> {
    match answer {
        Ok(answer) => Told::Answer(answer),
        Err(ClientError::Unreachable(unreachable)) if unreachable.may_have_run => Told::Nothing,
        Err(ClientError::Unreachable(_)) => Told::No,
        Err(
            error @ (ClientError::Refused { .. }
            | ClientError::Lost { .. }
            | ClientError::Malformed { .. }),
        ) => panic!("{error}"),
    }
}
