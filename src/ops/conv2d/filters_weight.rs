//! The gradient of many filters' weights: filters side by side in the lanes, windows read where they lie.
//!
//! ```text
//! dWᵀ[q][o] = Σ_p x[offset(q) + base(p)] · dy[p][o]            p: all positions of all images
//! ```
//!
//! is a product whose left side has a row for each tap: what the tap sees at all positions. Rows begin at different places of the padded image
//! and go on alike, so it is read in place, as in `filters.rs`. A few hundred positions are taken at a time; dy is packed for them.
//!
//! Next: `im2col.rs`.

use super::sizes::{Order, Sizes};
use crate::Tensor;
use crate::gemm::{
    Listed, Matrix, MatrixMut, Place, Start, Step, multiply_places, pack_left, tile_for, transpose,
};
use crate::parallel::{self, Scratch};

/// Positions that are taken at a time: their share of dy, 128 KiB for 64 filters, stays in the second-level cache.
const POSITIONS: usize = 512;
/// Sums over positions that are made each by itself, for threads to share and for precision. Fewer where dW is large: every block has one.
const BLOCKS: usize = 16;
/// Elements of dW for all blocks.
const SUMS: usize = 1 << 18;

/// dW as `[blocks, groups · oc, taps]`, to be added over blocks. `x` is padded.
pub(super) fn gradient(dy: &[f32], x: &[f32], sizes: &Sizes) -> Tensor {
    let Sizes { oc, groups, ref window, ref grid, .. } = *sizes;
    let Order { batches, images } = sizes.order();
    let (output, taps, positions) = (grid.output, grid.taps(), grid.positions());

    // What is taken at a time: so many columns of so many rows of so many batches. Only the last of them is more than one and not all.
    let columns = (POSITIONS / images).clamp(1, output.w);
    let rows = (POSITIONS / (images * output.w)).clamp(1, output.h);
    let at_once = (POSITIONS / (images * positions)).clamp(1, batches);
    let tile = tile_for(taps, oc);
    let width = tile.columns();
    let base = |batch, row, column| {
        let row = row * window.stride.h * grid.image.w + column * window.stride.w;
        (batch * groups * sizes.padded_group() + row) * images
    };
    let mut steps = Vec::with_capacity(at_once * rows * columns * images);
    for batch in 0..at_once {
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            for image in 0..images {
                steps.push(Step { column: base(batch, row, column) + image, row: steps.len() * width });
            }
        }
    }
    let place = |(to, offset): (usize, &usize)| Place { from: offset * images, to };
    let places: Vec<Place> = grid.offsets().iter().enumerate().map(place).collect();

    let (across, down) = (output.w.div_ceil(columns), output.h.div_ceil(rows));
    let chunks = batches.div_ceil(at_once) * down * across;
    let per_block = chunks.div_ceil((SUMS / (groups * oc * taps)).clamp(1, BLOCKS));
    let blocks = chunks.div_ceil(per_block);
    let panels = oc.div_ceil(width);
    let mut sums = Tensor::empty([blocks, groups * oc, taps]);
    let tasks = MatrixMut::new(sums.data_mut(), blocks * groups * oc, taps).split_groups(oc, width);
    parallel::for_each_part(tasks, |task, dw| {
        let (panel, group, block) = (task % panels, task / panels % groups, task / panels / groups);
        let filters = dw.rows();
        let mut scratch = Scratch::new((taps + steps.len()) * width);
        let (sums, packed) = scratch.split_at_mut(taps * width);
        for chunk in block * per_block..chunks.min((block + 1) * per_block) {
            let (column, row, batch) =
                (chunk % across * columns, chunk / across % down * rows, chunk / across / down * at_once);
            let here = rows.min(output.h - row) * columns.min(output.w - column) * images;
            let here_in_all = here * at_once.min(batches - batch);
            for (i, packed) in packed[..here_in_all * width].chunks_exact_mut(here * width).enumerate() {
                let first = ((batch + i) * groups + group) * oc + panel * width;
                let dy = &dy[(first * positions + row * output.w + column) * images..];
                pack_left(&Matrix::strided(dy, filters, here, positions * images, 1), width, packed);
            }
            let x = &x[base(batch, row, column) + group * sizes.padded_group() * images..];
            let start = if chunk == block * per_block { Start::Zero } else { Start::Accumulate };
            let dy = Listed { data: packed, steps: &steps[..here_in_all] };
            multiply_places(start, tile, x, &places, dy, MatrixMut::new(sums, taps, width));
        }
        transpose(Matrix::new(sums, taps, width), dw);
    });
    sums
}
