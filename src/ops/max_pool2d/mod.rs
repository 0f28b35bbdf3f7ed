//! Max pooling: the largest number of every window.
//!
//! ```text
//! forward     y[n, c, i, j] = max of x[n, c, row, column] over the real places of window (i, j)
//! backward    dx[winner of (i, j)] += dy[n, c, i, j]
//! ```
//!
//! PyTorch's rules: padding never wins; of equal numbers the first in reading order wins and takes the gradient;
//! a NaN beats every number, and of several the last wins.
//!
//! The tape keeps who won, not the input: a winner is its number among the real places of its window, which fits
//! a byte for windows of up to 256 places. The winners of a 2x2 pooling are thus a sixteenth of the input's bytes,
//! and backward need not look at the input at all. The bytes lie in recycled tensor memory.
//!
//! Passes over memory: forward reads x and writes y and the winners; backward reads dy and the winners and writes
//! dx, once each. Windows that overlap or leave gaps are scattered into a plane of zeros instead, which is small
//! enough to stay in the cache while its windows are added.
//!
//! Many images are worked on at once (`images_last.rs`); few go window by window, which is the definition, or, where windows are 2x2 and
//! lie side by side, sixteen windows at a time (`two_by_two.rs`).
//!
//! What this is not: `Tensor::max`, the maximum along an axis. Reading order: this file, `two_by_two.rs`, `images_last.rs`. Next:
//! `avg_pool2d.rs`.

mod images_last;
mod two_by_two;

use super::images_last::FROM;
use super::window::{Pair, Span, Window};
use crate::autograd::{Keep, Memory};
use crate::parallel::{self, Chunks};
use crate::simd::{Isa, Lanes, dispatch, slices::CHUNK};
use crate::tensor::buffer::Bytes;
use crate::{Shape, Tensor, Var};
use two_by_two::{TwoByTwoBackward, TwoByTwoForward};

/// The geometry of a max pooling: PyTorch's (C++) options of the same name. A number or a pair is a kernel.
///
/// ```
/// use tapegrad::{Tensor, ops::max_pool2d::MaxPool2dOptions};
/// let x = Tensor::arange(16).reshape([1, 1, 4, 4]);
/// assert_eq!(x.max_pool2d(3).to_vec(), [10.0]);
/// let options = MaxPool2dOptions::new(3).padding(1).stride(2);
/// assert_eq!(x.max_pool2d(options).to_vec(), [5.0, 7.0, 13.0, 15.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaxPool2dOptions {
    /// Kernel, stride, padding and dilation.
    pub window: Window,
    /// Whether a last window may hang over the end of the image.
    pub ceil_mode: bool,
}

impl MaxPool2dOptions {
    /// Windows side by side (the stride is the kernel), without padding or dilation.
    pub fn new(kernel: impl Into<Pair>) -> Self {
        let kernel = kernel.into();
        MaxPool2dOptions { window: Window::new(kernel).stride(kernel), ceil_mode: false }
    }

    /// How far apart windows start.
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.window.stride = stride.into();
        self
    }

    /// How many places are added on each side of the image, at most half a window.
    pub fn padding(mut self, padding: impl Into<Pair>) -> Self {
        self.window.padding = padding.into();
        self
    }

    /// How far apart the places of one window lie.
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Self {
        self.window.dilation = dilation.into();
        self
    }

    /// Rounds the number of windows up instead of down.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }
}

impl<P: Into<Pair>> From<P> for MaxPool2dOptions {
    fn from(kernel: P) -> Self {
        MaxPool2dOptions::new(kernel)
    }
}

