//! `MaxPool2d` and `AvgPool2d`: the largest, or the mean, of what each window sees. Nothing is learned.
//!
//! Unlike a convolution's, the windows of a pooling lie side by side unless told otherwise: the stride is the kernel.
//! The ops, and their adjoints, are in `ops/max_pool2d/` and `ops/avg_pool2d.rs`.
//!
//! Next to read: `activation.rs`.

use super::{Kind, Module};
use crate::Var;
use crate::ops::avg_pool2d::AvgPool2dOptions;
use crate::ops::max_pool2d::MaxPool2dOptions;
use crate::ops::window::{Pair, Window};

/// The largest element of every window: `[n, c, h, w]` to `[n, c, oh, ow]`.
///
/// ```
/// use tapegrad::nn::MaxPool2d;
/// let pool = MaxPool2d::new(3).padding(1).stride(2); // the notebook's cell 29
/// assert_eq!(pool.to_string(), "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    options: MaxPool2dOptions,
}

impl MaxPool2d {
    /// Windows of one size, `2`, or two, `(2, 3)`, that lie side by side.
    pub fn new(kernel: impl Into<Pair>) -> MaxPool2d {
        MaxPool2d { options: MaxPool2dOptions::new(kernel) }
    }

    /// This layer with windows that start `stride` apart.
    pub fn stride(self, stride: impl Into<Pair>) -> MaxPool2d {
        MaxPool2d { options: self.options.stride(stride) }
    }

    /// This layer with the image grown on each side, by places that are never the largest.
    pub fn padding(self, padding: impl Into<Pair>) -> MaxPool2d {
        MaxPool2d { options: self.options.padding(padding) }
    }

    /// This layer with the places of a window spread out.
    pub fn dilation(self, dilation: impl Into<Pair>) -> MaxPool2d {
        MaxPool2d { options: self.options.dilation(dilation) }
    }

    /// This layer with the number of windows rounded up, or down as usual.
    pub fn ceil_mode(self, ceil_mode: bool) -> MaxPool2d {
        MaxPool2d { options: self.options.ceil_mode(ceil_mode) }
    }

    /// Kernel, stride, padding, dilation and rounding.
    pub fn options(&self) -> MaxPool2dOptions {
        self.options
    }
}

impl Module for MaxPool2d {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x.max_pool2d(self.options)
    }

    fn name(&self) -> &str {
        "MaxPool2d"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::MaxPool2d(self)
    }

    fn extra_repr(&self) -> String {
        let ceil_mode = if self.options.ceil_mode { "True" } else { "False" };
        let dilation = short(self.options.window.dilation);
        let Window { kernel, stride, padding, .. } = self.options.window;
        format!("{}, dilation={dilation}, ceil_mode={ceil_mode}", geometry(kernel, stride, padding))
    }
}

/// The mean of every window: `[n, c, h, w]` to `[n, c, oh, ow]`.
///
/// ```
/// use tapegrad::nn::AvgPool2d;
/// assert_eq!(AvgPool2d::new((2, 3)).to_string(), "AvgPool2d(kernel_size=(2, 3), stride=(2, 3), padding=0)");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AvgPool2d {
    options: AvgPool2dOptions,
}

impl AvgPool2d {
    /// Windows of one size, `2`, or two, `(2, 3)`, that lie side by side.
    pub fn new(kernel: impl Into<Pair>) -> AvgPool2d {
        AvgPool2d { options: AvgPool2dOptions::new(kernel) }
    }

    /// This layer with windows that start `stride` apart.
    pub fn stride(self, stride: impl Into<Pair>) -> AvgPool2d {
        AvgPool2d { options: self.options.stride(stride) }
    }

    /// This layer with so many zeros put on each side of the image.
    pub fn padding(self, padding: impl Into<Pair>) -> AvgPool2d {
        AvgPool2d { options: self.options.padding(padding) }
    }

    /// This layer with the number of windows rounded up, or down as usual.
    pub fn ceil_mode(self, ceil_mode: bool) -> AvgPool2d {
        AvgPool2d { options: self.options.ceil_mode(ceil_mode) }
    }

    /// This layer with the zeros of the padding counted in a mean, as usual, or not.
    pub fn count_include_pad(self, count_include_pad: bool) -> AvgPool2d {
        AvgPool2d { options: self.options.count_include_pad(count_include_pad) }
    }

    /// Kernel, stride, padding, rounding, and what the padding counts for.
    pub fn options(&self) -> AvgPool2dOptions {
        self.options
    }
}

impl Module for AvgPool2d {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x.avg_pool2d(self.options)
    }

    fn name(&self) -> &str {
        "AvgPool2d"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::AvgPool2d(self)
    }

    fn extra_repr(&self) -> String {
        let AvgPool2dOptions { kernel, stride, padding, .. } = self.options;
        geometry(kernel, stride, padding)
    }
}

fn geometry(kernel: Pair, stride: Pair, padding: Pair) -> String {
    format!("kernel_size={}, stride={}, padding={}", short(kernel), short(stride), short(padding))
}

/// PyTorch prints a pooling's numbers as they were given: here one where both are the same.
fn short(pair: Pair) -> String {
    if pair.h == pair.w { pair.h.to_string() } else { pair.to_string() }
}
