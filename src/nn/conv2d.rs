//! `Conv2d`: a window slides over the image, and each place gives a weighted sum of what the window sees.
//!
//! It is what the notebook calls cross-correlation: the kernel is not flipped. The weight is `[oc, ic / groups, kh, kw]`,
//! the bias `[oc]`. With groups, output channels see only the input channels of their own group. The op, and its
//! adjoint, are in `ops/conv2d/`; what kernel, stride, padding and dilation mean is in `ops/window.rs`.
//!
//! Next to read: `pool.rs`.

use std::borrow::Cow;
use std::fmt::Write;

use super::{Init, Kind, Module, Part, PartMut, weight_and_bias, weight_and_bias_mut};
use crate::ops::conv2d::Conv2dOptions;
use crate::ops::window::Pair;
use crate::{Param, Tensor, Var};

/// A convolution: `[n, in_channels, h, w]` to `[n, out_channels, oh, ow]`.
///
/// ```
/// use tapegrad::nn::{Conv2d, Init};
///
/// let init = &mut Init::new(0);
/// let conv = Conv2d::new(1, 6, 5, init); // a kernel of 5 by 5
/// assert_eq!(conv.to_string(), "Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))");
///
/// let conv = Conv2d::new(1, 1, (5, 3), init).padding((2, 1)); // the notebook's cell 13
/// assert_eq!(conv.to_string(), "Conv2d(1, 1, kernel_size=(5, 3), stride=(1, 1), padding=(2, 1))");
/// ```
#[derive(Debug)]
pub struct Conv2d {
    /// `[out_channels, in_channels / groups, kh, kw]`.
    pub weight: Param,
    /// `[out_channels]`, or `[0]` in a layer [`without_bias`](Conv2d::without_bias).
    pub bias: Param,
    options: Conv2dOptions,
}

impl Conv2d {
    /// A convolution with PyTorch's default first values: weight and bias uniform in ±1/√(ic · kh · kw). The kernel is
    /// one size, `5`, or two, `(1, 2)` for one row of two.
    #[track_caller]
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl Into<Pair>, init: &mut Init) -> Conv2d {
        Conv2d::grouped(in_channels, out_channels, kernel, 1, init)
    }

    /// A convolution in groups: the channels are dealt out evenly, and a group of output channels sees one group of
    /// input channels. As many groups as input channels is a depthwise convolution. (The weight's shape depends on the
    /// groups, so they cannot be set later as the padding can.)
    ///
    /// # Panics
    /// Unless the groups divide both numbers of channels, and on channels or a kernel of 0.
    #[track_caller]
    pub fn grouped(
        in_channels: usize,
        out_channels: usize,
        kernel: impl Into<Pair>,
        groups: usize,
        init: &mut Init,
    ) -> Conv2d {
        assert!(
            groups > 0 && in_channels.is_multiple_of(groups) && out_channels.is_multiple_of(groups),
            "Conv2d: {groups} groups must divide both {in_channels} input and {out_channels} output channels"
        );
        let kernel = kernel.into();
        assert!(
            in_channels > 0 && out_channels > 0 && kernel.h > 0 && kernel.w > 0,
            "Conv2d: channels and kernel must be at least 1, got {in_channels} in, {out_channels} out and kernel {kernel}"
        );
        let shape = [out_channels, in_channels / groups, kernel.h, kernel.w];
        let weight = init.kaiming_uniform(shape, Init::PYTORCH_A);
        let bias = init.bias([out_channels], shape[1..].iter().product());
        let options = Conv2dOptions { groups, ..Conv2dOptions::default() };
        Conv2d { weight: Param::new(weight), bias: Param::new(bias), options }
    }

    /// This layer with windows that start `stride` apart.
    pub fn stride(mut self, stride: impl Into<Pair>) -> Conv2d {
        self.options.stride = stride.into();
        self
    }

    /// This layer with so many zeros put on each side of the image.
    pub fn padding(mut self, padding: impl Into<Pair>) -> Conv2d {
        self.options.padding = padding.into();
        self
    }

    /// This layer with the places of a window spread out.
    pub fn dilation(mut self, dilation: impl Into<Pair>) -> Conv2d {
        self.options.dilation = dilation.into();
        self
    }

    /// This layer without the added bias.
    pub fn without_bias(mut self) -> Conv2d {
        self.bias = Param::new(Tensor::zeros([0]));
        self
    }

    /// Stride, padding, dilation and groups.
    pub fn options(&self) -> Conv2dOptions {
        self.options
    }

    fn has_bias(&self) -> bool {
        self.bias.value().numel() > 0
    }
}

impl Module for Conv2d {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let tape = x.tape();
        let bias = self.has_bias().then(|| tape.param(&self.bias));
        x.conv2d(tape.param(&self.weight), bias, &self.options)
    }

    fn name(&self) -> &str {
        "Conv2d"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Conv2d(self)
    }

    fn extra_repr(&self) -> String {
        let Conv2dOptions { stride, padding, dilation, groups } = self.options;
        let shape = self.weight.value().shape();
        let kernel = Pair { h: shape[2], w: shape[3] };
        let mut text = format!("{}, {}, kernel_size={kernel}, stride={stride}", shape[1] * groups, shape[0]);
        // PyTorch leaves out what is as usual.
        if padding != 0.into() {
            let _ = write!(text, ", padding={padding}");
        }
        if dilation != 1.into() {
            let _ = write!(text, ", dilation={dilation}");
        }
        if groups != 1 {
            let _ = write!(text, ", groups={groups}");
        }
        if !self.has_bias() {
            text += ", bias=False";
        }
        text
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        weight_and_bias(&self.weight, &self.bias)
    }

    fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
        weight_and_bias_mut(&mut self.weight, &mut self.bias)
    }
}
