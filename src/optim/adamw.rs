//! AdamW: Adam with a weight decay that does not pass through its means.
//!
//! With Adam's own decay, an element whose gradients are large is pulled to zero less than the others, since the pull is
//! divided by their size like the rest of the gradient. Here every element shrinks by the same factor
//! 1 - lr · weight_decay in a step. The formulas stand in `adam.rs`; without decay the two are one.
//!
//! Next to read: chapter 8, [`crate::data`].

use super::{Adam, Optimizer, ParamState};
use crate::{Param, Result, Tensor};

/// Adam with decoupled weight decay. PyTorch's `torch.optim.AdamW`.
///
/// ```
/// use tapegrad::optim::{AdamW, Optimizer};
/// use tapegrad::{Param, Tensor};
/// let mut p = Param::new(Tensor::new([1.0]));
/// AdamW::new(0.1).weight_decay(0.5).update(&mut p, &Tensor::new([0.0]));
/// assert_eq!(p.value().to_vec(), [0.95]); // no gradient, only decay: 1 - 0.1 * 0.5
/// ```
#[derive(Debug)]
pub struct AdamW(Adam);

impl AdamW {
    /// AdamW with PyTorch's other options: betas (0.9, 0.999), eps 1e-8, weight decay 0.01.
    #[track_caller]
    pub fn new(lr: f64) -> AdamW {
        AdamW(Adam::with_decay(true, lr).weight_decay(0.01))
    }

    /// See [`Adam::betas`].
    #[track_caller]
    pub fn betas(self, beta1: f64, beta2: f64) -> AdamW {
        AdamW(self.0.betas(beta1, beta2))
    }

    /// See [`Adam::eps`].
    #[track_caller]
    pub fn eps(self, eps: f64) -> AdamW {
        AdamW(self.0.eps(eps))
    }

    /// With another decay: a step multiplies every parameter by 1 - lr · `weight_decay`.
    #[track_caller]
    pub fn weight_decay(self, weight_decay: f64) -> AdamW {
        AdamW(self.0.weight_decay(weight_decay))
    }
}

impl Optimizer for AdamW {
    fn update(&mut self, param: &mut Param, gradient: &Tensor) {
        self.0.update(param, gradient);
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        self.0.hyperparameters()
    }

    fn state(&self, param: &Param) -> Option<ParamState> {
        self.0.state(param)
    }

    fn set_state(&mut self, param: &Param, state: Option<ParamState>) -> Result<()> {
        self.0.set_state(param, state)
    }

    fn lr(&self) -> f64 {
        self.0.lr()
    }

    fn set_lr(&mut self, lr: f64) {
        self.0.set_lr(lr);
    }
}
