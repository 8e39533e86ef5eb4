//! Copies of what all members hold alike, for digests and checkpoints, and the way back.

use std::collections::BTreeMap;

use convoy_checkpoint::{Dtype, MODEL_PREFIX, TensorView, weights_sha256};
use convoy_common::spec::MemoryFormat;
use convoy_torch::{FlatBuffer, forget_casts};
use tch::{Kind, TchError, Tensor};

use crate::gradients::GradientSums;
use crate::memory_format::strides;
use crate::model::NamedTensor;
use crate::state::Accounting;
use crate::trainer::{Trainer, TrainingError};

const UPDATES: &str = "state.updates";
/// See `FixedGradients::magnitudes`.
const MAGNITUDES: &str = "state.magnitudes";
const EPOCH_SAMPLES: &str = "state.epoch_samples";
const EPOCH_HASH_SUM: &str = "state.epoch_hash_sum";

/// A copy of one tensor on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTensor {
    /// `model.<name>`, `trained.<name>`, `optimizer.<what>.<name>` or `state.<what>`; see [`Trainer::snapshot`].
    pub name: String,
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Little-endian values, row-major.
    pub bytes: Vec<u8>,
}

impl HostTensor {
    /// As the checkpoint crate takes it.
    #[must_use]
    pub fn view(&self) -> TensorView<'_> {
        TensorView {
            name: &self.name,
            dtype: self.dtype,
            shape: &self.shape,
            bytes: &self.bytes,
        }
    }

    fn integer(name: String, value: u64) -> Self {
        Self {
            name,
            dtype: Dtype::I64,
            shape: Vec::new(),
            bytes: value.to_le_bytes().to_vec(),
        }
    }

    fn copy_of(name: String, tensor: &Tensor) -> Result<Self, TchError> {
        let mut bytes = vec![0; tensor.numel() * size_of::<f32>()];
        let contiguous = tensor.detach().f_contiguous()?;
        contiguous.f_copy_data_u8(&mut bytes, tensor.numel())?;
        Ok(Self {
            name,
            dtype: Dtype::F32,
            shape: shape_of(tensor),
            bytes,
        })
    }

    /// Type and shape in words.
    fn kind(&self) -> String {
        format!("{} {:?}", self.dtype.name(), self.shape)
    }
}

/// A copy of the whole replicated state, in an order that is the same on every member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The tensors.
    pub tensors: Vec<HostTensor>,
}

impl Snapshot {
    /// SHA-256 over the model's tensors by their own names, as in an exported file: equal exactly where the weights are.
    #[must_use]
    pub fn weights_sha256(&self) -> [u8; 32] {
        let model = self.tensors.iter().filter_map(|tensor| {
            let name = tensor.name.strip_prefix(MODEL_PREFIX)?;
            Some(TensorView {
                name,
                ..tensor.view()
            })
        });
        weights_sha256(model)
    }

    /// SHA-256 over everything: equal exactly where the replicated state is.
    #[must_use]
    pub fn state_sha256(&self) -> [u8; 32] {
        weights_sha256(self.tensors.iter().map(HostTensor::view))
    }
}

/// A snapshot that doesn't fit the job's model, optimizer and reproducibility.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Something is not in it.
    #[error(
        "the state to restore lacks {name}, which this job's model, optimizer and reproducibility need"
    )]
    Missing {
        /// Name of the tensor.
        name: String,
    },
    /// Something else is in it.
    #[error(
        "the state to restore holds {name}, which this job's model, optimizer and reproducibility don't have"
    )]
    Unknown {
        /// Name of the tensor.
        name: String,
    },
    /// A name is there twice.
    #[error("the state to restore holds {name} twice")]
    Twice {
        /// Name of the tensor.
        name: String,
    },
    /// Type, shape or length differs.
    #[error("{name} in the state to restore is {found}, this job has {expected}")]
    Kind {
        /// Name of the tensor.
        name: String,
        /// What it is.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// A layer counted other steps than the optimizer.
    #[error("{name} in the state to restore is {found}, but the optimizer made {updates} updates")]
    Counter {
        /// Name of the counter.
        name: String,
        /// Its value.
        found: u64,
        /// `state.updates`.
        updates: u64,
    },
}

/// Where a named part of the state lives.
enum Place {
    /// A tensor that shares the live memory.
    Floats(Tensor),
    /// A count, with its present value.
    Count(u64),
}

