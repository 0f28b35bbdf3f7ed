//! conv2d: a bank of small filters slid over a batch of images. (Cross-correlation, as in every deep-learning library.)
//!
//! ```text
//! y[n, o, p]  = bias[o] + Σ_q W[o, q] · patches_n[p, q]          W: [oc, taps], patches: [positions, taps]  (im2col.rs)
//!
//! dW[o, q]    = Σ_n Σ_p dy[n, o, p] · patches_n[p, q]             a product over positions, summed over images
//! dpatches_n  = Wᵀ dy_n,  added up in the image                    the adjoint of looking through windows
//! dbias[o]    = Σ_n Σ_p dy[n, o, p]
//! ```
//!
//! Every output element is one chain over taps, starting from the bias. With groups, channels are cut into as many independent
//! convolutions. There are three ways to do the products, chosen by sizes alone. Two read the images where they lie; they
//! differ in what the lanes of a vector are:
//!
//! - neighbouring positions of many images, or of a wide one (`images_last.rs`, `weight.rs`),
//! - filters, if there are many (`filters.rs`, `filters_weight.rs`),
//! - else positions of one image, in the cache (`small.rs`) or packed for GEMM (`packed.rs`).
//!
//! From sixteen images on, the output lies in the order `[oc, oh, ow, n]`; the shape is `[n, oc, oh, ow]` all the same.
//!
//! The tape keeps the images, padded but for the second way, and the weights. The gradient of the images, the most expensive of the three,
//! is not computed where nobody wants it: the first layer of a net never does.
//!
//! Work is cut into tasks by sizes alone, and sums over images or rows are taken in blocks of a fixed number and added in order. So
//! nothing depends on the number of threads.
//!
//! What this is not: Winograd's or an FFT convolution; both round differently from the sum that the formula says.
//!
//! Reading order: this file, `sizes.rs`, `images_last.rs`, `weight.rs`, `filters.rs`, `filters_weight.rs`, then `im2col.rs`,
//! `packed.rs`, `small.rs`. Next: `max_pool2d/mod.rs`.

mod filters;
mod filters_weight;
pub mod im2col;
mod images_last;
mod packed;
mod sizes;
mod small;
mod weight;

use crate::autograd::Var;
use crate::ops::images_last as order;
use crate::ops::window::Pair;
use crate::parallel::{self, Chunks};
use crate::simd::slices::{self, AddScaled};
use crate::{Shape, Tensor};
pub use sizes::Conv2dOptions;
use sizes::Sizes;

impl<'t> Var<'t> {
    /// Convolution of images `[n, c, h, w]` with filters `[oc, c / groups, kh, kw]` and an optional bias `[oc]`, to
    /// `[n, oc, oh, ow]`, with `oh = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1`. PyTorch's `F.conv2d`.
    ///
    /// For sixteen images or more the value lies in memory with the images innermost, so its [`data`](Tensor::data) wants a
    /// [`contiguous`](Tensor::contiguous) first.
    ///
    /// ```
    /// use tapegrad::{Tape, Tensor, ops::conv2d::Conv2dOptions};
    /// let tape = Tape::inference();
    /// let x = tape.input(&Tensor::arange(9).reshape([1, 1, 3, 3]));
    /// let k = tape.input(&Tensor::arange(4).reshape([1, 1, 2, 2]));
    /// let y = x.conv2d(k, None, &Conv2dOptions::default());
    /// assert_eq!(y.value().to_vec(), [19., 25., 37., 43.]); // the notebook's cell 4
    /// ```
    ///
    /// # Panics
    /// When shapes or channels do not fit, or a window is larger than the padded image.
    #[track_caller]
    pub fn conv2d(self, weight: Var<'t>, bias: Option<Var<'t>>, options: &Conv2dOptions) -> Var<'t> {
        let (x, w) = (self.value(), weight.value().contiguous());
        let bias_value = bias.map(|bias| bias.value().contiguous());
        let sizes = Sizes::new(&x.shape(), &w.shape(), bias_value.as_ref().map(Tensor::shape), options);
        let way = Way::of(&sizes);
        let x = match way {
            Way::Filters => in_order(&x, &sizes),
            _ => padded(&x, &sizes),
        };
        let mut y = empty(&sizes, sizes.oc * sizes.groups, sizes.grid.output);
        if y.numel() > 0 {
            let bias = bias_value.as_ref();
            match way {
                Way::Filters => filters::forward(x.memory(), &w, bias, &sizes, y.memory_mut()),
                Way::ImagesLast => images_last::forward(&x, &w, bias, &sizes, &mut y),
                Way::Packed => packed::forward(&x, &w, bias, &sizes, &mut y),
            }
        }

