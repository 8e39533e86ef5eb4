//! Sends each gradient bucket on its way as soon as backward has filled it.
//!
//! The hooks of [`convoy_torch::GradientHooks`] call [`BucketGate::filled`] for each parameter. During the backward of a worker's last
//! shard the gate is open: a bucket whose parameters are all in is submitted, in the order of the layout, so that all
//! members submit in the same order whatever the order of their backward.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoy_torch::Region;

use crate::reduce::{ReduceError, ReduceTag, Reducer, Reduction};

pub(crate) struct BucketGate {
    bucket_of: Vec<usize>,
    parameters_per_bucket: Vec<u32>,
    reductions: Vec<Reduction>,
    open: AtomicBool,
    missing: Vec<AtomicU32>,
    submission: Mutex<Submission>,
}

/// What was submitted in the running step.
struct Submission {
    reducer: Arc<dyn Reducer>,
    tag: ReduceTag,
    /// The first bucket that was not submitted yet.
    next: usize,
    /// The regions that were submitted.
    pending: Vec<usize>,
    failure: Option<ReduceError>,
}

impl BucketGate {
    /// A gate for the first `parameters_per_bucket.len()` of `reductions`; the rest is submitted by [`BucketGate::submit`].
    pub(crate) fn new(
        bucket_of: Vec<usize>,
        parameters_per_bucket: Vec<u32>,
        reductions: Vec<Reduction>,
    ) -> Self {
        let missing = parameters_per_bucket
            .iter()
            .map(|_| AtomicU32::new(0))
            .collect();
        let pending = Vec::with_capacity(reductions.len());
        let submission = Submission {
            reducer: crate::reduce::alone(),
            tag: no_tag(),
            next: 0,
            pending,
            failure: None,
        };
        Self {
            bucket_of,
            parameters_per_bucket,
            reductions,
            open: AtomicBool::new(false),
            missing,
            submission: Mutex::new(submission),
        }
    }

    pub(crate) fn reductions(&self) -> &[Reduction] {
        &self.reductions
    }

    /// How many gradient buckets there are.
    pub(crate) fn buckets(&self) -> usize {
        self.missing.len()
    }

    /// From now on reductions go through `reducer`.
    pub(crate) fn connect(&self, reducer: Arc<dyn Reducer>) {
        self.submission().reducer = reducer;
    }

    /// Begins the reductions of one operation.
    pub(crate) fn begin(&self, tag: ReduceTag) {
        let mut submission = self.submission();
        submission.tag = tag;
        submission.next = 0;
        submission.pending.clear();
        submission.failure = None;
    }

    /// Opens the gate for the next backward.
    pub(crate) fn open(&self) {
        for (missing, parameters) in self.missing.iter().zip(&self.parameters_per_bucket) {
            missing.store(*parameters, Ordering::Relaxed);
        }
        self.open.store(true, Ordering::Release);
    }

    /// The gradient of `parameter` is complete for this backward.
    pub(crate) fn filled(&self, parameter: usize) {
        if !self.open.load(Ordering::Acquire) {
            return;
        }
        let bucket = self.bucket_of[parameter];
        if self.missing[bucket].fetch_sub(1, Ordering::AcqRel) == 1 {
            self.submit_filled(&mut self.submission());
        }
    }

