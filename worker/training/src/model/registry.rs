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

/// Parameters and buffers in the order in which the layers were made.
#[derive(Debug, Default)]
pub struct Registry {
    /// What is trained.
    pub parameters: Vec<NamedTensor>,
    /// What training steps record, such as BatchNorm's running statistics.
    pub buffers: Vec<NamedTensor>,
    /// Integer buffers that count training steps: `num_batches_tracked` of each BatchNorm. All hold the same number.
    pub step_counters: Vec<String>,
}

impl Registry {
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
        self.buffers.push(NamedTensor {
            name,
            tensor: tensor.shallow_clone(),
        });
        Ok(tensor)
    }

    fn parameter(&mut self, name: String, tensor: Tensor) -> Tensor {
        let tensor = tensor.set_requires_grad(true);
        self.parameters.push(NamedTensor {
            name,
            tensor: tensor.shallow_clone(),
        });
        tensor
    }
}
