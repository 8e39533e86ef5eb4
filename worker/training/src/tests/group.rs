//! The simplest group there can be: members on threads add values up under a lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};

use convoy_torch::Elements;

use crate::{Operation, ReduceError, ReduceTag, Reducer, Reduction};

/// What members brought so far to one reduction.
#[derive(Default)]
struct Sum {
    members: u32,
    floats: Vec<f64>,
    integers: Vec<i64>,
}

/// Reductions by region and number.
#[derive(Default)]
pub(super) struct Table {
    sums: Mutex<BTreeMap<(usize, u64), Sum>>,
    arrived: Condvar,
}

/// A member's place at the table.
pub(super) struct Seat {
    table: Arc<Table>,
    world: u32,
    reductions: Vec<Reduction>,
    /// How often each region was submitted, and in which step the last time.
    submitted: Mutex<(Vec<u64>, u64)>,
    broken_at: Option<u64>,
}

impl Seat {
    pub(super) fn new(table: &Arc<Table>, world: u32, reductions: &[Reduction]) -> Self {
        Self {
            table: Arc::clone(table),
            world,
            reductions: reductions.to_vec(),
            submitted: Mutex::new((vec![0; reductions.len()], 0)),
            broken_at: None,
        }
    }

    /// A group that breaks in this step.
    pub(super) fn broken_at(step: u64, reductions: &[Reduction]) -> Self {
        Self {
            broken_at: Some(step),
            ..Self::new(&Arc::default(), 1, reductions)
        }
    }
}

impl Reducer for Seat {
    fn submit(&self, region: usize, tag: ReduceTag) -> Result<(), ReduceError> {
        let mut submitted = self.submitted.lock().unwrap();
        submitted.1 = tag.step.0;
        submitted.0[region] += 1;
        let mut sums = self.table.sums.lock().unwrap();
        let sum = sums.entry((region, submitted.0[region])).or_default();
        sum.members += 1;
        let Reduction { region, operation } = &self.reductions[region];
        region.with_elements(|elements| match elements {
            Elements::F32(values) => {
                sum.floats.resize(values.len(), 0.0);
                for (sum, value) in sum.floats.iter_mut().zip(values) {
                    *sum += f64::from(*value);
                }
            }
            Elements::I32(values) => {
                sum.add(*operation, values.iter().copied().map(i64::from));
            }
            Elements::I64(values) => sum.add(*operation, values.iter().copied()),
        });
        self.table.arrived.notify_all();
        Ok(())
    }

    fn wait(&self, region: usize) -> Result<(), ReduceError> {
        let (number, step) = {
            let submitted = self.submitted.lock().unwrap();
            (submitted.0[region], submitted.1)
        };
        if self.broken_at == Some(step) {
            return Err(ReduceError("rank 1 is gone".to_owned()));
        }
        let key = (region, number);
        let sums = self.table.sums.lock().unwrap();
        let incomplete = |sums: &mut BTreeMap<_, Sum>| sums[&key].members < self.world;
        let sums = self.table.arrived.wait_while(sums, incomplete).unwrap();
        let Sum {
            floats, integers, ..
        } = &sums[&key];
        self.reductions[region]
            .region
            .with_elements(|elements| match elements {
                Elements::F32(values) => {
                    for (value, sum) in values.iter_mut().zip(floats) {
                        *value = *sum as f32;
                    }
                }
                Elements::I32(values) => {
                    for (value, sum) in values.iter_mut().zip(integers) {
                        *value = i32::try_from(*sum).expect("sums of gradients fit");
                    }
                }
                Elements::I64(values) => values.copy_from_slice(integers),
            });
        Ok(())
    }
}

impl Sum {
    fn add(&mut self, operation: Operation, values: impl ExactSizeIterator<Item = i64>) {
        self.integers.resize(values.len(), 0);
        for (sum, value) in self.integers.iter_mut().zip(values) {
            *sum = match operation {
                Operation::Sum => sum.wrapping_add(value),
                // Only of what is not negative.
                Operation::Max => value.max(*sum),
            };
        }
    }
}
