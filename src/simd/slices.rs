//! Loops that run a lane function over memory: one slice to another, two to one, and sums.
//!
//! Large slices are cut into chunks of a fixed size which threads share; the cut depends on the length alone, so
//! a sum has the same order of additions on any number of threads. Sums keep sixteen partial sums per chunk
//! (lane i takes elements i, i + 16, …), fold them in the fixed order of [`Lanes::fold_sum`], and add the chunks'
//! sums in order. The relative error of such a sum grows with n / 16 per chunk rather than with n.
//!
//! What this is not: broadcasting or strided access. That is `ops/broadcast.rs`, which calls these on its runs.

use super::{Isa, Kernel, LANES, Lanes, dispatch};
use crate::parallel::{self, Chunks};

/// Elements per chunk: 64 KiB, so that the two or three slices of a chunk stay in the second-level cache, and a
/// chunk is some microseconds of work, well above the cost of handing it to a thread.
pub const CHUNK: usize = 16_384;

/// A function of one vector.
pub trait Map: Copy + Sync {
    /// The function, lane by lane. Mark it `#[inline(always)]`, like every [`Kernel`].
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32;
}

/// A function of two vectors.
pub trait Zip: Copy + Sync {
    /// The function, lane by lane. Mark it `#[inline(always)]`.
    fn apply<I: Isa>(self, isa: I, a: I::F32, b: I::F32) -> I::F32;
}

/// The loop of [`map`] over one slice. Inside a kernel that already runs, `MapKernel(…).run(isa)` is a plain loop.
pub(crate) struct MapKernel<'a, F>(pub F, pub &'a [f32], pub &'a mut [f32]);

impl<F: Map> Kernel for MapKernel<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let MapKernel(f, x, y) = self;
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ys, y_rest) = y.as_chunks_mut::<LANES>();
        for (x, y) in xs.iter().zip(ys) {
            f.apply(isa, isa.load(x)).store(y);
        }
        if !x_rest.is_empty() {
            f.apply(isa, isa.load_partial(x_rest, 0.0)).store_partial(y_rest);
        }
    }
}

struct UpdateKernel<'a, F>(F, &'a mut [f32]);

impl<F: Map> Kernel for UpdateKernel<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let UpdateKernel(f, y) = self;
        let (ys, rest) = y.as_chunks_mut::<LANES>();
        for y in ys {
            f.apply(isa, isa.load(y)).store(y);
        }
        if !rest.is_empty() {
            f.apply(isa, isa.load_partial(rest, 0.0)).store_partial(rest);
        }
    }
}

/// The loop of [`zip`] over one pair of slices.
pub(crate) struct ZipKernel<'a, F>(pub F, pub &'a [f32], pub &'a [f32], pub &'a mut [f32]);

impl<F: Zip> Kernel for ZipKernel<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let ZipKernel(f, a, b, y) = self;
        let (a_full, a_rest) = a.as_chunks::<LANES>();
        let (b_full, b_rest) = b.as_chunks::<LANES>();
        let (y_full, y_rest) = y.as_chunks_mut::<LANES>();
        for ((a, b), y) in a_full.iter().zip(b_full).zip(y_full) {
            f.apply(isa, isa.load(a), isa.load(b)).store(y);
        }
        if !y_rest.is_empty() {
            let (a, b) = (isa.load_partial(a_rest, 0.0), isa.load_partial(b_rest, 0.0));
            f.apply(isa, a, b).store_partial(y_rest);
        }
    }
}

/// The loop of [`zip_update`] over one pair of slices.
pub(crate) struct ZipUpdateKernel<'a, F>(pub F, pub &'a mut [f32], pub &'a [f32]);

impl<F: Zip> Kernel for ZipUpdateKernel<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let ZipUpdateKernel(f, y, b) = self;
        let (b_full, b_rest) = b.as_chunks::<LANES>();
        let (y_full, y_rest) = y.as_chunks_mut::<LANES>();
        for (b, y) in b_full.iter().zip(y_full) {
            f.apply(isa, isa.load(y), isa.load(b)).store(y);
        }
        if !y_rest.is_empty() {
            let (y, b) = (isa.load_partial(y_rest, 0.0), isa.load_partial(b_rest, 0.0));
            f.apply(isa, y, b).store_partial(y_rest);
        }
    }
}

