//! Convolution of small images with few filters, without packing them for GEMM.
//!
//! Each image is unrolled along the kernel's columns ([`im2row`](super::im2row)), some ten kilobytes for LeNet, and multiplied where it
//! lies while it is in the first-level cache:
//!
//! ```text
//! y  = bias + W · taps           one product, a row of taps for each (channel, i, j)                  (the same chains as by GEMM)
//! du[·, j] += Wᵀ[i, j] · dy      one product for each row i of the kernel, added where row i's taps begin; then dx = fold(du)
//! ```
//!
//! The second is col2im without the columns: what they would hold is added up in registers instead.
//!
//! Packing for GEMM costs about half a cycle for each number, whatever the number of filters, and a filter costs a thirty-second of a
//! cycle for it: below some dozens of filters, packing would take most of the time (`benches/conv.rs`). Where the unrolled image is
//! larger than the cache, GEMM's blocks serve better; [`pays`] decides, by sizes alone.
//!
//! What this is not: a different definition. Next: `weight.rs`.

use super::sizes::Sizes;
use crate::Tensor;
use crate::gemm::{Matrix, MatrixMut, Packed, Rows, Start, multiply_rows, pack_left, tile_rows};
use crate::parallel::{self, Chunks, Scratch};

/// Unrolled images up to 256 KiB, a quarter of a second-level cache.
const LARGEST: usize = 64 << 10;

/// Whether this way is taken: few filters, and an image that fits in the cache.
pub(super) fn pays(sizes: &Sizes) -> bool {
    sizes.oc <= 64 && sizes.unrolled.size() <= LARGEST
}

/// y = bias + W · taps, image by image.
pub(super) fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, sizes: &Sizes, y: &mut Tensor) {
    let Sizes { oc, groups, ref unrolled, .. } = *sizes;
    let (positions, taps) = (unrolled.positions(), unrolled.offsets().len());
    let mr = tile_rows(oc, positions);
    let packed_size = Packed::size(oc, taps, mr);
    let mut packed = Scratch::new(groups * packed_size);
    for (group, memory) in packed.chunks_exact_mut(packed_size).enumerate() {
        pack_left(&Matrix::new(&weight.data()[group * oc * taps..][..oc * taps], oc, taps), mr, memory);
    }
    let packed = &packed[..];
    parallel::for_each_part(Chunks::new(y.data_mut(), oc * positions), |at, y| {
        let group = at % groups;
        let mut memory = Scratch::new(unrolled.size() + Rows::SLACK);
        unrolled.unroll(sizes.image(x, at), &mut memory);
        let weights = Packed::of(&packed[group * packed_size..][..packed_size], oc, taps, mr);
        let start = match bias {
            Some(bias) => Start::PerRow(&bias.data()[group * oc..][..oc]),
            None => Start::Zero,
        };
        let rows = Rows { data: &memory, offsets: unrolled.offsets() };
        multiply_rows(start, &weights, rows, MatrixMut::new(y, oc, positions));
    });
}

/// dx, image by image.
pub(super) fn backward_input(dy: &Tensor, weight: &Tensor, sizes: &Sizes, dx: &mut Tensor) {
    let Sizes { c, oc, groups, kernel, ref unrolled, .. } = *sizes;
    let (positions, planes) = (unrolled.positions(), unrolled.planes());
    // For each group and row i of the kernel: Wᵀ as [c · kw, oc], packed.
    let mr = tile_rows(planes, positions);
    let packed_size = Packed::size(planes, oc, mr);
    let mut packed = Scratch::new(groups * kernel.h * packed_size);
    let mut transposed = Scratch::new(planes * oc);
    for (at, memory) in packed.chunks_exact_mut(packed_size).enumerate() {
        let (group, i) = (at / kernel.h, at % kernel.h);
        for channel in 0..c {
            for j in 0..kernel.w {
                for o in 0..oc {
                    let tap = (channel * kernel.h + i) * kernel.w + j;
                    let w = weight.data()[((group * oc + o) * c * kernel.h * kernel.w) + tap];
                    transposed[(channel * kernel.w + j) * oc + o] = w;
                }
            }
        }
        pack_left(&Matrix::new(&transposed, planes, oc), mr, memory);
    }
    let packed = &packed[..];
    let offsets: Vec<usize> = (0..oc).map(|o| o * positions).collect();
    let image = sizes.image_group();
    parallel::for_each_part(Chunks::new(dx.data_mut(), image), |at, dx| {
        let group = at % groups;
        let (size, margin) = (unrolled.size(), unrolled.margin());
        let mut memory = Scratch::new(size + 2 * margin + oc * positions + Rows::SLACK);
        let (du, copy) = memory.split_at_mut(size + 2 * margin);
        // The kernel reads a little beyond the last row: at the end of dy, it gets a copy with room behind.
        let mut dy = &dy.data()[at * oc * positions..];
        if dy.len() < oc * positions + Rows::SLACK {
            copy[..oc * positions].copy_from_slice(&dy[..oc * positions]);
            dy = copy;
        }
        du.fill(0.0);
        let mut sums = MatrixMut::new(&mut du[margin..margin + size], planes, unrolled.plane());
        for i in 0..kernel.h {
            let weights = &packed[(group * kernel.h + i) * packed_size..][..packed_size];
            let sum = sums.block(0, unrolled.row_offset(i), planes, positions);
            let rows = Rows { data: dy, offsets: &offsets };
            multiply_rows(Start::Accumulate, &Packed::of(weights, planes, oc, mr), rows, sum);
        }
        unrolled.fold(du, dx);
    });
}
