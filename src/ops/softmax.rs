//! softmax and its logarithm along one axis.
//!
//! ```text
//! softmax      y = e^(x - m) / Σ e^(x - m)        dx = y · (dy - Σ dy · y)
//! log_softmax  y = x - m - ln Σ e^(x - m)         dx = dy - e^y · Σ dy
//! ```
//!
//! m is the largest x of the line. It cancels, but without it e^x overflows from x = 89 on; with it the largest term
//! is 1, so the sum is never 0 either. The logarithm is an op of its own because ln(softmax(x)) is -∞ wherever the
//! probability rounds to 0.
//!
//! Both derivatives can be read off the output, so the tape keeps only that. Lines lie one after the other in memory
//! while they are worked on: another axis than the last is exchanged with it before and after. Sums run over sixteen
//! lanes, like every sum here, so a line gives the same bits along any axis.
//!
//! What this is not: the loss of a classifier. That is `cross_entropy.rs`, next, which needs neither as a node.

use crate::parallel::{self, Chunks};
use crate::simd::slices::CHUNK;
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch, math};
use crate::{Tensor, Var};

impl Tensor {
    /// Numbers of any size as probabilities along one axis: positive, and their sum is 1.
    ///
    /// A line that holds a NaN or +∞, or nothing but -∞, becomes NaN.
    ///
    /// # Panics
    /// When the axis is out of range.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Tensor {
        along(self, "softmax", axis, |x| on_lines(&Softmax, x, None))
    }

    /// The logarithm of [`softmax`](Tensor::softmax), precise also where that rounds to 0.
    ///
    /// # Panics
    /// When the axis is out of range.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Tensor {
        along(self, "log_softmax", axis, |x| on_lines(&LogSoftmax, x, None))
    }
}

impl<'t> Var<'t> {
    /// Probabilities along one axis; see [`Tensor::softmax`].
    #[track_caller]
    pub fn softmax(self, axis: isize) -> Var<'t> {
        record(self, "softmax", axis, self.value().softmax(axis), SoftmaxBackward)
    }

    /// Logarithms of probabilities along one axis; see [`Tensor::log_softmax`].
    #[track_caller]
    pub fn log_softmax(self, axis: isize) -> Var<'t> {
        record(self, "log_softmax", axis, self.value().log_softmax(axis), LogSoftmaxBackward)
    }
}

#[track_caller]
fn record<'t>(
    x: Var<'t>,
    op: &'static str,
    axis: isize,
    y: Tensor,
    backward: impl Line + Copy + 'static,
) -> Var<'t> {
    let (id, kept) = (x.id(), y.clone());
    x.tape().record(op, &[x], y, kept, move |kept, dy, adjoints| {
        adjoints.add(id, || {
            let dy = dy.transpose(axis, -1).contiguous();
            along(&kept, op, axis, |y| on_lines(&backward, y, Some(&dy)))
        });
    })
}

/// Applies `work` with the axis brought to the end and in order.
#[track_caller]
fn along(x: &Tensor, op: &str, axis: isize, work: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    let axis = x.shape().axis(op, axis) as isize;
    work(&x.transpose(axis, -1).contiguous()).transpose(axis, -1).contiguous()
}

/// Something computed from one line at a time, and from the line beside it in backward.
trait Line: Sync {
    fn line<I: Isa>(&self, isa: I, x: &[f32], dy: &[f32], y: &mut [f32]);
}

/// Runs over all lines of the last axis. `dy` has the shape of `x`, both contiguous.
fn on_lines(line: &impl Line, x: &Tensor, dy: Option<&Tensor>) -> Tensor {
    let mut y = Tensor::empty(x.shape());
    let size = x.size(-1);
    if x.numel() == 0 {
        return y;
    }
    let dy = dy.map_or(&[][..], Tensor::data);
    let part = (CHUNK / size).max(1) * size;
    parallel::for_each_part(Chunks::new(y.data_mut(), part), |i, y| {
        let range = i * part..i * part + y.len();
        let dy = if dy.is_empty() { dy } else { &dy[range.clone()] };
        dispatch(Lines { line, size, x: &x.data()[range], dy, y });
    });
    y
}

struct Lines<'a, L> {
    line: &'a L,
    size: usize,
    x: &'a [f32],
    dy: &'a [f32],
    y: &'a mut [f32],
}

