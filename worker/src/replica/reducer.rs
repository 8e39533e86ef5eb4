//! The training step's reductions over the collective: the one place that knows both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoy_collective::{
    Collective, CollectiveError, Dtype, Elements, OpTag, ReadyEvent, ReduceOp, SharedBuffer, Ticket,
};
use convoy_torch::{Number, Region};
use convoy_training::{Operation, ReduceError, ReduceTag, Reducer, Reduction};

/// Reduces a trainer's regions over the members of a group.
pub(crate) struct GroupReducer {
    collective: Box<dyn Collective>,
    reductions: Vec<(Arc<dyn SharedBuffer>, ReduceOp)>,
    /// The operation in flight of each.
    tickets: Mutex<Vec<Option<Ticket>>>,
}

impl GroupReducer {
    pub(crate) fn new(collective: Box<dyn Collective>, reductions: &[Reduction]) -> Self {
        let tickets = Mutex::new(reductions.iter().map(|_| None).collect());
        let reduction = |Reduction { region, operation }: &Reduction| {
            let buffer: Arc<dyn SharedBuffer> = Arc::new(Lent(Arc::clone(region)));
            let op = match operation {
                Operation::Sum => ReduceOp::Sum,
                Operation::Max => ReduceOp::Max,
            };
            (buffer, op)
        };
        Self {
            collective,
            reductions: reductions.iter().map(reduction).collect(),
            tickets,
        }
    }

    fn tickets(&self) -> MutexGuard<'_, Vec<Option<Ticket>>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reducer for GroupReducer {
    fn submit(&self, region: usize, tag: ReduceTag) -> Result<(), ReduceError> {
        let tag = OpTag {
            generation: tag.generation.0,
            step: tag.step.0,
            phase: tag.phase as u8,
            bucket: u32::try_from(region).unwrap_or(u32::MAX),
        };
        let (buffer, op) = &self.reductions[region];
        let ticket = self
            .collective
            .submit(Arc::clone(buffer), *op, tag, ReadyEvent::Immediate)
            .map_err(reduce_error)?;
        self.tickets()[region] = Some(ticket);
        Ok(())
    }

    fn wait(&self, region: usize) -> Result<(), ReduceError> {
        let ticket = self.tickets()[region].take();
        ticket.map_or(Ok(()), |ticket| {
            self.collective.wait(ticket).map_err(reduce_error)
        })
    }
}

fn reduce_error(error: CollectiveError) -> ReduceError {
    ReduceError(error.to_string())
}

/// A region of the trainer's memory as the collective takes it.
struct Lent(Arc<Region>);

impl SharedBuffer for Lent {
    fn dtype(&self) -> Dtype {
        match self.0.number() {
            Number::F32 => Dtype::F32,
            Number::I32 => Dtype::I32,
            Number::I64 => Dtype::I64,
        }
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn with_elements(&self, visit: &mut dyn FnMut(Elements<'_>)) {
        self.0.with_elements(|elements| match elements {
            convoy_torch::Elements::F32(values) => visit(Elements::F32(values)),
            convoy_torch::Elements::I32(values) => visit(Elements::I32(values)),
            convoy_torch::Elements::I64(values) => visit(Elements::I64(values)),
        });
    }
}
