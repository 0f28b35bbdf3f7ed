//! batch_norm: every channel shifted and scaled to mean 0 and variance 1 over the batch, then by learned numbers.
//!
//! ```text
//! mean  = Σ x / m            var = Σ (x - mean)² / m            over the m = n · h · w numbers of a channel
//! x̂     = (x - mean) / √(var + eps)
//! y     = gamma x̂ + beta
//!
//! dbeta = Σ dy               dgamma = Σ dy x̂
//! dx    = gamma / √(var + eps) · (dy - dbeta / m - x̂ dgamma / m)
//! ```
//!
//! (Ioffe and Szegedy, *Batch Normalization*, 2015, algorithm 1; the gradient is their section 3 put in closed form.) The variance
//! is the biased one, as in the notebook. On an inference tape, moving statistics take the place of the batch's.
//!
//! The tape keeps x, and two `f64` for each channel. Passes over memory: forward reads x for both statistics at once, then reads x and
//! writes y; backward reads x and dy for both sums at once, then reads x and dy and writes dx, into dy's memory where nobody else has it.
//!
//! What is done to each number is done in `f32`, what is done to each channel in `f64`, and so are long sums (`sums.rs`). A mean
//! seldom is an `f32`: numbers are taken from the nearest one, and what it is off by goes into the shift that is added in the end.
//!
//! A channel's numbers lie side by side: all of them, as `[c, n]` or `[c, h, w, n]` (`images_last.rs`), or, with few images, one plane of
//! each image. So an input is *runs* of numbers that share their channel's constants.
//!
//! A channel with a single number (n · h · w = 1) has variance 0 and gives y = beta and dx = 0, as the formula says.
//!
//! What this is not: the layer that owns gamma, beta and the moving statistics; that is `nn/batch_norm.rs`. Next: `sums.rs`, then
//! `softmax.rs`.

mod sums;

use std::ops::Range;

use sums::{Deviation, Projection, sums};

use super::images_last::{FROM, images_last};
use crate::autograd::Var;
use crate::parallel::{self, Chunks};
use crate::simd::slices::{CHUNK, Map, MapKernel, Zip, ZipKernel, ZipUpdateKernel};
use crate::simd::{Isa, Kernel, Lanes, dispatch};
use crate::{Shape, Tensor};

/// An input as runs of numbers of one channel, in the order of memory. Channels take turns.
#[derive(Clone, Copy)]
struct Sizes {
    /// Channels.
    c: usize,
    /// The length of a run.
    run: usize,
    /// How many runs there are.
    runs: usize,
}

impl Sizes {
    /// The m of the formulas.
    fn count(&self) -> f64 {
        (self.runs / self.c * self.run) as f64
    }

    /// The runs that a part of memory cuts: their channels, and where they lie in the part.
    fn runs_of(self, start: usize, len: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let first = start / self.run;
        (first..(start + len).div_ceil(self.run)).map(move |run| {
            let begin = (run * self.run).max(start) - start;
            (run % self.c, begin..len.min((run + 1) * self.run - start))
        })
    }
}

/// What a channel is shifted and scaled by.
#[derive(Clone, Copy)]
struct Moments {
    mean: f64,
    /// 1 / √(var + eps)
    inverse: f64,
}

/// The nearest `f32`, and how far above the number it is.
fn rounded(number: f64) -> (f32, f64) {
    (number as f32, f64::from(number as f32) - number)
}

