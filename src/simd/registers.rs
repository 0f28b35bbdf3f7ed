//! Sixteen lanes made of N registers of 16/N lanes each.
//!
//! [`Register`] is what an instruction set brings: some twenty operations, one intrinsic each. [`Sixteen`] makes
//! the vector of sixteen from them, the same for all, and [`Token`] is the proof that the CPU has them. So an
//! instruction set is one short file, and everything built on top exists once.

use std::marker::PhantomData;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Isa, LANES, Lanes};

/// What an instruction set brings: a register of `16 / N` lanes. See [`Lanes`] for what each operation means.
///
/// A value of a register type exists only where its instructions do: it comes out of a [`Token`], and a token
/// comes out of detection. That is the argument behind every `unsafe` block in the implementations.
pub trait Register: Copy + Send + Sync + 'static {
    /// Lanes in one register.
    const WIDTH: usize;
    /// Registers that the CPU has.
    const COUNT: usize;

    /// # Safety
    /// The CPU must have the instructions.
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// The CPU must have the instructions, and `from` be valid for reading `WIDTH` floats.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `to` must be valid for writing `WIDTH` floats.
    unsafe fn store(self, to: *mut f32);
    /// Up to `WIDTH` numbers; the lanes behind them hold `rest`.
    ///
    /// # Safety
    /// The CPU must have the instructions.
    #[inline(always)]
    unsafe fn load_partial(from: &[f32], rest: f32) -> Self {
        let mut padded = [rest; LANES];
        copy_short(from, &mut padded);
        // SAFETY: the caller promises the instructions, and no register is wider than sixteen lanes.
        unsafe { Self::load(padded.as_ptr()) }
    }
    /// Writes the first `to.len()` lanes, at most `WIDTH`.
    #[inline(always)]
    fn store_partial(self, to: &mut [f32]) {
        let mut lanes = [0.0; LANES];
        // SAFETY: no register is wider than sixteen lanes.
        unsafe { self.store(lanes.as_mut_ptr()) };
        copy_short(&lanes, to);
    }
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    fn sqrt(self) -> Self;
    fn max(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn where_gt(self, other: Self, yes: Self, no: Self) -> Self;
    fn where_eq(self, other: Self, yes: Self, no: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn add_as_integers(self, other: Self) -> Self;
    fn shift_up<const BY: i32>(self) -> Self;
    fn shift_down<const BY: i32>(self) -> Self;
    fn deinterleave(self, next: Self) -> (Self, Self);
    fn interleave(self, odd: Self) -> (Self, Self);
}

/// The proof that the CPU has the instructions of register `R`.
#[derive(Clone, Copy)]
pub struct Token<R, const N: usize>(PhantomData<R>);

impl<R: Register, const N: usize> Token<R, N> {
    /// # Safety
    /// The CPU must have the instructions of `R`.
    pub(super) const unsafe fn assume() -> Self {
        assert!(R::WIDTH * N == LANES);
        Token(PhantomData)
    }
}

impl<R: Register, const N: usize> Isa for Token<R, N> {
    type F32 = Sixteen<R, N>;

    const VECTORS: usize = R::COUNT / N;

    #[inline(always)]
    fn splat(self, value: f32) -> Sixteen<R, N> {
        // SAFETY: the token proves the instructions.
        Sixteen([unsafe { R::splat(value) }; N])
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Sixteen<R, N> {
        let mut vector = self.splat(0.0);
        for i in 0..N {
            // SAFETY: the token proves the instructions, and i * WIDTH + WIDTH <= LANES, the length of `from`.
            vector.0[i] = unsafe { R::load(from.as_ptr().add(i * R::WIDTH)) };
        }
        vector
    }

    #[inline(always)]
    fn load_partial(self, from: &[f32], rest: f32) -> Sixteen<R, N> {
        let mut vector = self.splat(rest);
        for i in 0..N {
            let end = from.len().min((i + 1) * R::WIDTH);
            if let Some(part) = from.get(i * R::WIDTH..end) {
                // SAFETY: the token proves the instructions, and a part of WIDTH numbers can be read whole.
                vector.0[i] = unsafe {
                    if part.len() == R::WIDTH { R::load(part.as_ptr()) } else { R::load_partial(part, rest) }
                };
            }
        }
        vector
    }
}

/// Copies as much as fits, fewer than sixteen numbers: eight first, then four, two and one. A call of the library takes longer.
///
/// Not inlined: the compiler would work out all its addresses ahead of the loop around it, which hardly ever comes here.
#[inline(never)]
fn copy_short(from: &[f32], to: &mut [f32]) {
    let len = from.len().min(to.len());
    let (from, to) = (&from[..len], &mut to[..len]);
    copy_part::<8>(from, to);
    copy_part::<4>(from, to);
    copy_part::<2>(from, to);
    copy_part::<1>(from, to);
}

/// Copies `SIZE` numbers if the binary form of the length has them.
#[inline(always)]
fn copy_part<const SIZE: usize>(from: &[f32], to: &mut [f32]) {
    if from.len() & SIZE > 0 {
        let at = from.len() & !(2 * SIZE - 1);
        if let (Some(from), Some(to)) = (from[at..].first_chunk::<SIZE>(), to[at..].first_chunk_mut::<SIZE>())
        {
            *to = *from;
        }
    }
}

/// Sixteen lanes in `N` registers. Made only through a token's `splat` and `load`, and from other vectors.
#[derive(Clone, Copy)]
pub struct Sixteen<R, const N: usize>([R; N]);

impl<R: Register, const N: usize> Sixteen<R, N> {
    #[inline(always)]
    fn map(mut self, f: impl Fn(R) -> R) -> Self {
        for i in 0..N {
            self.0[i] = f(self.0[i]);
        }
        self
    }

    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(R, R) -> R) -> Self {
        for i in 0..N {
            self.0[i] = f(self.0[i], other.0[i]);
        }
        self
    }

    /// A vector with the same bits in every lane. It takes `self` as the proof that the instructions exist.
    #[inline(always)]
    fn constant(self, bits: u32) -> Self {
        // SAFETY: a register value exists, so its instructions do.
        Sixteen([unsafe { R::splat(f32::from_bits(bits)) }; N])
    }

    #[inline(always)]
    fn choose(mut self, other: Self, yes: Self, no: Self, f: impl Fn(R, R, R, R) -> R) -> Self {
        for i in 0..N {
            self.0[i] = f(self.0[i], other.0[i], yes.0[i], no.0[i]);
        }
        self
    }
}

impl<R: Register, const N: usize> Add for Sixteen<R, N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, R::add)
    }
}

