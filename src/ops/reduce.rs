//! Sums, means and norms: over all elements, or over chosen axes.
//!
//! ```text
//! y = sum(x)     dx = dy, repeated along the summed axes
//! y = mean(x)    dx = dy / n, repeated
//! y = norm(x)    dx = dy · x / y               (0 where y = 0)
//! ```
//!
//! The order of additions is part of what a sum means here; it depends on the shape and the axes, never on strides
//! or threads. Neighbouring axes that are both summed or both kept are merged. Then the summed ones go one after the
//! other, from the inside out:
//!
//! - the innermost axis: sixteen partial sums, folded in one order (`simd/slices.rs`);
//! - any other axis: row by row in blocks of [`BLOCK`] rows, then the blocks' sums in the same way.
//!
//! Sums keep only a shape on the tape, and their gradient is a view that repeats `dy`: nothing is copied.
//!
//! What this is not: maxima, whose gradient goes to single elements. They are next: `max.rs`.

use super::broadcast::zip;
use crate::parallel::{self, Chunks};
use crate::simd::slices::{self, CHUNK, Identity, Map, SumKernel, Zip};
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};
use crate::tensor::MAX_RANK;
use crate::{Shape, Tensor, Var};

/// Rows that are added one after the other. The error of a block's sum grows with its length, so blocks keep sums of
/// long columns precise, and they are what threads share.
const BLOCK: usize = 256;

impl Tensor {
    /// The sum of all elements, as a tensor with one element and no axes. 0 for an empty tensor.
    pub fn sum(&self) -> Tensor {
        Tensor::scalar(slices::sum(self.contiguous().data()))
    }

    /// The sum over some axes, which disappear, or stay with length 1 where `keepdim` says so.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// let x = Tensor::arange(6).reshape([2, 3]);
    /// assert_eq!(x.sum_axes(&[0], false).to_vec(), [3.0, 5.0, 7.0]);
    /// assert_eq!(x.sum_axes(&[-1], true).shape(), [2, 1]);
    /// ```
    ///
    /// # Panics
    /// When an axis is out of range or named twice.
    #[track_caller]
    pub fn sum_axes(&self, axes: &[isize], keepdim: bool) -> Tensor {
        sum_forward(self, &reduced(&self.shape(), "sum", axes), keepdim)
    }
}

// Means and norms, which are made of sums.
impl Tensor {
    /// The mean of all elements: their sum divided by their number. NaN for an empty tensor.
    pub fn mean(&self) -> Tensor {
        self.sum() / self.numel() as f32
    }

    /// The mean over some axes; see [`Tensor::sum_axes`].
    #[track_caller]
    pub fn mean_axes(&self, axes: &[isize], keepdim: bool) -> Tensor {
        let reduced = reduced(&self.shape(), "mean", axes);
        sum_forward(self, &reduced, keepdim) / count(&self.shape(), &reduced)
    }

    /// The Euclidean norm of all elements: the square root of the sum of their squares.
    pub fn norm(&self) -> Tensor {
        Tensor::scalar(slices::sum_of(Squared, self.contiguous().data()).sqrt())
    }

    /// The Euclidean norm over some axes; see [`Tensor::sum_axes`].
    #[track_caller]
    pub fn norm_axes(&self, axes: &[isize], keepdim: bool) -> Tensor {
        let reduced = reduced(&self.shape(), "norm", axes);
        sum_forward(&self.square(), &reduced, keepdim).sqrt()
    }
}

impl<'t> Var<'t> {
    /// The sum of all elements: no axes, one element.
    #[track_caller]
    pub fn sum(self) -> Var<'t> {
        let (x, shape) = (self.id(), self.shape());
        self.tape().record("sum", &[self], self.value().sum(), (), move |(), dy, adjoints| {
            adjoints.add(x, || dy.expand(shape));
        })
    }

    /// The sum over some axes; see [`Tensor::sum_axes`].
    #[track_caller]
    pub fn sum_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        let (x, shape) = (self.id(), self.shape());
        let kept = kept_shape(&shape, &reduced(&shape, "sum", axes));
        let y = self.value().sum_axes(axes, keepdim);
        self.tape().record("sum", &[self], y, (), move |(), dy, adjoints| {
            adjoints.add(x, || dy.reshape(kept).expand(shape));
        })
    }
}

