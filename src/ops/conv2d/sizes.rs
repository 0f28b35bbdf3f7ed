//! The sizes of a convolution: checked once, then handed to whoever does a part of the work.

use super::im2col::Grid;
use crate::Shape;
use crate::autograd::{Keep, Memory};
use crate::ops::images_last::FROM;
use crate::ops::window::{Pair, Window};

/// How the filters move, each axis for itself; PyTorch's names and defaults.
///
/// ```
/// use tapegrad::ops::conv2d::Conv2dOptions;
/// let options = Conv2dOptions { padding: (2, 1).into(), ..Conv2dOptions::default() };
/// assert_eq!(options.stride.to_string(), "(1, 1)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// How far apart windows start.
    pub stride: Pair,
    /// Zeros around the image.
    pub padding: Pair,
    /// How far apart the places of one window lie.
    pub dilation: Pair,
    /// Into how many independent convolutions the channels are cut.
    pub groups: usize,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Conv2dOptions { stride: 1.into(), padding: 0.into(), dilation: 1.into(), groups: 1 }
    }
}

/// Images per block of a sum over images. A block's images and gradients (LeNet: 8 times some 10 KiB) stay in the second-level
/// cache.
pub(super) const BLOCK: usize = 8;

/// With fewer images than this, an image is cut into parts, to give every thread something to do.
const FEW: usize = 16;

/// How images lie in memory: `[batches, c, h, w, images]`, all in one batch if they lie images last, or else each is one by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub batches: usize,
    pub images: usize,
}

/// The sizes of one convolution.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub n: usize,
    /// Input and output channels of one group.
    pub c: usize,
    pub oc: usize,
    pub groups: usize,
    pub window: Window,
    /// Height and width of an image, without padding.
    pub image: Pair,
    /// The windows over the padded channels of one group.
    pub grid: Grid,
}

impl Keep for Sizes {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        self.grid.memory(show);
    }
}

impl Sizes {
    /// Checks the shapes of a convolution.
    #[track_caller]
    pub fn new(input: &Shape, weight: &Shape, bias: Option<Shape>, options: &Conv2dOptions) -> Sizes {
        let Conv2dOptions { stride, padding, dilation, groups } = *options;
        assert!(
            input.len() == 4,
            "conv2d: needs images [n, c, h, w], got {input}; unsqueeze adds an axis of length 1"
        );
        assert!(weight.len() == 4, "conv2d: needs filters [oc, c / groups, kh, kw], got {weight}");
        let ([n, channels, h, w], [oc, c, kh, kw]) =
            (std::array::from_fn(|i| input[i]), std::array::from_fn(|i| weight[i]));
        assert!(
            groups > 0 && channels % groups == 0 && oc % groups == 0,
            "conv2d: {groups} groups do not divide the {channels} channels of {input} and the {oc} filters of {weight}"
        );
        assert!(
            channels == c.saturating_mul(groups),
            "conv2d: images {input} have {channels} channels, filters {weight} with {groups} groups need {}",
            c.saturating_mul(groups)
        );
        if let Some(bias) = bias {
            assert!(bias == [oc], "conv2d: filters {weight} need a bias [{oc}], got {bias}");
        }
        let window = Window::new((kh, kw)).stride(stride).padding(padding).dilation(dilation);
        let output = window.output("conv2d", (h, w));
        let padded = Pair { h: h + 2 * padding.h, w: w + 2 * padding.w };
        let image = Pair { h, w };
        let grid = Grid::new(c, padded, output, &window);
        Sizes { n, c, oc: oc / groups, groups, window, image, grid }
    }

    /// Whether inputs and outputs lie images last: for many images, unless the sums are empty.
    pub fn is_images_last(&self) -> bool {
        self.n >= FROM && self.oc * self.grid.taps() > 0
    }

    /// How inputs and outputs lie in memory.
    pub fn order(&self) -> Order {
        if self.is_images_last() {
            Order { batches: 1, images: self.n }
        } else {
            Order { batches: self.n, images: 1 }
        }
    }

    /// Elements of one padded image, all groups.
    pub fn padded_image(&self) -> usize {
        self.groups * self.padded_group()
    }

    /// Elements of the padded channels of one group.
    pub fn padded_group(&self) -> usize {
        self.c * self.grid.image.h * self.grid.image.w
    }

    /// Elements of one image's output in one group.
    pub fn output_group(&self) -> usize {
        self.oc * self.grid.positions()
    }

    /// Into how many parts an image is cut: one, or with few images more, of at least `least` of the `whole`.
    pub fn parts(&self, whole: usize, least: usize) -> usize {
        if self.n >= FEW { 1 } else { FEW.div_ceil(self.n.max(1)).min(whole.div_ceil(least)).max(1) }
    }
}
