//! im2col: every window of an image as a row of a matrix, and that matrix as a view.
//!
//! For one image of `c` channels the matrix has a row per *position* p = (y, x), where a window can lie, and a
//! column per *tap* q = (channel, i, j), a place in the window. Its elements are all somewhere in the image:
//!
//! ```text
//! patches[p][q] = image[base(p) + offset(q)]        base(p)   = y · stride_h · row + x · stride_w
//!                                                   offset(q) = channel · plane + i · dilation_h · row + j · dilation_w
//! ```
//!
//! which is what two [`unfold`](crate::Tensor::unfold)s of a padded image give. kh · kw times as large as the image, it
//! is never written down: it implements [`Panels`], so the product reads its parts straight from the image, one
//! panel at a time. Convolution needs it both ways round:
//!
//! - forward, y = W · patchesᵀ: [`Patches`], a panel holds positions side by side, tap after tap;
//! - the weights' gradient, dW = dy · patches: [`Taps`], a panel holds taps side by side, position after position.
//!
//! [`scatter_add`] is the adjoint: it adds a matrix of that shape back into an image. Padding is not known here: a
//! padded image is a copy with zeros around it ([`pad`]).
//!
//! Next: `conv2d.rs`.

use std::ops::Range;

use super::window::{Pair, Window};
use crate::gemm::Panels;
use crate::simd::{Isa, LANES, Lanes};

/// Where the windows of an image lie: `base` and `offset` of the header.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Height and width of the padded image.
    pub image: Pair,
    /// Windows along the height and the width.
    pub output: Pair,
    /// Steps in the image between neighbouring positions.
    stride: Pair,
    /// `offset` of every tap. Worked out once: it takes four divisions, and packing asks for it all the time.
    offsets: Vec<usize>,
    /// Taps of one channel.
    taps_per_channel: usize,
}

impl Grid {
    /// The windows of images of `channels` channels, padded already.
    pub fn new(channels: usize, image: Pair, output: Pair, window: &Window) -> Grid {
        let Window { kernel, dilation, stride, .. } = *window;
        let mut offsets = Vec::with_capacity(channels * kernel.h * kernel.w);
        for channel in 0..channels {
            for i in 0..kernel.h {
                for j in 0..kernel.w {
                    offsets.push((channel * image.h + i * dilation.h) * image.w + j * dilation.w);
                }
            }
        }
        Grid { image, output, stride, offsets, taps_per_channel: kernel.h * kernel.w }
    }

    /// The number of positions.
    pub fn positions(&self) -> usize {
        self.output.h * self.output.w
    }

    /// The number of taps.
    pub fn taps(&self) -> usize {
        self.offsets.len()
    }

    /// The number of taps of one channel.
    pub fn taps_per_channel(&self) -> usize {
        self.taps_per_channel
    }

    fn base(&self, y: usize, x: usize) -> usize {
        y * self.stride.h * self.image.w + x * self.stride.w
    }

    /// Whether neighbouring positions lie side by side in the image.
    fn is_dense(&self) -> bool {
        self.stride.w == 1
    }
}

/// The windows of an image, positions side by side: the right side of y = W · patchesᵀ.
pub struct Patches<'a> {
    /// The padded image: channels × height × width.
    pub image: &'a [f32],
    /// Where the windows lie.
    pub grid: &'a Grid,
    /// The positions meant, for work on a part of the output.
    pub positions: Range<usize>,
}

/// The windows of an image, taps side by side: the right side of dW = dy · patches.
pub struct Taps<'a> {
    /// The padded image: channels × height × width.
    pub image: &'a [f32],
    /// Where the windows lie.
    pub grid: &'a Grid,
}

/// Sixteen neighbouring positions lie in at most two rows of the output (or are gathered one by one): lanes before
/// `cut` are read at `first`, lanes from `cut` on at `second`, both moved so that lane i is element i.
#[derive(Clone, Copy, Default)]
struct Sixteen {
    first: usize,
    second: usize,
    cut: usize,
}