impl<'t> Var<'t> {
    /// The largest number of every window: `[n, c, h, w]` to `[n, c, oh, ow]`. PyTorch's `F.max_pool2d`.
    ///
    /// A dilated window may step over a tiny image and see padding alone; its maximum is then -infinity, and
    /// it has no gradient.
    ///
    /// # Panics
    /// Unless the input has four axes, and on the geometry that [`Window::pool_output`] refuses.
    #[track_caller]
    pub fn max_pool2d(self, options: impl Into<MaxPool2dOptions>) -> Var<'t> {
        let (x, shape) = (self.id(), self.shape());
        let planes = Planes::new(&shape, options.into());
        let (y, winners) = max_pool2d_forward(&self.value(), &planes);
        self.tape().record(
            "max_pool2d",
            &[self],
            y,
            (winners, planes),
            move |(winners, planes), dy, adjoints| {
                adjoints.add(x, || max_pool2d_backward(&dy, &winners, shape, &planes));
            },
        )
    }
}

impl Tensor {
    /// The largest number of every window; see [`Var::max_pool2d`].
    #[track_caller]
    pub fn max_pool2d(&self, options: impl Into<MaxPool2dOptions>) -> Tensor {
        max_pool2d_forward(self, &Planes::new(&self.shape(), options.into())).0
    }
}

/// What is the same for every plane `[h, w]` of the input.
struct Planes {
    /// `[n, c, oh, ow]`.
    output: Shape,
    h: usize,
    w: usize,
    /// The real places of every row of windows, and of every column.
    rows: Vec<Span>,
    columns: Vec<Span>,
    window: Window,
    /// Planes per part of parallel work.
    per_chunk: usize,
    /// Whether every window is 2x2, and they lie side by side.
    two_by_two: bool,
    /// The bytes of a winner: 1, or 8 for windows of more than 256 places.
    winner_bytes: usize,
    /// Whether all images are worked on at once.
    is_images_last: bool,
}

impl Keep for Planes {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        self.rows.memory(show);
        self.columns.memory(show);
    }
}

impl Planes {
    #[track_caller]
    fn new(shape: &Shape, options: MaxPool2dOptions) -> Planes {
        let MaxPool2dOptions { window, ceil_mode } = options;
        let &[n, c, h, w] = &shape[..] else {
            panic!("max_pool2d: needs images [n, c, h, w], got {shape}; unsqueeze adds an axis of length 1")
        };
        let output = window.pool_output("max_pool2d", (h, w), ceil_mode);
        let rows: Vec<Span> = (0..output.h).map(|i| window.rows().span(i, h)).collect();
        let columns: Vec<Span> = (0..output.w).map(|j| window.columns().span(j, w)).collect();
        let plain = window == Window::new(2).stride(2);
        let largest = window.kernel.h.min(h) * window.kernel.w.min(w);
        Planes {
            output: Shape::from([n, c, output.h, output.w]),
            h,
            w,
            two_by_two: plain && output.h * 2 <= h && output.w * 2 <= w,
            rows,
            columns,
            window,
            per_chunk: (CHUNK / (h * w)).max(1),
            winner_bytes: if largest <= 256 { 1 } else { 8 },
            is_images_last: n >= FROM && largest <= 256,
        }
    }

