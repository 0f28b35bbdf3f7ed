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
//! What this is not: a matrix. `gemm/rows.rs` multiplies by it, `weight.rs` by its transpose. Next: `direct.rs`.

use std::ops::Range;

use crate::ops::window::{Pair, Window};
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

    /// The sum over the places in `unrolled` that show each number of an image. `unrolled` begins and ends with
    /// [`margin`](Unrolled::margin) numbers of no meaning, which vectors may read.
    pub fn fold(&self, unrolled: &[f32], image: &mut [f32]) {
        assert!(image.len() == self.channels * self.image.h * self.image.w);
        assert!(unrolled.len() >= self.size() + 2 * self.margin());
        if self.window.stride.w == 1 && self.window.stride.h == 1 {
            dispatch(FoldDense { layout: self, unrolled, image });
        } else {
            self.fold_strided(&unrolled[self.margin()..], image);
        }
    }

    /// Room that [`fold`](Unrolled::fold) wants on both sides.
    pub fn margin(&self) -> usize {
        self.window.kernel.w * self.window.dilation.w + self.window.padding.w + LANES
    }

    /// The positions of a row at which the kernel's column `j` is not in the padding, and the column that the first shows.
    #[inline(always)]
    fn inside(&self, j: usize) -> (Range<usize>, usize) {
        let (stride, padding, width) = (self.window.stride.w, self.window.padding.w, self.output.w);
        // Position x shows column x · stride + left - padding.
        let left = j * self.window.dilation.w;
        let begin = padding.saturating_sub(left).div_ceil(stride).min(width);
        let end = (self.image.w + padding).saturating_sub(left).div_ceil(stride).clamp(begin, width);
        (begin..end, if begin < end { begin * stride + left - padding } else { 0 })
    }

    /// Of the rows of a plane with a remainder by the stride, those that are not in the padding.
    #[inline(always)]
    fn shown(&self, remainder: usize) -> Range<usize> {
        let (stride, padding) = (self.window.stride.h, self.window.padding.h);
        let begin = padding.saturating_sub(remainder).div_ceil(stride).min(self.rows);
        let end = (self.image.h + padding).saturating_sub(remainder).div_ceil(stride).clamp(begin, self.rows);
        begin..end
    }

    /// Calls `visit` for each run of rows: where the run begins in the unrolled image, which of its rows are shown, and where in the
    /// image the first of these begins.
    #[inline(always)]
    fn for_each_run(&self, mut visit: impl FnMut(usize, Range<usize>, usize, usize)) {
        let Window { kernel, stride, padding, .. } = self.window;
        for plane in 0..self.planes() {
            let channel = plane / kernel.w;
            for remainder in 0..stride.h {
                let at = (plane * stride.h + remainder) * self.rows * self.output.w;
                let shown = self.shown(remainder);
                let first = if shown.is_empty() { 0 } else { shown.start * stride.h + remainder - padding.h };
                visit(at, shown, (channel * self.image.h + first) * self.image.w, plane % kernel.w);
            }
        }
    }

    fn fold_strided(&self, unrolled: &[f32], image: &mut [f32]) {
        let (width, stride) = (self.output.w, self.window.stride);
        image.fill(0.0);
        self.for_each_run(|at, shown, first, j| {
            let (inside, column) = self.inside(j);
            for (i, row) in shown.enumerate() {
                let from = &unrolled[at + row * width..][inside.clone()];
                let to = image[first + i * stride.h * self.image.w + column..].iter_mut().step_by(stride.w);
                for (to, from) in to.zip(from) {
                    *to += *from;
                }
            }
        });
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
        let (width, stride) = (layout.output.w, layout.window.stride);
        let step = stride.h * layout.image.w;
        layout.for_each_run(|at, shown, first, j| {
            let (inside, column) = layout.inside(j);
            let run = &mut to[at..][..layout.rows * width + LANES];
            run[..shown.start * width].fill(0.0);
            let mut done = 0;
            if stride.w == 1 && inside.len() == width {
                let to = &mut run[shown.start * width..];
                done = copy_rows(isa, &image[first + column..], step, to, width, shown.len());
            }
            // A vector may write beyond its row. Rows are written from first to last, so what follows is right in the end.
            for (i, row) in shown.clone().enumerate().skip(done) {
                let from = &image[first + i * step + column..];
                let to = &mut run[row * width..][..width + LANES];
                if inside.len() < width {
                    to[..inside.start].fill(0.0);
                }
                let to = &mut to[inside.start..];
                if stride.w == 1 {
                    for x in (0..inside.len()).step_by(LANES) {
                        let vector = match from[x..].first_chunk::<LANES>() {
                            Some(chunk) => isa.load(chunk),
                            None => isa.load_partial(&from[x..], 0.0),
                        };
                        if let Some(to) = to[x..].first_chunk_mut::<LANES>() {
                            vector.store(to);
                        }
                    }
                } else {
                    for (to, from) in to[..inside.len()].iter_mut().zip(from.iter().step_by(stride.w)) {
                        *to = *from;
                    }
                }
                if inside.end < width {
                    to[inside.len()..width - inside.start].fill(0.0);
                }
            }
            run[shown.end * width..layout.rows * width].fill(0.0);
        });
    }
}

