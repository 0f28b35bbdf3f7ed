//! Convolution of many images at once, innermost in memory: im2col as a view, with nothing packed but the weights.
//!
//! With [images last](crate::ops::images_last), what a tap sees at all positions of a row of the output, in all images, is one stretch of
//! memory, so a product by `gemm/rows.rs` needs to know no more than where each stretch begins:
//!
//! ```text
//! y[o][y, (x, n)]  = bias[o] + Σ_q W[o, q] · x[channel, y · stride + i · dilation][(x + j · dilation, n)]      q = (channel, i, j)
//! dx[c][y, (x, n)] = Σ_r Wᵀ[c, r] · dy[o, …][(…, n)]                                                        r = (o, i, j)
//! ```
//!
//! Forward, images are padded by a copy first, so all taps exist everywhere. Backward *gathers*: a pixel of dx sums over the windows that
//! saw it, in one chain, and the taps for which there is none are left out; so nothing is scattered and no zero is multiplied. Pixels of a
//! row with the same taps make one product; in the middle of the row that is most of them.
//!
//! Before, images were unrolled one by one in the cache; on Zen 4 that took a tenth of an epoch of LeNet, and the products themselves were
//! no faster.
//!
//! A single image lies images last, too, and wide rows are long enough by themselves.
//!
//! What this is not: for few images, whose stretches are short, or for many filters: see `filters.rs`. Next: `weight.rs`.

use std::cell::Cell;
use std::ops::Range;

use super::sizes::{Order, Sizes};
use crate::Tensor;
use crate::gemm::{Listed, Matrix, MatrixMut, Packed, Start, Step, multiply_rows, pack_left, tile_rows};
use crate::ops::window::Seen;
use crate::parallel::{self, Scratch};
use crate::simd::LANES;

thread_local! {
    /// Room for a product's list of steps, taken while it is used.
    pub(super) static STEPS: Cell<Vec<Step>> = const { Cell::new(Vec::new()) };
}

/// Whether this way is taken for few images, one by one: for rows of some vectors, side by side in the image, where windows are so small
/// that it would not pay to bring their sums into another order (see `filters.rs`).
pub(super) fn pays_for_each(sizes: &Sizes) -> bool {
    let Sizes { oc, ref grid, ref window, .. } = *sizes;
    let is_small = oc < LANES || grid.taps() < 4 * LANES;
    window.stride.w == 1 && grid.output.w >= 4 * LANES && is_small && oc * grid.taps() > 0
}

/// How a row of the output is cut into tasks, in whole positions: more tasks where there are few rows.
fn positions_per_task(width: usize, rows: usize) -> usize {
    const TASKS: usize = 16;
    let parts = TASKS.div_ceil(rows.max(1));
    // A row is cut evenly, since cuts repeat from row to row.
    let even = (parts..=width).find(|parts| width.is_multiple_of(*parts)).unwrap_or(width);
    width / even.max(1)
}

/// y = bias + W · taps. `x` is padded, and lies images last, as `y` does.
pub(super) fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, sizes: &Sizes, y: &mut Tensor) {
    let Sizes { oc, groups, ref grid, ref window, .. } = *sizes;
    let Order { batches, images: n } = sizes.order();
    let (output, wide, taps) = (grid.output, grid.image.w, grid.taps());
    let (stride, x) = (window.stride, x.memory());
    let per_task = positions_per_task(output.w, output.h * batches * groups);
    // Side by side in the image, positions make one run; with a larger stride each is a run of its own.
    let run = if stride.w == 1 { per_task } else { 1 };

    let mr = tile_rows(oc, run * n);
    let packed_size = Packed::size(oc, taps, mr);
    let mut packed = Scratch::new(groups * packed_size);
    for (group, memory) in packed.chunks_exact_mut(packed_size).enumerate() {
        pack_left(&Matrix::new(&weight.data()[group * oc * taps..][..oc * taps], oc, taps), mr, memory);
    }
    let packed = &packed[..];
    let mut steps = STEPS.take();
    steps.clear();
    steps.extend(grid.offsets().iter().enumerate().map(|(column, offset)| Step { column, row: offset * n }));

    let y = MatrixMut::new(y.memory_mut(), batches * groups * oc, output.h * output.w * n);
    let across = output.h * output.w / per_task;
    parallel::for_each_part(y.split_grid(oc, per_task * n), |task, mut y| {
        let (at, first) = (task / across, task % across * per_task);
        let (group, row, column) = (at % groups, first / output.w, first % output.w);
        let image = &x[at * sizes.padded_group() * n..][..sizes.padded_group() * n];
        let weights = Packed::of(&packed[group * packed_size..][..packed_size], oc, taps, mr);
        let start = match bias {
            Some(bias) => Start::PerRow(&bias.data()[group * oc..][..oc]),
            None => Start::Zero,
        };
        for i in (0..per_task).step_by(run) {
            let from = row * stride.h * wide + (column + i) * stride.w;
            let rows = Listed { data: &image[from * n..], steps: &steps };
            multiply_rows(start, &weights, rows, y.block(0, i * n, oc, run * n));
        }
    });
    STEPS.set(steps);
}

