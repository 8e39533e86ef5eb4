//! What is reduced, and how.

use std::fmt;

/// The number types that can be reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 single precision.
    F32,
    /// 32-bit two's complement.
    I32,
    /// 64-bit two's complement.
    I64,
}

impl Dtype {
    /// Bytes of one element.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::I64 => "i64",
        })
    }
}

/// How two values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceOp {
    /// Addition; integers wrap around.
    Sum,
    /// The smaller one; a NaN loses against any number.
    Min,
    /// The larger one; a NaN loses against any number.
    Max,
}

impl fmt::Display for ReduceOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
        })
    }
}

/// Elements of a buffer, of whichever type.
#[derive(Debug)]
pub enum Elements<'a> {
    /// See [`Dtype::F32`].
    F32(&'a mut [f32]),
    /// See [`Dtype::I32`].
    I32(&'a mut [i32]),
    /// See [`Dtype::I64`].
    I64(&'a mut [i64]),
}

impl Elements<'_> {
    /// The type of the elements.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::I32(_) => Dtype::I32,
            Self::I64(_) => Dtype::I64,
        }
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn into_bytes<'a>(self) -> &'a mut [u8]
    where
        Self: 'a,
    {
        match self {
            Self::F32(values) => bytemuck::cast_slice_mut(values),
            Self::I32(values) => bytemuck::cast_slice_mut(values),
            Self::I64(values) => bytemuck::cast_slice_mut(values),
        }
    }
}

mod sealed {
    /// Only the types of [`super::Dtype`] are elements.
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
}

/// A number type that can be reduced: `f32`, `i32`, `i64`.
pub trait Element: bytemuck::Pod + fmt::Debug + PartialEq + Send + Sync + sealed::Sealed {
    /// Its name on the wire.
    const DTYPE: Dtype;

    /// A slice of it as [`Elements`].
    fn elements(values: &mut [Self]) -> Elements<'_>;

    /// One value of two, as [`ReduceOp::Sum`] says.
    #[must_use]
    fn sum(self, other: Self) -> Self;

    /// One value of two, as [`ReduceOp::Min`] says.
    #[must_use]
    fn least(self, other: Self) -> Self;

    /// One value of two, as [`ReduceOp::Max`] says.
    #[must_use]
    fn greatest(self, other: Self) -> Self;
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;

    fn elements(values: &mut [Self]) -> Elements<'_> {
        Elements::F32(values)
    }

    fn sum(self, other: Self) -> Self {
        self + other
    }

    fn least(self, other: Self) -> Self {
        self.min(other)
    }

    fn greatest(self, other: Self) -> Self {
        self.max(other)
    }
}

macro_rules! integer_element {
    ($type:ty, $dtype:ident) => {
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;

            fn elements(values: &mut [Self]) -> Elements<'_> {
                Elements::$dtype(values)
            }

            fn sum(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn least(self, other: Self) -> Self {
                self.min(other)
            }

            fn greatest(self, other: Self) -> Self {
                self.max(other)
            }
        }
    };
}

integer_element!(i32, I32);
integer_element!(i64, I64);

/// Reduces `incoming` into `own`, element by element: both hold whole, aligned elements of the same number.
pub(crate) type Reducer = fn(own: &mut [u8], incoming: &[u8]);

/// The loop for one type and operation, chosen once per operation so that the loop itself is plain and vectorises.
pub(crate) fn reducer(dtype: Dtype, op: ReduceOp) -> Reducer {
    match dtype {
        Dtype::F32 => typed_reducer::<f32>(op),
        Dtype::I32 => typed_reducer::<i32>(op),
        Dtype::I64 => typed_reducer::<i64>(op),
    }
}

fn typed_reducer<T: Element>(op: ReduceOp) -> Reducer {
    match op {
        ReduceOp::Sum => |own, incoming| fold::<T>(own, incoming, T::sum),
        ReduceOp::Min => |own, incoming| fold::<T>(own, incoming, T::least),
        ReduceOp::Max => |own, incoming| fold::<T>(own, incoming, T::greatest),
    }
}

#[inline(always)]
fn fold<T: Element>(own: &mut [u8], incoming: &[u8], combine: impl Fn(T, T) -> T) {
    let own: &mut [T] = bytemuck::cast_slice_mut(own);
    let incoming: &[T] = bytemuck::cast_slice(incoming);
    assert_eq!(
        own.len(),
        incoming.len(),
        "both sides of a reduction have the same number of elements"
    );
    for (mine, theirs) in own.iter_mut().zip(incoming) {
        *mine = combine(*mine, *theirs);
    }
}