    /// Windows per plane.
    fn windows(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

/// Whether a number takes over from the largest so far.
#[inline(always)]
fn beats(new: f32, largest: f32) -> bool {
    new > largest || new.is_nan()
}

/// The maxima and their winners.
fn max_pool2d_forward(x: &Tensor, planes: &Planes) -> (Tensor, Bytes) {
    if planes.is_images_last {
        return images_last::forward(x, planes);
    }
    let x = x.contiguous();
    let mut y = Tensor::empty(planes.output);
    let mut winners = Bytes::new(y.numel() * planes.winner_bytes);
    let (pixels, windows) = (planes.h * planes.w, planes.windows());
    let parts = (
        Chunks::new(y.data_mut(), planes.per_chunk * windows),
        Chunks::new(&mut winners, planes.per_chunk * windows * planes.winner_bytes),
    );
    parallel::for_each_part(parts, |chunk, (y, winners)| {
        let x = &x.data()[chunk * planes.per_chunk * pixels..][..y.len() / windows * pixels];
        match planes.two_by_two {
            true => dispatch(TwoByTwoForward { x, y, winners, planes }),
            false => forward_any(x, y, winners, planes),
        }
    });
    (y, winners)
}

/// Any geometry, window by window: the definition.
fn forward_any(x: &[f32], y: &mut [f32], winners: &mut [u8], planes: &Planes) {
    let (w, dilation, winner_bytes) = (planes.w, planes.window.dilation, planes.winner_bytes);
    let mut outputs = y.iter_mut().zip(winners.chunks_exact_mut(winner_bytes));
    for plane in x.chunks_exact(planes.h * w) {
        for rows in &planes.rows {
            for (columns, (y, winner)) in planes.columns.iter().zip(&mut outputs) {
                let (mut largest, mut place, mut number) = (f32::NEG_INFINITY, 0u64, 0u64);
                for row in (rows.first..).step_by(dilation.h).take(rows.len) {
                    let places = plane[row * w..][..w].iter().skip(columns.first).step_by(dilation.w);
                    for &value in places.take(columns.len) {
                        if beats(value, largest) {
                            (largest, place) = (value, number);
                        }
                        number += 1;
                    }
                }
                *y = largest;
                winner.copy_from_slice(&place.to_le_bytes()[..winner_bytes]);
            }
        }
    }
}

/// dx: every dy where its winner is, zero elsewhere.
fn max_pool2d_backward(dy: &Tensor, winners: &[u8], shape: Shape, planes: &Planes) -> Tensor {
    if planes.is_images_last {
        return images_last::backward(dy, winners, shape, planes);
    }
    let dy = dy.contiguous();
    let mut dx = Tensor::empty(shape);
    let (pixels, windows) = (planes.h * planes.w, planes.windows());
    parallel::for_each_part(Chunks::new(dx.data_mut(), planes.per_chunk * pixels), |chunk, dx| {
        let (first, len) = (chunk * planes.per_chunk * windows, dx.len() / pixels * windows);
        let dy = &dy.data()[first..][..len];
        let winners = &winners[first * planes.winner_bytes..][..len * planes.winner_bytes];
        match planes.two_by_two {
            true => dispatch(TwoByTwoBackward { dy, winners, dx, planes }),
            false => backward_any(dy, winners, dx, planes),
        }
    });
    dx
}

/// Any geometry: windows that share a winner add up, in the order of the windows.
fn backward_any(dy: &[f32], winners: &[u8], dx: &mut [f32], planes: &Planes) {
    let (w, dilation, winner_bytes) = (planes.w, planes.window.dilation, planes.winner_bytes);
    dx.fill(0.0);
    let mut inputs = dy.iter().zip(winners.chunks_exact(winner_bytes));
    for plane in dx.chunks_exact_mut(planes.h * w) {
        for rows in &planes.rows {
            for (columns, (dy, winner)) in planes.columns.iter().zip(&mut inputs) {
                if rows.len == 0 || columns.len == 0 {
                    continue; // a window of padding alone has no winner
                }
                let mut bytes = [0; 8];
                bytes[..winner_bytes].copy_from_slice(winner);
                let number = u64::from_le_bytes(bytes) as usize;
                let row = rows.first + number / columns.len * dilation.h;
                plane[row * w + columns.first + number % columns.len * dilation.w] += dy;
            }
        }
    }
}

/// `new` in the lanes where its number beats the other's, by the rule of [`beats`]; numbers with their places.
#[inline(always)]
fn larger<I: Isa>(old: (I::F32, I::F32), new: (I::F32, I::F32)) -> (I::F32, I::F32) {
    let choose = |yes: I::F32, no: I::F32| {
        // Only a NaN differs from itself.
        new.0.where_eq(new.0, new.0.where_gt(old.0, yes, no), yes)
    };
    (choose(new.0, old.0), choose(new.1, old.1))
}
