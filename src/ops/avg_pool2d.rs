//! Average pooling: the mean of every window.
//!
//! ```text
//! forward     y[n, c, i, j] = sum of x[n, c, row, column] over the real places of window (i, j) / divisor(i, j)
//! backward    dx[n, c, row, column] = sum of dy[n, c, i, j] / divisor(i, j) over the windows that see it
//! ```
//!
//! The divisor is the number of places of the window, padding included, but not what `ceil_mode` lets hang over
//! the padding's edge; with `count_include_pad` off it is the number of real places.
//!
//! A window is a rectangle, so its sum is taken in two steps: down the rows for all columns at once, then across
//! the columns. That is kh + kw additions an element instead of kh * kw, the first step runs over whole rows, and
//! rounding errors grow with kh + kw, too. Backward goes the same way in reverse. Forward reads x once per window
//! that sees it, from the cache from the second time on, and writes y once.
//!
//! The op is linear: the tape keeps no values.
//!
//! What this is not: `mean` along an axis. Next: `batch_norm/mod.rs`.

use super::window::{Axis, Pair, Span, Window};
use crate::autograd::{Keep, Memory};
use crate::parallel::{self, Chunks, Scratch};
use crate::simd::slices::CHUNK;
use crate::{Shape, Tensor, Var};

/// The geometry of an average pooling: PyTorch's (C++) options of the same name. A number or a pair is a kernel.
///
/// ```
/// use tapegrad::{Tensor, ops::avg_pool2d::AvgPool2dOptions};
/// let x = Tensor::arange(9).reshape([1, 1, 3, 3]);
/// let options = AvgPool2dOptions::new(2).stride(1); // the notebook's cell 26
/// assert_eq!(x.avg_pool2d(options).to_vec(), [2.0, 3.0, 5.0, 6.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AvgPool2dOptions {
    /// How many places a window looks at.
    pub kernel: Pair,
    /// How far apart windows start.
    pub stride: Pair,
    /// How many zeros are added on each side of the image, at most half a window.
    pub padding: Pair,
    /// Whether a last window may hang over the end of the image.
    pub ceil_mode: bool,
    /// Whether padding counts in the divisor.
    pub count_include_pad: bool,
}

impl AvgPool2dOptions {
    /// Windows side by side (the stride is the kernel), without padding; where there is any, it counts.
    pub fn new(kernel: impl Into<Pair>) -> Self {
        let kernel = kernel.into();
        AvgPool2dOptions {
            kernel,
            stride: kernel,
            padding: 0.into(),
            ceil_mode: false,
            count_include_pad: true,
        }
    }

    /// How far apart windows start.
    pub fn stride(mut self, stride: impl Into<Pair>) -> Self {
        self.stride = stride.into();
        self
    }

    /// How many zeros are added on each side of the image, at most half a window.
    pub fn padding(mut self, padding: impl Into<Pair>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Rounds the number of windows up instead of down.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// Whether padding counts in the divisor.
    pub fn count_include_pad(mut self, count_include_pad: bool) -> Self {
        self.count_include_pad = count_include_pad;
        self
    }
}

impl<P: Into<Pair>> From<P> for AvgPool2dOptions {
    fn from(kernel: P) -> Self {
        AvgPool2dOptions::new(kernel)
    }
}

impl<'t> Var<'t> {
    /// The mean of every window: `[n, c, h, w]` to `[n, c, oh, ow]`. PyTorch's `F.avg_pool2d`.
    ///
    /// # Panics
    /// Unless the input has four axes, and on the geometry that [`Window::pool_output`] refuses.
    #[track_caller]
    pub fn avg_pool2d(self, options: impl Into<AvgPool2dOptions>) -> Var<'t> {
        let (x, shape) = (self.id(), self.shape());
        let planes = Planes::new(&shape, options.into());
        let y = avg_pool2d_forward(&self.value(), &planes);
        self.tape().record("avg_pool2d", &[self], y, planes, move |planes, dy, adjoints| {
            adjoints.add(x, || avg_pool2d_backward(&dy, shape, &planes));
        })
    }
}

impl Tensor {
    /// The mean of every window; see [`Var::avg_pool2d`].
    #[track_caller]
    pub fn avg_pool2d(&self, options: impl Into<AvgPool2dOptions>) -> Tensor {
        avg_pool2d_forward(self, &Planes::new(&self.shape(), options.into()))
    }
}

