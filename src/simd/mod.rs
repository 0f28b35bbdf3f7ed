//! Chapter 2: sixteen lanes, the one vector type that every kernel is written over.
//!
//! A kernel here does not know its instruction set. It is written once, over [`Lanes`]: sixteen `f32`s that
//! are one register on AVX-512, two on AVX2, four on NEON and an array in the scalar reference. Sixteen
//! everywhere is what makes results the same everywhere: a sum over a slice keeps sixteen partial sums and folds
//! them in one fixed order, whatever the registers are. Every operation is exact IEEE (no reassociation, no
//! approximate reciprocals), a fused multiply-add is fused on every path, and `max`, `min` and comparisons are
//! defined here rather than by the instruction.
//!
//! ```text
//! impl Kernel for Scale<'_> {                     // 1. a kernel: data, and a body generic over the ISA
//!     fn run<I: Isa>(self, isa: I) { … isa.load(x) * isa.splat(2.0) … }
//! }
//! simd::dispatch(Scale { … })                     // 2. run it with the best instructions this CPU has
//! ```
//!
//! The token `I: Isa` proves the CPU feature: only detection makes one, so kernels need no `unsafe`. Dispatch
//! happens once per call, outside the loops; inside, everything is inlined into one function that is compiled for
//! that instruction set (`#[target_feature]`), so no `-C target-cpu` is needed.
//!
//! Reading order: this file, `lanes.rs` (what a kernel sees), `registers.rs` (how sixteen lanes are made of registers),
//! `scalar.rs` (what every operation means), then one of `avx2.rs`, `avx512.rs`, `neon.rs` (the same in intrinsics),
//! `math.rs` (exp, ln, tanh, sigmoid), `slices.rs` (loops that run a kernel over memory).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod lanes;
pub mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod registers;
mod scalar;
pub mod slices;

use std::sync::OnceLock;

pub use lanes::{Isa, LANES, Lanes};
pub use scalar::mul_add;

/// A piece of work written over the sixteen lanes.
pub trait Kernel {
    /// What the work gives back.
    type Output;
    /// The body. Mark it `#[inline(always)]`: it has to be compiled as part of the function that enables the
    /// instruction set, and what is not inlined there falls back to the baseline instructions.
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain Rust over arrays; the definition of what the others compute.
    Scalar,
    /// AVX2 and FMA: x86-64 from 2013 on.
    Avx2,
    /// AVX-512 F: x86-64 servers, Zen 4 and later.
    Avx512,
    /// NEON: every 64-bit ARM.
    Neon,
}

impl Level {
    /// Every level, slowest first.
    pub const ALL: [Level; 4] = [Level::Scalar, Level::Avx2, Level::Avx512, Level::Neon];

    /// The name that `TAPEGRAD_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Level::Scalar => "scalar",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Neon => "neon",
        }
    }

    /// Whether this CPU can run it.
    pub fn is_available(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => neon::detect().is_some(),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }
}

/// The level that [`dispatch`] uses: the best one, or the one that the environment variable `TAPEGRAD_ISA`
/// names (`scalar`, `avx2`, `avx512`, `neon`). Decided once, at the first use.
///
/// # Panics
/// When `TAPEGRAD_ISA` names no level or one that this CPU lacks. Binaries check first with [`requested_level`].
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| requested_level().unwrap_or_else(|message| panic!("{message}")))
}

/// The level that the environment asks for, or what is wrong with what it asks.
pub fn requested_level() -> Result<Level, String> {
    let available: Vec<Level> = Level::ALL.into_iter().filter(|level| level.is_available()).collect();
    let Some(name) = std::env::var_os("TAPEGRAD_ISA") else {
        return Ok(available[available.len() - 1]);
    };
    available.iter().copied().find(|level| name == level.name()).ok_or_else(|| {
        let names: Vec<&str> = available.iter().map(|level| level.name()).collect();
        format!("TAPEGRAD_ISA: expected one of {} (what this CPU has), found {name:?}", names.join(", "))
    })
}

/// Runs a kernel with the instruction set of [`level`].
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_at(level(), kernel)
}

/// Runs a kernel with a given instruction set: for tests, which hold each against the scalar reference.
///
/// # Panics
/// When this CPU lacks it.
#[inline]
pub fn dispatch_at<K: Kernel>(level: Level, kernel: K) -> K::Output {
    match level {
        Level::Scalar => kernel.run(scalar::token()),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => match avx2::detect() {
            Some(token) => avx2::enter(token, kernel),
            None => panic!("this CPU has no AVX2"),
        },
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => match avx512::detect() {
            Some(token) => avx512::enter(token, kernel),
            None => panic!("this CPU has no AVX-512"),
        },
        #[cfg(target_arch = "aarch64")]
        Level::Neon => match neon::detect() {
            Some(token) => neon::enter(token, kernel),
            None => panic!("this CPU has no NEON"),
        },
        #[allow(unreachable_patterns)]
        other => panic!("this CPU has no {}", other.name()),
    }
}
