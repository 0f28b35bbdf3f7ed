//! `+`, `-`, `*`, `/` and the minus sign.
//!
//! ```text
//! y = a + b    da = dy          db = dy
//! y = a - b    da = dy          db = -dy
//! y = a * b    da = dy · b      db = dy · a
//! y = a / b    da = dy / b      db = -dy · y / b
//! ```
//!
//! Shapes broadcast; where an input was repeated, its gradient is summed back to its shape (`broadcast.rs`). A sum
//! keeps nothing on the tape but shapes. A product keeps each factor only where the other one wants a gradient, a
//! quotient its divisor and, for that one's gradient, its own value. A number on either side is no node of the tape.
//!
//! Each operator takes tensors by reference or by value (a value that nobody else holds gives its memory to the
//! result), [`Var`]s, and `f32` on one side.
//!
//! Next: `reduce.rs`, sums over axes.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::broadcast::{WithLeft, WithRight, map, sum_to, zip};
use crate::simd::Isa;
use crate::simd::slices::{Map, Zip};
use crate::{Tensor, Var};

/// Declares a lane function of two vectors.
macro_rules! zip_function {
    ($name:ident, |$a:ident, $b:ident| $formula:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl Zip for $name {
            #[inline(always)]
            fn apply<I: Isa>(self, _: I, $a: I::F32, $b: I::F32) -> I::F32 {
                $formula
            }
        }
    };
}

zip_function!(Plus, |a, b| a + b);
zip_function!(Minus, |a, b| a - b);
zip_function!(Times, |a, b| a * b);
zip_function!(Over, |a, b| a / b);

#[derive(Clone, Copy)]
struct Negated;

impl Map for Negated {
    #[inline(always)]
    fn apply<I: Isa>(self, _: I, x: I::F32) -> I::F32 {
        -x
    }
}

/// One operator of tensors, for every mix of references, values and numbers.
macro_rules! tensor_operator {
    ($Trait:ident, $method:ident, $function:ident) => {
        tensor_operator!(@pair $Trait, $method, $function, &Tensor, |left| left.clone(), &Tensor, |right| right);
        tensor_operator!(@pair $Trait, $method, $function, Tensor, |left| left, &Tensor, |right| right);
        tensor_operator!(@pair $Trait, $method, $function, &Tensor, |left| left.clone(), Tensor, |right| &right);
        tensor_operator!(@pair $Trait, $method, $function, Tensor, |left| left, Tensor, |right| &right);
        tensor_operator!(@number $Trait, $method, $function, &Tensor, |tensor| tensor.clone());
        tensor_operator!(@number $Trait, $method, $function, Tensor, |tensor| tensor);
    };
    (@pair $Trait:ident, $method:ident, $function:ident, $Left:ty, |$left:ident| $own:expr, $Right:ty, |$right:ident| $borrow:expr) => {
        impl $Trait<$Right> for $Left {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, $right: $Right) -> Tensor {
                let $left = self;
                zip(stringify!($method), $function, $own, $borrow)
            }
        }
    };
    (@number $Trait:ident, $method:ident, $function:ident, $Tensor:ty, |$tensor:ident| $own:expr) => {
        impl $Trait<f32> for $Tensor {
            type Output = Tensor;
            fn $method(self, right: f32) -> Tensor {
                let $tensor = self;
                map(WithRight($function, right), $own)
            }
        }
        impl $Trait<$Tensor> for f32 {
            type Output = Tensor;
            fn $method(self, $tensor: $Tensor) -> Tensor {
                map(WithLeft(self, $function), $own)
            }
        }
    };
}

tensor_operator!(Add, add, Plus);
tensor_operator!(Sub, sub, Minus);
tensor_operator!(Mul, mul, Times);
tensor_operator!(Div, div, Over);

impl Neg for &Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        map(Negated, self.clone())
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        map(Negated, self)
    }
}

impl<'t> Add for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn add(self, other: Var<'t>) -> Var<'t> {
        let y = self.value() + other.value();
        let (a, a_shape, b, b_shape) = (self.id(), self.shape(), other.id(), other.shape());
        self.tape().record("add", &[self, other], y, (), move |(), dy, adjoints| {
            adjoints.add(a, || sum_to(dy.clone(), &a_shape));
            adjoints.add(b, || sum_to(dy, &b_shape));
        })
    }
}

