//! Flat memory that autograd writes through views and that is lent to the communication thread piece by piece.
#![expect(
    unsafe_code,
    reason = "slices over tensor memory, shared with another thread under a lending protocol"
)]

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tch::{Device, Kind, Tensor};

/// Elements of flat memory, typed.
#[derive(Debug)]
pub enum Elements<'a> {
    /// Gradients, parameters, buffers.
    F32(&'a mut [f32]),
    /// Gradients as integers, magnitudes.
    I32(&'a mut [i32]),
    /// Counts and flags.
    I64(&'a mut [i64]),
}

/// The types of [`Elements`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// `Kind::Float`.
    F32,
    /// `Kind::Int`.
    I32,
    /// `Kind::Int64`.
    I64,
}

impl Number {
    fn of(kind: Kind) -> Option<Self> {
        let known = [
            (Kind::Float, Self::F32),
            (Kind::Int, Self::I32),
            (Kind::Int64, Self::I64),
        ];
        let found = known.into_iter().find(|(own, _)| *own == kind);
        found.map(|(_, number)| number)
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }
}

/// How many regions of a buffer are lent at present. Clones count the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lent(Arc<AtomicUsize>);

impl Lent {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// # Panics
    /// If one is lent: an error of the caller.
    pub(crate) fn assert_none(&self) {
        let lent = self.count();
        assert!(lent == 0, "{lent} regions of a flat buffer are lent");
    }
}

/// One contiguous CPU tensor of f32, i32 or i64. Parameters and gradients are views into it and stay where they are.
pub struct FlatBuffer {
    tensor: Tensor,
    number: Number,
    elements: usize,
    lent: Lent,
}

impl FlatBuffer {
    /// Zeroed memory for `elements` values of `kind`.
    ///
    /// # Panics
    /// If `kind` is none of `Float`, `Int` and `Int64`: an error of the caller.
    #[must_use]
    pub fn zeros(elements: usize, kind: Kind) -> Self {
        let Some(number) = Number::of(kind) else {
            panic!("flat memory of {kind:?} is not made");
        };
        let tensor = Tensor::zeros([signed(elements)], (kind, Device::Cpu));
        Self {
            tensor,
            number,
            elements,
            lent: Lent::default(),
        }
    }

    /// A tensor of `shape` that shares the memory from `offset` on, its values in the order that `strides` say (in elements, one for
    /// each dimension).
    ///
    /// # Panics
    /// If the tensor would reach beyond the memory: an error of the caller.
    pub fn view(&self, offset: usize, shape: &[i64], strides: &[i64]) -> Tensor {
        self.tensor.as_strided(shape, strides, signed(offset))
    }

    /// The whole memory as one tensor.
    ///
    /// # Panics
    /// If a region is lent: an error of the caller.
    pub fn tensor(&self) -> &Tensor {
        self.lent.assert_none();
        &self.tensor
    }

    /// For who keeps views.
    pub(crate) fn lent(&self) -> Lent {
        self.lent.clone()
    }

    /// How many values it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// A part that can be lent to another thread. Regions of one buffer must not overlap.
    ///
    /// # Panics
    /// If `range` reaches beyond the buffer: an error of the caller.
    #[must_use]
    pub fn region(&self, range: Range<usize>) -> Arc<Region> {
        self.region_of(self.number, range)
    }

    /// As [`FlatBuffer::region`] of a buffer of f32, whose borrower finds the memory's bits as i32.
    ///
    /// # Panics
    /// As [`FlatBuffer::region`], and if the buffer is of another type.
    #[must_use]
    pub fn integer_region(&self, range: Range<usize>) -> Arc<Region> {
        assert_eq!(self.number, Number::F32, "the buffer's type");
        self.region_of(Number::I32, range)
    }

    /// Values of `number` have the size of the buffer's own.
    fn region_of(&self, number: Number, range: Range<usize>) -> Arc<Region> {
        assert!(
            range.start <= range.end && range.end <= self.elements,
            "{range:?} of {} elements",
            self.elements
        );
        let offset = range.start * number.bytes();
        Arc::new(Region {
            // SAFETY: `range` lies within the tensor's memory, checked above.
            pointer: unsafe { self.tensor.data_ptr().cast::<u8>().add(offset) },
            elements: range.len(),
            number,
            _memory: Mutex::new(self.tensor.shallow_clone()),
            is_lent: AtomicBool::new(false),
            lent: self.lent.clone(),
        })
    }

    /// Makes all values 0.
    ///
    /// # Panics
    /// If a region is lent: an error of the caller.
    pub fn clear(&mut self) {
        self.with_elements(|elements| match elements {
            Elements::F32(values) => values.fill(0.0),
            Elements::I32(values) => values.fill(0),
            Elements::I64(values) => values.fill(0),
        });
    }

    /// The values of a buffer of f32, for reading and writing by the owner.
    ///
    /// # Panics
    /// If the buffer is of another type, or a region is lent: an error of the caller.
    pub fn with_f32<R>(&mut self, visit: impl FnOnce(&mut [f32]) -> R) -> R {
        self.with_elements(|elements| match elements {
            Elements::F32(values) => visit(values),
            Elements::I32(_) | Elements::I64(_) => panic!("flat memory of f32 is made of integers"),
        })
    }

    /// The values of a buffer of i32, for reading and writing by the owner.
    ///
    /// # Panics
    /// As [`FlatBuffer::with_f32`].
    pub fn with_i32<R>(&mut self, visit: impl FnOnce(&mut [i32]) -> R) -> R {
        self.with_elements(|elements| match elements {
            Elements::I32(values) => visit(values),
            Elements::F32(_) | Elements::I64(_) => panic!("flat memory of i32 is of another type"),
        })
    }

    /// The values of a buffer of i64, for reading and writing by the owner.
    ///
    /// # Panics
    /// As [`FlatBuffer::with_f32`].
    pub fn with_i64<R>(&mut self, visit: impl FnOnce(&mut [i64]) -> R) -> R {
        self.with_elements(|elements| match elements {
            Elements::I64(values) => visit(values),
            Elements::F32(_) | Elements::I32(_) => panic!("flat memory of i64 is of another type"),
        })
    }

    /// The values, for reading and writing by the owner.
    ///
    /// # Panics
    /// If a region is lent: an error of the caller.
    pub fn with_elements<R>(&mut self, visit: impl FnOnce(Elements<'_>) -> R) -> R {
        let pointer = self.tensor().data_ptr().cast::<u8>();
        // SAFETY: contiguous memory of `elements` values of `number`; no region is lent (asserted by `tensor`), `self` is
        // borrowed exclusively, and views are only written by operations on this thread.
        visit(unsafe { typed(pointer, self.elements, self.number) })
    }
}

impl fmt::Debug for FlatBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlatBuffer({} x {:?})", self.elements, self.number)
    }
}

