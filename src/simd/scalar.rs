//! The scalar reference: a register of one lane, in plain Rust. What it does is what every operation means.
//!
//! It is no fast path (a vector of sixteen is an array here), but it runs wherever Rust does, under Miri too, and
//! the tests hold every other instruction set against it, bit for bit.

use super::lanes::{Register, Token};

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
        f32::mul_add(self, factor, addend)
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
