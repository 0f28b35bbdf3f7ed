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
//! is the biased one, as in the notebook. It is computed from the deviations, after the mean: the shortcut E[x²] - mean² loses
//! everything where the mean is large. On an inference tape, moving statistics take the place of the batch's.
//!
//! The tape keeps x, and four numbers for each channel. Passes over memory: forward reads x three times and writes y; backward reads
//! x and dy twice and writes dx.
//!
//! `[n, c]` and `[n, c, h, w]` differ in one thing. With images, a run of neighbours shares its channel's constants: a plane, or, for many
//! images at once (`images_last.rs`), a row of all of them. Without, sixteen neighbours are sixteen channels. `PerChannel` hides that from
//! the formulas.
//!
//! A channel with a single number (n · h · w = 1) has variance 0 and gives y = beta and dx = 0, as the formula says.
//!
//! What this is not: the layer that owns gamma, beta and the moving statistics; that is `nn/batch_norm.rs`. Next: `softmax.rs`.

use super::images_last::{FROM, images_last};
use crate::autograd::Var;
use crate::parallel::{self, Chunks};
use crate::simd::slices::CHUNK;
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};
use crate::{Shape, Tensor};

/// An input as runs of numbers of one channel, in the order of memory: the planes of each image, or, images last, the rows of each
/// channel in all images.
#[derive(Clone, Copy)]
struct Sizes {
    /// Channels.
    c: usize,
    /// The length of a run.
    run: usize,
    /// How many runs there are.
    runs: usize,
    /// Neighbouring runs of the same channel: 1, or the rows of an image.
    together: usize,
}

impl Sizes {
    /// The channel of a run.
    #[inline(always)]
    fn channel(&self, run: usize) -> usize {
        run / self.together % self.c
    }

    /// Runs per task: of `[n, c]` whole rows.
    fn per_task(&self) -> usize {
        match self.run {
            1 => (CHUNK / self.c).max(1) * self.c,
            run => (CHUNK / run).max(1),
        }
    }

    /// The m of the formulas.
    fn count(&self) -> f64 {
        (self.runs / self.c * self.run) as f64
    }
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
    /// When the input has another number of axes or no elements, or the others do not have c elements.
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
        let x = in_order(&x);
        let (g, b) = (gamma.value().contiguous(), beta.value().contiguous());
        let (mean, var) = if self.tape().is_training() {
            let mean = quotients(&sum(First, &x, &x, [], sizes), sizes.count());
            let var = quotients(&sum(SquaredDeviation, &x, &x, [&mean], sizes), sizes.count());
            for (moving, batch) in [(moving_mean, &mean), (moving_var, &var)] {
                for (moving, batch) in moving.data_mut().iter_mut().zip(batch) {
                    *moving = momentum * *moving + (1.0 - momentum) * batch;
                }
            }
            (mean, var)
        } else {
            (moving_mean.to_vec(), moving_var.to_vec())
        };
        let inverse: Vec<f32> = var.iter().map(|var| 1.0 / (var + eps).sqrt()).collect();
        let scale: Vec<f32> = g.data().iter().zip(&inverse).map(|(gamma, inverse)| gamma * inverse).collect();
        let y = map(Normalise, &x, &x, [&mean, &scale, b.data()], sizes);

        let (x_id, g_id, b_id) = (self.id(), gamma.id(), beta.id());
        self.tape().record("batch_norm", &[self, gamma, beta], y, move |dy, adjoints| {
            let dy = in_order(&dy);
            let dbeta = sum(First, &dy, &dy, [], sizes);
            let dgamma = sum(Projection, &x, &dy, [&mean, &inverse], sizes);
            adjoints.add(x_id, || {
                let mean_dy = quotients(&dbeta, sizes.count());
                // x̂ dgamma / m = (x - mean) · slope
                let slope: Vec<f32> = quotients(&dgamma, sizes.count())
                    .iter()
                    .zip(&inverse)
                    .map(|(mean, inverse)| mean * inverse)
                    .collect();
                map(Gradient, &x, &dy, [&mean, &scale, &mean_dy, &slope], sizes)
            });
            adjoints.add(g_id, || Tensor::from_slice(&quotients(&dgamma, 1.0), g.shape()));
            adjoints.add(b_id, || Tensor::from_slice(&quotients(&dbeta, 1.0), b.shape()));
        })
    }
}

