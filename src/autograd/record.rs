//! What a tape remembers of its nodes beside their values: enough to draw it, before backward and after.
//!
//! Values and closures go in backward, one after the other; these few words per node stay as long as the tape. The most
//! interesting of them is what an op keeps for backward. A closure cannot be looked into, so [`Tape::record`](super::Tape::record)
//! takes what is kept as an argument of its own, which it measures here and hands to the closure in backward. The closure itself
//! must be `Copy`: whatever owns memory is not, so the compiler refuses an op that keeps something and does not say so.
//!
//! ```text
//! matmul   keeps (a, b)       both are values of its inputs, which the tape holds anyway
//! sigmoid  keeps y            its own value
//! conv2d   keeps (x, w, …)    where x had to be padded or put into another order, that is memory of its own
//! add      keeps ()           nothing
//! ```
//!
//! What this is not: a second tape. Nothing is computed from records. Next to read: `var.rs`.

use std::ops::Range;

use super::param::ParamId;
use crate::tensor::buffer::Bytes;
use crate::{Shape, Tensor};

/// A piece of memory that something keeps alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    start: usize,
    bytes: usize,
}

impl Memory {
    /// The memory of these numbers.
    pub fn of<T>(numbers: &[T]) -> Memory {
        Memory { start: numbers.as_ptr() as usize, bytes: size_of_val(numbers) }
    }

    /// The whole block that a tensor holds, which may be more or less than its elements: a view holds all that it looks at, an
    /// expanded tensor holds its numbers once.
    fn of_tensor(tensor: &Tensor) -> Memory {
        Memory::of(tensor.block())
    }
}

/// What an op may keep for backward: tensors, lists, and pairs and triples of them; `()` is nothing.
///
/// A type of one's own says which memory lives as long as it does by asking its fields:
///
/// ```
/// use tapegrad::Tensor;
/// use tapegrad::autograd::{Keep, Memory};
/// struct Winners {
///     y: Tensor,
///     places: Vec<usize>,
/// }
/// impl Keep for Winners {
///     fn memory(&self, show: &mut dyn FnMut(Memory)) {
///         Keep::memory(&self.y, show);
///         Keep::memory(&self.places, show);
///     }
/// }
/// ```
pub trait Keep: 'static {
    /// Shows every piece of memory that is kept alive.
    fn memory(&self, show: &mut dyn FnMut(Memory));
}

impl Keep for () {
    fn memory(&self, _: &mut dyn FnMut(Memory)) {}
}

impl Keep for Tensor {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        show(Memory::of_tensor(self));
    }
}

impl Keep for Bytes {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        show(Memory::of(self));
    }
}

/// A list of numbers; a list of things that own memory themselves would have to show that, too.
impl<T: Copy + 'static> Keep for Vec<T> {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        show(Memory::of(self));
    }
}

impl<K: Keep> Keep for Option<K> {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        self.iter().for_each(|kept| kept.memory(show));
    }
}

impl<A: Keep, B: Keep> Keep for (A, B) {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        self.0.memory(show);
        self.1.memory(show);
    }
}

impl<A: Keep, B: Keep, C: Keep> Keep for (A, B, C) {
    fn memory(&self, show: &mut dyn FnMut(Memory)) {
        self.0.memory(show);
        self.1.memory(show);
        self.2.memory(show);
    }
}

/// How many bytes an op keeps for backward, by whose they are. Memory that is kept twice counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Those of its inputs' values, which cost nothing: the tape holds them until backward has passed.
    pub inputs: usize,
    /// Those of its own value, which cost nothing either.
    pub value: usize,
    /// All others: what the op costs beside the values.
    pub own: usize,
}

/// What a node of a tape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A constant: data, or a detached value.
    Input,
    /// A value whose gradient is asked for.
    Variable,
    /// A parameter, or, where no gradient is wanted, a frozen one.
    Param,
    /// Computed from other nodes.
    Op,
}

/// One node.
pub(super) struct Record {
    pub op: &'static str,
    pub role: Role,
    pub param: Option<ParamId>,
    pub shape: Shape,
    pub wants_grad: bool,
    /// Where its inputs lie in the list of all.
    inputs: Range<usize>,
    pub kept: Kept,
    /// The Euclidean norm of the gradient that reached it, on a tape that is watched.
    pub gradient_norm: Option<f64>,
}

/// All nodes of a tape, in order. The lists are reused by the next tape.
#[derive(Default)]
pub(super) struct Records {
    pub list: Vec<Record>,
    /// The inputs of all nodes, one node's behind the other's: a list for each would be an allocation for each.
    inputs: Vec<usize>,
    /// The pieces of memory of one op that were counted already.
    counted: Vec<Memory>,
}

impl Records {
    /// Writes down a node that is not computed.
    pub fn leaf(
        &mut self,
        op: &'static str,
        role: Role,
        param: Option<ParamId>,
        shape: Shape,
        wants_grad: bool,
    ) {
        let inputs = self.inputs.len()..self.inputs.len();
        let kept = Kept::default();
        self.list.push(Record { op, role, param, shape, wants_grad, inputs, kept, gradient_norm: None });
    }

    /// Writes down an op.
    pub fn op(
        &mut self,
        op: &'static str,
        shape: Shape,
        wants_grad: bool,
        inputs: impl Iterator<Item = usize>,
        kept: Kept,
    ) {
        let first = self.inputs.len();
        self.inputs.extend(inputs);
        let (role, inputs) = (Role::Op, first..self.inputs.len());
        self.list.push(Record {
            op,
            role,
            param: None,
            shape,
            wants_grad,
            inputs,
            kept,
            gradient_norm: None,
        });
    }

    /// Measures what an op keeps that has these values as inputs, and this one itself.
    pub fn measure<'a>(
        &mut self,
        kept: &impl Keep,
        inputs: impl Iterator<Item = &'a Tensor> + Clone,
        value: &Tensor,
    ) -> Kept {
        let mut sum = Kept::default();
        self.counted.clear();
        kept.memory(&mut |piece| {
            if piece.bytes == 0 || self.counted.contains(&piece) {
                return;
            }
            self.counted.push(piece);
            let share = if inputs.clone().any(|input| Memory::of_tensor(input) == piece) {
                &mut sum.inputs
            } else if Memory::of_tensor(value) == piece {
                &mut sum.value
            } else {
                &mut sum.own
            };
            *share += piece.bytes;
        });
        sum
    }

    pub fn inputs(&self, node: usize) -> &[usize] {
        &self.inputs[self.list[node].inputs.clone()]
    }

    /// Notes the norm of the gradient that reached a node; in `f64`, where no square of an `f32` overflows.
    pub fn note_gradient(&mut self, node: usize, gradient: &Tensor) {
        let squares = |sum: f64, &x: &f32| sum + f64::from(x) * f64::from(x);
        self.list[node].gradient_norm = Some(gradient.contiguous().data().iter().fold(0.0, squares).sqrt());
    }

    pub fn clear(&mut self) {
        self.list.clear();
        self.inputs.clear();
    }
}
