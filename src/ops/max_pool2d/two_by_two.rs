//! 2x2 windows side by side over single images, sixteen windows at a time: 32 numbers of two rows, parted into even and odd columns.
//!
//! A row of LeNet's images has 12 or 4 windows, fewer than the lanes. So a vector reads on into the next row, and writes on into the
//! next row of the output, which is written later, over what is wrong there. Only at the end of a chunk, where there is nothing to run on
//! into, do windows come one by one.
//!
//! What this is not: the way of a training batch, which is `images_last.rs`. Next: `images_last.rs`.

use super::{Planes, beats, larger};
use crate::simd::{Isa, Kernel, LANES, Lanes};

/// The maxima and winners of some planes.
pub(super) struct TwoByTwoForward<'a> {
    pub x: &'a [f32],
    pub y: &'a mut [f32],
    pub winners: &'a mut [u8],
    pub planes: &'a Planes,
}

impl Kernel for TwoByTwoForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let TwoByTwoForward { x, y, winners, planes } = self;
        let (h, w, oh, ow) = (planes.h, planes.w, planes.rows.len(), planes.columns.len());
        // Winners are chosen and moved as the bits of whole numbers; nothing is computed with them.
        let [zero, one, two] = [0, 1, 2].map(|n| isa.splat(f32::from_bits(n)));
        for row in 0..y.len() / ow {
            let input = (row / oh * h + row % oh * 2) * w;
            for j in (0..ow).step_by(LANES) {
                let (from, to) = (input + 2 * j, row * ow + j);
                if from + w + 2 * LANES > x.len() || to + LANES > y.len() {
                    for to in to..to + LANES.min(ow - j) {
                        let from = input + 2 * (to - row * ow);
                        (y[to], winners[to]) =
                            largest_of_four([x[from], x[from + 1], x[from + w], x[from + w + 1]]);
                    }
                    continue;
                }
                let (top, bottom) = (lanes_at(x, from), lanes_at(x, from + w));
                let (top_next, bottom_next) = (lanes_at(x, from + LANES), lanes_at(x, from + w + LANES));
                let (left, right) = isa.load(top).deinterleave(isa.load(top_next));
                let top = larger::<I>((left, zero), (right, one));
                let (left, right) = isa.load(bottom).deinterleave(isa.load(bottom_next));
                let bottom = larger::<I>((left, zero), (right, one));
                // Left or right in the first bit, top or bottom in the second.
                let (largest, winner) = larger::<I>(top, (bottom.0, bottom.1.or(two)));
                largest.store(lanes_at_mut(y, to));
                for (byte, winner) in lanes_at_mut(winners, to).iter_mut().zip(winner.to_array()) {
                    *byte = winner.to_bits() as u8;
                }
            }
        }
    }
}

#[inline(always)]
fn largest_of_four(values: [f32; 4]) -> (f32, u8) {
    let (mut largest, mut winner) = (values[0], 0);
    for (number, value) in (0..).zip(values).skip(1) {
        if beats(value, largest) {
            (largest, winner) = (value, number);
        }
    }
    (largest, winner)
}

#[inline(always)]
fn lanes_at<T>(slice: &[T], at: usize) -> &[T; LANES] {
    &slice[at..].as_chunks().0[0]
}

#[inline(always)]
fn lanes_at_mut<T>(slice: &mut [T], at: usize) -> &mut [T; LANES] {
    &mut slice[at..].as_chunks_mut().0[0]
}

/// The adjoint of [`TwoByTwoForward`], row by row of dx, running on into the next row in the same way.
pub(super) struct TwoByTwoBackward<'a> {
    pub dy: &'a [f32],
    pub winners: &'a [u8],
    pub dx: &'a mut [f32],
    pub planes: &'a Planes,
}

impl Kernel for TwoByTwoBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let TwoByTwoBackward { dy, winners, dx, planes } = self;
        let (h, w, oh, ow) = (planes.h, planes.w, planes.rows.len(), planes.columns.len());
        let zero = isa.splat(0.0);
        for row in 0..dx.len() / w {
            let (plane, i) = (row / h, row % h);
            if i == 2 * oh {
                dx[row * w..][..w].fill(0.0); // the last of an odd number of rows lies in no window
                continue;
            }
            // The numbers of a window's left and right place in this row.
            let (left, right) = (i % 2 * 2, i % 2 * 2 + 1);
            for j in (0..ow).step_by(LANES) {
                let (from, to) = ((plane * oh + i / 2) * ow + j, row * w + 2 * j);
                if from + LANES > dy.len() || to + 2 * LANES > dx.len() {
                    for k in 0..LANES.min(ow - j) {
                        let winner = usize::from(winners[from + k]);
                        dx[to + 2 * k] = if winner == left { dy[from + k] } else { 0.0 };
                        dx[to + 2 * k + 1] = if winner == right { dy[from + k] } else { 0.0 };
                    }
                    continue;
                }
                let mut winner = [0.0; LANES];
                for (number, &byte) in winner.iter_mut().zip(lanes_at(winners, from)) {
                    *number = f32::from(byte);
                }
                let (dy, winner) = (isa.load(lanes_at(dy, from)), isa.load(&winner));
                let even = winner.where_eq(isa.splat(left as f32), dy, zero);
                let odd = winner.where_eq(isa.splat(right as f32), dy, zero);
                let (first, last) = even.interleave(odd);
                first.store(lanes_at_mut(dx, to));
                last.store(lanes_at_mut(dx, to + LANES));
            }
            dx[row * w + 2 * ow..(row + 1) * w].fill(0.0);
        }
    }
}