/// Copies the first `width` numbers of rows that begin `step` apart, one row behind the other, as long as whole vectors can be read;
/// gives back how many rows that were.
#[inline(always)]
fn copy_rows<I: Isa>(isa: I, from: &[f32], step: usize, to: &mut [f32], width: usize, rows: usize) -> usize {
    let reach = (width - 1) / LANES * LANES + LANES;
    let rows = if from.len() < reach { 0 } else { rows.min((from.len() - reach) / step + 1) };
    if rows == 0 {
        return 0;
    }
    // The last strip of sixteen columns first: where it writes beyond its row, the first strip of the next row is written later.
    for x in (0..width).step_by(LANES).rev() {
        let (from, to) = (&from[x..], &mut to[x..]);
        for row in 0..rows {
            if let (Some(from), Some(to)) =
                (from[row * step..].first_chunk(), to[row * width..].first_chunk_mut::<LANES>())
            {
                isa.load(from).store(to);
            }
        }
    }
    rows
}

/// With stride 1, sixteen numbers of an image's row gather from the kernel's columns, each shifted by one dilation.
struct FoldDense<'a> {
    layout: &'a Unrolled,
    unrolled: &'a [f32],
    image: &'a mut [f32],
}

impl Kernel for FoldDense<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let FoldDense { layout, unrolled, image } = self;
        let Window { kernel, padding, dilation, .. } = layout.window;
        let (h, w, width) = (layout.image.h, layout.image.w, layout.output.w);
        let lanes = isa.load(&std::array::from_fn(|lane| lane as f32));
        let (zero, end) = (isa.splat(0.0), isa.splat(width as f32 - 0.5));
        for (at, to) in image.chunks_exact_mut(w).enumerate() {
            let (channel, row) = (at / h, at % h + padding.h);
            // A row that no window reaches.
            if row >= layout.rows {
                to.fill(0.0);
                continue;
            }
            let first = layout.margin() + channel * kernel.w * layout.plane() + row * width;
            for x in (0..w).step_by(LANES) {
                let mut sum = zero;
                for j in 0..kernel.w {
                    // Column x is seen by kernel column j at position x + padding - j · dilation.
                    let shift = x + padding.w;
                    let from = &unrolled[first + j * layout.plane() + shift - j * dilation.w..];
                    let Some(from) = from.first_chunk::<LANES>() else { continue };
                    let position = lanes + isa.splat(shift as f32 - (j * dilation.w) as f32);
                    let seen = end.where_gt(position, isa.load(from), zero);
                    sum = sum + position.where_gt(isa.splat(-0.5), seen, zero);
                }
                match to[x..].first_chunk_mut::<LANES>() {
                    Some(to) => sum.store(to),
                    None => sum.store_partial(&mut to[x..]),
                }
            }
        }
    }
}
