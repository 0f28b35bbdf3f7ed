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
//! convolutions. There are two ways to do the products, chosen by sizes alone: for many images, on all of them at once, with the images
//! innermost in memory (`images_last.rs`, `weight.rs`); for few, or with very many weights, image by image over patches packed for GEMM
//! (`packed.rs`). The first gives its output in the order `[oc, oh, ow, n]`; the shape is `[n, oc, oh, ow]` all the same.
//!
//! The tape keeps the padded images and the weights. The gradient of the images, the most expensive of the three, is not computed where
//! nobody wants it: the first layer of a net never does.
//!
//! Work is cut into tasks by sizes alone, and sums over images or rows are taken in blocks of a fixed number and added in order. So
//! nothing depends on the number of threads.
//!
//! What this is not: Winograd's or an FFT convolution; both round differently from the sum that the formula says.
//!
//! Reading order: this file, `sizes.rs`, `images_last.rs`, `weight.rs`, then `im2col.rs`, `packed.rs`, `small.rs`. Next: `max_pool2d/mod.rs`.

pub mod im2col;
mod images_last;
mod packed;
mod sizes;
mod small;
mod weight;

use crate::autograd::Var;
use crate::ops::images_last as order;
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
        let is_images_last = images_last::pays(&sizes);
        let padding = options.padding;
        let x = if is_images_last { order::images_last(&x, padding) } else { packed::padded(&x, &sizes) };

        let output = sizes.grid.output;
        let channels = sizes.oc * sizes.groups;
        let y = if is_images_last {
            let mut y = order::empty(sizes.n, channels, output);
            images_last::forward(&x, &w, bias_value.as_ref(), &sizes, &mut y);
            y
        } else {
            let mut y = Tensor::empty([sizes.n, channels, output.h, output.w]);
            if y.numel() > 0 {
                packed::forward(&x, &w, bias_value.as_ref(), &sizes, &mut y);
            }
            y
        };

        let inputs = [self, weight, bias.unwrap_or(weight)];
        let inputs = &inputs[..if bias.is_some() { 3 } else { 2 }];
        let (x_id, w_id, bias_id) = (self.id(), weight.id(), bias.map(|bias| bias.id()));
        self.tape().record("conv2d", inputs, y, move |dy, adjoints| {
            let dy = if is_images_last { order::images_last(&dy, 0.into()) } else { dy.contiguous() };
            if let Some(bias) = bias_id {
                adjoints.add(bias, || conv2d_backward_bias(&dy, &sizes));
            }
            adjoints.add(w_id, || conv2d_backward_weight(&dy, &x, w.shape(), &sizes));
            adjoints.add(x_id, || {
                let (n, channels) = (sizes.n, sizes.c * sizes.groups);
                if is_images_last {
                    let mut dx = order::empty(n, channels, sizes.image);
                    images_last::backward_input(&dy, &w, &sizes, &mut dx);
                    dx
                } else {
                    let mut dx = Tensor::empty([n, channels, sizes.image.h, sizes.image.w]);
                    match dy.numel() {
                        0 => dx.data_mut().fill(0.0),
                        _ => packed::backward_input(&dy, &w, &sizes, &mut dx),
                    }
                    dx
                }
            });
        })
    }
}

/// dW = Σ dy · patches: the sums of blocks, added in order.
fn conv2d_backward_weight(dy: &Tensor, x: &Tensor, shape: Shape, sizes: &Sizes) -> Tensor {
    let mut dw = Tensor::empty(shape);
    if dw.numel() == 0 || dy.numel() == 0 {
        dw.data_mut().fill(0.0);
        return dw;
    }
    let sums = match images_last::pays(sizes) {
        true => weight::gradient(dy, x, sizes),
        false => packed::backward_weight(dy, x, sizes),
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
    let is_images_last = images_last::pays(sizes);
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
