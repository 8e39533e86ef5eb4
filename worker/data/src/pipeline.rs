//! Batches prepared ahead of the step, on threads of their own, handed out in the order of the requests.
//!
//! One lock guards the queue of batches; it is held to claim a request and to deliver a batch, never while one is made.
//!
//! **Invariant:** at most `depth` batches are claimed and not yet taken. Each has a place in the queue from the moment it is
//! claimed, so that order needs no sorting, and whoever claimed a place always fills it: with a batch, an error or, if the
//! code panics, with that.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::batch::{Batch, BatchMaker, BatchRequest, Buffers, SampleOrdering, Split};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::transform::Transform;

/// A running pipeline. Dropping it stops and joins its threads; each finishes at most the sample it is working on.
pub struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    makers: Makers,
    queue: Mutex<Queue>,
    /// Told when a request may be claimed or there will be no more.
    room: Condvar,
    /// Told when the batch at the front may be there or there will be no more.
    ready: Condvar,
    stopped: AtomicBool,
    depth: usize,
}

/// Who makes the batches of a split.
enum Makers {
    /// There is only one dataset; requests may say either.
    Same(BatchMaker),
    BySplit {
        train: BatchMaker,
        test: BatchMaker,
    },
}

impl Makers {
    fn of(&self, split: Split) -> &BatchMaker {
        match (self, split) {
            (Self::Same(maker), Split::Train | Split::Test) => maker,
            (Self::BySplit { train, .. }, Split::Train) => train,
            (Self::BySplit { test, .. }, Split::Test) => test,
        }
    }
}

struct Queue {
    requests: Box<dyn Iterator<Item = BatchRequest> + Send>,
    /// No more requests will be claimed.
    ended: bool,
    /// Batches taken so far, which is the number of the batch at the front of `places`.
    taken: u64,
    /// One place per claimed batch, in the order of the requests; empty while the batch is made.
    places: VecDeque<Option<Result<Batch, DataError>>>,
    free: Vec<Buffers>,
}

/// A request that a thread took upon itself.
struct Claim {
    number: u64,
    request: BatchRequest,
    buffers: Buffers,
}

impl Pipeline {
    /// Starts a pipeline for requests of one dataset, whichever split they name; otherwise as [`Pipeline::start_job`].
    ///
    /// # Errors
    /// If the transform is for images of another shape, or if the operating system gives no thread.
    pub fn start(
        dataset: Arc<dyn Dataset>,
        transform: Transform,
        ordering: SampleOrdering,
        requests: impl Iterator<Item = BatchRequest> + Send + 'static,
        threads: usize,
        depth: usize,
    ) -> Result<Self, DataError> {
        let maker = BatchMaker::new(dataset, transform, ordering)?;
        Self::start_with(Makers::Same(maker), Box::new(requests), threads, depth)
    }

