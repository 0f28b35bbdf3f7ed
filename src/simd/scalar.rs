//! The scalar reference: a register of one lane, in plain Rust. What it does is what every operation means.
//!
//! It is no fast path (a vector of sixteen is an array here), but it runs wherever Rust does, under Miri too, and
//! the tests hold every other instruction set against it, bit for bit.

use super::registers::{Register, Token};

/// Every CPU can run plain Rust.
#[inline(always)]
pub(super) fn token() -> Token<f32, 16> {
    // SAFETY: no special instructions are used.
    unsafe { Token::assume() }
}

#[inline(always)]
fn bitwise(a: f32, b: f32, f: impl Fn(u32, u32) -> u32) -> f32 {
    f32::from_bits(f(a.to_bits(), b.to_bits()))
}

/// Whether std's `f32::mul_add` is known to round once here: where it is an instruction, and with glibc's or Apple's `fmaf`.
///
/// Others round twice. musl's, which WebAssembly gets, does so for some subnormal results, and MinGW's for more.
const STD_ROUNDS_ONCE: bool = cfg!(any(
    target_arch = "aarch64",
    target_feature = "fma",
    all(target_os = "linux", target_env = "gnu"),
    target_vendor = "apple",
));

/// `a * b + c`, rounded once, on every platform.
#[inline(always)]
pub fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    if STD_ROUNDS_ONCE { f32::mul_add(a, b, c) } else { mul_add_in_f64(a, b, c) }
}

/// The same in `f64`, which holds the product exactly: 48 bits of 53. The sum is rounded to odd, and then to `f32`.
///
/// Rounding to odd keeps a last bit of 1 for whatever was cut off, so that a sum just beside the middle between two `f32`s
/// is not taken for the middle itself (Boldo and Melquiond, *Emulation of FMA and correctly rounded sums: proved algorithms
/// using rounding to odd*, IEEE Transactions on Computers 57, 2008). What was cut off, Knuth's two-sum tells exactly.
#[inline(always)]
fn mul_add_in_f64(a: f32, b: f32, c: f32) -> f32 {
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    let c_in_sum = sum - product;
    let cut_off = (product - (sum - c_in_sum)) + (c - c_in_sum);
    // The comparison does not hold either where an infinity has made this NaN.
    let is_rounded = cut_off.abs() > 0.0;
    if !is_rounded || sum.to_bits() & 1 == 1 {
        return sum as f32;
    }
    // The exact sum lies between this even number and its odd neighbour: further from zero, or nearer.
    let is_further = (cut_off > 0.0) == (sum > 0.0);
    let odd = if is_further { sum.to_bits() + 1 } else { sum.to_bits() - 1 };
    f64::from_bits(odd) as f32
}

impl Register for f32 {
    const WIDTH: usize = 1;
    // Enough for the tile that AVX2 uses; the compiler spills as it likes.
    const COUNT: usize = 128;

    #[inline(always)]
    unsafe fn splat(value: f32) -> f32 {
        value
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> f32 {
        // SAFETY: the caller promises one readable float.
        unsafe { *from }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises one writable float.
        unsafe { *to = self }
    }
    #[inline(always)]
    fn add(self, other: f32) -> f32 {
        self + other
    }
    #[inline(always)]
    fn sub(self, other: f32) -> f32 {
        self - other
    }
    #[inline(always)]
    fn mul(self, other: f32) -> f32 {
        self * other
    }
    #[inline(always)]
    fn div(self, other: f32) -> f32 {
        self / other
    }
    #[inline(always)]
    fn mul_add(self, factor: f32, addend: f32) -> f32 {
        mul_add(self, factor, addend)
    }
    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn max(self, other: f32) -> f32 {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn min(self, other: f32) -> f32 {
        if self < other { self } else { other }
    }
    #[inline(always)]
    fn where_gt(self, other: f32, yes: f32, no: f32) -> f32 {
        if self > other { yes } else { no }
    }
    #[inline(always)]
    fn where_eq(self, other: f32, yes: f32, no: f32) -> f32 {
        if self == other { yes } else { no }
    }
    #[inline(always)]
    fn and(self, other: f32) -> f32 {
        bitwise(self, other, |a, b| a & b)
    }
    #[inline(always)]
    fn or(self, other: f32) -> f32 {
        bitwise(self, other, |a, b| a | b)
    }
    #[inline(always)]
    fn xor(self, other: f32) -> f32 {
        bitwise(self, other, |a, b| a ^ b)
    }
    #[inline(always)]
    fn add_as_integers(self, other: f32) -> f32 {
        bitwise(self, other, u32::wrapping_add)
    }
    #[inline(always)]
    fn shift_up<const BY: i32>(self) -> f32 {
        f32::from_bits(self.to_bits() << BY)
    }
    #[inline(always)]
    fn shift_down<const BY: i32>(self) -> f32 {
        f32::from_bits(self.to_bits() >> BY)
    }
    // Of one lane and one lane, one is even and one odd.
    #[inline(always)]
    fn deinterleave(self, next: f32) -> (f32, f32) {
        (self, next)
    }
    #[inline(always)]
    fn interleave(self, odd: f32) -> (f32, f32) {
        (self, odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where std rounds once, the other way must come to the same, wherever it is that the sum is cut off.
    #[test]
    fn in_f64_it_rounds_once_too() {
        if !STD_ROUNDS_ONCE {
            println!("skipped: there is nothing here to compare with");
            return;
        }
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 32) as u32
        };
        let mut float = |first: u32, count: u32| {
            let (exponent, cut) = (first + next() % count, next() % 23);
            // Few bits set make ties, and sums just beside them.
            let mask = [!0, !0 << 12, 1 << cut, !0 << cut][next() as usize % 4];
            f32::from_bits(next() & 1 << 31 | exponent << 23 | next() & mask & 0x007f_ffff)
        };
        // Half way between two subnormal numbers but for 2^-46 of it: what musl gets wrong.
        let odd = f32::from_bits(1 << 22 | 1);
        let mut cases =
            vec![(2.0_f32.powi(-75) * (1.0 + f32::EPSILON), 2.0_f32.powi(-75) * (1.0 - f32::EPSILON), odd)];
        // Miri is slow.
        let (rounds, least) = if cfg!(miri) { (1000, 1) } else { (300_000, 100) };
        for _ in 0..rounds {
            // Any numbers; sums where neither side is much larger; subnormal results.
            cases.push((float(0, 255), float(0, 255), float(0, 255)));
            cases.push((float(117, 20), float(117, 20), float(97, 60)));
            cases.push((float(51, 3), float(49, 3), float(0, 4)));
        }
        let special =
            [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-40, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        cases.extend((0..1000).map(|i| (special[i / 100], special[i / 10 % 10], special[i % 10])));
        let mut rounding_twice_shows = 0;
        for (a, b, c) in cases {
            let (got, want) = (mul_add_in_f64(a, b, c), f32::mul_add(a, b, c));
            let same = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
            assert!(same, "{a:e} * {b:e} + {c:e}: {got:e}, not {want:e}");
            let twice = (f64::from(a) * f64::from(b) + f64::from(c)) as f32;
            rounding_twice_shows += usize::from(twice.to_bits() != want.to_bits() && !want.is_nan());
        }
        assert!(rounding_twice_shows > least, "only in {rounding_twice_shows} cases");
    }
}