impl<L: Line> Kernel for Lines<'_, L> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Lines { line, size, x, dy, y } = self;
        for (i, (x, y)) in x.chunks_exact(size).zip(y.chunks_exact_mut(size)).enumerate() {
            let dy = if dy.is_empty() { dy } else { &dy[i * size..][..size] };
            line.line(isa, x, dy, y);
        }
    }
}

/// The vectors of a line; lanes behind its end hold `rest`.
#[inline(always)]
fn vectors<I: Isa>(isa: I, line: &[f32], rest: f32) -> impl Iterator<Item = I::F32> {
    line.chunks(LANES).map(move |part| match part.first_chunk::<LANES>() {
        Some(full) => isa.load(full),
        None => isa.load_partial(part, rest),
    })
}

/// Replaces every vector of a line. Lanes behind its end hold `rest`.
#[inline(always)]
fn update<I: Isa>(isa: I, line: &mut [f32], rest: f32, mut f: impl FnMut(I::F32) -> I::F32) {
    for part in line.chunks_mut(LANES) {
        match part.first_chunk_mut::<LANES>() {
            Some(full) => f(isa.load(full)).store(full),
            None => f(isa.load_partial(part, rest)).store_partial(part),
        }
    }
}

/// Writes e^(x - m) to `y` and gives m and their sum. The fillers behind the end are -∞, whose power is 0.
#[inline(always)]
fn shifted_exp<I: Isa>(isa: I, x: &[f32], y: &mut [f32]) -> (f32, f32) {
    let lowest = isa.splat(f32::NEG_INFINITY);
    let mut largest = lowest;
    for x in vectors(isa, x, f32::NEG_INFINITY) {
        largest = largest.max(x);
    }
    let largest = largest.fold_max();
    let (m, mut sum) = (isa.splat(largest), isa.splat(0.0));
    y.copy_from_slice(x);
    update(isa, y, f32::NEG_INFINITY, |x| {
        let power = math::exp(isa, x - m);
        sum = sum + power;
        power
    });
    (largest, sum.fold_sum())
}

struct Softmax;

impl Line for Softmax {
    #[inline(always)]
    fn line<I: Isa>(&self, isa: I, x: &[f32], _: &[f32], y: &mut [f32]) {
        let (_, sum) = shifted_exp(isa, x, y);
        let sum = isa.splat(sum);
        update(isa, y, 0.0, |power| power / sum);
    }
}

struct LogSoftmax;

impl Line for LogSoftmax {
    #[inline(always)]
    fn line<I: Isa>(&self, isa: I, x: &[f32], _: &[f32], y: &mut [f32]) {
        let (largest, sum) = shifted_exp(isa, x, y);
        let (m, ln_sum) = (isa.splat(largest), math::ln(isa, isa.splat(sum)));
        y.copy_from_slice(x);
        update(isa, y, 0.0, |x| x - m - ln_sum);
    }
}

/// The backward lines are given the output where the forward ones are given the input.
#[derive(Clone, Copy)]
struct SoftmaxBackward;

impl Line for SoftmaxBackward {
    #[inline(always)]
    fn line<I: Isa>(&self, isa: I, y: &[f32], dy: &[f32], dx: &mut [f32]) {
        let mut sum = isa.splat(0.0);
        for (y, dy) in vectors(isa, y, 0.0).zip(vectors(isa, dy, 0.0)) {
            sum = dy.mul_add(y, sum);
        }
        let sum = isa.splat(sum.fold_sum());
        dx.copy_from_slice(dy);
        let mut y = vectors(isa, y, 0.0);
        update(isa, dx, 0.0, |dy| y.next().map_or(dy, |y| y * (dy - sum)));
    }
}

#[derive(Clone, Copy)]
struct LogSoftmaxBackward;

impl Line for LogSoftmaxBackward {
    #[inline(always)]
    fn line<I: Isa>(&self, isa: I, y: &[f32], dy: &[f32], dx: &mut [f32]) {
        let mut sum = isa.splat(0.0);
        for dy in vectors(isa, dy, 0.0) {
            sum = sum + dy;
        }
        let sum = isa.splat(sum.fold_sum());
        dx.copy_from_slice(dy);
        let mut y = vectors(isa, y, 0.0);
        update(isa, dx, 0.0, |dy| y.next().map_or(dy, |y| (-math::exp(isa, y)).mul_add(sum, dy)));
    }
}