impl Trainer {
    /// A copy of the whole replicated state. `model.<name>` are the weights that evaluation uses and `export` writes. If the job
    /// keeps an average of the weights they are the average, and the weights that the steps update are `trained.<name>`.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn snapshot(&self) -> Result<Snapshot, TrainingError> {
        let copy = |(name, place)| match place {
            Place::Floats(tensor) => HostTensor::copy_of(name, &tensor),
            Place::Count(value) => Ok(HostTensor::integer(name, value)),
        };
        let tensors: Result<Vec<_>, _> = self.places().into_iter().map(copy).collect();
        Ok(Snapshot {
            tensors: tensors.map_err(|source| TrainingError::Torch {
                operation: "copy the state",
                source,
            })?,
        })
    }

    /// Makes the replica what it was when the snapshot was taken, by a trainer of the same job. Nothing is changed unless all
    /// of it fits.
    ///
    /// # Errors
    /// If a name, type or shape differs from this job's, or if libtorch fails.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), TrainingError> {
        let places = self.places();
        let tensors = matched(&places, snapshot)?;
        let count = |name: &str| tensors.get(name).map_or(0, |tensor| number(tensor));
        let updates = count(UPDATES);
        for counter in &self.model.registry.step_counters {
            let name = format!("{MODEL_PREFIX}{counter}");
            let found = count(&name);
            if found != updates {
                return Err(RestoreError::Counter {
                    name,
                    found,
                    updates,
                }
                .into());
            }
        }
        for (name, place) in &places {
            if let (Place::Floats(memory), Some(tensor)) = (place, tensors.get(name.as_str())) {
                write(memory, tensor).map_err(|source| TrainingError::Torch {
                    operation: "restore the state",
                    source,
                })?;
            }
        }
        forget_casts()?;
        self.updates = updates;
        self.accounting = Accounting {
            samples: count(EPOCH_SAMPLES),
            hash_sum: count(EPOCH_HASH_SUM),
        };
        Ok(())
    }

    /// Every part of the replicated state, in the order of snapshots.
    fn places(&self) -> Vec<(String, Place)> {
        let registry = &self.model.registry;
        let mut places = Vec::new();
        let (parameters, buffers) = match &self.average {
            Some(average) => (&average.parameters, &average.buffers),
            None => (&self.parameters.values, &self.buffers.live),
        };
        places.extend(self.of_parameters("model", parameters));
        places.extend(self.of_buffers("model", buffers));
        let counters = registry.step_counters.iter();
        places.extend(
            counters.map(|name| (format!("{MODEL_PREFIX}{name}"), Place::Count(self.updates))),
        );
        if self.average.is_some() {
            places.extend(self.of_parameters("trained", &self.parameters.values));
            places.extend(self.of_buffers("trained", &self.buffers.live));
        }
        for (what, memory) in self.optimizer.states() {
            places.extend(self.of_parameters(&format!("optimizer.{what}"), memory));
        }
        if let GradientSums::Integers(fixed) = &self.gradients {
            let magnitudes = fixed.magnitudes.tensor().shallow_clone();
            places.push((MAGNITUDES.to_owned(), Place::Floats(magnitudes)));
        }
        let counts = [
            (UPDATES, self.updates),
            (EPOCH_SAMPLES, self.accounting.samples),
            (EPOCH_HASH_SUM, self.accounting.hash_sum),
        ];
        places.extend(counts.map(|(name, value)| (name.to_owned(), Place::Count(value))));
        places
    }

    /// Memory in the layout of the parameters, by parameter.
    fn of_parameters(&self, what: &str, memory: &FlatBuffer) -> Vec<(String, Place)> {
        let parameters = self.model.registry.parameters.iter();
        let place = |(index, named): (usize, &NamedTensor)| {
            let view = self.parameters.view(memory, index, &named.tensor.size());
            (format!("{what}.{}", named.name), Place::Floats(view))
        };
        parameters.enumerate().map(place).collect()
    }

    /// Memory in the layout of the buffers, by buffer.
    fn of_buffers(&self, what: &str, memory: &FlatBuffer) -> Vec<(String, Place)> {
        let mut offset = 0;
        let place = |named: &NamedTensor| {
            let shape = named.tensor.size();
            let strides = strides(MemoryFormat::Contiguous, &shape);
            let view = memory.view(offset, &shape, &strides);
            offset += named.tensor.numel();
            (format!("{what}.{}", named.name), Place::Floats(view))
        };
        self.model.registry.buffers.iter().map(place).collect()
    }
}

/// The tensors of a snapshot by name, once it is known that they are what belongs into `places`.
fn matched<'s>(
    places: &[(String, Place)],
    snapshot: &'s Snapshot,
) -> Result<BTreeMap<&'s str, &'s HostTensor>, RestoreError> {
    let mut tensors = BTreeMap::new();
    for tensor in &snapshot.tensors {
        if tensors.insert(tensor.name.as_str(), tensor).is_some() {
            let name = tensor.name.clone();
            return Err(RestoreError::Twice { name });
        }
    }
    let mut unknown = tensors.clone();
    for (name, place) in places {
        let Some(tensor) = unknown.remove(name.as_str()) else {
            return Err(RestoreError::Missing { name: name.clone() });
        };
        check_kind(tensor, place)?;
    }
    match unknown.pop_first() {
        Some((name, _)) => Err(RestoreError::Unknown {
            name: name.to_owned(),
        }),
        None => Ok(tensors),
    }
}

fn check_kind(tensor: &HostTensor, place: &Place) -> Result<(), RestoreError> {
    let (dtype, shape) = match place {
        Place::Floats(memory) => (Dtype::F32, shape_of(memory)),
        Place::Count(_) => (Dtype::I64, Vec::new()),
    };
    let bytes = shape.iter().product::<usize>() * dtype.bytes();
    if tensor.dtype == dtype && tensor.shape == shape && tensor.bytes.len() == bytes {
        return Ok(());
    }
    Err(RestoreError::Kind {
        name: tensor.name.clone(),
        found: format!("{} in {} bytes", tensor.kind(), tensor.bytes.len()),
        expected: format!("{} {shape:?} in {bytes} bytes", dtype.name()),
    })
}

fn write(memory: &Tensor, tensor: &HostTensor) -> Result<(), TchError> {
    let shape = memory.size();
    let values = Tensor::f_from_data_size(&tensor.bytes, &shape, Kind::Float)?;
    memory.shallow_clone().f_copy_(&values)
}

/// The value of a count; its length was checked.
fn number(tensor: &HostTensor) -> u64 {
    let mut bytes = [0; size_of::<u64>()];
    bytes.copy_from_slice(&tensor.bytes);
    u64::from_le_bytes(bytes)
}

fn shape_of(tensor: &Tensor) -> Vec<usize> {
    let side = |side: &i64| usize::try_from(*side).unwrap_or(0);
    tensor.size().iter().map(side).collect()
}
