//! Images last: a batch of images in the memory order `[c, h, w, n]`, the same pixel of all images side by side.
//!
//! ```text
//! x[n, c, y, x]  lies at  ((c · h + y) · w + x) · n_total + n
//! ```
//!
//! A small image has few channels and short rows, of which sixteen lanes make poor use; a batch has hundreds of images, and every image
//! is treated alike. With the images innermost, whatever an op does to a window of pixels it does to long contiguous vectors: pooling
//! never shuffles lanes, and a convolution's tap is one stretch of memory, so that im2col needs no copy at all. (cuda-convnet's order,
//! Krizhevsky 2012; PyTorch's `channels_last` is the other one.)
//!
//! The order is only a matter of strides: such a tensor still has the shape `[n, c, h, w]`, element-wise ops keep its order
//! (`broadcast.rs`), and flattening it to `[n, features]` is a view, on which linear layers work as they would on a transpose.
//!
//! What this is not: an op. Next: `window.rs`.

use super::window::Pair;
use crate::Tensor;
use crate::parallel::{self, Chunks};
use crate::simd::slices::CHUNK;
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};

/// From how many images on conv2d, pooling and batch norm work in this order. With fewer, the lanes of a vector would be empty.
pub const FROM: usize = LANES;

/// Images `[n, c, h, w]` of unspecified pixels, lying images last.
#[track_caller]
pub(crate) fn empty(n: usize, c: usize, size: Pair) -> Tensor {
    Tensor::empty([c, size.h, size.w, n]).permute(&[3, 0, 1, 2])
}

/// Whether images `[n, c, h, w]` lie images last.
pub(crate) fn is_images_last(x: &Tensor) -> bool {
    x.permute(&[1, 2, 3, 0]).is_contiguous()
}

/// The images with zeros around them, lying images last; themselves where they do already and there is no padding.
#[track_caller]
pub(crate) fn images_last(x: &Tensor, padding: Pair) -> Tensor {
    let unpadded = (padding.h, padding.w) == (0, 0);
    if unpadded && is_images_last(x) {
        return x.clone();
    }
    let [n, c, h, w] = std::array::from_fn(|axis| x.shape()[axis]);
    let size = Pair { h: h + 2 * padding.h, w: w + 2 * padding.w };
    let mut result = empty(n, c, size);
    if result.numel() == 0 {
        return result;
    }
    let is_moved_only = is_images_last(x);
    let x = if is_moved_only { x.clone() } else { x.contiguous() };
    let from = x.memory();
    if unpadded {
        transpose(|image| &from[image * c * h * w..], n, result.memory_mut());
        return result;
    }
    // A task is one row of the result: w pixels, n images each.
    parallel::for_each_part(Chunks::new(result.memory_mut(), size.w * n), |at, row| {
        let (channel, y) = (at / size.h, at % size.h);
        if !(padding.h..padding.h + h).contains(&y) {
            return row.fill(0.0);
        }
        let (before, row) = row.split_at_mut(padding.w * n);
        let (row, behind) = row.split_at_mut(w * n);
        before.fill(0.0);
        behind.fill(0.0);
        let first = (channel * h + y - padding.h) * w;
        match is_moved_only {
            true => row.copy_from_slice(&from[first * n..][..w * n]),
            false => {
                let pixels = |image: usize| &from[first + image * c * h * w..];
                dispatch(Transpose { pixels, width: w, to: row, n });
            }
        }
    });
    result
}

/// Pictures of one channel, `[n, 1, h, w]`, each byte divided by 255; images last where there are enough of them. `image` gives the
/// bytes of each, row by row.
pub(crate) fn from_bytes<'a>(n: usize, size: Pair, image: impl Fn(usize) -> &'a [u8] + Sync) -> Tensor {
    if n < FROM {
        let mut result = Tensor::empty([n, 1, size.h, size.w]);
        for (i, pixels) in result.data_mut().chunks_exact_mut(size.h * size.w).enumerate() {
            for (to, &byte) in pixels.iter_mut().zip(image(i)) {
                *to = f32::from(byte) / 255.0;
            }
        }
        return result;
    }
    let mut result = empty(n, 1, size);
    transpose(image, n, result.memory_mut());
    result
}

/// All pixels of `n` images, each of which `pixels` gives in order: a matrix whose rows become columns, whatever lies in a row.
fn transpose<'p, T: Pixel + 'p>(pixels: impl Fn(usize) -> &'p [T] + Sync, n: usize, to: &mut [f32]) {
    // A task is a stretch of some vectors of every image: whole lines of the cache on either side.
    let width = (CHUNK / n).max(1).next_multiple_of(LANES);
    parallel::for_each_part(Chunks::new(to, width * n), |at, to| {
        let pixels = |image: usize| &pixels(image)[at * width..];
        dispatch(Transpose { pixels, width: to.len() / n, to, n });
    });
}

