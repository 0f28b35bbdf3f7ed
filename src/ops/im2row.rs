//! im2row: an image unrolled along the kernel's columns, so that every tap sees one contiguous stretch of it.
//!
//! im2col would repeat the image once for each of the kernel's kh · kw places. The rows of a kernel need no repeating: moved down by
//! one row, a window sees the same numbers one row further on. So it is enough to repeat the image kw times, each time with the columns
//! that a window's column `j` sees at every position, and tap (channel, i, j) at position p = (y, x) is
//!
//! ```text
//! plane(channel, j)[row(y, i)][x]        row(y, i) = y · stride_h + i · dilation_h        plane: rows × ow
//! ```
//!
//! For stride_h = 1 that is plane[(y + i · dilation_h) · ow + x]: one stretch of oh · ow numbers, begun a few rows further down for each
//! i. With larger strides rows are sorted by their remainder, every stride_h-th next to each other, and it holds again. Padding is
//! zeros written here, so no padded copy of the image is made.
//!
//! A LeNet image of 28 × 28 becomes 5 planes of 28 × 24, 13 KB: it stays in the first-level cache while it is multiplied.
//! [`fold`](Unrolled::fold) is the adjoint, a sum over the repetitions.
//!
//! What this is not: a matrix. `gemm/rows.rs` multiplies by it, `conv2d_weight.rs` by its transpose. Next: `conv2d_direct.rs`.

use super::window::{Pair, Window};
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};

/// The layout of an unrolled image.
#[derive(Clone, Debug)]
pub struct Unrolled {
    channels: usize,
    /// Height and width of the image, without padding.
    image: Pair,
    output: Pair,
    window: Window,
    /// Rows of a plane that have the same remainder by the stride.
    rows: usize,
    offsets: Vec<usize>,
}

impl Unrolled {
    /// The layout for images of `channels` channels.
    pub fn new(channels: usize, image: Pair, output: Pair, window: &Window) -> Unrolled {
        let Window { kernel, stride, dilation, .. } = *window;
        let last = output.h.saturating_sub(1) * stride.h + (kernel.h - 1) * dilation.h;
        let rows = last / stride.h + 1;
        let mut unrolled = Unrolled { channels, image, output, window: *window, rows, offsets: Vec::new() };
        for channel in 0..channels {
            for i in 0..kernel.h {
                for j in 0..kernel.w {
                    let plane = (channel * kernel.w + j) * unrolled.plane();
                    unrolled.offsets.push(plane + unrolled.row_offset(i));
                }
            }
        }
        unrolled
    }

    /// Elements of one plane.
    pub fn plane(&self) -> usize {
        self.rows * self.window.stride.h * self.output.w
    }

    /// The number of planes: one for each channel and column of the kernel.
    pub fn planes(&self) -> usize {
        self.channels * self.window.kernel.w
    }

    /// Elements of the unrolled image.
    pub fn size(&self) -> usize {
        self.planes() * self.plane()
    }

    /// Where each tap's stretch begins.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The number of positions, the length of every stretch.
    pub fn positions(&self) -> usize {
        self.output.h * self.output.w
    }

    /// Where in a plane the stretch of kernel row `i` begins.
    pub fn row_offset(&self, i: usize) -> usize {
        let (down, stride) = (i * self.window.dilation.h, self.window.stride.h);
        (down % stride * self.rows + down / stride) * self.output.w
    }

    /// Unrolls an image, `[channels, h, w]`, into `to`. Up to [`LANES`] numbers behind [`size`](Unrolled::size) are overwritten.
    pub fn unroll(&self, image: &[f32], to: &mut [f32]) {
        assert!(
            image.len() == self.channels * self.image.h * self.image.w && to.len() >= self.size() + LANES
        );
        dispatch(Unroll { layout: self, image, to });
    }

    /// Adds every number of an unrolled image to the place that it came from.
    pub fn fold(&self, unrolled: &[f32], image: &mut [f32]) {
        assert!(image.len() == self.channels * self.image.h * self.image.w && unrolled.len() >= self.size());
        dispatch(Fold { layout: self, unrolled, image });
    }

    /// For each row of each plane: its place, the row of the image that it shows (none in the padding), the positions that are not
    /// padding, and the column that the first of them shows.
    #[inline(always)]
    fn for_each_row(&self, mut visit: impl FnMut(usize, Option<usize>, std::ops::Range<usize>, usize)) {
        let Window { kernel, stride, padding, dilation } = self.window;
        let width = self.output.w;
        for plane in 0..self.planes() {
            let (channel, j) = (plane / kernel.w, plane % kernel.w);
            // Position x shows column x · stride + left - padding.
            let left = j * dilation.w;
            let begin = padding.w.saturating_sub(left).div_ceil(stride.w).min(width);
            let end = (self.image.w + padding.w).saturating_sub(left).div_ceil(stride.w).clamp(begin, width);
            let column = if begin < end { begin * stride.w + left - padding.w } else { 0 };
            for remainder in 0..stride.h {
                for row in 0..self.rows {
                    let at = (plane * stride.h + remainder) * self.rows + row;
                    let shown =
                        (row * stride.h + remainder).checked_sub(padding.h).filter(|&r| r < self.image.h);
                    let source = shown.map(|row| (channel * self.image.h + row) * self.image.w);
                    visit(at * width, source, begin..end, column);
                }
            }
        }
    }
}

struct Unroll<'a> {
    layout: &'a Unrolled,
    image: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Unroll<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Unroll { layout, image, to } = self;
        let (width, stride) = (layout.output.w, layout.window.stride.w);
        layout.for_each_row(|at, source, inside, column| {
            let Some(source) = source else { return to[at..at + width].fill(0.0) };
            let source = source + column;
            if stride == 1 {
                // Whole vectors, too long at the end of the row: what follows is written after it.
                for x in inside.clone().step_by(LANES) {
                    let from = &image[source + x - inside.start..];
                    let vector = match from.first_chunk::<LANES>() {
                        Some(chunk) => isa.load(chunk),
                        None => isa.load_partial(from, 0.0),
                    };
                    if let Some(to) = to[at + x..].first_chunk_mut::<LANES>() {
                        vector.store(to);
                    }
                }
            } else {
                let from = image[source..].iter().step_by(stride);
                for (to, from) in to[at + inside.start..at + inside.end].iter_mut().zip(from) {
                    *to = *from;
                }
            }
            if inside.len() < width {
                to[at..at + inside.start].fill(0.0);
                to[at + inside.end..at + width].fill(0.0);
            }
        });
    }
}

struct Fold<'a> {
    layout: &'a Unrolled,
    unrolled: &'a [f32],
    image: &'a mut [f32],
}

impl Kernel for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Fold { layout, unrolled, image } = self;
        let stride = layout.window.stride.w;
        layout.for_each_row(|at, target, inside, column| {
            let Some(target) = target else { return };
            let from = &unrolled[at + inside.start..at + inside.end];
            if stride == 1 {
                let to = &mut image[target + column..][..from.len()];
                let (to_full, to_rest) = to.as_chunks_mut::<LANES>();
                let (from_full, from_rest) = from.as_chunks::<LANES>();
                for (to, from) in to_full.iter_mut().zip(from_full) {
                    (isa.load(to) + isa.load(from)).store(to);
                }
                for (to, from) in to_rest.iter_mut().zip(from_rest) {
                    *to += *from;
                }
            } else {
                for (to, from) in image[target + column..].iter_mut().step_by(stride).zip(from) {
                    *to += *from;
                }
            }
        });
    }
}
