//! NEON: sixteen lanes are four of thirty-two registers. Every 64-bit ARM has it.
//!
//! `FMAX` treats NaN and signed zeros in its own way, so `max` and `min` are a comparison and a selection here,
//! as [`Lanes::max`](super::Lanes::max) defines them. `vfmaq` adds to its first argument.

use std::arch::aarch64::*;

use super::Kernel;
use super::registers::{Register, Token};

/// A token where the CPU supports NEON, which is everywhere that this file compiles.
#[inline(always)]
pub(super) fn detect() -> Option<Token<float32x4_t, 4>> {
    if std::arch::is_aarch64_feature_detected!("neon") {
        // SAFETY: just detected.
        Some(unsafe { Token::assume() })
    } else {
        None
    }
}

/// Runs a kernel inside a function compiled for NEON.
#[inline]
pub(super) fn enter<K: Kernel>(token: Token<float32x4_t, 4>, kernel: K) -> K::Output {
    #[target_feature(enable = "neon")]
    fn inner<K: Kernel>(token: Token<float32x4_t, 4>, kernel: K) -> K::Output {
        kernel.run(token)
    }
    // SAFETY: the token proves NEON.
    unsafe { inner(token, kernel) }
}

/// One operation per line, each safe for the same reason.
macro_rules! intrinsics {
    ($($name:ident($self:ident $(, $arg:ident)*) = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name($self $(, $arg: float32x4_t)*) -> float32x4_t {
            // SAFETY: a float32x4_t exists, and it came out of a token, so the CPU has NEON.
            unsafe { $body }
        }
    )*};
}

/// The bits of a register as whole numbers.
#[inline(always)]
fn bits(a: float32x4_t) -> uint32x4_t {
    // SAFETY: as for the intrinsics below.
    unsafe { vreinterpretq_u32_f32(a) }
}

impl Register for float32x4_t {
    const WIDTH: usize = 4;
    const COUNT: usize = 32;

    #[inline(always)]
    unsafe fn splat(value: f32) -> float32x4_t {
        // SAFETY: the caller promises NEON.
        unsafe { vdupq_n_f32(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        // SAFETY: the caller promises NEON and four readable floats.
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises four writable floats.
        unsafe { vst1q_f32(to, self) }
    }

    intrinsics! {
        add(self, b) = vaddq_f32(self, b);
        sub(self, b) = vsubq_f32(self, b);
        mul(self, b) = vmulq_f32(self, b);
        div(self, b) = vdivq_f32(self, b);
        mul_add(self, b, c) = vfmaq_f32(c, self, b);
        sqrt(self) = vsqrtq_f32(self);
        max(self, b) = vbslq_f32(vcgtq_f32(self, b), self, b);
        min(self, b) = vbslq_f32(vcltq_f32(self, b), self, b);
        where_gt(self, b, yes, no) = vbslq_f32(vcgtq_f32(self, b), yes, no);
        where_eq(self, b, yes, no) = vbslq_f32(vceqq_f32(self, b), yes, no);
        and(self, b) = vreinterpretq_f32_u32(vandq_u32(bits(self), bits(b)));
        or(self, b) = vreinterpretq_f32_u32(vorrq_u32(bits(self), bits(b)));
        xor(self, b) = vreinterpretq_f32_u32(veorq_u32(bits(self), bits(b)));
        add_as_integers(self, b) = vreinterpretq_f32_u32(vaddq_u32(bits(self), bits(b)));
    }

    #[inline(always)]
    fn shift_up<const BY: i32>(self) -> float32x4_t {
        // SAFETY: as for the intrinsics above. A positive count shifts up.
        unsafe { vreinterpretq_f32_u32(vshlq_u32(bits(self), vdupq_n_s32(BY))) }
    }
    #[inline(always)]
    fn shift_down<const BY: i32>(self) -> float32x4_t {
        // SAFETY: as above. A negative count shifts down.
        unsafe { vreinterpretq_f32_u32(vshlq_u32(bits(self), vdupq_n_s32(-BY))) }
    }
    #[inline(always)]
    fn deinterleave(self, next: float32x4_t) -> (float32x4_t, float32x4_t) {
        // SAFETY: as above.
        unsafe { (vuzp1q_f32(self, next), vuzp2q_f32(self, next)) }
    }
    #[inline(always)]
    fn interleave(self, odd: float32x4_t) -> (float32x4_t, float32x4_t) {
        // SAFETY: as above.
        unsafe { (vzip1q_f32(self, odd), vzip2q_f32(self, odd)) }
    }
}