impl Panels for Patches<'_> {
    fn len(&self) -> usize {
        self.positions.len()
    }

    fn depth(&self) -> usize {
        self.grid.taps()
    }

    #[inline(always)]
    fn pack<I: Isa>(&self, isa: I, first: usize, width: usize, depth: Range<usize>, panel: &mut [f32]) {
        let output = self.grid.output;
        let lanes = isa.load(&std::array::from_fn(|lane| lane as f32));
        let last = self.positions.end.min(self.positions.start + first + width);
        // Sixteen positions at a time, all taps for each.
        for column in (0..width).step_by(LANES) {
            let from = self.positions.start + first + column;
            let count = last.saturating_sub(from).min(LANES);
            let into = |step: usize| step * width + column;
            let (y, x) = (from / output.w, from % output.w);
            let in_first = output.w - x;
            if count == LANES && self.grid.is_dense() && in_first + output.w >= LANES {
                let base = self.grid.base(y, x);
                // A row of the image is at least as long as one of the output, so this does not go below zero.
                let second = if in_first < LANES { self.grid.base(y + 1, 0) - in_first } else { 0 };
                let sixteen = Sixteen { first: base, second, cut: in_first };
                for (step, &offset) in self.grid.offsets[depth.clone()].iter().enumerate() {
                    let vector = self.load(isa, lanes, sixteen, offset);
                    if let Some(to) = panel[into(step)..].first_chunk_mut::<LANES>() {
                        vector.store(to);
                    }
                }
            } else {
                let mut bases = [0; LANES];
                for (lane, base) in bases[..count].iter_mut().enumerate() {
                    *base = self.grid.base((from + lane) / output.w, (from + lane) % output.w);
                }
                for (step, &offset) in self.grid.offsets[depth.clone()].iter().enumerate() {
                    let to = &mut panel[into(step)..][..LANES];
                    to[count..].fill(0.0);
                    for (to, base) in to.iter_mut().zip(&bases[..count]) {
                        *to = self.image[base + offset];
                    }
                }
            }
        }
    }
}

impl Patches<'_> {
    /// Sixteen positions of one tap, from one row of the image or from two.
    #[inline(always)]
    fn load<I: Isa>(&self, isa: I, lanes: I::F32, at: Sixteen, offset: usize) -> I::F32 {
        let whole = |start: usize| match self.image[start..].first_chunk::<LANES>() {
            Some(chunk) => isa.load(chunk),
            None => isa.load_partial(&self.image[start..], 0.0),
        };
        let first = whole(at.first + offset);
        if at.cut >= LANES {
            return first;
        }
        isa.splat(at.cut as f32).where_gt(lanes, first, whole(at.second + offset))
    }
}

impl Panels for Taps<'_> {
    fn len(&self) -> usize {
        self.grid.taps()
    }

    fn depth(&self) -> usize {
        self.grid.positions()
    }

    #[inline(always)]
    fn pack<I: Isa>(&self, _: I, first: usize, width: usize, depth: Range<usize>, panel: &mut [f32]) {
        let (output, stride) = (self.grid.output, self.grid.stride);
        let taps = width.min(self.len() - first);
        if taps < width {
            panel.fill(0.0);
        }
        for q in 0..taps {
            let offset = self.grid.offsets[first + q];
            let mut to = panel[q..].iter_mut().step_by(width);
            let mut position = depth.start;
            while position < depth.end {
                let (y, x) = (position / output.w, position % output.w);
                let run = (output.w - x).min(depth.end - position);
                let row = &self.image[self.grid.base(y, x) + offset..];
                // The row first: asking `to` first would take an element and lose it at the end of the row.
                for (from, to) in row.iter().step_by(stride.w).take(run).zip(to.by_ref()) {
                    *to = *from;
                }
                position += run;
            }
        }
    }
}

/// Adds a matrix of taps by positions (row-major) to the places of the image that it came from.
pub fn scatter_add(columns: &[f32], grid: &Grid, image: &mut [f32]) {
    let positions = grid.positions();
    for (tap, row) in columns.chunks_exact(positions).enumerate() {
        let offset = grid.offsets[tap];
        for (y, run) in row.chunks_exact(grid.output.w).enumerate() {
            let target = &mut image[grid.base(y, 0) + offset..];
            if grid.is_dense() {
                for (to, from) in target.iter_mut().zip(run) {
                    *to += *from;
                }
            } else {
                for (to, from) in target.iter_mut().step_by(grid.stride.w).zip(run) {
                    *to += *from;
                }
            }
        }
    }
}

/// Copies planes of `h` by `w` into the middle of planes of zeros that are `padding` larger on every side.
pub fn pad(planes: &[f32], (h, w): (usize, usize), padding: Pair, padded: &mut [f32]) {
    let wide = w + 2 * padding.w;
    padded.fill(0.0);
    for (plane, to) in planes.chunks_exact(h * w).zip(padded.chunks_exact_mut((h + 2 * padding.h) * wide)) {
        for (row, to) in plane.chunks_exact(w).zip(to.chunks_exact_mut(wide).skip(padding.h)) {
            to[padding.w..padding.w + w].copy_from_slice(row);
        }
    }
}

/// The adjoint of [`pad`]: the middles of padded planes.
pub fn unpad(padded: &[f32], (h, w): (usize, usize), padding: Pair, planes: &mut [f32]) {
    let wide = w + 2 * padding.w;
    for (plane, from) in planes.chunks_exact_mut(h * w).zip(padded.chunks_exact((h + 2 * padding.h) * wide)) {
        for (row, from) in plane.chunks_exact_mut(w).zip(from.chunks_exact(wide).skip(padding.h)) {
            row.copy_from_slice(&from[padding.w..padding.w + w]);
        }
    }
}