impl<'t> Sub for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn sub(self, other: Var<'t>) -> Var<'t> {
        let y = self.value() - other.value();
        let (a, a_shape, b, b_shape) = (self.id(), self.shape(), other.id(), other.shape());
        self.tape().record("sub", &[self, other], y, (), move |(), dy, adjoints| {
            adjoints.add(a, || sum_to(dy.clone(), &a_shape));
            adjoints.add(b, || -sum_to(dy, &b_shape));
        })
    }
}

impl<'t> Mul for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn mul(self, other: Var<'t>) -> Var<'t> {
        let y = self.value() * other.value();
        let (a, a_shape, b, b_shape) = (self.id(), self.shape(), other.id(), other.shape());
        // Each factor is kept for the gradient of the other one.
        let a_kept = other.wants_grad().then(|| self.value());
        let b_kept = self.wants_grad().then(|| other.value());
        self.tape().record(
            "mul",
            &[self, other],
            y,
            (a_kept, b_kept),
            move |(a_kept, b_kept), dy, adjoints| {
                if let Some(b_value) = b_kept {
                    adjoints.add(a, || sum_to(&dy * b_value, &a_shape));
                }
                if let Some(a_value) = a_kept {
                    adjoints.add(b, || sum_to(dy * a_value, &b_shape));
                }
            },
        )
    }
}

impl<'t> Div for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn div(self, other: Var<'t>) -> Var<'t> {
        let (b_value, y) = (other.value(), self.value() / other.value());
        let (a, a_shape, b, b_shape) = (self.id(), self.shape(), other.id(), other.shape());
        let y_kept = other.wants_grad().then(|| y.clone());
        self.tape().record(
            "div",
            &[self, other],
            y,
            (b_value, y_kept),
            move |(b_value, y_kept), dy, adjoints| {
                let da = dy / b_value;
                adjoints.add(a, || sum_to(da.clone(), &a_shape));
                if let Some(y) = y_kept {
                    adjoints.add(b, || -sum_to(product(da, y), &b_shape));
                }
            },
        )
    }
}

/// Where a product inside of a quotient's adjoint is meant, and no slip of the pen.
fn product(a: Tensor, b: Tensor) -> Tensor {
    a * b
}

impl<'t> Neg for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn neg(self) -> Var<'t> {
        let x = self.id();
        self.tape().record("neg", &[self], -self.value(), (), move |(), dy, adjoints| adjoints.add(x, || -dy))
    }
}

/// An operator between a variable and a number: the name, the value, and the gradient by the variable.
macro_rules! number_operator {
    ($Trait:ident, $method:ident, |$x:ident, $c:ident| $y:expr, |$dy:ident| $dx:expr) => {
        impl<'t> $Trait<f32> for Var<'t> {
            type Output = Var<'t>;
            #[track_caller]
            fn $method(self, $c: f32) -> Var<'t> {
                let ($x, id) = (self.value(), self.id());
                self.tape().record(stringify!($method), &[self], $y, (), move |(), $dy, adjoints| {
                    adjoints.add(id, || $dx)
                })
            }
        }
    };
}

number_operator!(Add, add, |x, c| x + c, |dy| dy);
number_operator!(Sub, sub, |x, c| x - c, |dy| dy);
number_operator!(Mul, mul, |x, c| x * c, |dy| dy * c);
number_operator!(Div, div, |x, c| x / c, |dy| dy / c);

impl<'t> Add<Var<'t>> for f32 {
    type Output = Var<'t>;
    #[track_caller]
    fn add(self, x: Var<'t>) -> Var<'t> {
        x + self
    }
}

impl<'t> Sub<Var<'t>> for f32 {
    type Output = Var<'t>;
    #[track_caller]
    fn sub(self, x: Var<'t>) -> Var<'t> {
        let id = x.id();
        x.tape().record("sub", &[x], self - x.value(), (), move |(), dy, adjoints| adjoints.add(id, || -dy))
    }
}

impl<'t> Mul<Var<'t>> for f32 {
    type Output = Var<'t>;
    #[track_caller]
    fn mul(self, x: Var<'t>) -> Var<'t> {
        x * self
    }
}

impl<'t> Div<Var<'t>> for f32 {
    type Output = Var<'t>;
    #[track_caller]
    fn div(self, x: Var<'t>) -> Var<'t> {
        let (id, value) = (x.id(), x.value());
        let y = self / &value;
        let kept = (value, y.clone());
        x.tape().record("div", &[x], y, kept, move |(value, y), dy, adjoints| {
            adjoints.add(id, || -product(dy / value, y));
        })
    }
}
