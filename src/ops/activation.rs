//! sigmoid, tanh and relu.
//!
//! ```text
//! y = 1 / (1 + e^-x)      dx = dy · y (1 - y)
//! y = tanh x              dx = dy · (1 - y²)
//! y = max(x, 0)           dx = dy where x > 0, else 0
//! ```
//!
//! All three derivatives can be read off the output, so that is what the tape keeps: the input may go. The gradient
//! is computed in the memory of `dy` where nobody else holds it.
//!
//! A NaN stays a NaN, in relu too, as in PyTorch; its gradient there is `dy`.
//!
//! Next: `elementary.rs`, functions whose derivative mostly needs the input.

use super::broadcast::{map, zip};
use crate::simd::slices::{Map, Zip};
use crate::simd::{Isa, Lanes, math};
use crate::{Tensor, Var};

#[derive(Clone, Copy)]
struct Sigmoid;

impl Map for Sigmoid {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32 {
        math::sigmoid(isa, x)
    }
}

#[derive(Clone, Copy)]
struct SigmoidBackward;

impl Zip for SigmoidBackward {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, dy: I::F32, y: I::F32) -> I::F32 {
        dy * (y * (isa.splat(1.0) - y))
    }
}

#[derive(Clone, Copy)]
struct Tanh;

impl Map for Tanh {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32 {
        math::tanh(isa, x)
    }
}

#[derive(Clone, Copy)]
struct TanhBackward;

impl Zip for TanhBackward {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, dy: I::F32, y: I::F32) -> I::F32 {
        // 1 - y² in one rounding: near |y| = 1 the difference is small, and a rounded square would be most of it.
        dy * (-y).mul_add(y, isa.splat(1.0))
    }
}

#[derive(Clone, Copy)]
struct Relu;

impl Map for Relu {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32 {
        // Compared this way round, a NaN is not below zero and stays.
        let zero = isa.splat(0.0);
        zero.where_gt(x, zero, x)
    }
}

#[derive(Clone, Copy)]
struct ReluBackward;

impl Zip for ReluBackward {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, dy: I::F32, y: I::F32) -> I::F32 {
        // An output is 0, positive or NaN.
        let zero = isa.splat(0.0);
        y.where_eq(zero, zero, dy)
    }
}

impl Tensor {
    /// The logistic function 1 / (1 + e^-x) of every element.
    pub fn sigmoid(&self) -> Tensor {
        map(Sigmoid, self.clone())
    }

    /// The hyperbolic tangent of every element.
    pub fn tanh(&self) -> Tensor {
        map(Tanh, self.clone())
    }

    /// Every element, or 0 where it is negative. NaN stays NaN.
    pub fn relu(&self) -> Tensor {
        map(Relu, self.clone())
    }
}

impl<'t> Var<'t> {
    /// The logistic function of every element; see [`Tensor::sigmoid`].
    #[track_caller]
    pub fn sigmoid(self) -> Var<'t> {
        record(self, "sigmoid", self.value().sigmoid(), SigmoidBackward)
    }

    /// The hyperbolic tangent of every element.
    #[track_caller]
    pub fn tanh(self) -> Var<'t> {
        record(self, "tanh", self.value().tanh(), TanhBackward)
    }

    /// Every element, or 0 where it is negative; see [`Tensor::relu`].
    #[track_caller]
    pub fn relu(self) -> Var<'t> {
        record(self, "relu", self.value().relu(), ReluBackward)
    }
}

/// Records `y`, a function of `x` whose gradient is `backward(dy, y)`.
#[track_caller]
fn record<'t>(x: Var<'t>, op: &'static str, y: Tensor, backward: impl Zip + 'static) -> Var<'t> {
    let (id, kept) = (x.id(), y.clone());
    x.tape().record(op, &[x], y, kept, move |kept, dy, adjoints| {
        adjoints.add(id, || zip(op, backward, dy, &kept))
    })
}