impl<'t> Var<'t> {
    /// Batch normalisation of `[n, c]` or `[n, c, h, w]`. `gamma` and `beta` have c elements, as `moving_mean` and `moving_var`
    /// do, which training moves to `momentum * old + (1 - momentum) * batch` and inference uses.
    ///
    /// ```
    /// use tapegrad::{Tape, Tensor};
    /// let tape = Tape::training();
    /// let x = tape.input(&Tensor::new([[1.0], [3.0]]));
    /// let (gamma, beta) = (tape.input(&Tensor::ones([1])), tape.input(&Tensor::zeros([1])));
    /// let (mut mean, mut var) = (Tensor::zeros([1]), Tensor::zeros([1]));
    /// let y = x.batch_norm(gamma, beta, &mut mean, &mut var, 0.9, 0.0);
    /// assert_eq!(y.value().to_vec(), [-1.0, 1.0]);
    /// assert!((mean.item() - 0.2).abs() < 1e-6); // a tenth of the batch's mean
    /// ```
    ///
    /// # Panics
    /// When the input has another number of axes or no elements, the others do not have c elements, or `momentum` is no share or `eps`
    /// negative.
    #[track_caller]
    pub fn batch_norm(
        self,
        gamma: Var<'t>,
        beta: Var<'t>,
        moving_mean: &mut Tensor,
        moving_var: &mut Tensor,
        momentum: f32,
        eps: f32,
    ) -> Var<'t> {
        let x = self.value();
        let sizes =
            check(&x.shape(), [&gamma.shape(), &beta.shape(), &moving_mean.shape(), &moving_var.shape()]);
        assert!(
            (0.0..=1.0).contains(&momentum),
            "batch_norm: momentum is a share from 0 to 1, got {momentum}"
        );
        assert!(eps >= 0.0 && eps.is_finite(), "batch_norm: eps is 0 or more, got {eps}");
        let x = in_order(x);
        let (g, b) = (gamma.value().contiguous(), beta.value().contiguous());
        let statistics = if self.tape().is_training() {
            let batch = statistics(&x, sizes);
            let (means, vars) = (moving_mean.data_mut().iter_mut(), moving_var.data_mut().iter_mut());
            for ((moving_mean, moving_var), [mean, var]) in means.zip(vars).zip(&batch) {
                *moving_mean = momentum * *moving_mean + (1.0 - momentum) * *mean as f32;
                *moving_var = momentum * *moving_var + (1.0 - momentum) * *var as f32;
            }
            batch
        } else {
            let (means, vars) = (moving_mean.to_vec(), moving_var.to_vec());
            means.iter().zip(&vars).map(|(&mean, &var)| [mean, var].map(f64::from)).collect()
        };
        let moments: Vec<Moments> = statistics
            .iter()
            .map(|&[mean, var]| Moments { mean, inverse: 1.0 / (var + f64::from(eps)).sqrt() })
            .collect();
        let y = normalise(&x, &moments, g.data(), b.data(), sizes);

        let (x_id, g_id, b_id, b_shape) = (self.id(), gamma.id(), beta.id(), b.shape());
        self.tape().record(
            "batch_norm",
            &[self, gamma, beta],
            y,
            (x, moments, g),
            move |(x, moments, g), dy, adjoints| {
                let dy = in_order(dy);
                let means: Vec<f32> = moments.iter().map(|of| of.mean as f32).collect();
                // Σ dy and Σ dy x̂
                let mut sums = sums(Projection, &x, &dy, &means, sizes);
                for ([dbeta, dgamma], of) in sums.iter_mut().zip(&moments) {
                    *dgamma = of.inverse * (*dgamma + rounded(of.mean).1 * *dbeta);
                }
                let each = |i: usize, shape| {
                    let sums: Vec<f32> = sums.iter().map(|sums| sums[i] as f32).collect();
                    Tensor::from_slice(&sums, shape)
                };
                adjoints.add(g_id, || each(1, g.shape()));
                adjoints.add(b_id, || each(0, b_shape));
                adjoints.add(x_id, || gradient(&x, dy, &moments, g.data(), &sums, sizes));
            },
        )
    }
}

#[track_caller]
fn check(input: &Shape, per_channel: [&Shape; 4]) -> Sizes {
    let sizes = match input[..] {
        [n, c] => Sizes { c, run: n, runs: c },
        [n, c, h, w] if n >= FROM => Sizes { c, run: h * w * n, runs: c },
        [n, c, h, w] => Sizes { c, run: h * w, runs: n * c },
        _ => panic!("batch_norm: needs [n, c] or [n, c, h, w], got {input}"),
    };
    assert!(input.numel() > 0, "batch_norm: needs at least one number per channel, got {input}");
    for (name, shape) in ["gamma", "beta", "moving_mean", "moving_var"].iter().zip(per_channel) {
        assert!(
            shape.numel() == sizes.c,
            "batch_norm: input {input} has {} channels, {name} {shape} has {} elements",
            sizes.c,
            shape.numel()
        );
    }
    sizes
}

/// The numbers in the order in which [`Sizes`] counts them.
fn in_order(x: Tensor) -> Tensor {
    match x.shape()[..] {
        [n, c] => images_last(&x.reshape([n, 1, 1, c]), 0.into()).reshape([n, c]),
        [n, ..] if n >= FROM => images_last(&x, 0.into()),
        _ => x.contiguous(),
    }
}

/// The mean and the variance of every channel.
fn statistics(x: &Tensor, sizes: Sizes) -> Vec<[f64; 2]> {
    // About any number of the channel.
    let firsts: Vec<f32> = (0..sizes.c).map(|channel| x.memory()[channel * sizes.run]).collect();
    let mut sums = sums(Deviation, x, x, &firsts, sizes);
    for (sums, &first) in sums.iter_mut().zip(&firsts) {
        let [deviations, squares] = *sums;
        let mean = deviations / sizes.count();
        let var = (squares - deviations * mean) / sizes.count();
        // Rounding may take a variance of nothing below it. Written so that a NaN stays.
        *sums = [f64::from(first) + mean, if var < 0.0 { 0.0 } else { var }];
    }
    sums
}

