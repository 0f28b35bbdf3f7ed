//! exp, ln, tanh and sigmoid over the whole range of `f32`, against std's functions in f64, and on every instruction set
//! bit for bit.
//!
//! The error of a result is its distance from the truth in units of the last place of the correctly rounded result. f64
//! functions are off by some 1e-16 of their value, a billionth of such a unit, so they are the truth here.
//!
//! All 2^32 bit patterns take more than a minute. Here every 61st is tried; the bounds asserted, and the worst cases that are
//! tried by name, are those of a run over all of them (`MATH_STEP=1 cargo test --test math`).

use std::ops::Range;
use std::thread;

use tapegrad::simd::{Isa, Kernel, LANES, Lanes, Level, dispatch, dispatch_at, math};

/// Only every so many bit patterns are tried: a prime number, so that the low bits of those tried are mixed.
fn step() -> usize {
    match std::env::var("MATH_STEP") {
        Ok(step) => step.parse().expect("MATH_STEP is a number"),
        Err(_) => 61,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Exp,
    Ln,
    Tanh,
    Sigmoid,
}

use Function::*;

impl Function {
    fn truth(self, x: f64) -> f64 {
        match self {
            Exp => x.exp(),
            Ln => x.ln(),
            Tanh => x.tanh(),
            Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }
}

/// Sixteen values of a function.
struct Apply(Function, [f32; LANES]);

impl Kernel for Apply {
    type Output = [f32; LANES];
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> [f32; LANES] {
        let x = isa.load(&self.1);
        match self.0 {
            Exp => math::exp(isa, x),
            Ln => math::ln(isa, x),
            Tanh => math::tanh(isa, x),
            Sigmoid => math::sigmoid(isa, x),
        }
        .to_array()
    }
}

fn one(function: Function, x: f32) -> f32 {
    dispatch(Apply(function, [x; LANES]))[0]
}

/// The distance between `f32`s where this one lies; that of the subnormal numbers at and below them.
fn ulp(x: f32) -> f64 {
    let exponent = (x.to_bits() >> 23 & 0xff).clamp(1, 254) as i32;
    2.0_f64.powi(exponent - 127 - 23)
}

/// How far a result is off, in units of the last place. Infinity and NaN are only equal to themselves.
fn error(got: f32, truth: f64) -> f64 {
    let rounded = truth as f32;
    if !rounded.is_finite() || !got.is_finite() {
        let same = got == rounded || (got.is_nan() && rounded.is_nan());
        return if same { 0.0 } else { f64::INFINITY };
    }
    (f64::from(got) - truth).abs() / ulp(rounded)
}

/// The largest error over the bit patterns that `wanted` lets through, and the x where it is.
fn worst(function: Function, wanted: impl Fn(f32) -> bool + Sync) -> (f64, f32) {
    let over = |range: Range<u64>| {
        let mut most = (0.0, 0.0);
        let mut inputs = range.step_by(step()).map(|bits| f32::from_bits(bits as u32)).filter(|&x| wanted(x));
        loop {
            // The last batch is filled up with its first input.
            let Some(first) = inputs.next() else { return most };
            let mut batch = [first; LANES];
            batch[1..].iter_mut().for_each(|x| *x = inputs.next().unwrap_or(first));
            for (x, got) in batch.into_iter().zip(dispatch(Apply(function, batch))) {
                let error = error(got, function.truth(f64::from(x)));
                if error > most.0 {
                    most = (error, x);
                }
            }
        }
    };
    // Positive and negative numbers on a thread each.
    thread::scope(|scope| {
        let negative = scope.spawn(|| over(1 << 31..1 << 32));
        let positive = over(0..1 << 31);
        let negative = negative.join().expect("no panic");
        if negative.0 > positive.0 { negative } else { positive }
    })
}

/// Asserts that the error is below the bound that `simd/math.rs` states, and nearly as large where it was found to be the largest.
#[track_caller]
fn check(function: Function, bound: f64, worst_at: f32, wanted: impl Fn(f32) -> bool + Sync) {
    let (most, x) = worst(function, wanted);
    println!("{function:?}: at most {most} units in the last place, at {x}");
    assert!(most <= bound, "{function:?}({x}) is off by {most} units in the last place, more than {bound}");
    let there = error(one(function, worst_at), function.truth(f64::from(worst_at)));
    assert!(there <= bound, "{function:?}({worst_at}) is off by {there} units in the last place");
    assert!(there > bound - 0.05, "{function:?}({worst_at}) is off by {there} only: state a better bound");
}

#[test]
fn exp_is_within_its_bound() {
    check(Exp, 0.9, 5.2016387, f32::is_finite);
}

#[test]
fn ln_is_within_its_bound() {
    check(Ln, 0.83, 0.702913, |x| x > 0.0 && x.is_finite());
}

#[test]
fn tanh_is_within_its_bound() {
    check(Tanh, 1.6, 0.5561968, f32::is_finite);
}

#[test]
fn sigmoid_is_within_its_bound() {
    // Below, e^-x overflows, and the result is 0 for a subnormal number.
    check(Sigmoid, 2.5, -16.635704, |x| x > -88.72 && x.is_finite());
}

/// Every x of a range, one after the other: around the places where a function changes its ways.
#[test]
fn the_edges_are_exact() {
    let around = |function: Function, x: f32, bound: f64| {
        for bits in x.to_bits() - 5000..x.to_bits() + 5000 {
            let x = f32::from_bits(bits);
            let error = error(one(function, x), function.truth(f64::from(x)));
            assert!(error <= bound, "{function:?}({x}) is off by {error} units in the last place");
        }
    };
    // Where e^x overflows, leaves the normal numbers, and becomes 0.
    for x in [88.722_84, -87.336_54, -103.278_93, -103.972_08, 89.0, -105.0] {
        around(Exp, x, 0.9);
    }
    // Where the exponent steps, subnormal numbers begin, and the logarithm is 0.
    for x in [f32::MIN_POSITIVE, std::f32::consts::FRAC_1_SQRT_2, std::f32::consts::SQRT_2, 1.0, 2.0] {
        around(Ln, x, 0.83);
    }
    for x in [0.55, -0.55, 9.01, -9.01] {
        around(Tanh, x, 1.6);
    }
}

#[test]
fn special_values() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    for (function, cases) in [
        (
            Exp,
            &[
                (0.0, 1.0),
                (-0.0, 1.0),
                (inf, inf),
                (-inf, 0.0),
                (f32::MAX, inf),
                (f32::MIN, 0.0),
                (1e-40, 1.0),
            ][..],
        ),
        (Ln, &[(1.0, 0.0), (0.0, -inf), (-0.0, -inf), (inf, inf), (-1.0, nan), (-inf, nan), (-1e-40, nan)]),
        (
            Tanh,
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (inf, 1.0),
                (-inf, -1.0),
                (1e-40, 1e-40),
                (-50.0, -1.0),
                (f32::MAX, 1.0),
            ],
        ),
        (Sigmoid, &[(0.0, 0.5), (-0.0, 0.5), (inf, 1.0), (-inf, 0.0), (f32::MAX, 1.0), (-100.0, 0.0)]),
    ] {
        assert!(one(function, nan).is_nan(), "{function:?} of NaN");
        for &(x, want) in cases {
            let got = one(function, x);
            let same = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
            assert!(same, "{function:?}({x}) is {got}, not {want}");
        }
    }
}

/// All bit patterns at a distance of a prime number, NaN and infinities among them.
#[test]
fn every_instruction_set_gives_the_bits_of_the_scalar_reference() {
    let mut levels = 0;
    for level in Level::ALL.into_iter().filter(|level| level.is_available() && *level != Level::Scalar) {
        levels += 1;
        for function in [Exp, Ln, Tanh, Sigmoid] {
            for first in (0..1 << 32).step_by(LANES * 4099) {
                let batch: [f32; LANES] =
                    std::array::from_fn(|i| f32::from_bits((first + 4099 * i as u64) as u32));
                let got = dispatch_at(level, Apply(function, batch));
                let want = dispatch_at(Level::Scalar, Apply(function, batch));
                for ((x, got), want) in batch.into_iter().zip(got).zip(want) {
                    // Which NaN it is, no instruction set promises.
                    let same = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
                    assert!(same, "{function:?}({x}) is {got} on {level:?}, {want} on Scalar");
                }
            }
        }
    }
    println!("compared {levels} instruction sets with the scalar reference");
}
