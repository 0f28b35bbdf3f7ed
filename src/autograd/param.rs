//! Parameters: tensors that outlive every tape and are learned.
//!
//! A tape borrows nothing from a parameter; it holds the value (shared, not copied) under the parameter's number. Once the tape
//! is spent, nobody shares the value any more, and an update writes in place.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Tensor;
use crate::simd::slices::{self, AddScaled};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParamId(u64);

/// A tensor to be learned, with an identity by which tapes and optimisers know it.
#[derive(Debug)]
pub struct Param {
    id: ParamId,
    value: Tensor,
    requires_grad: bool,
}

impl Param {
    /// A new parameter with its first value.
    pub fn new(value: Tensor) -> Param {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ParamId(NEXT.fetch_add(1, Ordering::Relaxed));
        Param { id, value: value.contiguous(), requires_grad: true }
    }

    pub(crate) fn id(&self) -> ParamId {
        self.id
    }

    /// Whether the parameter is learned: true, unless it was frozen.
    pub fn requires_grad(&self) -> bool {
        self.requires_grad
    }

    /// Freezes the parameter (`false`) or thaws it. A frozen one is a constant on the tape: no gradient is computed for
    /// it, and optimisers leave it alone. PyTorch's `requires_grad_`.
    pub fn set_requires_grad(&mut self, requires_grad: bool) {
        self.requires_grad = requires_grad;
    }

    /// The value as it is now.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The elements, to be changed in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        self.value.data_mut()
    }

    /// Replaces the value by another of the same shape.
    #[track_caller]
    pub fn set(&mut self, value: &Tensor) {
        assert!(
            value.shape() == self.value.shape(),
            "set: the parameter has shape {}, got {}",
            self.value.shape(),
            value.shape()
        );
        self.value = value.contiguous();
    }

    /// `value += scale * other`: gradient descent is `weight.add_scaled(-lr, &grads[&weight])`.
    #[track_caller]
    pub fn add_scaled(&mut self, scale: f32, other: &Tensor) {
        assert!(
            other.shape() == self.value.shape(),
            "add_scaled: the parameter has shape {}, got {}",
            self.value.shape(),
            other.shape()
        );
        slices::zip_update(AddScaled(scale), self.value.data_mut(), other.contiguous().data());
    }
}
