//! Convolution of small images one by one: im2col as a view, with nothing packed at all.
//!
//! With a stride of one along the width, what a tap sees at all positions is *nearly* one stretch of memory: from row to row of the output
//! it moves on by a row of the image, which is a little longer. So the output is computed as if it were as wide as the image, in one product
//! by `gemm/rows.rs` whose right side lies in the image as it is,
//!
//! ```text
//! wide[o][p] = bias[o] + Σ_q W[o, q] · image[offset(q) + p]           p = y · (width of the image) + x
//! ```
//!
//! and then the positions behind the end of each row, where windows would wrap around, are left out. In LeNet these are a seventh and a third
//! of all. To pack patches for GEMM took longer than to multiply by them, with so few filters to use them.
//!
//! What this is not: for images that leave the cache. Next: `../max_pool2d/mod.rs`.

use super::images_last::STEPS;
use super::sizes::Sizes;
use crate::Tensor;
use crate::gemm::{Listed, Matrix, MatrixMut, Start, Step, multiply_unpacked};
use crate::parallel::{self, Chunks, Scratch};
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};

/// The most elements of an image, and of its wide output: 64 KiB each.
const MOST: usize = 1 << 14;

/// Whether this way is taken: for small images, where at most half of the positions are left out.
pub(super) fn pays(sizes: &Sizes) -> bool {
    let (grid, outputs) = (&sizes.grid, sizes.oc * sizes.grid.output.h * sizes.grid.image.w);
    sizes.window.stride == 1.into()
        && grid.image.w <= 2 * grid.output.w
        && grid.taps() > 0
        && sizes.padded_group() <= MOST
        && outputs <= MOST
}

/// y = bias + W · taps, image by image. `x` is padded.
pub(super) fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, sizes: &Sizes, y: &mut Tensor) {
    let Sizes { oc, groups, ref grid, .. } = *sizes;
    let (output, width, taps) = (grid.output, grid.image.w, grid.taps());
    let mut steps = STEPS.take();
    steps.clear();
    steps.extend(grid.offsets().iter().enumerate().map(|(column, &row)| Step { column, row }));
    let images = Chunks::new(y.data_mut(), sizes.output_group());
    parallel::for_each_part(images, |index, y| {
        let group = index % groups;
        let image = &x.data()[index * sizes.padded_group()..][..sizes.padded_group()];
        let weights = Matrix::new(&weight.data()[group * oc * taps..][..oc * taps], oc, taps);
        let start = match bias {
            Some(bias) => Start::PerRow(&bias.data()[group * oc..][..oc]),
            None => Start::Zero,
        };
        let mut wide = Scratch::new(oc * output.h * width);
        let mut rows = MatrixMut::new(&mut wide, oc, output.h * width);
        let seen = rows.block(0, 0, oc, (output.h - 1) * width + output.w);
        multiply_unpacked(start, weights, Listed { data: image, steps: &steps }, seen);
        dispatch(Narrow { wide: &wide, from: width, to: output.w, y });
    });
    STEPS.set(steps);
}

/// Cuts rows from one width to another.
struct Narrow<'a> {
    wide: &'a [f32],
    from: usize,
    to: usize,
    y: &'a mut [f32],
}

impl Kernel for Narrow<'_> {
    type Output = ();

    /// Rows are short, so they are copied in whole vectors. What one writes behind its end, the next row is written over.
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Narrow { wide, from, to, y } = self;
        for (row, start) in (0..y.len()).step_by(to).enumerate() {
            for at in (0..to).step_by(LANES) {
                let (read, write) = (&wide[row * from + at..], &mut y[start + at..]);
                match (read.first_chunk::<LANES>(), write.first_chunk_mut::<LANES>()) {
                    (Some(read), Some(write)) => isa.load(read).store(write),
                    _ => write[..LANES.min(to - at)].copy_from_slice(&read[..LANES.min(to - at)]),
                }
            }
        }
    }
}
