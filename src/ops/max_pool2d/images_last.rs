//! Max pooling of many images at once, innermost in memory: windows of any geometry without shuffling a lane.
//!
//! With [images last](crate::ops::images_last), a place of a window is a stretch of as many numbers as there are images, and so is its
//! maximum. Forward goes through a window's places, sixteen images at a time. Backward goes through the pixels and *gathers*: each takes the
//! gradient of every window that saw it, in the images in which it won.
//!
//! Passes over memory: as the header of `mod.rs` counts them; a 2x2 window's dy and winners are read four times, from the first-level cache.
//!
//! Next: `../avg_pool2d.rs`.

use super::{Planes, larger};
use crate::ops::images_last;
use crate::ops::window::{Axis, Pair, Seen};
use crate::parallel::{self, Chunks};
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};
use crate::tensor::buffer::Bytes;
use crate::{Shape, Tensor};

/// The maxima and their winners, both images last.
pub(super) fn forward(x: &Tensor, planes: &Planes) -> (Tensor, Bytes) {
    let x = images_last::images_last(x, 0.into());
    let [n, c, oh, ow] = std::array::from_fn(|axis| planes.output[axis]);
    let mut y = images_last::empty(n, c, Pair { h: oh, w: ow });
    let mut winners = Bytes::new(y.numel());
    let parts = (Chunks::new(y.memory_mut(), ow * n), Chunks::new(&mut winners, ow * n));
    parallel::for_each_part(parts, |at, (y, winners)| {
        let plane = planes.h * planes.w * n;
        let x = &x.memory()[at / oh * plane..][..plane];
        dispatch(Forward { x, y, winners, planes, n, row: at % oh });
    });
    (y, winners)
}

/// dx, images last.
pub(super) fn backward(dy: &Tensor, winners: &[u8], shape: Shape, planes: &Planes) -> Tensor {
    let dy = images_last::images_last(dy, 0.into());
    let [n, c, h, w] = std::array::from_fn(|axis| shape[axis]);
    let mut dx = images_last::empty(n, c, Pair { h, w });
    parallel::for_each_part(Chunks::new(dx.memory_mut(), w * n), |at, dx| {
        let plane = planes.windows() * n;
        let first = at / h * plane;
        let (dy, winners) = (&dy.memory()[first..][..plane], &winners[first..][..plane]);
        dispatch(Backward { dy, winners, dx, planes, n, row: at % h });
    });
    dx
}

/// By which windows one of `size` places is seen, with its number among the real places of each in place of the tap.
fn seen(axis: Axis, place: usize, windows: usize, size: usize) -> impl Iterator<Item = Seen> {
    axis.seen(place, windows)
        .map(move |seen| Seen { tap: seen.tap - axis.taps(seen.window, size).start, ..seen })
}

/// One row of windows of one channel.
struct Forward<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    winners: &'a mut [u8],
    planes: &'a Planes,
    n: usize,
    row: usize,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Forward { x, y, winners, planes, n, row } = self;
        let (rows, dilation) = (planes.rows[row], planes.window.dilation);
        let outputs = y.chunks_exact_mut(n).zip(winners.chunks_exact_mut(n));
        for (columns, (y, winners)) in planes.columns.iter().zip(outputs) {
            if rows.len == 0 || columns.len == 0 {
                y.fill(f32::NEG_INFINITY);
                winners.fill(0);
                continue;
            }
            let place = |i: usize, j: usize| {
                let (row, column) = (rows.first + i * dilation.h, columns.first + j * dilation.w);
                &x[(row * planes.w + column) * n..][..n]
            };
            // Four places are what most windows have: their stretches stay at hand.
            if (rows.len, columns.len) == (2, 2) {
                largest_of(isa, [place(0, 0), place(0, 1), place(1, 0), place(1, 1)], y, winners);
                continue;
            }
            y.copy_from_slice(place(0, 0));
            winners.fill(0);
            for number in 1..rows.len * columns.len {
                let challenger = place(number / columns.len, number % columns.len);
                challenge(isa, challenger, number, y, winners);
            }
        }
    }
}

/// The largest of four, image by image, and its number.
#[inline(always)]
fn largest_of<I: Isa>(isa: I, places: [&[f32]; 4], y: &mut [f32], winners: &mut [u8]) {
    let (y_full, y_rest) = y.as_chunks_mut::<LANES>();
    let (winners_full, winners_rest) = winners.as_chunks_mut::<LANES>();
    let [a, b, c, d] = places;
    let (a, b) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let (c, d) = (c.as_chunks::<LANES>(), d.as_chunks::<LANES>());
    for (i, (y, winners)) in y_full.iter_mut().zip(winners_full).enumerate() {
        let (a, b) = (isa.load(&a.0[i]), isa.load(&b.0[i]));
        let (c, d) = (isa.load(&c.0[i]), isa.load(&d.0[i]));
        let (largest, number) = largest_of_four(isa, a, b, c, d);
        largest.store(y);
        *winners = number.to_array().map(|number| number.to_bits() as u8);
    }
    if !y_rest.is_empty() {
        let (a, b) = (isa.load_partial(a.1, 0.0), isa.load_partial(b.1, 0.0));
        let (c, d) = (isa.load_partial(c.1, 0.0), isa.load_partial(d.1, 0.0));
        let (largest, number) = largest_of_four(isa, a, b, c, d);
        largest.store_partial(y_rest);
        store_bytes(number, winners_rest);
    }
}