        let inputs = [self, weight, bias.unwrap_or(weight)];
        let inputs = &inputs[..if bias.is_some() { 3 } else { 2 }];
        let (x_id, w_id, bias_id) = (self.id(), weight.id(), bias.map(|bias| bias.id()));
        self.tape().record("conv2d", inputs, y, (x, w, sizes), move |(x, w, sizes), dy, adjoints| {
            let dy = in_order(&dy, &sizes);
            if let Some(bias) = bias_id {
                adjoints.add(bias, || conv2d_backward_bias(&dy, &sizes));
            }
            adjoints.add(w_id, || conv2d_backward_weight(&dy, &x, w.shape(), &sizes));
            adjoints.add(x_id, || {
                let mut dx = empty(&sizes, sizes.c * sizes.groups, sizes.image);
                match way {
                    _ if dy.numel() == 0 || dx.numel() == 0 => dx.memory_mut().fill(0.0),
                    Way::Filters => filters::backward_input(dy.memory(), &w, &sizes, dx.memory_mut()),
                    Way::ImagesLast => images_last::backward_input(&dy, &w, &sizes, &mut dx),
                    Way::Packed => packed::backward_input(&dy, &w, &sizes, &mut dx),
                }
                dx
            });
        })
    }
}

/// The way to do the products: what lies side by side in the lanes.
#[derive(Clone, Copy)]
enum Way {
    /// Filters.
    Filters,
    /// Positions of all images; an image alone is a batch of one.
    ImagesLast,
    /// Positions of an image, copied.
    Packed,
}

impl Way {
    fn of(sizes: &Sizes) -> Way {
        if !sizes.is_images_last() && images_last::pays_for_each(sizes) {
            Way::ImagesLast
        } else if filters::pays(sizes) {
            Way::Filters
        } else if sizes.is_images_last() {
            Way::ImagesLast
        } else {
            Way::Packed
        }
    }
}

/// Images of unspecified pixels, in the order in which a convolution of these sizes puts them out.
#[track_caller]
fn empty(sizes: &Sizes, channels: usize, size: Pair) -> Tensor {
    match sizes.is_images_last() {
        true => order::empty(sizes.n, channels, size),
        false => Tensor::empty([sizes.n, channels, size.h, size.w]),
    }
}

/// The images in this order.
#[track_caller]
fn in_order(x: &Tensor, sizes: &Sizes) -> Tensor {
    if sizes.is_images_last() { order::images_last(x, 0.into()) } else { x.contiguous() }
}

/// The images in this order, with zeros around them.
#[track_caller]
fn padded(x: &Tensor, sizes: &Sizes) -> Tensor {
    match sizes.is_images_last() {
        true => order::images_last(x, sizes.window.padding),
        false => packed::padded(x, sizes),
    }
}

/// dW = Σ dy · patches: the sums of blocks, added in order.
fn conv2d_backward_weight(dy: &Tensor, x: &Tensor, shape: Shape, sizes: &Sizes) -> Tensor {
    let mut dw = Tensor::empty(shape);
    if dw.numel() == 0 || dy.numel() == 0 {
        dw.data_mut().fill(0.0);
        return dw;
    }
    let sums = match Way::of(sizes) {
        Way::Filters => filters_weight::gradient(dy.memory(), padded(x, sizes).memory(), sizes),
        Way::ImagesLast => weight::gradient(dy, x, sizes),
        Way::Packed => packed::backward_weight(dy, x, sizes),
    };
    let size = dw.numel();
    let dw_data = dw.data_mut();
    dw_data.copy_from_slice(&sums.data()[..size]);
    for block in sums.data().chunks_exact(size).skip(1) {
        slices::zip_update(AddScaled(1.0), dw_data, block);
    }
    dw
}

/// dbias: the sum of every plane of an image, or of every row of all images; those of one channel added in order.
fn conv2d_backward_bias(dy: &Tensor, sizes: &Sizes) -> Tensor {
    let (oc, grid) = (sizes.oc * sizes.groups, &sizes.grid);
    let is_images_last = sizes.is_images_last();
    let (count, length) = if is_images_last {
        (oc * grid.output.h, grid.output.w * sizes.n)
    } else {
        (sizes.n * oc, grid.positions())
    };
    let mut sums = Tensor::empty([count]);
    let per_task = (slices::CHUNK / length.max(1)).max(1);
    parallel::for_each_part(Chunks::new(sums.data_mut(), per_task), |task, sums| {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = slices::sum(&dy.memory()[(task * per_task + i) * length..][..length]);
        }
    });
    let mut dbias = Tensor::zeros([oc]);
    let totals = dbias.data_mut();
    for (i, sum) in sums.data().iter().enumerate() {
        totals[if is_images_last { i / grid.output.h } else { i % oc }] += *sum;
    }
    dbias
}
