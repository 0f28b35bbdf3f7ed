//! The gradient of a convolution's weights without im2col: the gradient's planes against the unrolled image's stretches.
//!
//! In an image unrolled along the kernel's columns ([`im2row`](super::im2row)), what tap q sees at all positions is one contiguous
//! stretch, as dy of a filter is. So
//!
//! ```text
//! dW[o, q] = Σ_p dy[o][p] · stretch_q[p]
//! ```
//!
//! is a dot product of two stretches of memory. Nothing is packed; sixteen positions are multiplied at a time. A tile of some filters by
//! some taps is held in registers, each with sixteen partial sums, while all images of a block pass by:
//!
//! ```text
//! 4 filters × 5 taps: 20 (sums) + 5 (image) + 1 (dy) = 26 of 32 vectors, 9 loads for 20 multiply-adds
//! 3 filters × 5 taps: 15        + 5         + 1      = 21 of 32 (for six filters, as LeNet's first layer has)
//! 2 filters × 2 taps:  4        + 2         + 1      =  7 of 8  (AVX2, NEON)
//! ```
//!
//! The sum of an element is the same for every tile: sixteen partial sums over the positions of a block's images in order, folded in the
//! fixed order.
//!
//! What this is not: GEMM, whose chains go along k one number at a time. `mod.rs` chooses by sizes alone, so the same layer always
//! takes the same way. Next: `../max_pool2d.rs`.

use super::im2row::Unrolled;
use super::sizes::BLOCK;
use crate::parallel::Scratch;
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};

/// dW of one group over a block of images. `image` and `dy` give, for each image of the block, its channels of the group and the gradients
/// of the filters meant; `dw` is [filters, taps].
pub(super) fn gradient<'a>(
    count: usize,
    image: impl Fn(usize) -> &'a [f32],
    dy: impl Fn(usize) -> &'a [f32],
    filters: usize,
    unrolled: &Unrolled,
    dw: &mut [f32],
) {
    let partials = filters * unrolled.offsets().len() * LANES;
    let room = unrolled.size() + LANES;
    let mut scratch = Scratch::new(partials + count * room);
    let (partials, images) = scratch.split_at_mut(partials);
    for (i, memory) in images.chunks_exact_mut(room).enumerate() {
        unrolled.unroll(image(i), memory);
    }
    // At most BLOCK images.
    let mut gradients: [&[f32]; BLOCK] = [&[]; BLOCK];
    for (i, gradient) in gradients[..count].iter_mut().enumerate() {
        *gradient = dy(i);
    }
    let (positions, offsets) = (unrolled.positions(), unrolled.offsets());
    let block = Block { images, room, gradients: &gradients[..count], positions, filters, offsets };
    dispatch(Correlate { block, partials: partials.as_chunks_mut().0, dw });
}

/// A block of unrolled images, and the gradients of their filters.
#[derive(Clone, Copy)]
struct Block<'a> {
    images: &'a [f32],
    room: usize,
    gradients: &'a [&'a [f32]],
    positions: usize,
    filters: usize,
    offsets: &'a [usize],
}

struct Correlate<'a> {
    block: Block<'a>,
    /// Sixteen partial sums for each element of dW.
    partials: &'a mut [[f32; LANES]],
    dw: &'a mut [f32],
}

impl Kernel for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Correlate { block, partials, dw } = self;
        if I::VECTORS < 32 {
            all_tiles::<I, 2, 2>(isa, block, partials);
        } else if block.filters.next_multiple_of(3) < block.filters.next_multiple_of(4) {
            all_tiles::<I, 3, 5>(isa, block, partials);
        } else {
            all_tiles::<I, 4, 5>(isa, block, partials);
        }
        for (partials, dw) in partials.chunks(LANES).zip(dw.chunks_mut(LANES)) {
            let mut rows = [isa.splat(0.0); LANES];
            for (row, partial) in rows.iter_mut().zip(partials) {
                *row = isa.load(partial);
            }
            let sums = I::F32::fold_sums(rows);
            match dw.first_chunk_mut::<LANES>() {
                Some(full) => sums.store(full),
                None => sums.store_partial(dw),
            }
        }
    }
}

#[inline(always)]
fn all_tiles<I: Isa, const F: usize, const T: usize>(isa: I, block: Block, partials: &mut [[f32; LANES]]) {
    let taps = block.offsets.len();
    for filter in (0..block.filters).step_by(F) {
        for tap in (0..taps).step_by(T) {
            // Behind the last filter or tap, the last one is computed again and not stored.
            let filters: [usize; F] = std::array::from_fn(|f| (filter + f).min(block.filters - 1));
            let offsets: [usize; T] = std::array::from_fn(|t| block.offsets[(tap + t).min(taps - 1)]);
            let sums = tile(isa, block, filters, offsets);
            for f in 0..F {
                for t in 0..T {
                    if filter + f < block.filters && tap + t < taps {
                        sums[f][t].store(&mut partials[(filter + f) * taps + tap + t]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn tile<I: Isa, const F: usize, const T: usize>(
    isa: I,
    block: Block,
    filters: [usize; F],
    offsets: [usize; T],
) -> [[I::F32; T]; F] {
    let Block { images, room, gradients, positions, .. } = block;
    let mut sums = [[isa.splat(0.0); T]; F];
    let (steps, rest) = (positions / LANES, positions % LANES);
    for (image, gradient) in images.chunks_exact(room).zip(gradients) {
        let mut planes = [&image[..0]; F];
        for f in 0..F {
            planes[f] = &gradient[filters[f] * positions..][..positions];
        }
        let mut stretches = [&image[..0]; T];
        for t in 0..T {
            stretches[t] = &image[offsets[t]..][..positions];
        }
        for step in 0..steps {
            let mut seen = [isa.splat(0.0); T];
            for t in 0..T {
                seen[t] = isa.load(&stretches[t].as_chunks::<LANES>().0[step]);
            }
            for f in 0..F {
                let dy = isa.load(&planes[f].as_chunks::<LANES>().0[step]);
                for t in 0..T {
                    sums[f][t] = dy.mul_add(seen[t], sums[f][t]);
                }
            }
        }
        if rest > 0 {
            let mut seen = [isa.splat(0.0); T];
            for t in 0..T {
                seen[t] = isa.load_partial(&stretches[t][steps * LANES..], 0.0);
            }
            for f in 0..F {
                let dy = isa.load_partial(&planes[f][steps * LANES..], 0.0);
                for t in 0..T {
                    sums[f][t] = dy.mul_add(seen[t], sums[f][t]);
                }
            }
        }
    }
    sums
}
