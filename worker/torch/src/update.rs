//! Updates of parameters by libtorch's fused kernels: one pass over flat memory.
#![expect(unsafe_code, reason = "FFI: tensors cross as pointers")]

use std::fmt;
use std::ops::Range;

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use crate::flat::Lent;
use crate::sys;
use crate::{FlatBuffer, TorchError};

/// The numbers of one update, named as in `torch.optim.SGD` (dampening 0).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// Step size.
    pub learning_rate: f64,
    /// Share of the velocity that is kept; 0 for none.
    pub momentum: f64,
    /// Look ahead along the velocity.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// What gradients are divided by first, in place; 1 leaves them as they are.
    pub gradient_divisor: f64,
}

/// The numbers of one update, named as in `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Step size.
    pub learning_rate: f64,
    /// Shares that the running means of gradients and of their squares keep.
    pub betas: [f64; 2],
    /// Added to the divisor.
    pub eps: f64,
    /// Share of each parameter, times the step size, that is taken away.
    pub weight_decay: f64,
    /// Which update it is, counted from 1; determines the bias correction.
    pub count: u64,
    /// What gradients are divided by first, in place; 1 leaves them as they are.
    pub gradient_divisor: f64,
}

/// The parts of flat memory that are updated alike, in the form in which libtorch's kernels take them. Made once: an update
/// allocates nothing here.
pub struct FusedUpdate {
    raw: *mut sys::Update,
    states: usize,
    /// Of each buffer, how many regions are lent.
    lent: Vec<Lent>,
}

// SAFETY: the pointer is this value's own, and every use of it takes the value exclusively.
unsafe impl Send for FusedUpdate {}

impl FusedUpdate {
    /// Updates the `runs` of `parameters` from the same parts of `gradients`, with up to two `states` of the same length that
    /// start as zeros. Keeps the memory of all of them.
    ///
    /// # Errors
    /// If a buffer is no f32 memory of the length of `parameters`, a run reaches beyond it, or there are no runs or more than
    /// two states.
    pub fn new(
        parameters: &FlatBuffer,
        gradients: &FlatBuffer,
        states: &[&FlatBuffer],
        runs: &[Range<usize>],
    ) -> Result<Self, TorchError> {
        let buffers: Vec<&FlatBuffer> = [parameters, gradients]
            .into_iter()
            .chain(states.iter().copied())
            .collect();
        check_alike(&buffers, runs)?;
        // libtorch's kernels trust the lengths of views: all come from the same runs.
        let views: Vec<Vec<Tensor>> = buffers
            .iter()
            .map(|buffer| runs.iter().map(|run| view(buffer, run)).collect())
            .collect();
        let lists: Vec<Vec<*mut C_tensor>> = views
            .iter()
            .map(|list| list.iter().map(|t| t.as_ptr().cast_mut()).collect())
            .collect();
        let list = |index: usize| lists.get(index).map_or(std::ptr::null(), Vec::as_ptr);
        let mut raw = std::ptr::null_mut();
        // SAFETY: each list has `runs.len()` tensors that live through the call; the shim copies their handles.
        let status = unsafe {
            sys::convoy_update_new(list(0), list(1), list(2), list(3), runs.len(), &raw mut raw)
        };
        sys::check("prepare the fused update", status)?;
        Ok(Self {
            raw,
            states: states.len(),
            lent: buffers.iter().map(|buffer| buffer.lent()).collect(),
        })
    }

    /// One update of `torch.optim.SGD`. The state, if there is one, is the velocity: starting as zeros it makes the first
    /// update PyTorch's, whose velocity then is the gradient.
    ///
    /// # Errors
    /// If libtorch fails, or if there is momentum without a state or the other way round.
    ///
    /// # Panics
    /// If a region of the memory is lent: an error of the caller.
    pub fn sgd(&mut self, step: SgdStep) -> Result<(), TorchError> {
        self.begin("run the fused SGD update", usize::from(step.momentum > 0.0))?;
        // SAFETY: `raw` is ours; `begin` made sure that no other thread uses the memory.
        let status = unsafe {
            sys::convoy_update_sgd(
                self.raw,
                step.learning_rate,
                step.momentum,
                step.nesterov,
                step.weight_decay,
                step.gradient_divisor,
            )
        };
        sys::check("run the fused SGD update", status)
    }

    /// One update of `torch.optim.AdamW`. The states are the running means of gradients and of their squares.
    ///
    /// # Errors
    /// If libtorch fails, or if there are not two states.
    ///
    /// # Panics
    /// If a region of the memory is lent: an error of the caller.
    pub fn adamw(&mut self, step: AdamWStep) -> Result<(), TorchError> {
        self.begin("run the fused AdamW update", 2)?;
        // SAFETY: `raw` is ours; `begin` made sure that no other thread uses the memory.
        let status = unsafe {
            sys::convoy_update_adamw(
                self.raw,
                step.learning_rate,
                step.betas[0],
                step.betas[1],
                step.eps,
                step.weight_decay,
                step.count as f64,
                step.gradient_divisor,
            )
        };
        sys::check("run the fused AdamW update", status)
    }

    fn begin(&self, operation: &'static str, states: usize) -> Result<(), TorchError> {
        let lent: usize = self.lent.iter().map(Lent::count).sum();
        assert!(lent == 0, "{lent} regions of flat buffers are lent");
        if states == self.states {
            return Ok(());
        }
        let message = format!(
            "it keeps {states} values per parameter, not {}",
            self.states
        );
        Err(TorchError { operation, message })
    }
}

impl Drop for FusedUpdate {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `convoy_update_new` and is freed once.
        unsafe { sys::convoy_update_free(self.raw) };
    }
}

impl fmt::Debug for FusedUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FusedUpdate({} states)", self.states)
    }
}

fn check_alike(buffers: &[&FlatBuffer], runs: &[Range<usize>]) -> Result<(), TorchError> {
    let refused = |message: String| TorchError {
        operation: "prepare the fused update",
        message,
    };
    let elements = buffers[0].len();
    if let Some(other) = buffers
        .iter()
        .find(|b| b.len() != elements || b.tensor().kind() != Kind::Float)
    {
        return Err(refused(format!("{other:?} beside {:?}", buffers[0])));
    }
    if let Some(run) = runs.iter().find(|r| r.start > r.end || r.end > elements) {
        return Err(refused(format!("{run:?} of {elements} elements")));
    }
    if runs.is_empty() || buffers.len() > 4 {
        let states = buffers.len() - 2;
        return Err(refused(format!("{} runs with {states} states", runs.len())));
    }
    Ok(())
}

fn view(buffer: &FlatBuffer, run: &Range<usize>) -> Tensor {
    buffer.view(
        run.start,
        &[i64::try_from(run.len()).unwrap_or(i64::MAX)],
        &[1],
    )
}

#[cfg(test)]
mod tests;
