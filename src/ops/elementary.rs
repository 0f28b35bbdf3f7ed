//! exp, ln, sqrt, square, abs, and powers with a fixed exponent.
//!
//! ```text
//! y = e^x       dx = dy · y
//! y = ln x      dx = dy / x
//! y = √x        dx = dy / 2y
//! y = x²        dx = dy · 2x
//! y = |x|       dx = dy · sign x        (0 at 0)
//! y = x^p       dx = dy · p x^(p-1)     (0 for p = 0)
//! ```
//!
//! The tape keeps the output for exp and sqrt, the input for the others. `exp` and `ln` are the crate's own
//! (`simd/math.rs`), since std's differ between platforms.
//!
//! A power is computed by what its exponent is:
//!
//! - whole and at most [`MAX_WHOLE`] in size: by repeated squaring, inverted if negative;
//! - ½: by the square root;
//! - anything else: e^(p ln |x|). A relative error of p ln x becomes one of the result, so the error in units of the
//!   last place grows like |p ln x|, up to some 90. Negative x give NaN, or, where p is whole, the right sign.
//!
//! What this is not: powers of one tensor by another.
//!
//! Next: `matmul.rs`.

use super::broadcast::{map, zip};
use crate::simd::slices::{Map, Zip};
use crate::simd::{Isa, Lanes, math};
use crate::{Tensor, Var};

/// The largest exponent for repeated squaring. Each product rounds once, so a long chain of them is less precise
/// than e^(p ln x).
pub const MAX_WHOLE: u32 = 64;

/// Declares a lane function of one vector.
macro_rules! map_function {
    ($name:ident, |$isa:ident, $x:ident| $formula:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl Map for $name {
            #[inline(always)]
            fn apply<I: Isa>(self, $isa: I, $x: I::F32) -> I::F32 {
                $formula
            }
        }
    };
}

/// Declares the gradient of one: a function of `dy` and what the tape kept.
macro_rules! zip_function {
    ($name:ident, |$isa:ident, $dy:ident, $kept:ident| $formula:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl Zip for $name {
            #[inline(always)]
            fn apply<I: Isa>(self, $isa: I, $dy: I::F32, $kept: I::F32) -> I::F32 {
                $formula
            }
        }
    };
}

map_function!(Exp, |isa, x| math::exp(isa, x));
zip_function!(ExpBackward, |_isa, dy, y| dy * y);

map_function!(Ln, |isa, x| math::ln(isa, x));
zip_function!(LnBackward, |_isa, dy, x| dy / x);

map_function!(Sqrt, |_isa, x| x.sqrt());
zip_function!(SqrtBackward, |_isa, dy, y| dy / (y + y));

map_function!(Square, |_isa, x| x * x);
zip_function!(SquareBackward, |_isa, dy, x| dy * (x + x));

map_function!(Abs, |_isa, x| x.abs());
zip_function!(AbsBackward, |isa, dy, x| {
    let zero = isa.splat(0.0);
    x.where_gt(zero, dy, zero.where_gt(x, -dy, zero))
});

/// x^p for a whole p from 0 to [`MAX_WHOLE`], by repeated squaring.
#[derive(Clone, Copy)]
struct Whole(u32);

impl Map for Whole {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32 {
        let (mut result, mut square, mut left) = (isa.splat(1.0), x, self.0);
        while left > 0 {
            if left & 1 == 1 {
                result = result * square;
            }
            square = square * square;
            left >>= 1;
        }
        result
    }
}

/// x^-p for such a p.
#[derive(Clone, Copy)]
struct InverseWhole(u32);

impl Map for InverseWhole {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32 {
        isa.splat(1.0) / Whole(self.0).apply(isa, x)
    }
}

/// x^p for any other p.
#[derive(Clone, Copy)]
struct General(f32);

impl Map for General {
    #[inline(always)]
    fn apply<I: Isa>(self, isa: I, x: I::F32) -> I::F32 {
        let p = self.0;
        if p.fract() != 0.0 {
            return math::exp(isa, isa.splat(p) * math::ln(isa, x));
        }
        // Whole but large: the size from |x|, the sign from x where p is odd. Above 2^24 every float is even.
        let size = math::exp(isa, isa.splat(p) * math::ln(isa, x.abs()));
        if p % 2.0 == 0.0 { size } else { size.or(x.and_bits(0x8000_0000)) }
    }
}

