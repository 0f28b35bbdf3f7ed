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
//! Next: `packed.rs`.

use std::ops::Range;

use crate::autograd::{Keep, Memory};
use crate::gemm::Panels;
use crate::ops::window::{Pair, Window};
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

impl Keep for Grid {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        self.offsets.memory(show);
    }
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

    /// Where each tap looks, from the place of its window on.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
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

/// Sixteen neighbouring positions in at most two rows of the output: lanes before `cut` are read at `first`, lanes from `cut` on at
/// `second`, both moved so that lane i is element i.
#[derive(Clone, Copy)]
struct Sixteen {
    first: usize,
    second: usize,
    cut: usize,
}

impl Sixteen {
    /// The positions from `from` on, or `None` where they are no neighbours in the image or lie in more than two rows.
    #[inline(always)]
    fn at(grid: &Grid, from: usize) -> Option<Sixteen> {
        let (y, x) = (from / grid.output.w, from % grid.output.w);
        let cut = grid.output.w - x;
        if !grid.is_dense() || cut + grid.output.w < LANES {
            return None;
        }
        // A row of the image is at least as long as one of the output, so this does not go below zero.
        let second = if cut < LANES { grid.base(y + 1, 0) - cut } else { 0 };
        Some(Sixteen { first: grid.base(y, x), second, cut })
    }

    /// What a tap sees at these positions. `lanes` are the numbers 0 to 15.
    #[inline(always)]
    fn load<I: Isa>(self, isa: I, lanes: I::F32, image: &[f32], offset: usize) -> I::F32 {
        let whole = |start: usize| match image[start..].first_chunk::<LANES>() {
            Some(chunk) => isa.load(chunk),
            None => isa.load_partial(&image[start..], 0.0),
        };
        let first = whole(self.first + offset);
        if self.cut >= LANES {
            return first;
        }
        isa.splat(self.cut as f32).where_gt(lanes, first, whole(self.second + offset))
    }
}

/// The numbers 0 to 15.
#[inline(always)]
fn lane_numbers<I: Isa>(isa: I) -> I::F32 {
    isa.load(&std::array::from_fn(|lane| lane as f32))
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
        let lanes = lane_numbers(isa);
        let last = self.positions.end.min(self.positions.start + first + width);
        // Sixteen positions at a time, all taps for each.
        for column in (0..width).step_by(LANES) {
            let from = self.positions.start + first + column;
            let count = last.saturating_sub(from).min(LANES);
            let into = |step: usize| step * width + column;
            let neighbours = if count == LANES { Sixteen::at(self.grid, from) } else { None };
            if let Some(sixteen) = neighbours {
                for (step, &offset) in self.grid.offsets[depth.clone()].iter().enumerate() {
                    if let Some(to) = panel[into(step)..].first_chunk_mut::<LANES>() {
                        sixteen.load(isa, lanes, self.image, offset).store(to);
                    }
                }
                continue;
            }
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

impl Panels for Taps<'_> {
    fn len(&self) -> usize {
        self.grid.taps()
    }

    fn depth(&self) -> usize {
        self.grid.positions()
    }

    #[inline(always)]
    fn pack<I: Isa>(&self, isa: I, first: usize, width: usize, depth: Range<usize>, panel: &mut [f32]) {
        let lanes = lane_numbers(isa);
        let taps = &self.grid.offsets[first..self.len().min(first + width)];
        // Tiles of B are whole vectors wide, so a panel is sixteen taps at a time; positions too, where they are neighbours.
        for column in (0..width).step_by(LANES) {
            let offsets = &taps[column.min(taps.len())..(column + LANES).min(taps.len())];
            for from in depth.clone().step_by(LANES) {
                let count = LANES.min(depth.end - from);
                let steps = panel[(from - depth.start) * width + column..].chunks_mut(width).take(count);
                let neighbours = if count == LANES { Sixteen::at(self.grid, from) } else { None };
                if let Some(sixteen) = neighbours {
                    let mut rows = [isa.splat(0.0); LANES];
                    for (row, &offset) in rows.iter_mut().zip(offsets) {
                        *row = sixteen.load(isa, lanes, self.image, offset);
                    }
                    let columns = I::F32::transpose(rows);
                    for (step, column) in steps.zip(columns) {
                        if let Some(to) = step.first_chunk_mut::<LANES>() {
                            column.store(to);
                        }
                    }
                    continue;
                }
                for (step, position) in steps.zip(from..) {
                    let base = self.grid.base(position / self.grid.output.w, position % self.grid.output.w);
                    let step = &mut step[..LANES];
                    step[offsets.len()..].fill(0.0);
                    for (to, offset) in step.iter_mut().zip(offsets) {
                        *to = self.image[base + offset];
                    }
                }
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
    for (plane, to) in planes.chunks_exact(h * w).zip(padded.chunks_exact_mut((h + 2 * padding.h) * wide)) {
        let (before, to) = to.split_at_mut(padding.h * wide);
        let (rows, behind) = to.split_at_mut(h * wide);
        before.fill(0.0);
        behind.fill(0.0);
        for (row, to) in plane.chunks_exact(w).zip(rows.chunks_exact_mut(wide)) {
            let (before, to) = to.split_at_mut(padding.w);
            let (to, behind) = to.split_at_mut(w);
            before.fill(0.0);
            to.copy_from_slice(row);
            behind.fill(0.0);
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