/// y
fn normalise(x: &Tensor, moments: &[Moments], gamma: &[f32], beta: &[f32], sizes: Sizes) -> Tensor {
    let per_channel = moments.iter().zip(gamma).zip(beta).map(|((of, &gamma), &beta)| {
        let (scale, (mean, above)) = (f64::from(gamma) * of.inverse, rounded(of.mean));
        Normalise { mean, scale: scale as f32, shift: (f64::from(beta) + above * scale) as f32 }
    });
    let (per_channel, from, mut y) = (per_channel.collect::<Vec<_>>(), x.memory(), x.empty_like());
    parallel::for_each_part(Chunks::new(y.memory_mut(), CHUNK), |part, y| {
        let start = part * CHUNK;
        let x = &from[start..][..y.len()];
        dispatch(NormaliseKernel { per_channel: &per_channel, sizes, start, x, y });
    });
    y
}

/// dx, in dy's memory where nobody else has it.
fn gradient(
    x: &Tensor,
    mut dy: Tensor,
    moments: &[Moments],
    gamma: &[f32],
    sums: &[[f64; 2]],
    sizes: Sizes,
) -> Tensor {
    let per_channel = moments.iter().zip(gamma).zip(sums).map(|((of, &gamma), [dbeta, dgamma])| {
        // x̂ dgamma / m = (x - mean) slope
        let (scale, slope) = (f64::from(gamma) * of.inverse, of.inverse * dgamma / sizes.count());
        let ((mean, above), (mean_dy, above_dy)) = (rounded(of.mean), rounded(dbeta / sizes.count()));
        let shift = (above_dy - above * slope) * scale;
        Gradient { mean, mean_dy, slope: slope as f32, scale: scale as f32, shift: shift as f32 }
    });
    let per_channel = per_channel.collect::<Vec<_>>();
    let mut dx = if dy.is_unique() { None } else { Some(dy.empty_like()) };
    let x = x.memory();
    let (from, to) = match &mut dx {
        Some(dx) => (Some(dy.memory()), dx.memory_mut()),
        None => (None, dy.memory_mut()),
    };
    parallel::for_each_part(Chunks::new(to, CHUNK), |part, dx| {
        let start = part * CHUNK;
        let (x, dy) = (&x[start..][..dx.len()], from.map(|dy| &dy[start..][..dx.len()]));
        dispatch(GradientKernel { per_channel: &per_channel, sizes, start, x, dy, dx });
    });
    dx.unwrap_or(dy)
}

/// y of a channel.
#[derive(Clone, Copy)]
struct Normalise {
    mean: f32,
    scale: f32,
    shift: f32,
}

impl Map for Normalise {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32 {
        (x - isa.splat(self.mean)).mul_add(isa.splat(self.scale), isa.splat(self.shift))
    }
}

/// dx of a channel.
#[derive(Clone, Copy)]
struct Gradient {
    mean: f32,
    mean_dy: f32,
    slope: f32,
    scale: f32,
    shift: f32,
}

impl Zip for Gradient {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, dy: I::F32, x: I::F32) -> I::F32 {
        let rest = (isa.splat(self.mean) - x).mul_add(isa.splat(self.slope), dy - isa.splat(self.mean_dy));
        rest.mul_add(isa.splat(self.scale), isa.splat(self.shift))
    }
}

struct NormaliseKernel<'a> {
    per_channel: &'a [Normalise],
    sizes: Sizes,
    /// Where in memory the part begins.
    start: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for NormaliseKernel<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        for (channel, run) in self.sizes.runs_of(self.start, self.y.len()) {
            MapKernel(self.per_channel[channel], &self.x[run.clone()], &mut self.y[run]).run(isa);
        }
    }
}

struct GradientKernel<'a> {
    per_channel: &'a [Gradient],
    sizes: Sizes,
    start: usize,
    x: &'a [f32],
    /// Where dx is not to be written over it.
    dy: Option<&'a [f32]>,
    dx: &'a mut [f32],
}

impl Kernel for GradientKernel<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        for (channel, run) in self.sizes.runs_of(self.start, self.dx.len()) {
            let (f, x, dx) = (self.per_channel[channel], &self.x[run.clone()], &mut self.dx[run.clone()]);
            match self.dy {
                Some(dy) => ZipKernel(f, &dy[run], x, dx).run(isa),
                None => ZipUpdateKernel(f, dx, x).run(isa),
            }
        }
    }
}
