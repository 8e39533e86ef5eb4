//! The fingerprint of a model's weights: equal for equal tensors, whatever file holds them.

use std::io;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::tensor::{Dtype, TensorView};

/// Hashes a model's tensors one after another, so that they need not be in memory together.
///
/// SHA-256 over the concatenation, for each tensor in ascending order of its name's bytes, of
/// 1. the length of the name in bytes (u64), the name (UTF-8, as exported: `conv1.weight`, without `model.`);
/// 2. the length of the name of the element type (u64), that name as safetensors spells it (`F32`, `I64`);
/// 3. the number of dimensions (u64) and the length of each (u64);
/// 4. the elements, row-major.
///
/// All numbers are little endian; the number of bytes of 4 follows from 2 and 3.
#[derive(Clone, Debug, Default)]
pub struct WeightsHasher {
    state: Sha256,
    last_name: Option<String>,
}

impl WeightsHasher {
    /// Starts the next tensor; its elements follow by [`Self::elements`].
    ///
    /// # Panics
    /// If `name` does not come after the name before it: an error of the caller, who would get a digest that no one
    /// else gets.
    pub fn tensor(&mut self, name: &str, dtype: Dtype, shape: &[usize]) {
        if let Some(last) = &self.last_name {
            assert!(
                last.as_str() < name,
                "tensor {name:?} is hashed after {last:?}"
            );
        }
        self.text(name);
        self.text(dtype.name());
        self.number(shape.len());
        for length in shape {
            self.number(*length);
        }
        self.last_name = Some(name.to_owned());
    }

    /// Some or all bytes of the tensor's elements.
    pub fn elements(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
    }

    /// The digest of all tensors.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.state.finalize().into())
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.state.update(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        self.state.update((number as u64).to_le_bytes());
    }
}

/// Takes elements, as [`WeightsHasher::elements`].
impl io::Write for WeightsHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.elements(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The digest of a model's parameters and buffers (names without `model.`), given in any order; see [`WeightsHasher`].
///
/// # Panics
/// If two tensors have the same name.
pub fn weights_sha256<'a>(tensors: impl IntoIterator<Item = TensorView<'a>>) -> [u8; 32] {
    let mut tensors: Vec<_> = tensors.into_iter().collect();
    tensors.sort_by_key(|tensor| tensor.name);
    let mut hasher = WeightsHasher::default();
    for tensor in tensors {
        hasher.tensor(tensor.name, tensor.dtype, tensor.shape);
        hasher.elements(tensor.bytes);
    }
    hasher.finish().0
}