impl<'t> Var<'t> {
    /// The mean of all elements.
    #[track_caller]
    pub fn mean(self) -> Var<'t> {
        let (x, shape) = (self.id(), self.shape());
        self.tape().record("mean", &[self], self.value().mean(), (), move |(), dy, adjoints| {
            adjoints.add(x, || (dy / shape.numel() as f32).expand(shape));
        })
    }

    /// The mean over some axes; see [`Tensor::sum_axes`].
    #[track_caller]
    pub fn mean_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        let (x, shape) = (self.id(), self.shape());
        let reduced = reduced(&shape, "mean", axes);
        let (kept, n) = (kept_shape(&shape, &reduced), count(&shape, &reduced));
        let y = self.value().mean_axes(axes, keepdim);
        self.tape().record("mean", &[self], y, (), move |(), dy, adjoints| {
            adjoints.add(x, || (dy / n).reshape(kept).expand(shape));
        })
    }

    /// The Euclidean norm of all elements; its gradient at 0 is 0.
    #[track_caller]
    pub fn norm(self) -> Var<'t> {
        let kept = kept_shape(&self.shape(), &vec![true; self.shape().len()]);
        self.record_norm(self.value().norm(), kept)
    }

    /// The Euclidean norm over some axes; see [`Tensor::sum_axes`].
    #[track_caller]
    pub fn norm_axes(self, axes: &[isize], keepdim: bool) -> Var<'t> {
        let kept = kept_shape(&self.shape(), &reduced(&self.shape(), "norm", axes));
        self.record_norm(self.value().norm_axes(axes, keepdim), kept)
    }

    /// Keeps x and y. `kept` is the shape of `y` with its axes still there.
    #[track_caller]
    fn record_norm(self, y: Tensor, kept: Shape) -> Var<'t> {
        let (x, values) = (self.id(), (self.value(), y.clone()));
        self.tape().record("norm", &[self], y, values, move |(x_value, y_value), dy, adjoints| {
            adjoints.add(x, || {
                let scale = zip("norm", OverNonZero, dy, &y_value);
                &x_value * scale.reshape(kept)
            });
        })
    }
}

/// x².
#[derive(Clone, Copy)]
pub(super) struct Squared;

impl Map for Squared {
    #[inline(always)]
    fn apply<I: Isa>(self, _: I, x: I::F32) -> I::F32 {
        x * x
    }
}

/// `a / b`, and 0 where `b` is 0.
#[derive(Clone, Copy)]
struct OverNonZero;

impl Zip for OverNonZero {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, a: I::F32, b: I::F32) -> I::F32 {
        let zero = isa.splat(0.0);
        b.where_eq(zero, zero, a / b)
    }
}

/// How many elements each result is made of.
fn count(shape: &Shape, reduced: &[bool]) -> f32 {
    shape.iter().zip(reduced).filter(|(_, reduced)| **reduced).map(|(&dim, _)| dim).product::<usize>() as f32
}

/// Which axes are reduced.
#[track_caller]
fn reduced(shape: &Shape, op: &str, axes: &[isize]) -> [bool; MAX_RANK] {
    let mut reduced = [false; MAX_RANK];
    for &axis in axes {
        let at = shape.axis(op, axis);
        assert!(!reduced[at], "{op}: axis {at} of {shape} is named twice");
        reduced[at] = true;
    }
    reduced
}

/// The shape with its reduced axes at length 1.
fn kept_shape(shape: &Shape, reduced: &[bool]) -> Shape {
    let mut kept = *shape;
    for (dim, _) in kept.iter_mut().zip(reduced).filter(|(_, reduced)| **reduced) {
        *dim = 1;
    }
    kept
}

/// The shape without its reduced axes.
fn rest_shape(shape: &Shape, reduced: &[bool]) -> Shape {
    let mut rest = Shape::SCALAR;
    for (&dim, _) in shape.iter().zip(reduced).filter(|(_, reduced)| !**reduced) {
        rest.push(dim);
    }
    rest
}

/// The sum over the reduced axes.
fn sum_forward(x: &Tensor, reduced: &[bool], keepdim: bool) -> Tensor {
    let shape = x.shape();
    let result = if keepdim { kept_shape(&shape, reduced) } else { rest_shape(&shape, reduced) };
    if x.numel() == 0 {
        return Tensor::zeros(result);
    }
    let mut sums = x.contiguous();
    let (mut end, mut behind) = (shape.len(), 1);
    // From the inside out, one run of axes of the same kind after the other.
    while end > 0 {
        let start =
            reduced[..end].iter().rposition(|&kind| kind != reduced[end - 1]).map_or(0, |other| other + 1);
        let size: usize = shape[start..end].iter().product();
        if reduced[end - 1] {
            sums = sum_axis(&sums, shape[..start].iter().product(), size, behind);
        } else {
            behind *= size;
        }
        end = start;
    }
    sums.reshape(result)
}

