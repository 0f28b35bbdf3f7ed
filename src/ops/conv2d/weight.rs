//! The gradient of a convolution's weights without im2col: rows of dy against rows of the images.
//!
//! With [images last](crate::ops::images_last), what tap q sees at the positions of a row of the output, in all images, is one stretch of
//! memory, as dy of a filter is. So
//!
//! ```text
//! dW[o, q] = Σ_y Σ_p dy[o, y][p] · stretch[q, y][p]        p = (x, n)
//! ```
//!
//! is a sum of dot products of stretches. Nothing is packed; sixteen products are added at a time. A tile of some filters by some taps is
//! held in registers, each with sixteen partial sums, while a block of rows passes by:
//!
//! ```text
//! 4 filters × 5 taps: 20 (sums) + 5 (image) + 1 (dy) = 26 of 32 vectors, 9 loads for 20 multiply-adds
//! 3 filters × 5 taps: 15        + 5         + 1      = 21 of 32 (for six filters, as LeNet's first layer has)
//! 2 filters × 2 taps:  4        + 2         + 1      =  7 of 8  (AVX2, NEON)
//! ```
//!
//! The sum of an element is the same for every tile: sixteen partial sums over a block of rows in order, folded in the fixed order, and the
//! blocks' sums added in order.
//!
//! What this is not: GEMM, whose chains go along k one number at a time. `mod.rs` chooses by sizes alone, so the same layer always
//! takes the same way. Next: `filters.rs`.

use super::sizes::{Order, Sizes};
use crate::gemm::MatrixMut;
use crate::parallel::Scratch;
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};
use crate::{Tensor, parallel};

/// Blocks of rows that are summed each by itself, for threads to share and for precision. Fewer where dW is large: every block has one.
const BLOCKS: usize = 16;
/// Elements of dW for all blocks.
const SUMS: usize = 1 << 18;

/// dW as `[blocks, groups · oc, taps]`, to be added over blocks. `x` is padded, and lies images last, as `dy` does.
pub(super) fn gradient(dy: &Tensor, x: &Tensor, sizes: &Sizes) -> Tensor {
    let Sizes { oc, groups, ref grid, .. } = *sizes;
    let Order { batches, images } = sizes.order();
    let (taps, rows) = (grid.taps(), batches * grid.output.h);
    let blocks = (SUMS / (groups * oc * taps)).clamp(1, BLOCKS.min(rows));
    let per_block = rows.div_ceil(blocks);
    let blocks = rows.div_ceil(per_block);
    // With few blocks, a task is some of the filters of one group instead of all.
    let filters = oc.div_ceil(BLOCKS.div_ceil(blocks * groups)).next_multiple_of(4).min(oc);
    let per_group = oc.div_ceil(filters);
    let mut sums = Tensor::empty([blocks, groups * oc, taps]);
    let tasks = MatrixMut::new(sums.data_mut(), blocks * groups * oc, taps);
    let (dy, x) = (dy.memory(), x.memory());
    parallel::for_each_part(tasks.split_groups(oc, filters), |task, mut dw| {
        let (part, group) = (task % per_group, task / per_group % groups);
        let first = task / per_group / groups * per_block;
        let block = Block {
            dy: &dy[(group * oc + part * filters) * grid.positions() * images..],
            x: &x[group * sizes.padded_group() * images..],
            filters: dw.rows(),
            rows: (first, rows.min(first + per_block)),
            sizes,
        };
        let dw = dw.as_slice_mut();
        let mut partials = Scratch::new(dw.len() * LANES);
        dispatch(Correlate { block, partials: partials.as_chunks_mut().0, dw });
    });
    sums
}

/// Some filters of one group over a block of rows of the output.
#[derive(Clone, Copy)]
struct Block<'a> {
    /// From the first of these filters on.
    dy: &'a [f32],
    /// The channels of the group, padded.
    x: &'a [f32],
    filters: usize,
    /// The first row, and the one behind the last, counted through all batches.
    rows: (usize, usize),
    sizes: &'a Sizes,
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
    let offsets = block.sizes.grid.offsets();
    let taps = offsets.len();
    for tap in (0..taps).step_by(T) {
        for filter in (0..block.filters).step_by(F) {
            // Behind the last filter or tap, the last one is computed again and not stored.
            let filters: [usize; F] = std::array::from_fn(|f| (filter + f).min(block.filters - 1));
            let offsets: [usize; T] = std::array::from_fn(|t| offsets[(tap + t).min(taps - 1)]);
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
    let Block { dy, x, rows, sizes, .. } = block;
    let (n, grid, stride) = (sizes.order().images, &sizes.grid, sizes.window.stride);
    let output = grid.output;
    // Side by side in the image, positions make one run; with a larger stride each is a run of its own.
    let (runs, positions) = if stride.w == 1 { (1, output.w) } else { (output.w, 1) };
    let length = positions * n;
    let (steps, rest) = (length / LANES, length % LANES);
    let mut sums = [[isa.splat(0.0); T]; F];
    for row in rows.0..rows.1 {
        let (batch, row) = (row / output.h, row % output.h);
        let dy = &dy[batch * sizes.groups * sizes.output_group() * n..];
        let x = &x[batch * sizes.padded_image() * n..];
        for run in 0..runs {
            let mut gradients = [&dy[..0]; F];
            for f in 0..F {
                gradients[f] = &dy[(filters[f] * grid.positions() + row * output.w + run) * n..][..length];
            }
            let mut stretches = [&x[..0]; T];
            for t in 0..T {
                let from = offsets[t] + row * stride.h * grid.image.w + run * stride.w;
                stretches[t] = &x[from * n..][..length];
            }
            for step in 0..steps {
                let mut seen = [isa.splat(0.0); T];
                for t in 0..T {
                    seen[t] = isa.load(&stretches[t].as_chunks::<LANES>().0[step]);
                }
                for f in 0..F {
                    let dy = isa.load(&gradients[f].as_chunks::<LANES>().0[step]);
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
                    let dy = isa.load_partial(&gradients[f][steps * LANES..], 0.0);
                    for t in 0..T {
                        sums[f][t] = dy.mul_add(seen[t], sums[f][t]);
                    }
                }
            }
        }
    }
    sums
}
