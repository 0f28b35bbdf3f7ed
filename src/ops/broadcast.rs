//! The loops behind element-wise ops: one input, two inputs that broadcast, and the adjoint of broadcasting.
//!
//! ```text
//! forward    y[i] = f(a[i'], b[i''])          i' and i'' are i without the axes along which a or b is repeated
//! adjoint    da = sum_to(dy · ∂f/∂a, a.shape) what was read many times gets the sum of all its gradients
//! ```
//!
//! A row added to a matrix (`[n, c] + [c]`) or a factor per channel (`[n, c, h, w] * [1, c, 1, 1]`) is never laid
//! out at full size. Axes are merged where both inputs either vary or stay the same, which leaves few: the innermost
//! one is a run that a vector loop takes whole, and the outer ones only move the start of each run.
//!
//! Inputs are taken by value: one that nobody else holds gives its memory to the result. Every element is computed
//! by itself, so none of these paths can change a bit of the result.
//!
//! What this is not: strided access. Inputs in one order of memory, whichever it is, are worked on as they lie, and the result
//! lies so too; an input in another order is copied first, except for axes of stride zero, which are read as the single entry that
//! they are.
//!
//! Next: `arith.rs`, the operators made of this.

use crate::parallel::{self, Chunks};
use crate::simd::slices::{self, CHUNK, Map, MapKernel, Zip, ZipKernel};
use crate::simd::{Isa, Kernel, dispatch};
use crate::tensor::MAX_RANK;
use crate::{Shape, Tensor};

/// `y[i] = f(x[i])`, in place where `x` is the only owner of its memory, in the order in which `x` lies.
pub(crate) fn map(f: impl Map, x: Tensor) -> Tensor {
    let mut x = if x.is_dense() { x } else { x.contiguous() };
    if x.is_unique() {
        slices::update(f, x.memory_mut());
        return x;
    }
    let mut y = x.empty_like();
    slices::map(f, x.memory(), y.memory_mut());
    y
}

/// `y[i] = f(a[i], b[i])` over the shape that both broadcast to, in `a`'s memory where that is possible, and in the order in
/// which the larger of them lies.
///
/// # Panics
/// When the shapes do not broadcast, naming `op`.
#[track_caller]
pub(crate) fn zip(op: &str, f: impl Zip, a: Tensor, b: &Tensor) -> Tensor {
    let shape = a.shape().broadcast(op, &b.shape());
    let (mut a, b) = (without_repeats(a), without_repeats(b.clone()));
    if a.shape() == shape && b.numel() == 1 {
        return map(WithRight(f, b.item()), a);
    }
    if b.shape() == shape && a.numel() == 1 {
        return map(WithLeft(a.item(), f), b);
    }
    if a.shape() == b.shape() && a.is_dense() {
        let b = b.in_order_of(&a);
        let mut y = if a.is_unique() { None } else { Some(a.empty_like()) };
        match &mut y {
            None => slices::zip_update(f, a.memory_mut(), b.memory()),
            Some(y) => slices::zip(f, a.memory(), b.memory(), y.memory_mut()),
        }
        let y = y.unwrap_or(a);
        return if y.shape() == shape { y } else { y.expand(shape).contiguous() };
    }
    let (a, b) = (a.contiguous(), b.contiguous());
    let smallest = a.shape().broadcast(op, &b.shape());
    let mut y = Tensor::empty(smallest);
    if a.shape() == b.shape() {
        slices::zip(f, a.data(), b.data(), y.data_mut());
    } else if b.numel() == 1 {
        slices::map(WithRight(f, b.item()), a.data(), y.data_mut());
    } else if a.numel() == 1 {
        slices::map(WithLeft(a.item(), f), b.data(), y.data_mut());
    } else {
        Runs::new(&a.shape(), &b.shape(), &smallest).zip(f, a.data(), b.data(), y.data_mut());
    }
    // Both inputs may repeat along the same axis; then so does the result.
    if smallest == shape { y } else { y.expand(shape).contiguous() }
}

/// The tensor with every axis of stride zero cut to the one entry that it repeats.
fn without_repeats(mut x: Tensor) -> Tensor {
    for axis in 0..x.rank() {
        if x.strides()[axis] == 0 && x.shape()[axis] > 1 {
            x = x.narrow(axis as isize, 0, 1);
        }
    }
    x
}

