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
//! Each is a matrix product per image, with the patches packed straight from the image. Every output element is one chain over
//! taps, starting from the bias. With groups, channels are cut into as many independent convolutions.
//!
//! The tape keeps the images (padded, if so) and the weights. The gradient of the images, the most expensive of the three, is
//! not computed where nobody wants it: the first layer of a net never does.
//!
//! Work is cut into tasks of whole images, and with few images into parts of them; sums over images are taken in blocks of a
//! fixed number of images and added in order. Neither depends on the number of threads.
//!
//! What this is not: Winograd's or an FFT convolution; both round differently from the sum that the formula says.
//!
//! Next: `max_pool2d.rs`.

use super::im2col::{Grid, Patches, Taps, pad, scatter_add, unpad};
use super::im2row::Unrolled;
use super::window::{Pair, Window};
use super::{conv2d_direct, conv2d_weight};
use crate::autograd::Var;
use crate::gemm::{Matrix, MatrixMut, Packed, Start, multiply_block, pack_left, tile_rows};
use crate::parallel::{self, Chunks, Scratch};
use crate::simd::slices::{self, AddScaled};
use crate::{Shape, Tensor};

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

/// The sizes of one convolution.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    n: usize,
    /// Input and output channels of one group.
    pub c: usize,
    pub oc: usize,
    pub groups: usize,
    pub kernel: Pair,
    /// Height and width of an image, without padding.
    image: Pair,
    /// The windows over the padded channels of one group.
    grid: Grid,
    /// The channels of one group, unrolled along the kernel's columns.
    pub unrolled: Unrolled,
}

impl Sizes {
    /// Elements of the channels of one group, without padding.
    pub fn image_group(&self) -> usize {
        self.c * self.image.h * self.image.w
    }

    /// The channels of one group of one image; `at` counts groups, then images.
    pub fn image<'a>(&self, x: &'a Tensor, at: usize) -> &'a [f32] {
        &x.data()[at * self.image_group()..][..self.image_group()]
    }

    /// Whether images are unrolled rather than packed.
    fn is_direct(&self) -> bool {
        conv2d_direct::pays(&self.unrolled, self.oc)
    }

    /// Elements of one padded image, all groups.
    fn padded_image(&self) -> usize {
        self.groups * self.padded_group()
    }

    /// Elements of the padded channels of one group.
    fn padded_group(&self) -> usize {
        self.c * self.grid.image.h * self.grid.image.w
    }

    /// Elements of one image's output in one group.
    fn output_group(&self) -> usize {
        self.oc * self.grid.positions()
    }

    /// Into how many parts an image is cut: one, or with few images more, of at least `least` of the `whole`.
    fn parts(&self, whole: usize, least: usize) -> usize {
        if self.n >= FEW { 1 } else { FEW.div_ceil(self.n.max(1)).min(whole.div_ceil(least)).max(1) }
    }
}

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
        let sizes = check(&x.shape(), &w.shape(), bias_value.as_ref().map(Tensor::shape), options);
        let padding = options.padding;
        let x = if sizes.is_direct() { x.contiguous() } else { padded(&x, &sizes, padding) };
        let y = conv2d_forward(&x, &w, bias_value.as_ref(), &sizes);

        let mut inputs = vec![self, weight];
        inputs.extend(bias);
        let (x_id, w_id, bias_id) = (self.id(), weight.id(), bias.map(|bias| bias.id()));
        self.tape().record("conv2d", &inputs, y, move |dy, adjoints| {
            let dy = dy.contiguous();
            if let Some(bias) = bias_id {
                adjoints.add(bias, || conv2d_backward_bias(&dy, &sizes));
            }
            adjoints.add(w_id, || conv2d_backward_weight(&dy, &x, w.shape(), &sizes));
            adjoints.add(x_id, || conv2d_backward_input(&dy, &w, &sizes, padding));
        })
    }
}

