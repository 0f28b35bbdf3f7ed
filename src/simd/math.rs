//! exp, ln, tanh and sigmoid over sixteen lanes: the crate's own, because std's differ between platforms.
//!
//! Each reduces its argument to a short interval, evaluates a polynomial there by Horner's rule with fused
//! multiply-adds, and scales back. The coefficients are minimax fits (Lawson's iteration of weighted least
//! squares on Chebyshev nodes, in f64), rounded to f32. The schemes are the classic ones: Cody and Waite's
//! two-part ln 2 for exp (*Software Manual for the Elementary Functions*, 1980), fdlibm's `e_log.c` for ln.
//! Errors over every finite `f32`, in units of the last place of the correctly rounded result, were measured by
//! `tests/math.rs`; the bounds stated here are what it asserts.
//!
//! What this is not: a libm. There are only the functions that ops need, and no error flags.

use super::{Isa, Lanes};

const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// ln 2 in two parts: the high one has zeros at the end, so that a small whole number times it is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// 1.5 · 2^23. Adding it rounds to a whole number (half to even), which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// 1.0's exponent bits: what turns a whole number n into the bits of 2^n after a shift by 23.
const ONE_BITS: u32 = 0x3f80_0000;

/// e^x, within 0.9 ulp. Overflows to infinity, underflows gradually to zero, keeps NaN.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, so e^x = 2^n e^r. The power of two is applied in two halves, so that results
/// below the normal range are rounded once, at the end.
#[inline(always)]
pub fn exp<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    // Beyond these, the result is infinity or zero anyway. The order of arguments lets a NaN pass.
    let x = isa.splat(89.0).min(isa.splat(-105.0).max(x));
    let rounder = isa.splat(ROUNDER);
    let n = x.mul_add(isa.splat(LOG2_E), rounder) - rounder;
    let r = n.mul_add(isa.splat(-LN_2_LOW), n.mul_add(isa.splat(-LN_2_HIGH), x));

    // Horner's rule to the end: a factor near 1 times r, plus 1, is rounded less coarsely than 1 + r + r² q.
    let mut e_r = isa.splat(0.001_381_454);
    for coefficient in [0.008_368_745, 0.041_668_39, 0.166_665_21, 0.499_999_94, 1.0, 1.0] {
        e_r = e_r.mul_add(r, isa.splat(coefficient));
    }

    let half = n.mul_add(isa.splat(0.5), rounder);
    let rest = n - (half - rounder) + rounder;
    let power = |whole: I::F32| whole.shift_up::<23>().add_bits(ONE_BITS);
    e_r * power(half) * power(rest)
}

/// The natural logarithm, within 0.83 ulp. ln 0 = -∞, ln of a negative number is NaN.
///
/// x = 2^e m with m in [√½, √2), and with f = m - 1, s = f / (2 + f):
/// ln m = f - (f²/2 - s (f²/2 + R(s²))), where R is the tail of the series of 2 artanh(s) / s.
#[inline(always)]
pub fn ln<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let (zero, one) = (isa.splat(0.0), isa.splat(1.0));
    // Subnormal numbers are scaled into the normal range first.
    let tiny = isa.splat(f32::MIN_POSITIVE);
    let scaled = tiny.where_gt(x, x * isa.splat(8_388_608.0), x);
    let shift = tiny.where_gt(x, isa.splat(-23.0), zero);

    // Subtracting √½ from the bits puts the cut between exponents at √½ rather than at 1.
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let moved = scaled.add_bits(SQRT_HALF_BITS.wrapping_neg());
    let m = moved.and_bits(0x007f_ffff).add_bits(SQRT_HALF_BITS);
    // The exponent as a float: bits + 127 becomes the low bits of 2^23, of which 2^23 + 127 is taken away.
    let biased = moved.add_bits(ONE_BITS).shift_down::<23>().or_bits(8_388_608f32.to_bits());
    let e = biased - isa.splat(8_388_608.0 + 127.0) + shift;

    let f = m - one;
    let s = f / (f + isa.splat(2.0));
    let w = s * s;
    let mut tail = isa.splat(0.235_826);
    for coefficient in [0.285_372_85, 0.400_003_34, 0.666_666_6] {
        tail = tail.mul_add(w, isa.splat(coefficient));
    }
    let half_square = isa.splat(0.5) * f * f;
    let inner = s * w.mul_add(tail, half_square);
    let low = e.mul_add(isa.splat(LN_2_LOW), inner);
    let result = e.mul_add(isa.splat(LN_2_HIGH), f - (half_square - low));

    // What the bits alone get wrong: 0, infinity, negative numbers and NaN.
    let infinity = isa.splat(f32::INFINITY);
    let result = x.where_eq(infinity, x, result);
    let result = x.where_eq(zero, isa.splat(f32::NEG_INFINITY), result);
    let result = zero.where_gt(x, isa.splat(f32::NAN), result);
    x.where_eq(x, result, x)
}

/// The logistic function 1 / (1 + e^-x), within 2.5 ulp where e^-x does not overflow; 0 below -88.72.
#[inline(always)]
pub fn sigmoid<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let one = isa.splat(1.0);
    one / (one + exp(isa, -x))
}

/// The hyperbolic tangent, within 1.6 ulp.
///
/// Near zero an odd polynomial keeps the relative precision; elsewhere 1 - 2 / (e^2|x| + 1) with x's sign.
#[inline(always)]
pub fn tanh<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let one = isa.splat(1.0);
    let magnitude = x.abs();
    let square = x * x;
    let mut p = isa.splat(-0.006_274_24);
    for coefficient in [0.021_071_68, -0.053_852_31, 0.133_325_86, -0.333_333_16] {
        p = p.mul_add(square, isa.splat(coefficient));
    }
    let near = (x * square).mul_add(p, x);
    let far = one - isa.splat(2.0) / (exp(isa, magnitude + magnitude) + one);
    // Written so that a NaN takes the near branch, which keeps it. The sign is x's on both branches, and of -0 it is lost
    // on the way: -0 plus 0 is 0.
    magnitude.where_gt(isa.splat(0.55), far, near).or(x.and_bits(0x8000_0000))
}
