//! AVX2 and FMA: sixteen lanes are two of sixteen registers.
//!
//! `VMAXPS a, b` is `a > b ? a : b`, the definition of [`Lanes::max`](super::Lanes::max); the same for `VMINPS`.

use std::arch::x86_64::*;

use super::Kernel;
use super::registers::{Register, Token};

/// A token where the CPU and the system support AVX2 and FMA.
#[inline(always)]
pub(super) fn detect() -> Option<Token<__m256, 2>> {
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: just detected.
        Some(unsafe { Token::assume() })
    } else {
        None
    }
}

/// Runs a kernel inside a function compiled for AVX2 and FMA.
#[inline]
pub(super) fn enter<K: Kernel>(token: Token<__m256, 2>, kernel: K) -> K::Output {
    #[target_feature(enable = "avx2,fma")]
    fn inner<K: Kernel>(token: Token<__m256, 2>, kernel: K) -> K::Output {
        kernel.run(token)
    }
    // SAFETY: the token proves AVX2 and FMA.
    unsafe { inner(token, kernel) }
}

/// One intrinsic per operation, each safe for the same reason.
macro_rules! intrinsics {
    ($($name:ident($self:ident $(, $arg:ident)*) = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name($self $(, $arg: __m256)*) -> __m256 {
            // SAFETY: an __m256 exists, and it came out of a token, so the CPU has AVX2 and FMA.
            unsafe { $body }
        }
    )*};
}

impl Register for __m256 {
    const WIDTH: usize = 8;
    const COUNT: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        // SAFETY: the caller promises AVX2.
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: the caller promises AVX2 and eight readable floats; the load is unaligned.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises eight writable floats; the store is unaligned.
        unsafe { _mm256_storeu_ps(to, self) }
    }

    intrinsics! {
        add(self, b) = _mm256_add_ps(self, b);
        sub(self, b) = _mm256_sub_ps(self, b);
        mul(self, b) = _mm256_mul_ps(self, b);
        div(self, b) = _mm256_div_ps(self, b);
        mul_add(self, b, c) = _mm256_fmadd_ps(self, b, c);
        sqrt(self) = _mm256_sqrt_ps(self);
        max(self, b) = _mm256_max_ps(self, b);
        min(self, b) = _mm256_min_ps(self, b);
        where_gt(self, b, yes, no) = _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(self, b));
        where_eq(self, b, yes, no) = _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_EQ_OQ>(self, b));
        and(self, b) = _mm256_and_ps(self, b);
        or(self, b) = _mm256_or_ps(self, b);
        xor(self, b) = _mm256_xor_ps(self, b);
        add_as_integers(self, b) =
            _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(self), _mm256_castps_si256(b)));
    }

    #[inline(always)]
    fn shift_up<const BY: i32>(self) -> __m256 {
        // SAFETY: as for the intrinsics above.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<BY>(_mm256_castps_si256(self))) }
    }
    #[inline(always)]
    fn shift_down<const BY: i32>(self) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_castsi256_ps(_mm256_srli_epi32::<BY>(_mm256_castps_si256(self))) }
    }
    // AVX2 shuffles inside halves of four lanes; a second instruction then moves whole pairs or halves.
    #[inline(always)]
    fn deinterleave(self, next: __m256) -> (__m256, __m256) {
        // SAFETY: as above.
        unsafe {
            let even = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(self, next));
            let odd = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(self, next));
            let (even, odd) =
                (_mm256_permute4x64_pd::<0b11_01_10_00>(even), _mm256_permute4x64_pd::<0b11_01_10_00>(odd));
            (_mm256_castpd_ps(even), _mm256_castpd_ps(odd))
        }
    }
    #[inline(always)]
    fn interleave(self, odd: __m256) -> (__m256, __m256) {
        // SAFETY: as above.
        unsafe {
            let (low, high) = (_mm256_unpacklo_ps(self, odd), _mm256_unpackhi_ps(self, odd));
            (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
        }
    }
}
