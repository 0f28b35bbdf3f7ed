//! Random first values. The only file of the crate that draws random numbers from `rand`.
//!
//! The generator is xoshiro256++ (Blackman and Vigna 2021, "Scrambled linear pseudorandom number generators"), which
//! `rand` has under its own name: a named generator promises the same numbers on every platform and in every version,
//! which `StdRng` does not. Only its 64-bit words are used. How a word becomes an `f32` is written out here, in
//! arithmetic that is exact or rounded in one way only, so a seed means the same net everywhere.
//!
//! ```text
//! uniform            k · 2^-24, k the upper 24 bits of a word: every f32 multiple of 2^-24 in [0, 1)
//! normal             Marsaglia's polar method (1964): u, v uniform in (-1, 1), s = u² + v², again unless s < 1;
//!                    then u f and v f with f = √(-2 ln s / s). It needs no sine or cosine.
//! kaiming_uniform    ±√(6 / ((1 + a²) fan_in)): keeps the variance of signals through a layer with a leaky ReLU of
//!                    slope a (He et al. 2015). PyTorch's default is a = √5, which makes ±1 / √fan_in.
//! xavier_uniform     ±√(6 / (fan_in + fan_out)): the same for both directions at once (Glorot and Bengio 2010)
//! ```
//!
//! What this is not: PyTorch's stream of numbers. A seed here gives another net than the same seed there, from the same
//! distribution. Nor does it shuffle data: see `data/batches.rs`.
//!
//! Next to read: `kind.rs`.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use crate::simd::{self, Isa, Kernel, LANES, Lanes, math};
use crate::{Shape, Tensor};

/// A source of first values, the same for the same seed.
///
/// ```
/// use tapegrad::nn::Init;
/// let x = Init::new(7).randn([2, 3]);
/// assert_eq!(x, Init::new(7).randn([2, 3]));
/// assert_ne!(x, Init::new(8).randn([2, 3]));
/// ```
pub struct Init {
    random: Xoshiro256PlusPlus,
}

impl Init {
    /// The a of [`kaiming_uniform`](Init::kaiming_uniform) in PyTorch's layers, √5. It has no deeper reason than to make
    /// the bound 1/√fan_in, which Torch had used since 2012.
    pub const PYTORCH_A: f64 = 2.236_067_977_499_79;