/// dx by gathering. `dy` lies images last, as `dx` does.
pub(super) fn backward_input(dy: &Tensor, weight: &Tensor, sizes: &Sizes, dx: &mut Tensor) {
    let Sizes { c, oc, groups, image, ref grid, ref window, .. } = *sizes;
    let Order { batches, images: n } = sizes.order();
    let (output, kernel) = (grid.output, window.kernel);
    let (places, depth) = (kernel.h * kernel.w, oc * kernel.h * kernel.w);
    let per_task = positions_per_task(image.w, image.h * batches * groups);

    // For each group Wᵀ as [c, (o, i, j)], packed.
    let mr = tile_rows(c, n);
    let packed_size = Packed::size(c, depth, mr);
    let mut packed = Scratch::new(groups * packed_size);
    let mut transposed = Scratch::new(c * depth);
    for (group, memory) in packed.chunks_exact_mut(packed_size).enumerate() {
        for (at, from) in weight.data()[group * c * depth..][..c * depth].chunks_exact(places).enumerate() {
            let (o, channel) = (at / c, at % c);
            transposed[channel * depth + o * places..][..places].copy_from_slice(from);
        }
        pack_left(&Matrix::new(&transposed, c, depth), mr, memory);
    }
    let (packed, dy) = (&packed[..], dy.memory());
    // The kernel's columns that saw a column of the image, and where.
    let columns = |x: usize| window.columns().seen(x, output.w);

    let dx = MatrixMut::new(dx.memory_mut(), batches * groups * c, image.h * image.w * n);
    let across = image.h * image.w / per_task;
    parallel::for_each_part(dx.split_grid(c, per_task * n), |task, mut dx| {
        let (at, first) = (task / across, task % across * per_task);
        let (group, y, x) = (at % groups, first / image.w, first % image.w);
        let group_size = sizes.output_group() * n;
        let dy = &dy[at * group_size..][..group_size];
        let weights = Packed::of(&packed[group * packed_size..][..packed_size], c, depth, mr);
        let rows = window.rows().seen(y, output.h);
        let mut steps = STEPS.take();
        for run in runs(x..x + per_task, columns) {
            steps.clear();
            for row in rows.clone() {
                for column in columns(run.start) {
                    let position = row.window * output.w + column.window;
                    steps.push(Step { column: row.tap * kernel.w + column.tap, row: position * n });
                }
            }
            // The same for every filter, a plane of dy and a kernel further on.
            let seen = steps.len();
            for o in 1..oc {
                steps.extend_from_within(..seen);
                for step in &mut steps[o * seen..] {
                    step.column += o * places;
                    step.row += o * output.h * output.w * n;
                }
            }
            let block = dx.block(0, (run.start - x) * n, c, run.len() * n);
            multiply_rows(Start::Zero, &weights, Listed { data: dy, steps: &steps }, block);
        }
        STEPS.set(steps);
    });
}

/// Cuts columns into runs in which one is seen by the same taps as the one before it, each by the next window: their pixels, and what
/// sees them, lie side by side.
fn runs<S: Iterator<Item = Seen>>(
    columns: Range<usize>,
    seen: impl Fn(usize) -> S,
) -> impl Iterator<Item = Range<usize>> {
    let continues = move |column: usize| {
        seen(column - 1).map(|seen| Seen { window: seen.window + 1, ..seen }).eq(seen(column))
    };
    let mut start = columns.start;
    std::iter::from_fn(move || {
        let first = start;
        start += 1;
        while start < columns.end && continues(start) {
            start += 1;
        }
        (first < columns.end).then_some(first..start)
    })
}