/// What a pixel may be kept as.
trait Pixel: Copy {
    /// Sixteen pixels as numbers.
    fn load<I: Isa>(isa: I, from: &[Self; LANES]) -> I::F32;
    /// Fewer, and zeros.
    fn load_partial<I: Isa>(isa: I, from: &[Self]) -> I::F32;
}

impl Pixel for f32 {
    #[inline(always)]
    fn load<I: Isa>(isa: I, from: &[f32; LANES]) -> I::F32 {
        isa.load(from)
    }

    #[inline(always)]
    fn load_partial<I: Isa>(isa: I, from: &[f32]) -> I::F32 {
        isa.load_partial(from, 0.0)
    }
}

impl Pixel for u8 {
    #[inline(always)]
    fn load<I: Isa>(isa: I, from: &[u8; LANES]) -> I::F32 {
        isa.load(&from.map(f32::from)) / isa.splat(255.0)
    }

    #[inline(always)]
    fn load_partial<I: Isa>(isa: I, from: &[u8]) -> I::F32 {
        let mut padded = [0; LANES];
        padded[..from.len()].copy_from_slice(from);
        Self::load(isa, &padded)
    }
}

/// `to[x][i] = pixels(i)[x]`, for `n` images and `width` pixels: sixteen by sixteen at a time, in registers.
struct Transpose<'a, P> {
    /// The pixels of an image, from the first that is meant on.
    pixels: P,
    width: usize,
    to: &'a mut [f32],
    n: usize,
}

impl<'p, P: Fn(usize) -> &'p [T], T: Pixel + 'p> Kernel for Transpose<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Transpose { pixels, width, to, n } = self;
        for image in (0..n).step_by(LANES) {
            let images = LANES.min(n - image);
            for x in (0..width).step_by(LANES) {
                let count = LANES.min(width - x);
                let mut block = [isa.splat(0.0); LANES];
                for (i, vector) in block[..images].iter_mut().enumerate() {
                    let row = &pixels(image + i)[x..];
                    // What lies behind the row goes into columns that are not stored.
                    *vector = match row.first_chunk::<LANES>() {
                        Some(row) => T::load(isa, row),
                        None => T::load_partial(isa, &row[..count]),
                    };
                }
                let columns = I::F32::transpose(block);
                for (i, column) in columns[..count].iter().enumerate() {
                    let to = &mut to[(x + i) * n + image..][..images];
                    match to.first_chunk_mut::<LANES>() {
                        Some(to) => column.store(to),
                        None => column.store_partial(to),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_the_numbers_that_division_gives() {
        for n in [1, 15, 16, 37, 300] {
            let bytes: Vec<u8> = (0..n * 3 * 29).map(|i| (i * 31 % 256) as u8).collect();
            let x = from_bytes(n, Pair { h: 3, w: 29 }, |i| &bytes[i * 87..(i + 1) * 87]);
            let want: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
            assert_eq!(x.shape(), [n, 1, 3, 29]);
            assert_eq!(x.to_vec(), want);
        }
    }

    #[test]
    fn every_pixel_goes_to_its_place() {
        for [n, c, h, w] in
            [[1, 1, 1, 1], [3, 2, 4, 5], [16, 1, 2, 16], [19, 3, 5, 35], [33, 2, 3, 17], [300, 2, 7, 9]]
        {
            let x = Tensor::arange(n * c * h * w).reshape([n, c, h, w]);
            let other = x.permute(&[2, 0, 3, 1]).contiguous().permute(&[1, 3, 0, 2]);
            let already = images_last(&x, 0.into());
            for source in [&x, &other, &already] {
                let moved = images_last(source, 0.into());
                assert!(is_images_last(&moved));
                assert_eq!(moved.to_vec(), x.to_vec());
                let padded = images_last(source, (1, 2).into());
                assert_eq!(padded.shape(), [n, c, h + 2, w + 4]);
                assert_eq!(padded.slice(2, 1..h + 1).slice(3, 2..w + 2).to_vec(), x.to_vec());
            }
            let ones = images_last(&Tensor::ones([n, c, h, w]), (1, 2).into());
            assert_eq!(ones.sum().item(), (n * c * h * w) as f32, "zeros around");
        }
    }
}
