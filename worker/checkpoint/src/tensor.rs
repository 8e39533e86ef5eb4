//! A named tensor as bytes.

use std::collections::BTreeSet;

use crate::error::CheckpointError;

/// Type of a tensor's elements; little endian in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtype {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned byte.
    U8,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 16-bit float with 5 bits of exponent.
    F16,
    /// 16-bit float with 8 bits of exponent.
    Bf16,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
}

impl Dtype {
    /// Bytes of one element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8 => 1,
            Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// The name in safetensors files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::U8 => "U8",
            Self::I32 => "I32",
            Self::I64 => "I64",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
        }
    }

    /// The type of that name, if it's one of ours.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Bool,
            Self::U8,
            Self::I32,
            Self::I64,
            Self::F16,
            Self::Bf16,
            Self::F32,
            Self::F64,
        ];
        all.into_iter().find(|dtype| dtype.name() == name)
    }
}

/// A tensor on its way into a file: contiguous, row-major, little endian.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Dotted name, unique in its checkpoint.
    pub name: &'a str,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Length of each dimension; empty for a scalar.
    pub shape: &'a [usize],
    /// The elements: product of the shape times [`Dtype::bytes`].
    pub bytes: &'a [u8],
}

/// Sorted by name, after a check of sizes and names.
pub(crate) fn sorted<'a>(
    tensors: &[TensorView<'a>],
) -> Result<Vec<TensorView<'a>>, CheckpointError> {
    let mut names = BTreeSet::new();
    for tensor in tensors {
        let expected = tensor.shape.iter().product::<usize>() * tensor.dtype.bytes();
        if tensor.bytes.len() != expected {
            return Err(CheckpointError::TensorSize {
                name: tensor.name.to_owned(),
                dtype: tensor.dtype,
                shape: tensor.shape.to_vec(),
                expected,
                actual: tensor.bytes.len(),
            });
        }
        if !names.insert(tensor.name) {
            return Err(CheckpointError::DuplicateTensor {
                name: tensor.name.to_owned(),
            });
        }
    }
    let mut tensors = tensors.to_vec();
    tensors.sort_by_key(|tensor| tensor.name);
    Ok(tensors)
}