#[track_caller]
fn check(input: &Shape, per_channel: [&Shape; 4]) -> Sizes {
    let sizes = match input[..] {
        [n, c] => Sizes { c, run: 1, runs: n * c, together: 1 },
        [n, c, h, w] if n >= FROM => Sizes { c, run: w * n, runs: c * h, together: h },
        [n, c, h, w] => Sizes { c, run: h * w, runs: n * c, together: 1 },
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
fn in_order(x: &Tensor) -> Tensor {
    if x.rank() == 4 && x.size(0) >= FROM { images_last(x, 0.into()) } else { x.contiguous() }
}

/// Every sum divided, and then rounded once: an error of the mean shifts every deviation of the channel.
fn quotients(sums: &[f64], divisor: f64) -> Vec<f32> {
    sums.iter().map(|sum| (sum / divisor) as f32).collect()
}

/// A formula over two numbers of a channel and K constants of it.
trait PerChannel<const K: usize>: Copy + Sync {
    fn apply<I: Isa>(self, isa: I, a: I::F32, b: I::F32, constants: [I::F32; K]) -> I::F32;
}

/// Defines formulas, each a struct of its own.
macro_rules! per_channel {
    ($($(#[$doc:meta])* $name:ident: |$a:ident, $b:ident, [$($k:ident),*]; $count:literal| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        struct $name;
        impl PerChannel<$count> for $name {
            #[inline(always)]
            fn apply<I: Isa>(self, _: I, $a: I::F32, $b: I::F32, [$($k),*]: [I::F32; $count]) -> I::F32 {
                $body
            }
        }
    )*};
}

per_channel! {
    /// The first number itself.
    First: |a, _b, []; 0| a;
    SquaredDeviation: |x, _b, [mean]; 1| (x - mean) * (x - mean);
    Normalise: |x, _b, [mean, scale, shift]; 3| (x - mean).mul_add(scale, shift);
    /// dy x̂
    Projection: |x, dy, [mean, inverse]; 2| dy * ((x - mean) * inverse);
    /// dx
    Gradient: |x, dy, [mean, scale, mean_dy, slope]; 4| scale * ((dy - mean_dy) - (x - mean) * slope);
}

/// The formula for every element.
fn map<const K: usize>(
    f: impl PerChannel<K>,
    a: &Tensor,
    b: &Tensor,
    constants: [&[f32]; K],
    sizes: Sizes,
) -> Tensor {
    let mut y = a.empty_like();
    let per_task = sizes.per_task();
    let size = per_task * sizes.run;
    parallel::for_each_part(Chunks::new(y.memory_mut(), size), |task, y| {
        let range = task * size..task * size + y.len();
        let (a, b) = (&a.memory()[range.clone()], &b.memory()[range]);
        dispatch(MapKernel { f, a, b, constants, sizes, first: task * per_task, y });
    });
    y
}

/// The sum of the formula over each channel: runs in sixteen partial sums each, then the runs' sums in order. These are
/// few, and added in `f64`: dividing by a small deviation magnifies what rounding does to a mean.
fn sum<const K: usize>(
    f: impl PerChannel<K>,
    a: &Tensor,
    b: &Tensor,
    constants: [&[f32]; K],
    sizes: Sizes,
) -> Vec<f64> {
    let mut sums = Tensor::empty([sizes.runs]);
    let per_task = sizes.per_task();
    parallel::for_each_part(Chunks::new(sums.data_mut(), per_task), |task, sums| {
        let start = task * per_task * sizes.run;
        let range = start..start + sums.len() * sizes.run;
        let (a, b) = (&a.memory()[range.clone()], &b.memory()[range]);
        dispatch(SumKernel { f, a, b, constants, sizes, first: task * per_task, sums });
    });
    let mut totals = vec![0.0f64; sizes.c];
    for (run, sum) in sums.data().iter().enumerate() {
        totals[sizes.channel(run)] += f64::from(*sum);
    }
    totals
}

struct MapKernel<'a, F, const K: usize> {
    f: F,
    a: &'a [f32],
    b: &'a [f32],
    constants: [&'a [f32]; K],
    sizes: Sizes,
    first: usize,
    y: &'a mut [f32],
}

impl<F: PerChannel<K>, const K: usize> Kernel for MapKernel<'_, F, K> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let MapKernel { f, a, b, constants, sizes, first, y } = self;
        if sizes.run == 1 {
            return map_rows(isa, f, a, b, constants, sizes.c, y);
        }
        let runs = a.chunks_exact(sizes.run).zip(b.chunks_exact(sizes.run));
        for (i, ((a, b), y)) in runs.zip(y.chunks_exact_mut(sizes.run)).enumerate() {
            let constants = constants.map(|constant| isa.splat(constant[sizes.channel(first + i)]));
            let ((a_full, a_rest), (b_full, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            let (y_full, y_rest) = y.as_chunks_mut::<LANES>();
            for ((a, b), y) in a_full.iter().zip(b_full).zip(y_full) {
                f.apply(isa, isa.load(a), isa.load(b), constants).store(y);
            }
            if !y_rest.is_empty() {
                let (a, b) = (isa.load_partial(a_rest, 0.0), isa.load_partial(b_rest, 0.0));
                f.apply(isa, a, b, constants).store_partial(y_rest);
            }
        }
    }
}

/// Rows of one number per channel: the constants run along.
#[inline(always)]
fn map_rows<I: Isa, F: PerChannel<K>, const K: usize>(
    isa: I,
    f: F,
    a: &[f32],
    b: &[f32],
    constants: [&[f32]; K],
    c: usize,
    y: &mut [f32],
) {
    for ((a, b), y) in a.chunks_exact(c).zip(b.chunks_exact(c)).zip(y.chunks_exact_mut(c)) {
        for start in (0..c).step_by(LANES) {
            let end = c.min(start + LANES);
            let vector = |values: &[f32]| match values[start..end].first_chunk::<LANES>() {
                Some(full) => isa.load(full),
                None => isa.load_partial(&values[start..end], 0.0),
            };
            f.apply(isa, vector(a), vector(b), constants.map(vector)).store_partial(&mut y[start..end]);
        }
    }
}

struct SumKernel<'a, F, const K: usize> {
    f: F,
    a: &'a [f32],
    b: &'a [f32],
    constants: [&'a [f32]; K],
    sizes: Sizes,
    first: usize,
    sums: &'a mut [f32],
}

impl<F: PerChannel<K>, const K: usize> Kernel for SumKernel<'_, F, K> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let SumKernel { f, a, b, constants, sizes, first, sums } = self;
        if sizes.run == 1 {
            return map_rows(isa, f, a, b, constants, sizes.c, sums);
        }
        let runs = a.chunks_exact(sizes.run).zip(b.chunks_exact(sizes.run));
        for (i, ((a, b), sum)) in runs.zip(sums).enumerate() {
            let constants = constants.map(|constant| isa.splat(constant[sizes.channel(first + i)]));
            let ((a_full, a_rest), (b_full, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            let mut partial = isa.splat(0.0);
            for (a, b) in a_full.iter().zip(b_full) {
                partial = partial + f.apply(isa, isa.load(a), isa.load(b), constants);
            }
            if !a_rest.is_empty() {
                // Only the lanes that exist may count, whatever the formula makes of zeros.
                let (a, b) = (isa.load_partial(a_rest, 0.0), isa.load_partial(b_rest, 0.0));
                let mut lanes = [0.0; LANES];
                f.apply(isa, a, b, constants).store_partial(&mut lanes[..a_rest.len()]);
                partial = partial + isa.load(&lanes);
            }
            *sum = partial.fold_sum();
        }
    }
}