/// A part of a [`FlatBuffer`] that belongs to autograd at home and to the communication thread while it is lent.
///
/// The protocol: the training thread calls [`Region::lend`] after the last write of a step into this part, the borrower uses
/// [`Region::with_elements`], and the training thread calls [`Region::take_back`] once the borrower has said that it is done.
pub struct Region {
    pointer: *mut u8,
    elements: usize,
    number: Number,
    /// Keeps the memory alive; never locked.
    _memory: Mutex<Tensor>,
    is_lent: AtomicBool,
    lent: Lent,
}

// SAFETY: the pointer is only followed in `with_elements`, which demands that the region is lent; see the protocol above.
unsafe impl Send for Region {}
// SAFETY: as for `Send`; the borrower is one thread, the one communication thread of the group.
unsafe impl Sync for Region {}

impl Region {
    /// How many values it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// Their type.
    #[must_use]
    pub fn number(&self) -> Number {
        self.number
    }

    /// Hands the part to the borrower.
    ///
    /// # Panics
    /// If it is lent already: an error of the caller.
    pub fn lend(&self) {
        self.lent.0.fetch_add(1, Ordering::AcqRel);
        assert!(
            !self.is_lent.swap(true, Ordering::AcqRel),
            "a region was lent twice"
        );
    }