/// The windows of one row or of one column of windows: the real places, and how many count.
#[derive(Clone, Copy)]
struct Windows {
    span: Span,
    count: usize,
}

/// What is the same for every plane `[h, w]` of the input.
struct Planes {
    /// `[n, c, oh, ow]`.
    output: Shape,
    h: usize,
    w: usize,
    rows: Vec<Windows>,
    columns: Vec<Windows>,
    /// Planes per part of parallel work.
    per_chunk: usize,
}

impl Keep for Planes {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        self.rows.memory(show);
        self.columns.memory(show);
    }
}

impl Planes {
    #[track_caller]
    fn new(shape: &Shape, options: AvgPool2dOptions) -> Planes {
        let AvgPool2dOptions { kernel, stride, padding, ceil_mode, count_include_pad } = options;
        let &[n, c, h, w] = &shape[..] else {
            panic!("avg_pool2d: needs images [n, c, h, w], got {shape}; unsqueeze adds an axis of length 1")
        };
        let window = Window { kernel, stride, padding, dilation: 1.into() };
        let output = window.pool_output("avg_pool2d", (h, w), ceil_mode);
        let windows = |axis: Axis, size: usize, o: usize| {
            let span = axis.span(o, size);
            // How much of the window lies in the padded image.
            let padded = axis.kernel.min(size + 2 * axis.padding - o * axis.stride);
            Windows { span, count: if count_include_pad { padded } else { span.len } }
        };
        Planes {
            output: Shape::from([n, c, output.h, output.w]),
            h,
            w,
            rows: (0..output.h).map(|i| windows(window.rows(), h, i)).collect(),
            columns: (0..output.w).map(|j| windows(window.columns(), w, j)).collect(),
            per_chunk: (CHUNK / (h * w)).max(1),
        }
    }

    /// Windows per plane.
    fn windows(&self) -> usize {
        self.rows.len() * self.columns.len()
    }
}

/// The means.
fn avg_pool2d_forward(x: &Tensor, planes: &Planes) -> Tensor {
    let x = x.contiguous();
    let mut y = Tensor::empty(planes.output);
    let (w, pixels, windows) = (planes.w, planes.h * planes.w, planes.windows());
    parallel::for_each_part(Chunks::new(y.data_mut(), planes.per_chunk * windows), |chunk, y| {
        let x = &x.data()[chunk * planes.per_chunk * pixels..][..y.len() / windows * pixels];
        let mut down = Scratch::new(w);
        let mut outputs = y.iter_mut();
        for plane in x.chunks_exact(pixels) {
            for rows in &planes.rows {
                down.fill(0.0);
                for row in plane[rows.span.first * w..].chunks_exact(w).take(rows.span.len) {
                    down.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
                for (columns, y) in planes.columns.iter().zip(&mut outputs) {
                    let across: f32 = down[columns.span.first..][..columns.span.len].iter().sum();
                    *y = across / (rows.count as f32 * columns.count as f32);
                }
            }
        }
    });
    y
}

/// dx: every window's share of dy, added up over the windows that see a place.
fn avg_pool2d_backward(dy: &Tensor, shape: Shape, planes: &Planes) -> Tensor {
    let dy = dy.contiguous();
    let mut dx = Tensor::empty(shape);
    let (w, pixels, windows) = (planes.w, planes.h * planes.w, planes.windows());
    parallel::for_each_part(Chunks::new(dx.data_mut(), planes.per_chunk * pixels), |chunk, dx| {
        let dy = &dy.data()[chunk * planes.per_chunk * windows..][..dx.len() / pixels * windows];
        let mut across = Scratch::new(w);
        let mut inputs = dy.iter();
        dx.fill(0.0);
        for plane in dx.chunks_exact_mut(pixels) {
            for rows in &planes.rows {
                across.fill(0.0);
                for (columns, dy) in planes.columns.iter().zip(&mut inputs) {
                    let share = dy / (rows.count as f32 * columns.count as f32);
                    let places = &mut across[columns.span.first..][..columns.span.len];
                    places.iter_mut().for_each(|sum| *sum += share);
                }
                for row in plane[rows.span.first * w..].chunks_exact_mut(w).take(rows.span.len) {
                    row.iter_mut().zip(across.iter()).for_each(|(dx, share)| *dx += share);
                }
            }
        }
    });
    dx
}