    /// Closes the gate after backward. A parameter that took no part in the loss leaves its bucket waiting: it is submitted here,
    /// since every member completes all buckets of a step.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::Release);
        for missing in &self.missing {
            missing.store(0, Ordering::Relaxed);
        }
        self.submit_filled(&mut self.submission());
    }

    /// Submits what is no gradient bucket.
    pub(crate) fn submit(&self, region: usize) {
        self.submission()
            .send(region, &self.reductions[region].region);
    }

    /// Waits for everything that was submitted and takes the regions back, also when the group broke.
    pub(crate) fn finish(&self) -> Result<(), ReduceError> {
        let mut submission = self.submission();
        let mut failure = submission.failure.take();
        for region in &submission.pending {
            if let Err(error) = submission.reducer.wait(*region) {
                failure.get_or_insert(error);
            }
            self.reductions[*region].region.take_back();
        }
        submission.pending.clear();
        failure.map_or(Ok(()), Err)
    }

    fn submit_filled(&self, submission: &mut Submission) {
        while submission.next < self.missing.len()
            && self.missing[submission.next].load(Ordering::Acquire) == 0
        {
            let bucket = submission.next;
            submission.next += 1;
            submission.send(bucket, &self.reductions[bucket].region);
        }
    }

    fn submission(&self) -> MutexGuard<'_, Submission> {
        self.submission
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Submission {
    fn send(&mut self, index: usize, region: &Region) {
        if self.failure.is_some() {
            return;
        }
        region.lend();
        match self.reducer.submit(index, self.tag) {
            Ok(()) => self.pending.push(index),
            Err(error) => {
                region.take_back();
                self.failure = Some(error);
            }
        }
    }
}

fn no_tag() -> ReduceTag {
    use convoy_common::ids::{Generation, Phase, StepIndex};
    ReduceTag {
        generation: Generation(0),
        step: StepIndex(0),
        phase: Phase::Train,
    }
}

#[cfg(test)]
mod tests {
    use convoy_torch::FlatBuffer;
    use tch::Kind;

    use super::*;

    /// Remembers what was submitted, in order.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<usize>>);

    impl Recorder {
        fn submitted(&self) -> Vec<usize> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Reducer for Recorder {
        fn submit(&self, region: usize, _tag: ReduceTag) -> Result<(), ReduceError> {
            self.0.lock().unwrap().push(region);
            Ok(())
        }

        fn wait(&self, _region: usize) -> Result<(), ReduceError> {
            Ok(())
        }
    }

    /// Parameters 0 and 1 in bucket 1, 2 and 3 in bucket 0, and a region that is no bucket.
    fn gate() -> (BucketGate, Arc<Recorder>) {
        let memory = FlatBuffer::zeros(12, Kind::Float);
        let region = |i: usize| Reduction::sum(memory.region(4 * i..4 * i + 4));
        let reductions = (0..3).map(region).collect();
        let gate = BucketGate::new(vec![1, 1, 0, 0], vec![2, 2], reductions);
        let recorder = Arc::new(Recorder::default());
        gate.connect(Arc::clone(&recorder) as Arc<dyn Reducer>);
        gate.begin(no_tag());
        (gate, recorder)
    }

    #[test]
    fn bucket_leaves_while_backward_goes_on() {
        let (gate, recorder) = gate();
        gate.open();
        gate.filled(3);
        assert_eq!(recorder.submitted(), [0_usize; 0]);
        gate.filled(2);
        assert_eq!(
            recorder.submitted(),
            [0],
            "before the first layers have a gradient"
        );
        gate.filled(1);
        gate.filled(0);
        assert_eq!(recorder.submitted(), [0, 1]);
        gate.close();
        gate.submit(2);
        gate.finish().unwrap();
        assert_eq!(recorder.submitted(), [0, 1, 2], "nothing leaves twice");
    }

    #[test]
    fn buckets_leave_in_the_order_of_the_layout_whatever_fills_first() {
        let (gate, recorder) = gate();
        gate.open();
        gate.filled(0);
        gate.filled(1);
        assert_eq!(
            recorder.submitted(),
            [0_usize; 0],
            "bucket 1 waits for bucket 0"
        );
        gate.filled(2);
        gate.filled(3);
        assert_eq!(recorder.submitted(), [0, 1]);
    }

    #[test]
    fn only_the_last_shard_sends_buckets() {
        let (gate, recorder) = gate();
        (0..4).for_each(|parameter| gate.filled(parameter));
        assert_eq!(recorder.submitted(), [0_usize; 0], "closed");
        gate.open();
        gate.filled(2);
        gate.close();
        assert_eq!(
            recorder.submitted(),
            [0, 1],
            "a parameter without gradient holds nothing up"
        );
        gate.finish().unwrap();
    }
}
