//! Maxima, and where they are.
//!
//! ```text
//! y = max(x)              dx = dy / (number of maxima) at each of them, 0 elsewhere
//! y = max(x, one axis)    dx = dy at the first maximum, 0 elsewhere
//! ```
//!
//! Both are PyTorch's. The maximum over everything has no order in which one could be the first, so all share; over
//! an axis an index is part of the answer, and the gradient goes to that entry. A NaN counts as larger than anything.
//! Over everything the tape keeps x and y, over an axis only the indices.
//!
//! What this is not: max pooling, whose windows may overlap (`max_pool2d/`), and no vector code: maxima over axes serve to
//! read predictions off a few logits.
//!
//! Next: `layout.rs`, views on the tape.

use super::broadcast::zip;
use crate::simd::slices::Zip;
use crate::simd::{Isa, Lanes};
use crate::{Shape, Tensor, Var};

impl Tensor {
    /// The largest element, as a tensor without axes; NaN where there is one.
    ///
    /// # Panics
    /// On an empty tensor.
    #[track_caller]
    pub fn max(&self) -> Tensor {
        let x = self.contiguous();
        match first_maximum(x.data().iter()) {
            Some(at) => Tensor::scalar(x.data()[at]),
            None => panic!("max: {} has no elements, so no largest one", self.shape()),
        }
    }

    /// The largest element along one axis, which disappears, or stays with length 1 where `keepdim` says so.
    ///
    /// # Panics
    /// When the axis is out of range or has no entries.
    #[track_caller]
    pub fn max_axis(&self, axis: isize, keepdim: bool) -> Tensor {
        max_axis_forward("max_axis", self, axis, keepdim).0
    }

    /// The index of the largest element along one axis, for all others in row-major order; the first one where several
    /// are equal.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// let logits = Tensor::new([[0.1, 2.0, -1.0], [3.0, 0.0, 3.0]]);
    /// assert_eq!(logits.argmax(1), [1, 0]);
    /// ```
    ///
    /// # Panics
    /// When the axis is out of range or has no entries.
    #[track_caller]
    pub fn argmax(&self, axis: isize) -> Vec<usize> {
        max_axis_forward("argmax", self, axis, false).1
    }
}

impl<'t> Var<'t> {
    /// The largest element; see [`Tensor::max`].
    #[track_caller]
    pub fn max(self) -> Var<'t> {
        let (id, y) = (self.id(), self.value().max());
        let kept = (self.value(), y.clone());
        self.tape().record("max", &[self], y, kept, move |(x, y), dy, adjoints| {
            adjoints.add(id, || {
                let is_maximum = zip("max", SameNumber, x, &y);
                let count = is_maximum.sum();
                is_maximum * (dy / count)
            });
        })
    }

    /// The largest element along one axis; see [`Tensor::max_axis`].
    #[track_caller]
    pub fn max_axis(self, axis: isize, keepdim: bool) -> Var<'t> {
        let (id, shape) = (self.id(), self.shape());
        let (y, indices) = max_axis_forward("max_axis", &self.value(), axis, keepdim);
        self.tape().record("max_axis", &[self], y, indices, move |indices, dy, adjoints| {
            adjoints.add(id, || max_axis_backward(&dy, &shape, shape.axis("max_axis", axis), &indices));
        })
    }
}

/// 1 where the two are equal or both NaN, else 0.
#[derive(Clone, Copy)]
struct SameNumber;

impl Zip for SameNumber {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, a: I::F32, b: I::F32) -> I::F32 {
        let (zero, one) = (isa.splat(0.0), isa.splat(1.0));
        let both_nan = a.where_eq(a, zero, b.where_eq(b, zero, one));
        a.where_eq(b, one, both_nan)
    }
}

/// The first index of the largest number; the first NaN, where there is one.
fn first_maximum<'a>(numbers: impl Iterator<Item = &'a f32>) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (at, &x) in numbers.enumerate() {
        match best {
            Some((_, largest)) if largest.is_nan() => break,
            Some((_, largest)) if x <= largest => {}
            _ => best = Some((at, x)),
        }
    }
    best.map(|(at, _)| at)
}

/// The number of elements before and behind an axis, as the lengths of two axes around it.
fn around(shape: &Shape, axis: usize) -> (usize, usize) {
    (shape[..axis].iter().product(), shape[axis + 1..].iter().product())
}

/// The maxima and their indices.
#[track_caller]
fn max_axis_forward(op: &str, x: &Tensor, axis: isize, keepdim: bool) -> (Tensor, Vec<usize>) {
    let shape = x.shape();
    let at = shape.axis(op, axis);
    let size = shape[at];
    assert!(size > 0, "{op}: axis {at} of {shape} has no entries, so no largest one");
    let (outer, behind) = around(&shape, at);
    let x = x.contiguous();
    let mut y = Tensor::empty(if keepdim { shape.with(at, 1) } else { shape.without(at) });
    let mut indices = Vec::with_capacity(outer * behind);
    for (i, y) in y.data_mut().iter_mut().enumerate() {
        let start = i / behind * size * behind + i % behind;
        let index = first_maximum(x.data()[start..].iter().step_by(behind).take(size)).unwrap_or(0);
        *y = x.data()[start + index * behind];
        indices.push(index);
    }
    (y, indices)
}

fn max_axis_backward(dy: &Tensor, shape: &Shape, axis: usize, indices: &[usize]) -> Tensor {
    let (size, (_, behind)) = (shape[axis], around(shape, axis));
    let mut dx = Tensor::zeros(shape);
    let to = dx.data_mut();
    for (i, (&dy, &index)) in dy.contiguous().data().iter().zip(indices).enumerate() {
        to[(i / behind * size + index) * behind + i % behind] = dy;
    }
    dx
}