    /// Starts `threads` threads that keep up to `depth` batches of `requests` prepared; 0 of either is taken as 1. Batches
    /// of the one split are prepared while those of the other are used, so that neither an evaluation nor the epoch after it
    /// begins with a wait.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start_job(
        train: BatchMaker,
        test: BatchMaker,
        requests: impl Iterator<Item = BatchRequest> + Send + 'static,
        threads: usize,
        depth: usize,
    ) -> Result<Self, DataError> {
        let makers = Makers::BySplit { train, test };
        Self::start_with(makers, Box::new(requests), threads, depth)
    }

    fn start_with(
        makers: Makers,
        requests: Box<dyn Iterator<Item = BatchRequest> + Send>,
        threads: usize,
        depth: usize,
    ) -> Result<Self, DataError> {
        let (threads, depth) = (threads.max(1), depth.max(1));
        let queue = Queue {
            requests,
            ended: false,
            taken: 0,
            places: VecDeque::with_capacity(depth),
            free: Vec::with_capacity(2 * depth),
        };
        let shared = Arc::new(Shared {
            makers,
            queue: Mutex::new(queue),
            room: Condvar::new(),
            ready: Condvar::new(),
            stopped: AtomicBool::new(false),
            depth,
        });
        // Threads join the pipeline one by one, so that an early return stops and joins those that run.
        let mut pipeline = Self {
            shared,
            threads: Vec::with_capacity(threads),
        };
        for index in 0..threads {
            let shared = Arc::clone(&pipeline.shared);
            let thread = std::thread::Builder::new()
                .name(format!("data-{index}"))
                .spawn(move || shared.make_batches())
                .map_err(|source| DataError::NoThread {
                    index,
                    threads,
                    source,
                })?;
            pipeline.threads.push(thread);
        }
        Ok(pipeline)
    }

    /// The next batch in the order of the requests; waits for it. `None` after the last one and after an error: the first
    /// error is handed out in its batch's place and ends the pipeline.
    ///
    /// # Errors
    /// If the batch can't be prepared.
    pub fn next(&self) -> Option<Result<Batch, DataError>> {
        let mut queue = self.shared.lock();
        loop {
            if let Some(result) = queue.take_front() {
                self.shared.room.notify_all();
                return Some(result);
            }
            if queue.ended && queue.places.is_empty() {
                return None;
            }
            queue = wait(&self.shared.ready, queue);
        }
    }

    /// Gives a batch's memory back, for one of the next. A pipeline whose batches all come back allocates nothing once it
    /// has run for a few batches.
    pub fn recycle(&self, batch: Batch) {
        let mut queue = self.shared.lock();
        // Batches of another pipeline may come back here too; what can't be of use is freed.
        if queue.free.len() < 2 * self.shared.depth {
            queue.free.push(Buffers::from(batch));
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.lock().ended = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked outside of what is caught has said so on stderr; there is nobody else to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Poison is of no concern: nothing that can panic runs between two changes that belong together.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_batches(&self) {
        while let Some(Claim {
            number,
            request,
            buffers,
        }) = self.claim()
        {
            let maker = self.makers.of(request.split);
            let making = || maker.make(request.clone(), buffers, &self.stopped);
            let result = catch_unwind(AssertUnwindSafe(making)).unwrap_or_else(|panic| {
                Err(DataError::Panicked {
                    doing: format!("preparing {request:?}"),
                    message: message_of(&*panic),
                })
            });
            self.lock().deliver(number, result);
            self.ready.notify_all();
        }
    }

    /// Waits for room and takes the next request; `None` when there is nothing more to do.
    fn claim(&self) -> Option<Claim> {
        let mut queue = self.lock();
        while !queue.ended && queue.places.len() >= self.depth {
            queue = wait(&self.room, queue);
        }
        if queue.ended {
            return None;
        }
        let claim = queue.claim();
        if claim.is_none() {
            self.room.notify_all();
            self.ready.notify_all();
        }
        claim
    }
}

impl Queue {
    fn claim(&mut self) -> Option<Claim> {
        let requests = &mut self.requests;
        match catch_unwind(AssertUnwindSafe(|| requests.next())) {
            Ok(Some(request)) => {
                let number = self.taken + self.places.len() as u64;
                self.places.push_back(None);
                let buffers = self.free.pop().unwrap_or_default();
                Some(Claim {
                    number,
                    request,
                    buffers,
                })
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(panic) => {
                let doing = "asking for the next request".to_owned();
                let error = DataError::Panicked {
                    doing,
                    message: message_of(&*panic),
                };
                self.places.push_back(Some(Err(error)));
                self.ended = true;
                None
            }
        }
    }

    fn deliver(&mut self, number: u64, result: Result<Batch, DataError>) {
        // After an error there are no places any more, and what was still in the making is dropped.
        let place = number
            .checked_sub(self.taken)
            .and_then(|index| self.places.get_mut(index as usize));
        if let Some(place) = place {
            *place = Some(result);
        }
    }

    /// The batch at the front, once it is there.
    fn take_front(&mut self) -> Option<Result<Batch, DataError>> {
        let result = self.places.front_mut()?.take()?;
        self.places.pop_front();
        self.taken += 1;
        if result.is_err() {
            self.places.clear();
            self.ended = true;
        }
        Some(result)
    }
}

fn wait<'a>(condition: &Condvar, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
    condition
        .wait(queue)
        .unwrap_or_else(PoisonError::into_inner)
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