/// The adjoint of broadcasting `shape` to the shape of `x`: the sum over the axes that were repeated.
pub(crate) fn sum_to(x: Tensor, shape: &Shape) -> Tensor {
    if x.shape() == *shape {
        return x;
    }
    let added = x.rank() - shape.len();
    let repeated = |axis: usize| axis < added || (shape[axis - added] == 1 && x.shape()[axis] != 1);
    let (mut axes, mut count) = ([0; MAX_RANK], 0);
    for axis in (0..x.rank()).filter(|&axis| repeated(axis)) {
        axes[count] = axis as isize;
        count += 1;
    }
    x.sum_axes(&axes[..count], true).reshape(shape)
}

/// A function of two vectors with its second argument fixed.
#[derive(Clone, Copy)]
pub(crate) struct WithRight<F>(pub F, pub f32);

impl<F: Zip> Map for WithRight<F> {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32 {
        self.0.apply(isa, x, isa.splat(self.1))
    }
}

/// A function of two vectors with its first argument fixed.
#[derive(Clone, Copy)]
pub(crate) struct WithLeft<F>(pub f32, pub F);

impl<F: Zip> Map for WithLeft<F> {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32 {
        self.1.apply(isa, isa.splat(self.0), x)
    }
}

/// An axis of the result after merging. `a` and `b` are the strides of the inputs along it, zero where one is
/// repeated.
#[derive(Clone, Copy, Default)]
struct Axis {
    len: usize,
    a: usize,
    b: usize,
}

/// The result as rows of one innermost axis, the run.
struct Runs {
    outer: [Axis; MAX_RANK],
    outer_rank: usize,
    run: Axis,
}

impl Runs {
    /// Merges the axes of `shape`, the broadcast of the contiguous shapes `a` and `b`.
    fn new(a: &Shape, b: &Shape, shape: &Shape) -> Runs {
        let varies = |input: &Shape, axis: usize| {
            let added = shape.len() - input.len();
            axis >= added && input[axis - added] != 1
        };
        let mut axes = [Axis::default(); MAX_RANK];
        let mut rank = 0;
        let (mut a_step, mut b_step) = (1, 1);
        let mut last = None;
        // From the inside out: a step is the number of elements that an input has inside of the axis.
        for axis in (0..shape.len()).rev().filter(|&axis| shape[axis] != 1) {
            let now = (varies(a, axis), varies(b, axis));
            if last != Some(now) {
                axes[rank] =
                    Axis { len: 1, a: if now.0 { a_step } else { 0 }, b: if now.1 { b_step } else { 0 } };
                rank += 1;
                last = Some(now);
            }
            axes[rank - 1].len *= shape[axis];
            a_step *= if now.0 { shape[axis] } else { 1 };
            b_step *= if now.1 { shape[axis] } else { 1 };
        }
        let mut outer = [Axis::default(); MAX_RANK];
        outer[..MAX_RANK - 1].copy_from_slice(&axes[1..]);
        Runs { outer, outer_rank: rank - 1, run: axes[0] }
    }

    /// Where the inputs of a row begin.
    #[inline(always)]
    fn starts(&self, mut row: usize) -> (usize, usize) {
        let (mut a, mut b) = (0, 0);
        for axis in &self.outer[..self.outer_rank] {
            let index = row % axis.len;
            row /= axis.len;
            a += index * axis.a;
            b += index * axis.b;
        }
        (a, b)
    }

    fn zip<F: Zip>(&self, f: F, a: &[f32], b: &[f32], y: &mut [f32]) {
        let run = self.run.len;
        if y.is_empty() {
            return;
        }
        // As many whole rows per part as make a chunk.
        let rows = (CHUNK / run).max(1);
        parallel::for_each_part(Chunks::new(y, rows * run), |part, y| {
            dispatch(RunsKernel { f, runs: self, first: part * rows, a, b, y });
        });
    }
}

struct RunsKernel<'a, F> {
    f: F,
    runs: &'a Runs,
    first: usize,
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
}

impl<F: Zip> Kernel for RunsKernel<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let RunsKernel { f, runs, first, a, b, y } = self;
        let Axis { len, a: a_step, b: b_step } = runs.run;
        for (i, y) in y.chunks_exact_mut(len).enumerate() {
            let (a_start, b_start) = runs.starts(first + i);
            // Along the run each input either is a slice or stays the same; not both stay.
            if b_step == 0 {
                MapKernel(WithRight(f, b[b_start]), &a[a_start..][..len], y).run(isa);
            } else if a_step == 0 {
                MapKernel(WithLeft(a[a_start], f), &b[b_start..][..len], y).run(isa);
            } else {
                ZipKernel(f, &a[a_start..][..len], &b[b_start..][..len], y).run(isa);
            }
        }
    }
}