    /// Takes the part back, if it is lent.
    pub fn take_back(&self) {
        if self.is_lent.swap(false, Ordering::AcqRel) {
            self.lent.0.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The values, for the borrower.
    ///
    /// # Panics
    /// If the part is not lent: an error of the caller.
    pub fn with_elements<R>(&self, visit: impl FnOnce(Elements<'_>) -> R) -> R {
        assert!(
            self.is_lent.load(Ordering::Acquire),
            "a region was used that is not lent"
        );
        // SAFETY: the memory lives as long as `self._memory`; while lent it belongs to the one borrower.
        visit(unsafe { typed(self.pointer, self.elements, self.number) })
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({} x {:?})", self.elements, self.number)
    }
}

/// # Safety
/// `pointer` must lead to `elements` values of `number`, used by nobody else during `'a`.
unsafe fn typed<'a>(pointer: *mut u8, elements: usize, number: Number) -> Elements<'a> {
    match number {
        Number::F32 => {
            // SAFETY: upheld by the caller; libtorch aligns its memory to 64 bytes.
            Elements::F32(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), elements) })
        }
        Number::I32 => {
            // SAFETY: as above; every pattern of bits is an integer.
            Elements::I32(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), elements) })
        }
        Number::I64 => {
            // SAFETY: as above.
            Elements::I64(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), elements) })
        }
    }
}

fn signed(elements: usize) -> i64 {
    i64::try_from(elements).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_and_regions_share_the_memory() {
        let buffer = FlatBuffer::zeros(10, Kind::Float);
        let mut view = buffer.view(4, &[2, 2], &[2, 1]);
        let region = buffer.region(4..8);
        region.lend();
        region.with_elements(|elements| match elements {
            Elements::F32(values) => values.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]),
            Elements::I32(_) | Elements::I64(_) => panic!("made as f32"),
        });
        region.take_back();
        let _ = view.f_mul_scalar_(2.0).unwrap();
        assert_eq!(
            Vec::<f32>::try_from(buffer.tensor()).unwrap(),
            [0.0, 0.0, 0.0, 0.0, 2.0, 4.0, 6.0, 8.0, 0.0, 0.0]
        );
    }

    #[test]
    fn borrower_of_an_integer_region_finds_the_bits_of_floats() {
        let mut buffer = FlatBuffer::zeros(4, Kind::Float);
        buffer.with_f32(|values| values.copy_from_slice(&[1.0, 2.0, 3.0, 4.0]));
        let region = buffer.integer_region(1..3);
        region.lend();
        region.with_elements(|elements| match elements {
            Elements::I32(values) => {
                assert_eq!(values, [0x4000_0000, 0x4040_0000]);
                values[0] = 0x3f80_0000;
            }
            Elements::F32(_) | Elements::I64(_) => panic!("lent as i32"),
        });
        region.take_back();
        buffer.with_f32(|values| assert_eq!(values, [1.0, 1.0, 3.0, 4.0]));
    }

    #[test]
    #[should_panic(expected = "1 regions of a flat buffer are lent")]
    fn the_owner_keeps_off_while_a_region_is_lent() {
        let buffer = FlatBuffer::zeros(4, Kind::Int64);
        buffer.region(0..2).lend();
        let _ = buffer.tensor();
    }

    #[test]
    #[should_panic(expected = "not lent")]
    fn a_region_at_home_is_not_the_borrowers() {
        FlatBuffer::zeros(4, Kind::Int64)
            .region(0..2)
            .with_elements(|_| ());
    }

    #[test]
    fn memory_outlives_its_buffer_while_a_region_is_held() {
        let region = FlatBuffer::zeros(1 << 20, Kind::Float).region(0..1 << 20);
        region.lend();
        let sum = region.with_elements(|elements| match elements {
            Elements::F32(values) => {
                values.fill(1.0);
                values.iter().sum::<f32>()
            }
            Elements::I32(_) | Elements::I64(_) => panic!("made as f32"),
        });
        assert!((sum - 1_048_576.0).abs() < 1.0);
    }
}
