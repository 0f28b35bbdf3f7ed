//! Convolution as matrix products over packed patches: the way for few filters on few images of short rows.
//!
//! ```text
//! y  = bias + W · patchesᵀ       the patches packed straight from the image, a panel at a time                    (im2col.rs)
//! dW = dy · patches              the same the other way round, a block's images in one chain
//! dx = scatter(Wᵀ · dy)          a product of the patches' shape, added back into the image
//! ```
//!
//! Images are padded by a copy first, which makes a patch a plain view. With few images, an image is cut into bands of positions, of
//! filters or of channels, so that every thread has something to do.
//!
//! Next: `small.rs`.

use super::im2col::{Patches, Taps, pad, scatter_add, unpad};
use super::sizes::{BLOCK, Sizes};
use super::small;
use crate::Tensor;
use crate::gemm::{Matrix, MatrixMut, Packed, Start, multiply_block, pack_left, tile_rows};
use crate::parallel::{self, Chunks, Scratch};

/// The images with zeros around them; themselves where there is no padding.
#[track_caller]
pub(super) fn padded(x: &Tensor, sizes: &Sizes) -> Tensor {
    let padding = sizes.window.padding;
    let x = x.contiguous();
    if (padding.h, padding.w) == (0, 0) {
        return x;
    }
    let (image, wide) = (sizes.image, sizes.grid.image);
    let mut result = Tensor::empty([sizes.n, sizes.c * sizes.groups, wide.h, wide.w]);
    let (from, to) = (sizes.c * sizes.groups * image.h * image.w, sizes.padded_image());
    parallel::for_each_part(Chunks::new(result.data_mut(), to.max(1)), |i, padded| {
        pad(&x.data()[i * from..(i + 1) * from], (image.h, image.w), padding, padded);
    });
    result
}

/// y = bias + W · patchesᵀ, image by image; for small ones without packing. `x` is padded.
pub(super) fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, sizes: &Sizes, y: &mut Tensor) {
    if small::pays(sizes) {
        return small::forward(x, weight, bias, sizes, y);
    }
    let Sizes { oc, groups, ref grid, .. } = *sizes;
    let (positions, taps) = (grid.positions(), grid.taps());
    // The weights are packed once, for all images.
    let mr = tile_rows(oc, positions);
    let packed_size = Packed::size(oc, taps, mr);
    let mut packed = Scratch::new(groups * packed_size);
    for (group, memory) in packed.chunks_exact_mut(packed_size.max(1)).enumerate() {
        pack_left(&Matrix::new(&weight.data()[group * oc * taps..][..oc * taps], oc, taps), mr, memory);
    }
    let packed = &packed[..];

    // A task is one group of one image, or a band of its positions. A band is whole tiles wide.
    let parts = sizes.parts(positions, 64);
    let band = positions.div_ceil(parts).next_multiple_of(if parts == 1 { 1 } else { 64 });
    let images = Chunks::new(y.data_mut(), sizes.output_group());
    let task = |index: usize, y: MatrixMut, from: usize| {
        let group = index % groups;
        let weights = Packed::of(&packed[group * packed_size..][..packed_size], oc, taps, mr);
        let image = &x.data()[index * sizes.padded_group()..][..sizes.padded_group()];
        let start = match bias {
            Some(bias) => Start::PerRow(&bias.data()[group * oc..][..oc]),
            None => Start::Zero,
        };
        let patches = Patches { image, grid, positions: from..from + y.cols() };
        multiply_block(start, &weights, &patches, y);
    };
    if parts == 1 {
        parallel::for_each_part(images, |index, y| task(index, MatrixMut::new(y, oc, positions), 0));
    } else {
        for (index, y) in y.data_mut().chunks_exact_mut(sizes.output_group()).enumerate() {
            let bands = MatrixMut::new(y, oc, positions).split_columns(band);
            parallel::for_each_part(bands, |i, y| task(index, y, i * band));
        }
    }
}

/// dW as `[blocks, groups · oc, taps]`, to be added over blocks of images; a block's images are one chain. `x` is padded.
pub(super) fn backward_weight(dy: &Tensor, x: &Tensor, sizes: &Sizes) -> Tensor {
    let Sizes { n, oc, groups, ref grid, .. } = *sizes;
    let (positions, taps, blocks) = (grid.positions(), grid.taps(), n.div_ceil(BLOCK));
    // With few blocks, a task is some of the filters of one group instead of all.
    let rows = oc.div_ceil(sizes.parts(oc, 16));
    let per_group = oc.div_ceil(rows);
    let mut sums = Tensor::empty([blocks, groups * oc, taps]);
    let tasks = MatrixMut::new(sums.data_mut(), blocks * groups * oc, taps);
    parallel::for_each_part(tasks.split_groups(oc, rows), |task, mut dw| {
        let (part, group) = (task % per_group, task / per_group % groups);
        let first = task / per_group / groups * BLOCK;
        let filters = dw.rows();
        for image in first..n.min(first + BLOCK) {
            let at = image * groups + group;
            let dy = &dy.data()[at * sizes.output_group() + part * rows * positions..][..filters * positions];
            let taps_of =
                Taps { image: &x.data()[at * sizes.padded_group()..][..sizes.padded_group()], grid };
            let start = if image == first { Start::Zero } else { Start::Accumulate };
            multiply_block(
                start,
                &Matrix::new(dy, filters, positions),
                &taps_of,
                dw.block(0, 0, filters, taps),
            );
        }
    });
    sums
}

/// dx: Wᵀ dy has the shape of the patches, transposed; each element is added to the place in the image that it came from.
pub(super) fn backward_input(dy: &Tensor, weight: &Tensor, sizes: &Sizes, dx: &mut Tensor) {
    let Sizes { n, c, oc, groups, image, ref grid, .. } = *sizes;
    let padding = sizes.window.padding;
    let (positions, taps) = (grid.positions(), grid.taps());
    let plane = image.h * image.w;
    // A task is the channels of one group of one image; with few images, some of them.
    let channels = c.div_ceil(sizes.parts(c, 4));
    let per_group = c.div_ceil(channels);
    let tasks = MatrixMut::new(dx.data_mut(), n * groups * c, plane).split_groups(c, channels);
    let padded_plane = grid.image.h * grid.image.w;
    let is_padded = (padding.h, padding.w) != (0, 0);
    parallel::for_each_part(tasks, |index, mut dx| {
        let (part, at) = (index % per_group, index / per_group);
        let group = at % groups;
        let channels_here = dx.rows();
        let first_tap = part * channels * grid.taps_per_channel();
        let taps_here = channels_here * grid.taps_per_channel();
        // Wᵀ's rows for these channels: tap by filter.
        let w = &weight.data()[group * oc * taps + first_tap..];
        let w = Matrix::strided(w, taps_here, oc, 1, taps);
        let dy = Matrix::new(&dy.data()[at * sizes.output_group()..][..sizes.output_group()], oc, positions);

        let padded_size = if is_padded { channels_here * padded_plane } else { 0 };
        let mut scratch = Scratch::new(taps_here * positions + padded_size);
        let (columns, padded) = scratch.split_at_mut(taps_here * positions);
        multiply_block(Start::Zero, &w, &dy.transposed(), MatrixMut::new(columns, taps_here, positions));
        let dx = dx.as_slice_mut();
        if is_padded {
            padded.fill(0.0);
            scatter_add(columns, grid, padded);
            unpad(padded, (image.h, image.w), padding, dx);
        } else {
            dx.fill(0.0);
            scatter_add(columns, grid, dx);
        }
    });
}