impl<R: Register, const N: usize> Sub for Sixteen<R, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, R::sub)
    }
}

impl<R: Register, const N: usize> Mul for Sixteen<R, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, R::mul)
    }
}

impl<R: Register, const N: usize> Div for Sixteen<R, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, R::div)
    }
}

impl<R: Register, const N: usize> Neg for Sixteen<R, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.zip(self.constant(0x8000_0000), R::xor)
    }
}

impl<R: Register, const N: usize> Lanes for Sixteen<R, N> {
    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        for i in 0..N {
            // SAFETY: i * WIDTH + WIDTH <= LANES, the length of `to`.
            unsafe { self.0[i].store(to.as_mut_ptr().add(i * R::WIDTH)) };
        }
    }
    #[inline(always)]
    fn store_partial(self, to: &mut [f32]) {
        for i in 0..N {
            let end = to.len().min((i + 1) * R::WIDTH);
            if let Some(part) = to.get_mut(i * R::WIDTH..end) {
                if part.len() == R::WIDTH {
                    // SAFETY: WIDTH numbers can be written.
                    unsafe { self.0[i].store(part.as_mut_ptr()) };
                } else {
                    self.0[i].store_partial(part);
                }
            }
        }
    }
    #[inline(always)]
    fn mul_add(mut self, factor: Self, addend: Self) -> Self {
        for i in 0..N {
            self.0[i] = self.0[i].mul_add(factor.0[i], addend.0[i]);
        }
        self
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.map(R::sqrt)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, R::max)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, R::min)
    }
    #[inline(always)]
    fn where_gt(self, other: Self, yes: Self, no: Self) -> Self {
        self.choose(other, yes, no, R::where_gt)
    }
    #[inline(always)]
    fn where_eq(self, other: Self, yes: Self, no: Self) -> Self {
        self.choose(other, yes, no, R::where_eq)
    }
    #[inline(always)]
    fn and_bits(self, mask: u32) -> Self {
        self.zip(self.constant(mask), R::and)
    }
    #[inline(always)]
    fn or_bits(self, mask: u32) -> Self {
        self.zip(self.constant(mask), R::or)
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self.zip(other, R::or)
    }
    #[inline(always)]
    fn add_bits(self, addend: u32) -> Self {
        self.zip(self.constant(addend), R::add_as_integers)
    }
    #[inline(always)]
    fn add_as_integers(self, other: Self) -> Self {
        self.zip(other, R::add_as_integers)
    }
    #[inline(always)]
    fn shift_up<const BY: i32>(self) -> Self {
        self.map(R::shift_up::<BY>)
    }
    #[inline(always)]
    fn shift_down<const BY: i32>(self) -> Self {
        self.map(R::shift_down::<BY>)
    }
    #[inline(always)]
    fn deinterleave(self, next: Self) -> (Self, Self) {
        let (mut even, mut odd) = (self, self);
        for i in 0..N {
            // Registers 2i and 2i + 1 of the 2N that hold the 32 numbers.
            let register = |at: usize| if at < N { self.0[at] } else { next.0[at - N] };
            (even.0[i], odd.0[i]) = register(2 * i).deinterleave(register(2 * i + 1));
        }
        (even, odd)
    }
    #[inline(always)]
    fn interleave(self, odd: Self) -> (Self, Self) {
        let (mut first, mut last) = (self, self);
        for i in 0..N {
            let (low, high) = self.0[i].interleave(odd.0[i]);
            for (at, register) in [(2 * i, low), (2 * i + 1, high)] {
                if at < N { first.0[at] = register } else { last.0[at - N] = register }
            }
        }
        (first, last)
    }
}
