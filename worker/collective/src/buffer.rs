//! Memory that is lent to a collective.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::element::{Dtype, Element, Elements};

/// Memory that the caller lends from [`submit`](crate::Collective::submit) until [`wait`](crate::Collective::wait) returned.
pub trait SharedBuffer: Send + Sync {
    /// The type of its elements.
    fn dtype(&self) -> Dtype;

    /// How many elements it has; the same for all ranks.
    fn len(&self) -> usize;

    /// Calls `visit` exactly once with all elements. The collective keeps the call open for as long as the operation
    /// takes, so nobody else may want the elements before `wait` returned.
    fn with_elements(&self, visit: &mut dyn FnMut(Elements<'_>));

    /// Whether it has no elements.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Numbers in main memory that can be lent: metrics, flags, tests.
#[derive(Debug)]
pub struct HostBuffer<T> {
    /// Kept beside the values: `submit` asks for it and must not wait for an operation that uses them.
    len: usize,
    values: Mutex<Box<[T]>>,
}

impl<T: Element> HostBuffer<T> {
    /// Holds these values.
    #[must_use]
    pub fn new(values: Vec<T>) -> Self {
        Self {
            len: values.len(),
            values: Mutex::new(values.into_boxed_slice()),
        }
    }

    /// The values, once it is lent no more.
    #[must_use]
    pub fn into_values(self) -> Vec<T> {
        self.values
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .into_vec()
    }

    /// The values. Waits while an operation uses them.
    pub fn values(&self) -> MutexGuard<'_, Box<[T]>> {
        // A panic elsewhere leaves numbers behind, and any numbers are valid.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Element> SharedBuffer for HostBuffer<T> {
    fn dtype(&self) -> Dtype {
        T::DTYPE
    }

    fn len(&self) -> usize {
        self.len
    }

    fn with_elements(&self, visit: &mut dyn FnMut(Elements<'_>)) {
        visit(T::elements(&mut self.values()));
    }
}