/// The largest of four, and its number as the bits of a whole number: it is chosen and moved, nothing is computed with it.
#[inline(always)]
fn largest_of_four<I: Isa>(isa: I, a: I::F32, b: I::F32, c: I::F32, d: I::F32) -> (I::F32, I::F32) {
    let top = larger::<I>((a, isa.splat(0.0)), (b, isa.splat(f32::from_bits(1))));
    let bottom = larger::<I>((c, isa.splat(f32::from_bits(2))), (d, isa.splat(f32::from_bits(3))));
    larger::<I>(top, bottom)
}

/// Puts one more place of the windows beside the largest so far.
#[inline(always)]
fn challenge<I: Isa>(isa: I, place: &[f32], number: usize, y: &mut [f32], winners: &mut [u8]) {
    let number = isa.splat(f32::from_bits(number as u32));
    let chunks = y.chunks_mut(LANES).zip(winners.chunks_mut(LANES));
    for ((y, winners), place) in chunks.zip(place.chunks(LANES)) {
        let old =
            (isa.load_partial(y, 0.0), load_bytes(isa, winners, |byte| f32::from_bits(u32::from(byte))));
        let best = larger::<I>(old, (isa.load_partial(place, 0.0), number));
        best.0.store_partial(y);
        store_bytes(best.1, winners);
    }
}

/// One row of pixels of one channel.
struct Backward<'a> {
    dy: &'a [f32],
    winners: &'a [u8],
    dx: &'a mut [f32],
    planes: &'a Planes,
    n: usize,
    row: usize,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Backward { dy, winners, dx, planes, n, row } = self;
        let (across, down) = (planes.window.columns(), planes.window.rows());
        for (x, dx) in dx.chunks_exact_mut(n).enumerate() {
            let mut is_first = true;
            for row in seen(down, row, planes.rows.len(), planes.h) {
                for column in seen(across, x, planes.columns.len(), planes.w) {
                    // The pixel's number among the real places of the window.
                    let number = row.tap * planes.columns[column.window].len + column.tap;
                    let at = (row.window * planes.columns.len() + column.window) * n;
                    let (dy, winners) = (&dy[at..][..n], &winners[at..][..n]);
                    if is_first {
                        take(isa, dy, winners, number, dx, |_, taken| taken);
                    } else {
                        take(isa, dy, winners, number, dx, |before, taken| before + taken);
                    }
                    is_first = false;
                }
            }
            if is_first {
                dx.fill(0.0); // no window sees this pixel
            }
        }
    }
}

/// Adds dy to dx in the images in which the pixel of this number won.
#[inline(always)]
fn take<I: Isa>(
    isa: I,
    dy: &[f32],
    winners: &[u8],
    number: usize,
    dx: &mut [f32],
    add: impl Fn(I::F32, I::F32) -> I::F32,
) {
    let (number, zero) = (isa.splat(number as f32), isa.splat(0.0));
    let taken = |dy: I::F32, winner: I::F32| winner.where_eq(number, dy, zero);
    let ((dy_full, dy_rest), (winners_full, winners_rest)) =
        (dy.as_chunks::<LANES>(), winners.as_chunks::<LANES>());
    let (dx_full, dx_rest) = dx.as_chunks_mut::<LANES>();
    for (dx, (dy, winners)) in dx_full.iter_mut().zip(dy_full.iter().zip(winners_full)) {
        let winner = isa.load(&winners.map(f32::from));
        add(isa.load(dx), taken(isa.load(dy), winner)).store(dx);
    }
    if !dx_rest.is_empty() {
        let taken = taken(isa.load_partial(dy_rest, 0.0), load_bytes(isa, winners_rest, f32::from));
        add(isa.load_partial(dx_rest, 0.0), taken).store_partial(dx_rest);
    }
}

/// Up to sixteen bytes, each as a number or as the bits of one.
#[inline(always)]
fn load_bytes<I: Isa>(isa: I, from: &[u8], number: impl Fn(u8) -> f32) -> I::F32 {
    let mut numbers = [0.0; LANES];
    for (to, &byte) in numbers.iter_mut().zip(from) {
        *to = number(byte);
    }
    isa.load(&numbers)
}

/// Up to sixteen bytes, from the bits of whole numbers.
#[inline(always)]
fn store_bytes(vector: impl Lanes, to: &mut [u8]) {
    for (to, number) in to.iter_mut().zip(vector.to_array()) {
        *to = number.to_bits() as u8;
    }
}
