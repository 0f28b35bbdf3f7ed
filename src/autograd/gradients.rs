//! What `backward` gives back: gradients as a value. There is nothing to set to zero before the next step.

use std::collections::HashMap;
use std::mem::take;
use std::ops::Index;

use super::param::ParamId;
use super::tape::leave;
use super::{NodeId, Param, Tape, Var};
use crate::Tensor;

/// The derivatives of a loss by parameters and variables: `grads[&param]`, `grads[x]`.
#[derive(Debug)]
pub struct Gradients {
    slots: Vec<Option<Tensor>>,
    params: HashMap<ParamId, NodeId>,
    /// The number of the tape, to recognise a variable of another one.
    tape: u64,
}

impl Gradients {
    pub(super) fn new(tape: &Tape, slots: Vec<Option<Tensor>>, params: HashMap<ParamId, NodeId>) -> Self {
        Gradients { slots, params, tape: tape.number }
    }

    /// The gradient of a parameter, or `None` where the loss does not depend on it.
    pub fn get(&self, param: &Param) -> Option<&Tensor> {
        self.params.get(&param.id()).and_then(|id| self.slots.get(id.0)?.as_ref())
    }
}

impl Drop for Gradients {
    fn drop(&mut self) {
        leave(take(&mut self.slots), take(&mut self.params));
    }
}

impl Index<&Param> for Gradients {
    type Output = Tensor;

    /// # Panics
    /// When the loss does not depend on the parameter: it was not used on this tape, or what was made of it was
    /// detached or thrown away. A net whose graph is cut does not train in silence.
    #[track_caller]
    fn index(&self, param: &Param) -> &Tensor {
        match self.get(param) {
            Some(gradient) => gradient,
            None => panic!(
                "gradients: the loss does not depend on this parameter of shape {}: it was {}",
                param.value().shape(),
                match self.params.contains_key(&param.id()) {
                    _ if !param.requires_grad() => "frozen, with set_requires_grad(false)",
                    true => "put on the tape, but the loss was not computed from it",
                    false => "never put on this tape",
                }
            ),
        }
    }
}

impl Index<Var<'_>> for Gradients {
    type Output = Tensor;

    /// The gradient of a [`Tape::variable`].
    ///
    /// # Panics
    /// When `var` is no variable, lies on another tape, or the loss does not depend on it.
    #[track_caller]
    fn index(&self, var: Var<'_>) -> &Tensor {
        assert!(
            var.tape().number == self.tape,
            "gradients: they are of another tape than this variable; ask those that its own tape gave"
        );
        match self.slots.get(var.id().0) {
            Some(Some(gradient)) => gradient,
            _ => panic!(
                "gradients: none for value {} of the tape; only variables (Tape::variable) and parameters that the loss depends \
                 on have one",
                var.id().0
            ),
        }
    }
}
