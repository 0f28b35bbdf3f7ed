//! What a kernel sees: sixteen lanes, and the proof that the CPU has the instructions for them.
//!
//! Next to read: `registers.rs`, how an instruction set provides them.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// The number of lanes of every vector, on every CPU.
pub const LANES: usize = 16;

/// A set of instructions that the CPU is known to have. The value is the proof; it is free to copy.
pub trait Isa: Copy + Send + Sync + 'static {
    /// Sixteen `f32`s.
    type F32: Lanes;

    /// How many vectors of sixteen fit in the registers: what a GEMM tile may use.
    const VECTORS: usize;

    /// Sixteen times the same number.
    fn splat(self, value: f32) -> Self::F32;

    /// The sixteen numbers of an array, lane 0 first.
    fn load(self, from: &[f32; LANES]) -> Self::F32;

    /// Up to sixteen numbers; the lanes behind them hold `rest`.
    fn load_partial(self, from: &[f32], rest: f32) -> Self::F32;
}

/// Sixteen `f32`s: lane-wise IEEE arithmetic, and the bit operations that `math.rs` needs.
pub trait Lanes:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// Writes the lanes to memory, lane 0 first.
    fn store(self, to: &mut [f32; LANES]);
    /// `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// `if self > other { self } else { other }`: a NaN on the left gives `other`, a NaN on the right stays.
    fn max(self, other: Self) -> Self;
    /// `if self < other { self } else { other }`.
    fn min(self, other: Self) -> Self;
    /// `yes` in the lanes where `self > other`, `no` in the rest (also where either is NaN).
    fn where_gt(self, other: Self, yes: Self, no: Self) -> Self;
    /// `yes` in the lanes where `self == other`, `no` in the rest (also where either is NaN).
    fn where_eq(self, other: Self, yes: Self, no: Self) -> Self;
    /// The bits of every lane and-ed with a mask.
    fn and_bits(self, mask: u32) -> Self;
    /// The bits of every lane or-ed with a mask.
    fn or_bits(self, mask: u32) -> Self;
    /// The bits of the two vectors or-ed lane by lane.
    fn or(self, other: Self) -> Self;
    /// The bits of every lane as a whole number, plus a constant, wrapping.
    fn add_bits(self, addend: u32) -> Self;
    /// The bits of the two vectors added as whole numbers, wrapping.
    fn add_as_integers(self, other: Self) -> Self;
    /// The bits of every lane shifted up.
    fn shift_up<const BY: i32>(self) -> Self;
    /// The bits of every lane shifted down, zeros coming in (a logical shift).
    fn shift_down<const BY: i32>(self) -> Self;

    /// The even and the odd ones of the 32 numbers that `self` and then `next` hold.
    fn deinterleave(self, next: Self) -> (Self, Self);
    /// The inverse: the first and the last sixteen of `self[0], odd[0], self[1], odd[1], …`.
    fn interleave(self, odd: Self) -> (Self, Self);

    /// The lanes as an array.
    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        let mut array = [0.0; LANES];
        self.store(&mut array);
        array
    }

    /// Writes the first `to.len()` lanes, at most sixteen.
    fn store_partial(self, to: &mut [f32]);

    /// The absolute value.
    #[inline(always)]
    fn abs(self) -> Self {
        self.and_bits(0x7fff_ffff)
    }

    /// The sum of the lanes in the one fixed order of this crate: halves are added until one lane is left
    /// (0 + 8, 1 + 9, …, then 0 + 4, …).
    #[inline(always)]
    fn fold_sum(self) -> f32 {
        fold(self.to_array(), |a, b| a + b)
    }

    /// Rows become columns: lane j of vector i goes to lane i of vector j.
    ///
    /// A lane's address is eight bits, four for its vector and four for its place. Interleaving vectors i and i + 8
    /// to vectors 2i and 2i + 1 rotates those bits by one, so four rounds exchange the halves.
    #[inline(always)]
    fn transpose(mut rows: [Self; LANES]) -> [Self; LANES] {
        for _ in 0..4 {
            let before = rows;
            for i in 0..LANES / 2 {
                (rows[2 * i], rows[2 * i + 1]) = before[i].interleave(before[i + LANES / 2]);
            }
        }
        rows
    }

    /// The sums of the lanes of sixteen vectors, each in the order of [`fold_sum`](Lanes::fold_sum): lane i is the sum
    /// of vector i.
    #[inline(always)]
    fn fold_sums(rows: [Self; LANES]) -> Self {
        Self::sum(Self::transpose(rows))
    }

    /// The sum of sixteen vectors, added in the order in which [`fold_sum`](Lanes::fold_sum) adds the lanes of one.
    #[inline(always)]
    fn sum(mut vectors: [Self; LANES]) -> Self {
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                vectors[i] = vectors[i] + vectors[i + half];
            }
        }
        vectors[0]
    }

    /// The largest lane, in the same order of comparison.
    #[inline(always)]
    fn fold_max(self) -> f32 {
        fold(self.to_array(), |a, b| if a > b { a } else { b })
    }
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}