#[track_caller]
fn check(input: &Shape, weight: &Shape, bias: Option<Shape>, options: &Conv2dOptions) -> Sizes {
    let Conv2dOptions { stride, padding, dilation, groups } = *options;
    assert!(input.len() == 4, "conv2d: needs images [n, c, h, w], got {input}");
    assert!(weight.len() == 4, "conv2d: needs filters [oc, c / groups, kh, kw], got {weight}");
    let ([n, channels, h, w], [oc, c, kh, kw]) =
        (std::array::from_fn(|i| input[i]), std::array::from_fn(|i| weight[i]));
    assert!(
        groups > 0 && channels % groups == 0 && oc % groups == 0,
        "conv2d: {groups} groups do not divide the {channels} channels of {input} and the {oc} filters of {weight}"
    );
    assert!(
        channels == c * groups,
        "conv2d: images {input} have {channels} channels, filters {weight} with {groups} groups need {}",
        c * groups
    );
    if let Some(bias) = bias {
        assert!(bias == [oc], "conv2d: filters {weight} need a bias [{oc}], got {bias}");
    }
    let window = Window::new((kh, kw)).stride(stride).padding(padding).dilation(dilation);
    let output = window.output("conv2d", (h, w));
    let padded = Pair { h: h + 2 * padding.h, w: w + 2 * padding.w };
    let (image, kernel) = (Pair { h, w }, Pair { h: kh, w: kw });
    let grid = Grid::new(c, padded, output, &window);
    let unrolled = Unrolled::new(c, image, output, &window);
    Sizes { n, c, oc: oc / groups, groups, kernel, image, grid, unrolled }
}

/// The images with zeros around them; themselves where there is no padding.
fn padded(x: &Tensor, sizes: &Sizes, padding: Pair) -> Tensor {
    let x = x.contiguous();
    if (padding.h, padding.w) == (0, 0) {
        return x;
    }
    let (image, wide) = (sizes.image, sizes.grid.image);
    let mut result = Tensor::empty([sizes.n, sizes.c * sizes.groups, wide.h, wide.w]);
    let (from, to) = (sizes.c * sizes.groups * image.h * image.w, sizes.padded_image());
    parallel::for_each_part(Chunks::new(result.data_mut(), to.max(1)), |i, padded| {
        pad(&x.data()[i * from..(i + 1) * from], (image.h, image.w), padding, padded);
    });
    result
}

/// y = bias + W · patchesᵀ, image by image. `x` is padded.
fn conv2d_forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, sizes: &Sizes) -> Tensor {
    let Sizes { n, oc, groups, ref grid, .. } = *sizes;
    let (positions, taps) = (grid.positions(), grid.taps());
    let mut y = Tensor::empty([n, oc * groups, grid.output.h, grid.output.w]);
    if y.numel() == 0 {
        return y;
    }
    if sizes.is_direct() {
        conv2d_direct::forward(x, weight, bias, sizes, &mut y);
        return y;
    }
    // The weights are packed once, for all images.
    let mr = tile_rows(oc, positions);
    let packed_size = Packed::size(oc, taps, mr);
    let mut packed = Scratch::new(groups * packed_size);
    for (group, memory) in packed.chunks_exact_mut(packed_size.max(1)).enumerate() {
        pack_left(&Matrix::new(&weight.data()[group * oc * taps..][..oc * taps], oc, taps), mr, memory);
    }
    let packed = &packed[..];

    // A task is one group of one image, or a band of its positions. A band is whole tiles wide.
    let parts = sizes.parts(positions, 64);
    let band = positions.div_ceil(parts).next_multiple_of(if parts == 1 { 1 } else { 64 });
    let images = Chunks::new(y.data_mut(), sizes.output_group());
    let task = |index: usize, y: MatrixMut, from: usize| {
        let group = index % groups;
        let weights = Packed::of(&packed[group * packed_size..][..packed_size], oc, taps, mr);
        let image = &x.data()[index * sizes.padded_group()..][..sizes.padded_group()];
        let start = match bias {
            Some(bias) => Start::PerRow(&bias.data()[group * oc..][..oc]),
            None => Start::Zero,
        };
        let patches = Patches { image, grid, positions: from..from + y.cols() };
        multiply_block(start, &weights, &patches, y);
    };
    if parts == 1 {
        parallel::for_each_part(images, |index, y| task(index, MatrixMut::new(y, oc, positions), 0));
    } else {
        for (index, y) in y.data_mut().chunks_exact_mut(sizes.output_group()).enumerate() {
            let bands = MatrixMut::new(y, oc, positions).split_columns(band);
            parallel::for_each_part(bands, |i, y| task(index, y, i * band));
        }
    }
    y
}

