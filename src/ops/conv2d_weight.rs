//! The gradient of a convolution's weights without im2col: an image's rows against the gradient's rows.
//!
//! With stride 1, the weight of tap q sees at position p what lies in the image at p + offset(q). If dy is laid out with the
//! image's row length (the columns that an output row lacks filled with zeros), position and place in the image run side by
//! side over the whole plane, and
//!
//! ```text
//! dW[o, q] = Σ_p wide[o][p] · image[p + offset(q)]        p = 0 … (oh - 1) · row + ow
//! ```
//!
//! is a dot product of two contiguous stretches of memory. Nothing is packed; sixteen positions are multiplied at a time. A tile
//! of some filters by some taps is held in registers, each with sixteen partial sums, while all images of a block pass by:
//!
//! ```text
//! 4 filters × 5 taps: 20 (sums) + 5 (image) + 1 (dy) = 26 of 32 vectors, 9 loads for 20 multiply-adds
//! 3 filters × 5 taps: 15        + 5         + 1      = 21 of 32 (AVX-512, for six filters as LeNet's first layer has)
//! 2 filters × 2 taps:  4        + 2         + 1      =  7 of 8  (AVX2, NEON)
//! ```
//!
//! The sum of an element is the same for every tile: sixteen partial sums over the positions of a block's images in order, folded
//! in the fixed order. Zeros are multiplied too, (row / ow - 1) of the work, so this pays where output rows are long compared with
//! the kernel and filters are few; elsewhere packing for GEMM costs less (`pays` says where, as measured by `benches/conv.rs`).
//! An infinity or a NaN in the image reaches every weight of its filter here, since it meets those zeros.
//!
//! What this is not: a different gradient. `conv2d.rs` chooses by sizes alone, so the same layer always takes the same way.

use super::im2col::Grid;
use crate::parallel::Scratch;
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};

/// Whether this way is possible and faster than GEMM for a group of `filters` filters.
pub(super) fn pays(grid: &Grid, filters: usize) -> bool {
    let useful = grid.positions() as f64 / stretch(grid).next_multiple_of(LANES) as f64;
    grid.is_unit_stride() && filters <= 128 && useful > 0.6
}

/// Positions from the first to the last, with the image's row length.
fn stretch(grid: &Grid) -> usize {
    (grid.output.h - 1) * grid.image.w + grid.output.w
}

/// dW of one group over a block of images. `images` and `gradients` give, for each image of the block, the padded channels of the
/// group, and dy of the filters meant; `dw` is [filters, taps].
pub(super) fn gradient<'a>(
    count: usize,
    images: impl Fn(usize) -> &'a [f32],
    gradients: impl Fn(usize) -> &'a [f32],
    filters: usize,
    grid: &Grid,
    dw: &mut [f32],
) {
    let wide = stretch(grid).next_multiple_of(LANES);
    let (image_size, taps) = (images(0).len(), grid.taps());
    // Reading sixteen places from the last position on may go beyond the image.
    let image_room = image_size + LANES;
    let mut scratch = Scratch::new(count * (image_room + filters * wide) + filters * taps * LANES);
    let (partials, rest) = scratch.split_at_mut(filters * taps * LANES);
    let (image_copies, wide_gradients) = rest.split_at_mut(count * image_room);
    for (i, copy) in image_copies.chunks_exact_mut(image_room).enumerate() {
        copy[..image_size].copy_from_slice(images(i));
        copy[image_size..].fill(0.0);
    }
    for (i, wide_gradients) in wide_gradients.chunks_exact_mut(filters * wide).enumerate() {
        let planes = gradients(i).chunks_exact(grid.positions());
        for (wide_plane, plane) in wide_gradients.chunks_exact_mut(wide).zip(planes) {
            wide_plane.fill(0.0);
            for (row, from) in wide_plane.chunks_mut(grid.image.w).zip(plane.chunks_exact(grid.output.w)) {
                row[..from.len()].copy_from_slice(from);
            }
        }
    }
    let block = Block {
        images: image_copies,
        image_room,
        gradients: wide_gradients,
        wide,
        filters,
        offsets: grid.offsets(),
    };
    dispatch(Correlate { block, partials: partials.as_chunks_mut().0, dw });
}

/// A block of images, and of gradients with the images' row length.
#[derive(Clone, Copy)]
struct Block<'a> {
    images: &'a [f32],
    image_room: usize,
    gradients: &'a [f32],
    wide: usize,
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
    let Block { images, image_room, gradients, wide, .. } = block;
    let mut sums = [[isa.splat(0.0); T]; F];
    let zero: &[[f32; LANES]] = &[];
    for (image, gradient) in images.chunks_exact(image_room).zip(gradients.chunks_exact(block.filters * wide))
    {
        let mut rows = [zero; F];
        for f in 0..F {
            rows[f] = gradient[filters[f] * wide..][..wide].as_chunks::<LANES>().0;
        }
        let mut places = [&image[..0]; T];
        for t in 0..T {
            places[t] = &image[offsets[t]..][..wide];
        }
        for step in 0..wide / LANES {
            let mut seen = [isa.splat(0.0); T];
            for t in 0..T {
                seen[t] = isa.load(&places[t].as_chunks::<LANES>().0[step]);
            }
            for f in 0..F {
                let dy = isa.load(&rows[f][step]);
                for t in 0..T {
                    sums[f][t] = dy.mul_add(seen[t], sums[f][t]);
                }
            }
        }
    }
    sums
}
