//! conv2d: a bank of small filters slid over a batch of images. (Cross-correlation, as in every deep-learning library.)
//!
//! ```text
//! y[n, o, p]  = bias[o] + Σ_q W[o, q] · patches_n[p, q]          W: [oc, taps], patches: [positions, taps]  (im2col.rs)
//!
//! dW[o, q]    = Σ_n Σ_p dy[n, o, p] · patches_n[p, q]             a product over positions, summed over images
//! dpatches_n  = Wᵀ dy_n,  scattered back into the image            the adjoint of looking through windows
//! dbias[o]    = Σ_n Σ_p dy[n, o, p]
//! ```
//!
//! Every output element is one chain over taps, starting from the bias. With groups, channels are cut into as many independent
//! convolutions. There are two ways to do the products, chosen by sizes alone: over patches packed for GEMM (`packed.rs`), and,
//! for small images and few filters as LeNet's, over images unrolled in the cache (`direct.rs`, `weight.rs`).
//!
//! The tape keeps the images (padded, where they are packed) and the weights. The gradient of the images, the most expensive of the three, is
//! not computed where nobody wants it: the first layer of a net never does.
//!
//! Work is cut into tasks of whole images, and with few images into parts of them; sums over images are taken in blocks of a
//! fixed number of images and added in order. Neither depends on the number of threads.
//!
//! What this is not: Winograd's or an FFT convolution; both round differently from the sum that the formula says.
//!
//! Reading order: this file, `sizes.rs`, `im2col.rs`, `packed.rs`, `im2row.rs`, `direct.rs`, `weight.rs`. Next: `max_pool2d.rs`.

mod direct;
pub mod im2col;
pub mod im2row;
mod packed;
mod sizes;
mod weight;

use crate::autograd::Var;
use crate::gemm::MatrixMut;
use crate::parallel::{self, Chunks};
use crate::simd::slices::{self, AddScaled};
use crate::{Shape, Tensor};
pub use sizes::Conv2dOptions;
use sizes::{BLOCK, Sizes};

impl<'t> Var<'t> {
    /// Convolution of images `[n, c, h, w]` with filters `[oc, c / groups, kh, kw]` and an optional bias `[oc]`, to
    /// `[n, oc, oh, ow]`, with `oh = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1`. PyTorch's `F.conv2d`.
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
        let is_direct = direct::pays(&sizes);
        let x = if is_direct { x.contiguous() } else { packed::padded(&x, &sizes) };

        let output = sizes.grid.output;
        let mut y = Tensor::empty([sizes.n, sizes.oc * sizes.groups, output.h, output.w]);
        match y.numel() {
            0 => {}
            _ if is_direct => direct::forward(&x, &w, bias_value.as_ref(), &sizes, &mut y),
            _ => packed::forward(&x, &w, bias_value.as_ref(), &sizes, &mut y),
        }

        let mut inputs = vec![self, weight];
        inputs.extend(bias);
        let (x_id, w_id, bias_id) = (self.id(), weight.id(), bias.map(|bias| bias.id()));
        self.tape().record("conv2d", &inputs, y, move |dy, adjoints| {
            let dy = dy.contiguous();
            if let Some(bias) = bias_id {
                adjoints.add(bias, || conv2d_backward_bias(&dy, &sizes));
            }
            adjoints.add(w_id, || conv2d_backward_weight(&dy, &x, w.shape(), &sizes));
            adjoints.add(x_id, || {
                let mut dx = Tensor::empty([sizes.n, sizes.c * sizes.groups, sizes.image.h, sizes.image.w]);
                match dy.numel() {
                    0 => dx.data_mut().fill(0.0),
                    _ if is_direct => direct::backward_input(&dy, &w, &sizes, &mut dx),
                    _ => packed::backward_input(&dy, &w, &sizes, &mut dx),
                }
                dx
            });
        })
    }
}

/// dW = Σ dy · patches: blocks of images one after the other, a block's images in one chain, or in sixteen partial sums
/// (`weight.rs`).
fn conv2d_backward_weight(dy: &Tensor, x: &Tensor, shape: Shape, sizes: &Sizes) -> Tensor {
    let Sizes { n, oc, groups, ref grid, .. } = *sizes;
    let (positions, taps) = (grid.positions(), grid.taps());
    let mut dw = Tensor::empty(shape);
    if dw.numel() == 0 || n * positions == 0 {
        dw.data_mut().fill(0.0);
        return dw;
    }
    let blocks = n.div_ceil(BLOCK);
    // With few blocks, a task is some of the filters of one group instead of all.
    let rows = oc.div_ceil(sizes.parts(oc, 16));
    let mut sums = Tensor::empty([blocks, groups * oc, taps]);
    let per_group = oc.div_ceil(rows);
    let is_direct = direct::pays(sizes);
    let tasks = MatrixMut::new(sums.data_mut(), blocks * groups * oc, taps);
    parallel::for_each_part(tasks.split_groups(oc, rows), |index, mut sum| {
        let (part, group) = (index % per_group, index / per_group % groups);
        let block = index / per_group / groups;
        let rows_here = sum.rows();
        let images = block * BLOCK..n.min((block + 1) * BLOCK);
        let at = |i: usize| (images.start + i) * groups + group;
        let dy = |i: usize| {
            &dy.data()[at(i) * sizes.output_group() + part * rows * positions..][..rows_here * positions]
        };
        if is_direct {
            let image = |i: usize| sizes.image(x, at(i));
            weight::gradient(images.len(), image, dy, rows_here, &sizes.unrolled, sum.as_slice_mut());
        } else {
            let image = |i: usize| &x.data()[at(i) * sizes.padded_group()..][..sizes.padded_group()];
            packed::backward_weight((0..images.len()).map(|i| (image(i), dy(i))), sizes, sum);
        }
    });
    let size = dw.numel();
    let dw_data = dw.data_mut();
    dw_data.copy_from_slice(&sums.data()[..size]);
    for block in sums.data().chunks_exact(size).skip(1) {
        slices::zip_update(AddScaled(1.0), dw_data, block);
    }
    dw
}

/// dbias: the sum of every plane, planes of one channel added in the order of the images.
fn conv2d_backward_bias(dy: &Tensor, sizes: &Sizes) -> Tensor {
    let (oc, positions) = (sizes.oc * sizes.groups, sizes.grid.positions());
    let mut sums = Tensor::empty([sizes.n, oc]);
    let per_task = (slices::CHUNK / positions.max(1)).max(1);
    parallel::for_each_part(Chunks::new(sums.data_mut(), per_task), |task, sums| {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = slices::sum(&dy.data()[(task * per_task + i) * positions..][..positions]);
        }
    });
    let mut dbias = Tensor::zeros([oc]);
    for image in sums.data().chunks_exact(oc.max(1)) {
        for (total, sum) in dbias.data_mut().iter_mut().zip(image) {
            *total += *sum;
        }
    }
    dbias
}
