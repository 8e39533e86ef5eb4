//! The tensors of a network by name.

use tch::{Device, Kind, TchError, Tensor};

/// A parameter or buffer.
#[derive(Debug)]
pub struct NamedTensor {
    /// As `state_dict()` of PyTorch names it.
    pub name: String,
    /// The tensor; a handle that shares it with the layer.
    pub tensor: Tensor,
}

/// Where the entries of a `state_dict()` are kept, by index.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Parameter(usize),
    Buffer(usize),
    StepCounter(usize),
}

/// One entry of a network's `state_dict()`.
#[derive(Clone, Copy, Debug)]
pub struct StateEntry<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its tensor; `None` for a counter of training steps, a scalar of 64-bit integers.
    pub tensor: Option<&'a Tensor>,
}

/// Parameters and buffers in the order in which the layers were made.
#[derive(Debug, Default)]
pub struct Registry {
    /// What is trained.
    pub parameters: Vec<NamedTensor>,
    /// What training steps record, such as BatchNorm's running statistics.
    pub buffers: Vec<NamedTensor>,
    /// Integer buffers that count training steps: `num_batches_tracked` of each BatchNorm. All hold the same number.
    pub step_counters: Vec<String>,
    /// All of them as they were made.
    order: Vec<Entry>,
}

impl Registry {
    /// Every entry in PyTorch's order: layer by layer as they were made, of a BatchNorm first the parameters.
    pub fn state(&self) -> impl Iterator<Item = StateEntry<'_>> {
        self.order.iter().map(|entry| match *entry {
            Entry::Parameter(index) => StateEntry::of(&self.parameters[index]),
            Entry::Buffer(index) => StateEntry::of(&self.buffers[index]),
            Entry::StepCounter(index) => StateEntry {
                name: &self.step_counters[index],
                tensor: None,
            },
        })
    }

    /// A parameter drawn from the normal distribution around 0.
    pub(crate) fn normal(
        &mut self,
        name: String,
        shape: &[i64],
        deviation: f64,
    ) -> Result<Tensor, TchError> {
        let mut tensor = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
        let _ = tensor.f_normal_(0.0, deviation)?;
        Ok(self.parameter(name, tensor))
    }

    /// A parameter drawn evenly from `[-bound, bound]`.
    pub(crate) fn uniform(
        &mut self,
        name: String,
        shape: &[i64],
        bound: f64,
    ) -> Result<Tensor, TchError> {
        let mut tensor = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
        let _ = tensor.f_uniform_(-bound, bound)?;
        Ok(self.parameter(name, tensor))
    }

    /// A parameter that is `value` everywhere.
    pub(crate) fn constant(
        &mut self,
        name: String,
        shape: &[i64],
        value: f64,
    ) -> Result<Tensor, TchError> {
        let tensor = Tensor::f_full(shape, value, (Kind::Float, Device::Cpu))?;
        Ok(self.parameter(name, tensor))
    }

    /// A buffer that is `value` everywhere.
    pub(crate) fn buffer(
        &mut self,
        name: String,
        shape: &[i64],
        value: f64,
    ) -> Result<Tensor, TchError> {
        let tensor = Tensor::f_full(shape, value, (Kind::Float, Device::Cpu))?;
        self.order.push(Entry::Buffer(self.buffers.len()));
        self.buffers.push(NamedTensor {
            name,
            tensor: tensor.shallow_clone(),
        });
        Ok(tensor)
    }

    /// A buffer that counts training steps.
    pub(crate) fn step_counter(&mut self, name: String) {
        self.order
            .push(Entry::StepCounter(self.step_counters.len()));
        self.step_counters.push(name);
    }

    fn parameter(&mut self, name: String, tensor: Tensor) -> Tensor {
        let tensor = tensor.set_requires_grad(true);
        self.order.push(Entry::Parameter(self.parameters.len()));
        self.parameters.push(NamedTensor {
            name,
            tensor: tensor.shallow_clone(),
        });
        tensor
    }
}

impl<'a> StateEntry<'a> {
    fn of(named: &'a NamedTensor) -> Self {
        Self {
            name: &named.name,
            tensor: Some(&named.tensor),
        }
    }
}
