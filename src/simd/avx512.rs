//! AVX-512: sixteen lanes are one of thirty-two registers.
//!
//! Only AVX-512 F is used, which every CPU with AVX-512 has. `VMAXPS a, b` is `a > b ? a : b`, which is the
//! definition of [`Lanes::max`](super::Lanes::max), so it needs no care; the same for `VMINPS`.

use std::arch::x86_64::*;

use super::Kernel;
use super::registers::{Register, Token};

/// A token where the CPU and the system support AVX-512 F, and AVX2 and FMA: every CPU with the one has the others, but a virtual
/// machine can hide them.
#[inline(always)]
pub(super) fn detect() -> Option<Token<__m512, 1>> {
    // std caches the answers, so each is one load and one test.
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
    {
        // SAFETY: all that `enter` enables has just been detected.
        Some(unsafe { Token::assume() })
    } else {
        None
    }
}

/// Runs a kernel inside a function compiled for AVX-512.
#[inline]
pub(super) fn enter<K: Kernel>(token: Token<__m512, 1>, kernel: K) -> K::Output {
    #[target_feature(enable = "avx512f,avx2,fma")]
    fn inner<K: Kernel>(token: Token<__m512, 1>, kernel: K) -> K::Output {
        kernel.run(token)
    }
    // SAFETY: the token proves AVX-512 F, AVX2 and FMA.
    unsafe { inner(token, kernel) }
}

/// The mask of the first lanes, or of all where there are more numbers.
#[inline(always)]
fn first(numbers: usize) -> __mmask16 {
    if numbers < 16 { (1 << numbers) - 1 } else { !0 }
}

/// One intrinsic per operation, each safe for the same reason.
macro_rules! intrinsics {
    ($($name:ident($self:ident $(, $arg:ident)*) = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name($self $(, $arg: __m512)*) -> __m512 {
            // SAFETY: an __m512 exists, and it came out of a token, so the CPU has AVX-512 F.
            unsafe { $body }
        }
    )*};
}

impl Register for __m512 {
    const WIDTH: usize = 16;
    const COUNT: usize = 32;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        // SAFETY: the caller promises AVX-512 F.
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller promises AVX-512 F and sixteen readable floats; the load is unaligned.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises sixteen writable floats; the store is unaligned.
        unsafe { _mm512_storeu_ps(to, self) }
    }
    // Masked lanes of memory are not touched, so both may end where an allocation does.
    #[inline(always)]
    unsafe fn load_partial(from: &[f32], rest: f32) -> __m512 {
        // SAFETY: the caller promises AVX-512 F; the mask has the lanes that `from` holds, at most all.
        unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(rest), first(from.len()), from.as_ptr()) }
    }
    #[inline(always)]
    fn store_partial(self, to: &mut [f32]) {
        // SAFETY: an __m512 exists, so the CPU has AVX-512 F; the mask has the lanes that `to` has room for, at most all.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), first(to.len()), self) }
    }

    intrinsics! {
        add(self, b) = _mm512_add_ps(self, b);
        sub(self, b) = _mm512_sub_ps(self, b);
        mul(self, b) = _mm512_mul_ps(self, b);
        div(self, b) = _mm512_div_ps(self, b);
        mul_add(self, b, c) = _mm512_fmadd_ps(self, b, c);
        sqrt(self) = _mm512_sqrt_ps(self);
        max(self, b) = _mm512_max_ps(self, b);
        min(self, b) = _mm512_min_ps(self, b);
        where_gt(self, b, yes, no) = _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(self, b), no, yes);
        where_eq(self, b, yes, no) = _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self, b), no, yes);
        and(self, b) = _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(self), _mm512_castps_si512(b)));
        or(self, b) = _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(self), _mm512_castps_si512(b)));
        xor(self, b) = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(self), _mm512_castps_si512(b)));
        add_as_integers(self, b) =
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(self), _mm512_castps_si512(b)));
    }

    #[inline(always)]
    fn shift_up<const BY: i32>(self) -> __m512 {
        // SAFETY: as for the intrinsics above. The variable shift takes its count as a vector.
        unsafe { _mm512_castsi512_ps(_mm512_sllv_epi32(_mm512_castps_si512(self), _mm512_set1_epi32(BY))) }
    }
    #[inline(always)]
    fn shift_down<const BY: i32>(self) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_castsi512_ps(_mm512_srlv_epi32(_mm512_castps_si512(self), _mm512_set1_epi32(BY))) }
    }
    // `VPERMT2PS` takes any sixteen of 32 lanes; a number from 16 on means the second register.
    #[inline(always)]
    fn deinterleave(self, next: __m512) -> (__m512, __m512) {
        // SAFETY: as above.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            (_mm512_permutex2var_ps(self, even, next), _mm512_permutex2var_ps(self, odd, next))
        }
    }
    #[inline(always)]
    fn interleave(self, odd: __m512) -> (__m512, __m512) {
        // SAFETY: as above.
        unsafe {
            let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let last = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            (_mm512_permutex2var_ps(self, first, odd), _mm512_permutex2var_ps(self, last, odd))
        }
    }
}