    /// A source that starts from `seed`.
    pub fn new(seed: u64) -> Init {
        Init { random: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Elements uniform in [0, 1). PyTorch's `torch.rand`.
    #[track_caller]
    pub fn rand(&mut self, shape: impl Into<Shape>) -> Tensor {
        self.uniform(shape, 0.0, 1.0)
    }

    /// Elements from the normal distribution with mean 0 and variance 1. PyTorch's `torch.randn`.
    #[track_caller]
    pub fn randn(&mut self, shape: impl Into<Shape>) -> Tensor {
        self.normal(shape, 0.0, 1.0)
    }

    /// Elements uniform between `low` and `high`. (`high` itself comes up where rounding makes it.)
    #[track_caller]
    pub fn uniform(&mut self, shape: impl Into<Shape>, low: f32, high: f32) -> Tensor {
        assert!(
            low <= high && (high - low).is_finite(),
            "uniform: needs low <= high and a finite distance, got {low} and {high}"
        );
        let mut tensor = Tensor::empty(shape);
        for value in tensor.data_mut() {
            // The upper bits of a word are its best. 24 of them fit an f32 exactly.
            let k = self.random.next_u64() >> 40;
            *value = low + (high - low) * (k as f32 * UNIT);
        }
        tensor
    }

    /// Elements from a normal distribution.
    #[track_caller]
    pub fn normal(&mut self, shape: impl Into<Shape>, mean: f32, std: f32) -> Tensor {
        assert!(
            mean.is_finite() && std >= 0.0 && std.is_finite(),
            "normal: needs a finite mean and a standard deviation of 0 or more, got {mean} and {std}"
        );
        let mut tensor = Tensor::empty(shape);
        // Sixteen pairs at a time, since the logarithm comes in sixteens. What a shorter end leaves over is thrown away, so
        // how much is drawn depends on the number of elements alone.
        for values in tensor.data_mut().chunks_mut(2 * LANES) {
            let (mut u, mut v) = ([0.0; LANES], [0.0; LANES]);
            for i in 0..values.len().div_ceil(2) {
                (u[i], v[i]) = self.point_in_disc();
            }
            let (a, b) = simd::dispatch(Polar { u, v, mean, std });
            let (first, second) = values.split_at_mut(values.len().div_ceil(2));
            first.copy_from_slice(&a[..first.len()]);
            second.copy_from_slice(&b[..second.len()]);
        }
        tensor
    }

    /// A point of the open disc of radius 1 without its centre, all with the same chance. 4/π tries on average.
    fn point_in_disc(&mut self) -> (f32, f32) {
        loop {
            let word = self.random.next_u64();
            let (u, v) = (centred((word >> 40) as i32), centred((word >> 8) as i32 & 0x00ff_ffff));
            let s = u * u + v * v;
            // Odd multiples of 2^-24 are never 0, so neither is s.
            if s < 1.0 {
                return (u, v);
            }
        }
    }

    /// A weight for a layer whose input should keep its variance; see the header. The first axis is the outputs, the rest
    /// are the inputs of one output. PyTorch's `nn.init.kaiming_uniform_`.
    #[track_caller]
    pub fn kaiming_uniform(&mut self, shape: impl Into<Shape>, a: f64) -> Tensor {
        let shape = shape.into();
        let (fan_in, _) = fans("kaiming_uniform", &shape);
        assert!(a.is_finite(), "kaiming_uniform: the slope a is a finite number, got {a}");
        self.within(shape, (6.0 / ((1.0 + a * a) * fan_in)).sqrt())
    }

    /// A weight for a layer whose input and gradient should keep their variances. PyTorch's `nn.init.xavier_uniform_`.
    #[track_caller]
    pub fn xavier_uniform(&mut self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let (fan_in, fan_out) = fans("xavier_uniform", &shape);
        self.within(shape, (6.0 / (fan_in + fan_out)).sqrt())
    }

    /// A bias of a layer with `fan_in` inputs per output, uniform in ±1/√fan_in: PyTorch's default.
    #[track_caller]
    pub fn bias(&mut self, shape: impl Into<Shape>, fan_in: usize) -> Tensor {
        assert!(fan_in > 0, "bias: a layer needs at least one input per output, got fan_in 0");
        self.within(shape.into(), 1.0 / (fan_in as f64).sqrt())
    }

    #[track_caller]
    fn within(&mut self, shape: Shape, bound: f64) -> Tensor {
        self.uniform(shape, -bound as f32, bound as f32)
    }
}

/// 2^-24: the distance of the uniform numbers.
const UNIT: f32 = 1.0 / 16_777_216.0;

/// 24 bits as an odd multiple of 2^-24 in (-1, 1): symmetric about 0, which it never hits.
fn centred(bits: i32) -> f32 {
    (2 * bits + 1 - (1 << 24)) as f32 * UNIT
}

/// How many inputs one output of a layer has, and how many outputs one input: the second and the first axis of its
/// weight, each times the size of a kernel.
#[track_caller]
fn fans(op: &str, shape: &Shape) -> (f64, f64) {
    assert!(
        shape.len() >= 2 && shape.numel() > 0,
        "{op}: needs a weight with two axes or more, outputs first, and at least one element, got {shape}"
    );
    let kernel: usize = shape[2..].iter().product();
    ((shape[1] * kernel) as f64, (shape[0] * kernel) as f64)
}

/// Sixteen points in the disc to 32 normal numbers.
struct Polar {
    u: [f32; LANES],
    v: [f32; LANES],
    mean: f32,
    std: f32,
}

impl Kernel for Polar {
    type Output = ([f32; LANES], [f32; LANES]);

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let (u, v) = (isa.load(&self.u), isa.load(&self.v));
        let s = u * u + v * v;
        let f = (isa.splat(-2.0) * math::ln(isa, s) / s).sqrt();
        let (mean, std) = (isa.splat(self.mean), isa.splat(self.std));
        ((std * (u * f) + mean).to_array(), (std * (v * f) + mean).to_array())
    }
}
