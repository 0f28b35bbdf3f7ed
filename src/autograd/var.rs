//! `Var`: a handle on a node of a tape, as small and as freely copied as a number.
//!
//! It is a reference to the tape and an index, so it is `Copy`: `v * v` is right, and formulas need no `&` and no `clone()`.
//! The ops themselves are methods of `Var`, each in its own file under `ops/`.

use std::fmt;

use super::{Gradients, NodeId, Tape};
use crate::{Shape, Tensor};

/// A value on a [`Tape`].
#[derive(Clone, Copy)]
pub struct Var<'t> {
    tape: &'t Tape,
    id: NodeId,
}

impl<'t> Var<'t> {
    pub(super) fn new(tape: &'t Tape, id: NodeId) -> Var<'t> {
        Var { tape, id }
    }

    /// The tape that this value lies on.
    pub fn tape(&self) -> &'t Tape {
        self.tape
    }

    /// The number of this value's node, for closures given to [`Tape::record`].
    pub fn id(&self) -> NodeId {
        self.id
    }

    #[track_caller]
    fn with_node<R>(&self, what: &str, read: impl FnOnce(&super::tape::Node) -> R) -> R {
        let nodes = self.tape.nodes.borrow();
        match nodes.get(self.id.0) {
            Some(node) => read(node),
            None => panic!(
                "{what}: this tape has run backward and is spent; read its values, or compute with them, before"
            ),
        }
    }

    /// The value. Cloning shares memory, so this is cheap.
    ///
    /// # Panics
    /// After `backward`, which gives the values back.
    #[track_caller]
    pub fn value(&self) -> Tensor {
        self.with_node("value", |node| node.value.clone())
    }

    /// The shape of the value.
    #[track_caller]
    pub fn shape(&self) -> Shape {
        self.with_node("shape", |node| node.value.shape())
    }

    /// The only element of a value with one element.
    #[track_caller]
    pub fn item(&self) -> f32 {
        self.with_node("item", |node| node.value.item())
    }

    /// Whether a gradient will be computed for this value.
    #[track_caller]
    pub fn wants_grad(&self) -> bool {
        self.with_node("wants_grad", |node| node.wants_grad)
    }

    /// The same value as a constant: no gradient flows through it.
    #[track_caller]
    pub fn detach(self) -> Var<'t> {
        self.tape.input(&self.value())
    }

    /// The derivatives of this value, a loss with one element, by every parameter and variable that it depends on. The tape is
    /// spent afterwards.
    ///
    /// # Panics
    /// When the value has more than one element, on an inference tape, and when run a second time.
    #[track_caller]
    pub fn backward(self) -> Gradients {
        assert!(
            !self.tape.spent.get(),
            "backward: this tape has run backward and is spent; add losses up before, or make a tape for each"
        );
        let shape = self.shape();
        assert!(
            shape.numel() == 1,
            "backward: needs a loss with one element, got {shape}; take its sum() or mean()"
        );
        self.tape.run_backward(self.id)
    }
}

impl fmt::Debug for Var<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tape.nodes.borrow().get(self.id.0) {
            Some(node) => write!(out, "Var({} = {}, shape {})", self.id.0, node.op, node.value.shape()),
            None => write!(out, "Var({}, of a spent tape)", self.id.0),
        }
    }
}
