//! The mean squared error.
//!
//! ```text
//! y = 1/n Σ (a - b)²        da = dy · 2/n (a - b)        db = -da
//! ```
//!
//! The difference serves both ways, so it is all that the tape keeps, and the gradient is written over it.
//!
//! What this is not: broadcasting. A target of another shape is nearly always a mistake, so it is refused, while
//! `(a - b).square().mean()` allows it.
//!
//! Next: `nn/mod.rs`, the layers made of these ops.

use crate::simd::slices;
use crate::{Tensor, Var};

use super::reduce::Squared;

impl Tensor {
    /// The mean of the squared differences, a tensor with one element.
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn mse_loss(&self, target: &Tensor) -> Tensor {
        mse_forward(self, target).0
    }
}

impl<'t> Var<'t> {
    /// The mean of the squared differences from a target of the same shape.
    ///
    /// ```
    /// use tapegrad::{Tape, Tensor};
    /// let tape = Tape::training();
    /// let y_hat = tape.variable(&Tensor::new([1.0, 4.0]));
    /// let loss = y_hat.mse_loss(tape.input(&Tensor::new([1.0, 2.0])));
    /// assert_eq!(loss.item(), 2.0);
    /// assert_eq!(loss.backward()[y_hat].to_vec(), [0.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    pub fn mse_loss(self, target: Var<'t>) -> Var<'t> {
        let (a, b) = (self.id(), target.id());
        let (loss, difference) = mse_forward(&self.value(), &target.value());
        self.tape().record("mse_loss", &[self, target], loss, difference, move |difference, dy, adjoints| {
            let scale = 2.0 * dy.item() / difference.numel() as f32;
            let da = difference * scale;
            adjoints.add(a, || da.clone());
            adjoints.add(b, || -da);
        })
    }
}

/// The loss, and the difference.
#[track_caller]
fn mse_forward(a: &Tensor, b: &Tensor) -> (Tensor, Tensor) {
    assert!(
        a.shape() == b.shape(),
        "mse_loss: a prediction {} needs a target of the same shape, got {}",
        a.shape(),
        b.shape()
    );
    let difference = a - b;
    let loss = slices::sum_of(Squared, difference.contiguous().data()) / difference.numel() as f32;
    (Tensor::scalar(loss), difference)
}
