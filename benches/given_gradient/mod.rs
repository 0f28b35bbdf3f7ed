//! The backward of an op alone: a loss would be measured along with it.

use tapegrad::{Tensor, Var};

/// A loss that costs nothing, and whose gradient by `y` is `dy`.
pub fn given_gradient<'t>(y: Var<'t>, dy: &Tensor) -> Var<'t> {
    let (output, given) = (y.id(), dy.clone());
    y.tape().record("given_gradient", &[y], Tensor::scalar(0.0), given, move |given, _, adjoints| {
        adjoints.add(output, || given);
    })
}