fn pow_forward(x: Tensor, exponent: f32) -> Tensor {
    let size = exponent.abs();
    if size.fract() == 0.0 && size <= MAX_WHOLE as f32 {
        let whole = size as u32;
        return if exponent < 0.0 { map(InverseWhole(whole), x) } else { map(Whole(whole), x) };
    }
    if exponent == 0.5 { map(Sqrt, x) } else { map(General(exponent), x) }
}

fn pow_backward(dy: Tensor, x: Tensor, exponent: f32) -> Tensor {
    if exponent == 0.0 {
        // p x^(p-1) would be 0 · ∞ at x = 0.
        return Tensor::zeros(x.shape());
    }
    pow_forward(x, exponent - 1.0) * exponent * dy
}

impl Tensor {
    /// e^x of every element.
    pub fn exp(&self) -> Tensor {
        map(Exp, self.clone())
    }

    /// The natural logarithm of every element; -∞ at 0, NaN below. PyTorch's `log`.
    pub fn ln(&self) -> Tensor {
        map(Ln, self.clone())
    }

    /// The square root of every element; NaN below 0.
    pub fn sqrt(&self) -> Tensor {
        map(Sqrt, self.clone())
    }

    /// Every element times itself.
    pub fn square(&self) -> Tensor {
        map(Square, self.clone())
    }

    /// The absolute value of every element.
    pub fn abs(&self) -> Tensor {
        map(Abs, self.clone())
    }

    /// Every element to a fixed power.
    ///
    /// ```
    /// # use tapegrad::Tensor;
    /// assert_eq!(Tensor::new([-2.0, 3.0]).pow(3.0).to_vec(), [-8.0, 27.0]);
    /// assert_eq!(Tensor::new([4.0]).pow(-0.5).to_vec(), [0.5]);
    /// ```
    pub fn pow(&self, exponent: f32) -> Tensor {
        pow_forward(self.clone(), exponent)
    }
}

impl<'t> Var<'t> {
    /// e^x of every element.
    #[track_caller]
    pub fn exp(self) -> Var<'t> {
        let y = self.value().exp();
        record(self, "exp", y.clone(), y, ExpBackward)
    }

    /// The natural logarithm of every element; see [`Tensor::ln`].
    #[track_caller]
    pub fn ln(self) -> Var<'t> {
        record(self, "ln", self.value().ln(), self.value(), LnBackward)
    }

    /// The square root of every element.
    #[track_caller]
    pub fn sqrt(self) -> Var<'t> {
        let y = self.value().sqrt();
        record(self, "sqrt", y.clone(), y, SqrtBackward)
    }

    /// Every element times itself.
    #[track_caller]
    pub fn square(self) -> Var<'t> {
        record(self, "square", self.value().square(), self.value(), SquareBackward)
    }

    /// The absolute value of every element.
    #[track_caller]
    pub fn abs(self) -> Var<'t> {
        record(self, "abs", self.value().abs(), self.value(), AbsBackward)
    }

    /// Every element to a fixed power; see [`Tensor::pow`].
    #[track_caller]
    pub fn pow(self, exponent: f32) -> Var<'t> {
        let (id, x) = (self.id(), self.value());
        self.tape().record("pow", &[self], x.pow(exponent), x, move |x, dy, adjoints| {
            adjoints.add(id, || pow_backward(dy, x, exponent));
        })
    }
}

/// Records `y`, a function of `x` whose gradient is `backward(dy, kept)`.
#[track_caller]
fn record<'t>(
    x: Var<'t>,
    op: &'static str,
    y: Tensor,
    kept: Tensor,
    backward: impl Zip + 'static,
) -> Var<'t> {
    let id = x.id();
    x.tape().record(op, &[x], y, kept, move |kept, dy, adjoints| {
        adjoints.add(id, || zip(op, backward, dy, &kept))
    })
}