/// `y[i] = f(x[i])`
///
/// # Panics
/// When the lengths differ.
#[track_caller]
pub fn map(f: impl Map, x: &[f32], y: &mut [f32]) {
    assert!(x.len() == y.len(), "map: x and y need the same length, got {} and {}", x.len(), y.len());
    parallel::for_each_part(Chunks::new(y, CHUNK), |i, y| {
        dispatch(MapKernel(f, &x[i * CHUNK..][..y.len()], y));
    });
}

/// `y[i] = f(y[i])`
pub fn update(f: impl Map, y: &mut [f32]) {
    parallel::for_each_part(Chunks::new(y, CHUNK), |_, y| dispatch(UpdateKernel(f, y)));
}

/// `y[i] = f(a[i], b[i])`
///
/// # Panics
/// When the lengths differ.
#[track_caller]
pub fn zip(f: impl Zip, a: &[f32], b: &[f32], y: &mut [f32]) {
    let lengths = (a.len(), b.len(), y.len());
    assert!(
        lengths.0 == lengths.2 && lengths.1 == lengths.2,
        "zip: a, b and y need the same length, got {}, {} and {}",
        lengths.0,
        lengths.1,
        lengths.2
    );
    parallel::for_each_part(Chunks::new(y, CHUNK), |i, y| {
        let start = i * CHUNK;
        dispatch(ZipKernel(f, &a[start..][..y.len()], &b[start..][..y.len()], y));
    });
}

/// `y[i] = f(y[i], b[i])`
///
/// # Panics
/// When the lengths differ.
#[track_caller]
pub fn zip_update(f: impl Zip, y: &mut [f32], b: &[f32]) {
    assert!(y.len() == b.len(), "zip_update: y and b need the same length, got {} and {}", y.len(), b.len());
    parallel::for_each_part(Chunks::new(y, CHUNK), |i, y| {
        dispatch(ZipUpdateKernel(f, y, &b[i * CHUNK..][..y.len()]));
    });
}

/// The loop of [`sum_of`] over one slice.
pub(crate) struct SumKernel<'a, F>(pub F, pub &'a [f32]);

impl<F: Map> Kernel for SumKernel<'_, F> {
    type Output = f32;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        let SumKernel(f, x) = self;
        let (full, rest) = x.as_chunks::<LANES>();
        let mut sums = isa.splat(0.0);
        for x in full {
            sums = sums + f.apply(isa, isa.load(x));
        }
        if !rest.is_empty() {
            // The lanes behind the end must add nothing, whatever f(0) is.
            let mut padded = [0.0; LANES];
            f.apply(isa, isa.load_partial(rest, 0.0)).store_partial(&mut padded[..rest.len()]);
            sums = sums + isa.load(&padded);
        }
        sums.fold_sum()
    }
}

/// The sum of `f(x[i])`.
pub fn sum_of(f: impl Map, x: &[f32]) -> f32 {
    if x.len() <= CHUNK {
        return dispatch(SumKernel(f, x));
    }
    let parts = parallel::map(x.len().div_ceil(CHUNK), |i| {
        dispatch(SumKernel(f, &x[i * CHUNK..x.len().min((i + 1) * CHUNK)]))
    });
    parts.into_iter().fold(0.0, |total, part| total + part)
}

/// The sum of a slice.
pub fn sum(x: &[f32]) -> f32 {
    sum_of(Identity, x)
}

/// The function that changes nothing, for plain sums.
#[derive(Clone, Copy)]
pub struct Identity;

impl Map for Identity {
    #[inline(always)]
    fn apply<I: Isa>(self, _: I, x: I::F32) -> I::F32 {
        x
    }
}

/// `a + scale * b`, fused: the step of every optimiser and the accumulation of every gradient.
#[derive(Clone, Copy)]
pub struct AddScaled(pub f32);

impl Zip for AddScaled {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, a: I::F32, b: I::F32) -> I::F32 {
        b.mul_add(isa.splat(self.0), a)
    }
}
