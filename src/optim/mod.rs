//! Chapter 7: optimisers. A gradient says which way is down; an optimiser says how far to go.
//!
//! ```
//! use tapegrad::nn::{Init, Linear, Module};
//! use tapegrad::optim::{Adam, Optimizer};
//! use tapegrad::{Tape, Tensor};
//!
//! let mut net = Linear::new(2, 1, &mut Init::new(0));
//! let mut optimizer = Adam::new(0.01);
//! let (x, y) = (Tensor::new([[1.0, 2.0], [3.0, 4.0]]), Tensor::new([[1.0], [0.0]]));
//! let mut losses = Vec::new();
//! for _ in 0..50 {
//!     let tape = Tape::training();
//!     let loss = (net.forward(tape.input(&x)) - tape.input(&y)).square().mean();
//!     losses.push(loss.item());
//!     optimizer.step(&mut net, &loss.backward());
//! }
//! assert!(losses[49] < losses[0]);
//! ```
//!
//! There is no list of parameters to hand over beforehand and no `zero_grad`: gradients are a value that is new in every
//! step, and the net is walked in every step. What an optimiser remembers of a parameter (moments) it keeps under the
//! parameter's identity, so it survives anything but the parameter itself.
//!
//! Numbers are PyTorch's, step by step: the learning rate and what follows from it are computed in `f64` and rounded
//! once, and the element-wise formulas are those of `torch.optim` (held against it by `tests/optim.rs`).
//!
//! Reading order: this file, `sgd.rs`, `adam.rs`, `adamw.rs`. What this is not: a schedule of learning rates
//! (`set_lr` before a step is one).

mod adam;
mod adamw;
mod sgd;

use crate::nn::{Module, check_parts};
use crate::{Error, Gradients, Param, Result, Tensor};

pub use adam::Adam;
pub use adamw::AdamW;
pub use sgd::Sgd;

/// What an optimiser remembers of one parameter.
///
/// Lists, not tensors: see `Moments` in `adam.rs`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParamState {
    /// How many steps the parameter has had, where the optimiser counts them.
    pub step: u64,
    /// Lists as long as the parameter, under PyTorch's names: `exp_avg`, `momentum_buffer`.
    pub lists: Vec<(String, Vec<f32>)>,
}

/// A rule for changing parameters by their gradients.
pub trait Optimizer {
    /// The name of the rule: `Adam`.
    fn name(&self) -> &'static str;

    /// The numbers that the rule goes by, without the learning rate, under PyTorch's names.
    fn hyperparameters(&self) -> Vec<(&'static str, f64)>;

    /// What is remembered of a parameter; `None` where it has had no step, or the rule remembers nothing.
    fn state(&self, param: &Param) -> Option<ParamState>;

    /// Remembers of a parameter what `state` says, or nothing: how a training that is taken up again goes on with the steps
    /// that it had.
    ///
    /// # Errors
    /// The lists are not the rule's own, or not as long as the parameter. Nothing is changed then.
    fn set_state(&mut self, param: &Param, state: Option<ParamState>) -> Result<()>;

    /// Changes one parameter in place by its gradient.
    ///
    /// # Panics
    /// When the shapes differ.
    #[track_caller]
    fn update(&mut self, param: &mut Param, gradient: &Tensor);

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Sets the learning rate, from the next step on.
    ///
    /// # Panics
    /// When it is negative, infinite or NaN.
    #[track_caller]
    fn set_lr(&mut self, lr: f64);

    /// Changes every parameter of a net by its gradient. Frozen parameters ([`Param::set_requires_grad`]) are left alone.
    ///
    /// # Panics
    /// When the loss does not depend on a parameter that is not frozen. PyTorch skips such a one without a word. Here a net
    /// whose graph is cut, by a `detach` too many or a layer that `forward` forgot, would then go on training what is left
    /// of it, and reach an accuracy that looks right. Where a part of a net is meant to rest, freeze it.
    ///
    /// For the same reason when a module's [`parts_mut`](Module::parts_mut) leaves out a parameter of its [`parts`](Module::parts).
    #[track_caller]
    fn step(&mut self, net: &mut dyn Module, grads: &Gradients) {
        // All are looked at before any is changed: who catches the panic has the net of before.
        let mut count = 0;
        for (name, param) in net.named_parameters() {
            assert!(
                !param.requires_grad() || grads.get(param).is_some(),
                "step: the loss does not depend on {name}, a parameter of shape {}; if that is meant, freeze it with \
                 set_requires_grad(false)",
                param.value().shape()
            );
            count += 1;
        }
        let params = net.named_parameters_mut();
        check_parts("step", count, params.len());
        for (_, param) in params {
            if param.requires_grad()
                && let Some(gradient) = grads.get(param)
            {
                self.update(param, gradient);
            }
        }
    }
}

#[track_caller]
fn check_shapes(op: &str, param: &Param, gradient: &Tensor) {
    let (shape, got) = (param.value().shape(), gradient.shape());
    assert!(shape == got, "{op}: the parameter has shape {shape}, its gradient {got}");
}

/// The lists of a state, once they are found to be the rule's own and of the parameter's length.
fn check_state<const N: usize>(
    op: &str,
    names: [&str; N],
    param: &Param,
    state: ParamState,
) -> Result<[Vec<f32>; N]> {
    let found: Vec<_> = state.lists.iter().map(|(name, list)| (name.as_str(), list.len())).collect();
    let expected = names.map(|name| (name, param.value().numel()));
    if found != expected {
        return Err(Error::argument(op, format!("a state of the lists {expected:?}"), format!("{found:?}")));
    }
    let mut lists = state.lists.into_iter().map(|(_, list)| list);
    Ok(names.map(|_| lists.next().unwrap_or_default()))
}

/// The learning rate must be a number that is not negative; 0 is allowed, as in PyTorch.
#[track_caller]
fn check_lr(op: &str, lr: f64) {
    check_amount(op, "a learning rate", lr);
}

/// A number that may be large, but neither negative nor infinite, nor NaN.
#[track_caller]
fn check_amount(op: &str, name: &str, amount: f64) {
    assert!(amount >= 0.0 && amount.is_finite(), "{op}: {name} is 0 or more, got {amount}");
}

/// Rates by which something is kept from step to step.
#[track_caller]
fn check_share(op: &str, name: &str, share: f64) {
    assert!((0.0..1.0).contains(&share), "{op}: {name} is at least 0 and less than 1, got {share}");
}