/// dW = Σ dy · patches: blocks of images one after the other, a block's images in one chain, or in sixteen partial sums
/// (`conv2d_weight.rs`). `x` is padded.
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
    let direct = sizes.is_direct();
    let tasks = MatrixMut::new(sums.data_mut(), blocks * groups * oc, taps);
    parallel::for_each_part(tasks.split_groups(oc, rows), |index, mut sum| {
        let (part, group) = (index % per_group, index / per_group % groups);
        let block = index / per_group / groups;
        let rows_here = sum.rows();
        let images = block * BLOCK..n.min((block + 1) * BLOCK);
        let at = |i: usize| (images.start + i) * groups + group;
        let padded = |i: usize| &x.data()[at(i) * sizes.padded_group()..][..sizes.padded_group()];
        let dy = |i: usize| {
            &dy.data()[at(i) * sizes.output_group() + part * rows * positions..][..rows_here * positions]
        };
        if direct {
            let image = |i: usize| sizes.image(x, at(i));
            return conv2d_weight::gradient(
                images.len(),
                image,
                dy,
                rows_here,
                &sizes.unrolled,
                sum.as_slice_mut(),
            );
        }
        for i in 0..images.len() {
            let dy = Matrix::new(dy(i), rows_here, positions);
            let start = if i == 0 { Start::Zero } else { Start::Accumulate };
            multiply_block(start, &dy, &Taps { image: padded(i), grid }, sum.block(0, 0, rows_here, taps));
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

/// dx: Wᵀ dy has the shape of the patches, transposed; each element is added to the place in the image that it came from.
fn conv2d_backward_input(dy: &Tensor, weight: &Tensor, sizes: &Sizes, padding: Pair) -> Tensor {
    let Sizes { n, c, oc, groups, image, ref grid, .. } = *sizes;
    let (positions, taps) = (grid.positions(), grid.taps());
    let mut dx = Tensor::empty([n, c * groups, image.h, image.w]);
    let plane = image.h * image.w;
    if dx.numel() == 0 || oc * positions == 0 {
        dx.data_mut().fill(0.0);
        return dx;
    }
    if sizes.is_direct() {
        conv2d_direct::backward_input(dy, weight, sizes, &mut dx);
        return dx;
    }
    // A task is the channels of one group of one image; with few images, some of them.
    let channels = c.div_ceil(sizes.parts(c, 4));
    let per_group = c.div_ceil(channels);
    let tasks = MatrixMut::new(dx.data_mut(), n * groups * c, plane).split_groups(c, channels);
    let padded_plane = grid.image.h * grid.image.w;
    let is_padded = (padding.h, padding.w) != (0, 0);
    parallel::for_each_part(tasks, |index, mut dx| {
        let (part, at) = (index % per_group, index / per_group);
        let group = at % groups;
        let channels_here = dx.rows();
        let first_tap = part * channels * grid.taps_per_channel();
        let taps_here = channels_here * grid.taps_per_channel();
        // Wᵀ's rows for these channels: tap by filter.
        let w = &weight.data()[group * oc * taps + first_tap..];
        let w = Matrix::strided(w, taps_here, oc, 1, taps);
        let dy = Matrix::new(&dy.data()[at * sizes.output_group()..][..sizes.output_group()], oc, positions);

        let padded_size = if is_padded { channels_here * padded_plane } else { 0 };
        let mut scratch = Scratch::new(taps_here * positions + padded_size);
        let (columns, padded) = scratch.split_at_mut(taps_here * positions);
        multiply_block(Start::Zero, &w, &dy.transposed(), MatrixMut::new(columns, taps_here, positions));
        let dx = dx.as_slice_mut();
        if is_padded {
            padded.fill(0.0);
            scatter_add(columns, grid, padded);
            unpad(padded, (image.h, image.w), padding, dx);
        } else {
            dx.fill(0.0);
            scatter_add(columns, grid, dx);
        }
    });
    dx
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
