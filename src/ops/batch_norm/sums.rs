//! The sums of batch norm: two over every channel in one pass, as near to the exact ones as `f64` sums would be.
//!
//! ```text
//! forward     Σ (x - center)    Σ (x - center)²        center: the channel's first number
//! backward    Σ dy              Σ dy (x - center)      center: its mean
//! ```
//!
//! A plain `f32` sum over a long channel is off by more than all other roundings together. And of squares about a number far from the
//! mean, `E[x²] - mean²` at worst, the variance is a small difference in which their rounding is everything. So vectors are added in
//! `f32` in short blocks, squares about the block's own mean or what `f32` makes of it; what that gives is moved to the center in `f64`
//! and added in `f64`. A block is in the first cache while its mean is taken, so memory is still read once.
//!
//! What this is not: a sum for others. `reduce.rs` adds in `f32`.

use super::Sizes;
use crate::Tensor;
use crate::parallel::{self, Chunks};
use crate::simd::slices::CHUNK;
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};

/// Vectors that are added in `f32` before their sum goes on in `f64`: few roundings each, and the `f64` part still costs nothing beside
/// reading memory.
const BLOCK: usize = 32;

/// Two factors, p and q, of a number and its gradient: sought are Σ p and Σ p q.
pub(super) trait Factors: Copy + Sync {
    /// What a block of x is computed about.
    fn near<I: Isa>(self, isa: I, x: &[[f32; LANES]], center: f32) -> I::F32;
    /// p and q.
    fn apply<I: Isa>(self, x: I::F32, dy: I::F32, near: I::F32) -> (I::F32, I::F32);
}

/// Σ (x - center) and Σ (x - center)².
#[derive(Clone, Copy)]
pub(super) struct Deviation;

impl Factors for Deviation {
    #[inline(always)]
    fn near<I: Isa>(self, isa: I, x: &[[f32; LANES]], _: f32) -> I::F32 {
        let mut sums = [isa.splat(0.0); 4];
        let (fours, rest) = x.as_chunks::<4>();
        for four in fours {
            for i in 0..4 {
                sums[i] = sums[i] + isa.load(&four[i]);
            }
        }
        for (i, x) in rest.iter().enumerate() {
            sums[i] = sums[i] + isa.load(x);
        }
        ((sums[0] + sums[1]) + (sums[2] + sums[3])) * isa.splat(1.0 / x.len() as f32)
    }
    #[inline(always)]
    fn apply<I: Isa>(self, x: I::F32, _: I::F32, near: I::F32) -> (I::F32, I::F32) {
        (x - near, x - near)
    }
}

/// Σ dy and Σ dy (x - center).
#[derive(Clone, Copy)]
pub(super) struct Projection;

impl Factors for Projection {
    #[inline(always)]
    fn near<I: Isa>(self, isa: I, _: &[[f32; LANES]], center: f32) -> I::F32 {
        isa.splat(center)
    }
    #[inline(always)]
    fn apply<I: Isa>(self, x: I::F32, dy: I::F32, near: I::F32) -> (I::F32, I::F32) {
        (dy, x - near)
    }
}

/// Σ p and Σ p q of every channel: of its runs, in pieces, in order.
pub(super) fn sums(f: impl Factors, x: &Tensor, dy: &Tensor, centers: &[f32], sizes: Sizes) -> Vec<[f64; 2]> {
    let per_run = sizes.run.div_ceil(CHUNK);
    let mut pieces = vec![[0.0; 2]; sizes.runs * per_run];
    let per_task = (CHUNK / sizes.run).max(1);
    let (x, dy) = (x.memory(), dy.memory());
    parallel::for_each_part(Chunks::new(&mut pieces, per_task), |task, pieces| {
        dispatch(SumKernel { f, x, dy, centers, sizes, per_run, first: task * per_task, pieces });
    });
    let mut totals = vec![[0.0; 2]; sizes.c];
    for (i, piece) in pieces.iter().enumerate() {
        let total = &mut totals[i / per_run % sizes.c];
        *total = [total[0] + piece[0], total[1] + piece[1]];
    }
    totals
}

struct SumKernel<'a, F> {
    f: F,
    x: &'a [f32],
    dy: &'a [f32],
    centers: &'a [f32],
    sizes: Sizes,
    per_run: usize,
    first: usize,
    pieces: &'a mut [[f64; 2]],
}

impl<F: Factors> Kernel for SumKernel<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let SumKernel { f, x, dy, centers, sizes, per_run, first, pieces } = self;
        for (i, piece) in pieces.iter_mut().enumerate() {
            let (run, start) = ((first + i) / per_run, (first + i) % per_run * CHUNK);
            let range = run * sizes.run + start..run * sizes.run + sizes.run.min(start + CHUNK);
            let center = centers[run % sizes.c];
            let ((x, x_rest), (dy, dy_rest)) = (x[range.clone()].as_chunks(), dy[range].as_chunks());
            let mut lanes = [[0.0; LANES]; 2];
            for (x, dy) in x.chunks(BLOCK).zip(dy.chunks(BLOCK)) {
                add_block(isa, f, x, dy, center, &mut lanes);
            }
            if !x_rest.is_empty() {
                // The lanes behind the end add nothing.
                let (mut x, mut dy) = ([center; LANES], [0.0; LANES]);
                x[..x_rest.len()].copy_from_slice(x_rest);
                dy[..x_rest.len()].copy_from_slice(dy_rest);
                add_block(isa, f, &[x], &[dy], center, &mut lanes);
            }
            for lane in 0..LANES {
                *piece = [piece[0] + lanes[0][lane], piece[1] + lanes[1][lane]];
            }
        }
    }
}

/// Adds a block to Σ p and Σ p q, lane by lane.
#[inline(always)]
fn add_block<I: Isa>(
    isa: I,
    f: impl Factors,
    x: &[[f32; LANES]],
    dy: &[[f32; LANES]],
    center: f32,
    sums: &mut [[f64; LANES]; 2],
) {
    let near = f.near(isa, x, center);
    let (mut first, mut second) = (isa.splat(0.0), isa.splat(0.0));
    for (x, dy) in x.iter().zip(dy) {
        let (p, q) = f.apply::<I>(isa.load(x), isa.load(dy), near);
        first = first + p;
        second = p.mul_add(q, second);
    }
    // With d = near - center, the deviations of n numbers are d each more, and their squares 2 d p + d² more. Where the center itself
    // is near, d is 0.
    let (near, first, second) = (near.to_array(), first.to_array(), second.to_array());
    for lane in 0..LANES {
        let moved = f64::from(near[lane]) - f64::from(center);
        let (first, second, all) = (f64::from(first[lane]), f64::from(second[lane]), moved * x.len() as f64);
        sums[0][lane] += first + all;
        sums[1][lane] += second + moved * (first + first + all);
    }
}