/// The sum over the middle axis of `[outer, size, behind]`.
fn sum_axis(x: &Tensor, outer: usize, size: usize, behind: usize) -> Tensor {
    if behind == 1 {
        return sum_rows(x.data(), outer, size);
    }
    let blocks = size.div_ceil(BLOCK);
    let mut sums = Tensor::empty([outer * blocks * behind]);
    // Every sum is made by itself, so parts may be cut anywhere.
    let part = (CHUNK / size.min(BLOCK)).next_multiple_of(LANES);
    parallel::for_each_part(Chunks::new(sums.data_mut(), part), |i, sums| {
        dispatch(SumColumns { x: x.data(), size, blocks, behind, first: i * part, sums });
    });
    if blocks == 1 { sums } else { sum_axis(&sums, outer, blocks, behind) }
}

/// The sum of each row of `[rows, size]`.
fn sum_rows(x: &[f32], rows: usize, size: usize) -> Tensor {
    let mut sums = Tensor::empty([rows]);
    if size > CHUNK {
        // Long rows are shared out one by one.
        for (sum, row) in sums.data_mut().iter_mut().zip(x.chunks_exact(size)) {
            *sum = slices::sum(row);
        }
        return sums;
    }
    let part = CHUNK / size;
    parallel::for_each_part(Chunks::new(sums.data_mut(), part), |i, sums| {
        dispatch(SumRows { x: &x[i * part * size..][..sums.len() * size], size, sums });
    });
    sums
}

struct SumRows<'a> {
    x: &'a [f32],
    size: usize,
    sums: &'a mut [f32],
}

impl Kernel for SumRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        for (sum, row) in self.sums.iter_mut().zip(self.x.chunks_exact(self.size)) {
            *sum = SumKernel(Identity, row).run(isa);
        }
    }
}

/// Sums number `first`, `first + 1`, … of the `outer · blocks · behind` sums over blocks of rows of
/// `[outer, size, behind]`.
struct SumColumns<'a> {
    x: &'a [f32],
    size: usize,
    blocks: usize,
    behind: usize,
    first: usize,
    sums: &'a mut [f32],
}

impl Kernel for SumColumns<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let SumColumns { x, size, blocks, behind, mut first, mut sums } = self;
        while !sums.is_empty() {
            // As many neighbouring columns of one block as this part still has.
            let (row_of_sums, column) = (first / behind, first % behind);
            let (outer, block) = (row_of_sums / blocks, row_of_sums % blocks);
            let rows = block * BLOCK..size.min((block + 1) * BLOCK);
            let columns = sums.len().min(behind - column);
            let (now, later) = sums.split_at_mut(columns);
            let start = (outer * size + rows.start) * behind + column;
            sum_columns(isa, &x[start..], rows.len(), behind, now);
            (sums, first) = (later, first + columns);
        }
    }
}

/// `sums[j]` = the sum over `rows` rows, `step` apart, of `x[j]`. Four vectors at a time hide the time that an
/// addition takes.
#[inline(always)]
fn sum_columns<I: Isa>(isa: I, x: &[f32], rows: usize, step: usize, sums: &mut [f32]) {
    const WIDE: usize = 4 * LANES;
    let (wide, rest) = sums.as_chunks_mut::<WIDE>();
    for (i, sums) in wide.iter_mut().enumerate() {
        let mut total = [isa.splat(0.0); 4];
        for row in 0..rows {
            let x = x[row * step + i * WIDE..][..WIDE].as_chunks::<LANES>().0;
            for (total, x) in total.iter_mut().zip(x) {
                *total = *total + isa.load(x);
            }
        }
        for (sums, total) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(total) {
            total.store(sums);
        }
    }
    let start = wide.len() * WIDE;
    for (i, sums) in rest.chunks_mut(LANES).enumerate() {
        let mut total = isa.splat(0.0);
        for row in 0..rows {
            let x = &x[row * step + start + i * LANES..][..sums.len()];
            total = total + isa.load_partial(x, 0.0);
        }
        total.store_partial(sums);
    }
}
