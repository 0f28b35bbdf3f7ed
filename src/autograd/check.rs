//! gradcheck: the gradients of a function held against differences of its values.
//!
//! For a function y = f(x₁, x₂, …) and fixed weights w, backward gives the gradient of L = Σ wᵢ yᵢ. The same is estimated from
//! values alone, one element of one input at a time, by the five-point formula
//!
//! ```text
//! L'(x) ≈ (8 (L(x + h) - L(x - h)) - (L(x + 2h) - L(x - 2h))) / 12h        error h⁴ L⁽⁵⁾ / 30
//! ```
//!
//! Values are `f32`, so a small h drowns in rounding; with the five-point formula h = 1/32 is small enough for the formula and large
//! enough for `f32`. The differences themselves are taken and summed in `f64`.
//!
//! What this is not: a proof. A function with a kink (relu, max) within 2h of the point is not differentiable there, and is
//! reported as wrong; choose other inputs.

use std::fmt;

use super::{Tape, Var};
use crate::Tensor;

const STEP: f32 = 1.0 / 32.0;

/// Relative to the larger of the two, and to the largest gradient of the input: well above the error of differences in `f32`,
/// well below what a wrong formula gives.
const TOLERANCE: f64 = 2e-3;

/// The element whose gradient disagrees most with the differences.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// Which input.
    pub input: usize,
    /// Which element of it, in row-major order.
    pub element: usize,
    /// What backward computed.
    pub gradient: f64,
    /// What the differences say.
    pub difference: f64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "gradcheck: input {}, element {}: backward gives {}, differences give {}",
            self.input, self.element, self.gradient, self.difference
        )
    }
}

impl std::error::Error for Mismatch {}

/// Checks the gradients of `f` at `inputs`.
///
/// ```
/// use tapegrad::{Tensor, gradcheck};
/// let x = Tensor::new([[0.5, -1.0], [2.0, 0.3]]);
/// gradcheck(|_, v| v[0].sigmoid() * v[1], &[x.clone(), x.t()]).unwrap();
/// ```
///
/// # Errors
/// The worst element, where one differs by more than the method's own error.
///
/// # Panics
/// When the result does not depend on one of the inputs.
#[track_caller]
pub fn gradcheck<F>(f: F, inputs: &[Tensor]) -> Result<(), Mismatch>
where
    F: for<'t> Fn(&'t Tape, &[Var<'t>]) -> Var<'t>,
{
    let tape = Tape::training();
    let vars: Vec<Var> = inputs.iter().map(|input| tape.variable(input)).collect();
    let y = f(&tape, &vars);
    let weights = weights(y.value().numel());
    let weights_tensor = Tensor::from_slice(&weights, y.shape());
    let grads = (y * tape.input(&weights_tensor)).sum().backward();

    let loss = |inputs: &[Tensor]| -> Vec<f64> {
        let tape = Tape::training();
        let vars: Vec<Var> = inputs.iter().map(|input| tape.variable(input)).collect();
        f(&tape, &vars).value().to_vec().into_iter().map(f64::from).collect()
    };
    // Σ w (f(x + step) - f(x - step)), the differences taken element by element, where they are exact.
    let difference = |which: usize, element: usize, step: f32| -> f64 {
        let moved = |step: f32| {
            let mut inputs = inputs.to_vec();
            inputs[which].data_mut()[element] += step;
            loss(&inputs)
        };
        let (up, down) = (moved(step), moved(-step));
        up.iter().zip(&down).zip(&weights).map(|((up, down), &w)| f64::from(w) * (up - down)).sum()
    };

    let mut worst: Option<(f64, Mismatch)> = None;
    for (which, &var) in vars.iter().enumerate() {
        let gradient: Vec<f64> = grads[var].to_vec().into_iter().map(f64::from).collect();
        let largest = gradient.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
        for (element, &gradient) in gradient.iter().enumerate() {
            let (near, far) = (difference(which, element, STEP), difference(which, element, 2.0 * STEP));
            let estimate = (8.0 * near - far) / (12.0 * f64::from(STEP));
            let scale = largest.max(estimate.abs()).max(1e-3);
            let error = (gradient - estimate).abs() / scale;
            // A NaN is an error too.
            let bad = !(error <= TOLERANCE);
            if bad && worst.as_ref().is_none_or(|(most, _)| error > *most) {
                let mismatch = Mismatch { input: which, element, gradient, difference: estimate };
                worst = Some((error, mismatch));
            }
        }
    }
    match worst {
        None => Ok(()),
        Some((_, mismatch)) => Err(mismatch),
    }
}

/// Numbers between -1 and 1 without a pattern that a wrong gradient could hide behind.
fn weights(len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| ((i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32) - 1.0).collect()
}
