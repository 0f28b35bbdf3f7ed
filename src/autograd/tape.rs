//! The tape: an arena of nodes in the order in which they were made.
//!
//! A node keeps its value, and a closure with what its backward needs, nothing else (`record.rs` measures it): a product captures its
//! factors, a sum only a shape. An op that no parameter or variable reaches keeps no closure, and on an inference tape no
//! op does. `backward` takes the nodes from the end, so saved tensors go back to the free list as soon as they have been
//! used, and then the tape is spent: what is wanted of it (a loss, predictions) is read before.
//!
//! The derivative of the loss by a node's value, its *adjoint*, is summed up from all ops that used the value. They all
//! lie later on the tape, so when the loop reaches a node its adjoint is complete. That is why `b = a + a; c = b + b`
//! comes out right, without any special care.
//!
//! What this is not: a graph that is kept and run again. Recording a step costs less than a microsecond per op.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::mem::take;
use std::sync::atomic::{AtomicU64, Ordering};

use super::param::ParamId;
use super::record::{Keep, Kept, Records, Role};
use super::{Gradients, Param, Var};
use crate::simd::slices::{self, AddScaled};
use crate::{Tensor, profile};

/// The number of a node on its tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId(pub(super) usize);

type Backward = Box<dyn FnOnce(Tensor, &mut Adjoints)>;

/// Lists that a tape needs. A tape that goes leaves them, empty, to the next one of its thread.
#[derive(Default)]
struct Lists {
    nodes: Vec<Node>,
    records: Records,
    params: HashMap<ParamId, NodeId>,
    slots: Vec<Option<Tensor>>,
}

thread_local! {
    static SPARE: RefCell<Lists> = RefCell::default();
}

/// Works on the spare lists. When the thread ends there are none, and none are needed.
fn spare<R: Default>(work: impl FnOnce(&mut Lists) -> R) -> R {
    SPARE.try_with(|lists| work(&mut lists.borrow_mut())).unwrap_or_default()
}

/// What gradients leave when they go.
pub(super) fn leave(mut slots: Vec<Option<Tensor>>, mut params: HashMap<ParamId, NodeId>) {
    slots.clear();
    params.clear();
    spare(|lists| (lists.slots, lists.params) = (slots, params));
}

pub(super) struct Node {
    pub op: &'static str,
    pub value: Tensor,
    pub wants_grad: bool,
    backward: Option<Backward>,
}

/// A record of a computation; see the [chapter](crate::autograd).
pub struct Tape {
    /// Another number for every tape of a program. (Addresses do not tell tapes apart: that of the next step has the last one's.)
    pub(super) number: u64,
    training: bool,
    detect_anomaly: bool,
    pub(super) is_watched: bool,
    pub(super) nodes: RefCell<Vec<Node>>,
    pub(super) records: RefCell<Records>,
    params: RefCell<HashMap<ParamId, NodeId>>,
    pub(super) spent: Cell<bool>,
}

impl Tape {
    /// A tape that records for backward, and on which batch norm uses the statistics of the batch.
    pub fn training() -> Tape {
        Tape::new(true)
    }

    /// A tape that keeps nothing for backward, and on which batch norm uses its moving statistics.
    pub fn inference() -> Tape {
        Tape::new(false)
    }

    fn new(training: bool) -> Tape {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (nodes, records, params) =
            spare(|lists| (take(&mut lists.nodes), take(&mut lists.records), take(&mut lists.params)));
        Tape {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            training,
            detect_anomaly: false,
            is_watched: false,
            nodes: RefCell::new(nodes),
            records: RefCell::new(records),
            params: RefCell::new(params),
            spent: Cell::new(false),
        }
    }

    /// This tape with every value and every gradient checked: the first op that makes a NaN or an infinity panics with its
    /// name and shapes. Off by default, when it costs one test of a flag per op. PyTorch's `detect_anomaly`.
    ///
    /// ```should_panic
    /// # use tapegrad::{Tape, Tensor};
    /// let tape = Tape::training().detect_anomaly();
    /// tape.input(&Tensor::scalar(-1.0)).ln(); // panics: ln: made NaN at element 0 of shape [] from inputs [[]]
    /// ```
    pub fn detect_anomaly(mut self) -> Tape {
        self.detect_anomaly = true;
        self
    }

    /// This tape with the norm of every gradient noted as backward passes, for its picture ([`Tape::draw`]). Off by default: the
    /// norms cost a pass over all gradients.
    pub fn watched(mut self) -> Tape {
        self.is_watched = true;
        self
    }

    /// Whether this tape was made with [`Tape::training`].
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// The number of nodes recorded so far.
    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    /// Whether nothing has been recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a constant on the tape: data, which gets no gradient.
    #[track_caller]
    pub fn input(&self, value: &Tensor) -> Var<'_> {
        self.leaf("input", Role::Input, None, value, false)
    }

    /// Puts a value on the tape whose gradient is wanted: `grads[x]`.
    #[track_caller]
    pub fn variable(&self, value: &Tensor) -> Var<'_> {
        self.leaf("variable", Role::Variable, None, value, self.training)
    }

    /// Puts a parameter on the tape: `grads[&param]`. A parameter that is used twice is one node, whose gradient is the sum
    /// of both uses. A frozen one ([`Param::set_requires_grad`]) is a constant.
    #[track_caller]
    pub fn param(&self, param: &Param) -> Var<'_> {
        if let Some(&id) = self.params.borrow().get(&param.id()) {
            return Var::new(self, id);
        }
        let wants_grad = self.training && param.requires_grad();
        let var = self.leaf("param", Role::Param, Some(param.id()), param.value(), wants_grad);
        self.params.borrow_mut().insert(param.id(), var.id());
        var
    }

    /// Adds an op of one's own: its inputs, its value, what it keeps, and a closure that is given what was kept and the gradient of
    /// the output `dy`, and adds the gradients of the inputs. Where no input wants a gradient, what is kept is dropped at once.
    ///
    /// The closure captures numbers, shapes and node numbers only; whatever owns memory is no `Copy` and belongs to what is kept,
    /// so that the tape can say how much that is ([`Tape::draw`]).
    ///
    /// ```
    /// use tapegrad::{Tape, Tensor, Var};
    /// /// x³, whose derivative is 3x².
    /// fn cube<'t>(x: Var<'t>) -> Var<'t> {
    ///     let (id, value) = (x.id(), x.value());
    ///     let y = &(&value * &value) * &value;
    ///     x.tape().record("cube", &[x], y, value, move |value, dy, adjoints| {
    ///         adjoints.add(id, || &(&(&value * &value) * 3.0) * &dy);
    ///     })
    /// }
    /// let tape = Tape::training();
    /// let x = tape.variable(&Tensor::scalar(2.0));
    /// assert_eq!(cube(x).backward()[x].item(), 12.0);
    /// ```
    ///
    /// One that keeps something in silence is not compiled:
    ///
    /// ```compile_fail
    /// # use tapegrad::{Tape, Tensor, Var};
    /// fn double<'t>(x: Var<'t>) -> Var<'t> {
    ///     let (id, two) = (x.id(), Tensor::scalar(2.0));
    ///     x.tape().record("double", &[x], x.value() * &two, (), move |(), dy, adjoints| {
    ///         adjoints.add(id, || dy * &two); // captures a tensor
    ///     })
    /// }
    /// ```
    #[track_caller]
    pub fn record<'t, K: Keep>(
        &'t self,
        op: &'static str,
        inputs: &[Var<'t>],
        value: Tensor,
        kept: K,
        backward: impl FnOnce(K, Tensor, &mut Adjoints) + Copy + 'static,
    ) -> Var<'t> {
        let facts = inputs.iter().map(|input| (input.shape(), input.wants_grad()));
        let profiled = profile::forward(op, self.training, facts, value.shape());
        let mut wants_grad = false;
        for input in inputs {
            assert!(
                std::ptr::eq(input.tape(), self),
                "{op}: its inputs lie on different tapes; put both values on one"
            );
            wants_grad |= self.training && self.nodes.borrow()[input.id().0].wants_grad;
        }
        if self.detect_anomaly {
            let shapes: Vec<_> = inputs.iter().map(Var::shape).collect();
            assert_finite(op, "made", &value, &format!("from inputs {shapes:?}"));
        }
        self.assert_unspent(op);
        let mut records = self.records.borrow_mut();
        let mut measured = Kept::default();
        let mut closure: Option<Backward> = None;
        if wants_grad {
            let nodes = self.nodes.borrow();
            measured = records.measure(&kept, inputs.iter().map(|input| &nodes[input.id().0].value), &value);
            let run: Backward = Box::new(move |dy, adjoints| backward(kept, dy, adjoints));
            closure = Some(profile::timed(profiled, run));
        }
        records.op(op, value.shape(), wants_grad, inputs.iter().map(|input| input.id().0), measured);
        self.push(Node { op, value, wants_grad, backward: closure })
    }

    /// Puts a node on the tape that is not computed.
    #[track_caller]
    fn leaf(
        &self,
        op: &'static str,
        role: Role,
        param: Option<ParamId>,
        value: &Tensor,
        wants_grad: bool,
    ) -> Var<'_> {
        self.assert_unspent(op);
        self.records.borrow_mut().leaf(op, role, param, value.shape(), wants_grad);
        self.push(Node { op, value: value.clone(), wants_grad, backward: None })
    }

    #[track_caller]
    fn assert_unspent(&self, op: &str) {
        assert!(!self.spent.get(), "{op}: this tape has run backward and is spent; make a new one");
    }

    fn push(&self, node: Node) -> Var<'_> {
        profile::mark(profile::REST);
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        Var::new(self, NodeId(nodes.len() - 1))
    }

    /// Runs the tape from `loss` to its start.
    #[track_caller]
    pub(super) fn run_backward(&self, loss: NodeId) -> Gradients {
        assert!(
            self.training,
            "backward: this is an inference tape, which keeps nothing; use Tape::training()"
        );
        let mut nodes = self.nodes.take();
        self.spent.set(true);
        nodes.truncate(loss.0 + 1); // what was recorded after the loss does not matter to it
        let Some(last) = nodes.last() else { unreachable!("the loss is a node") };
        let seed = Tensor::full(last.value.shape(), 1.0);
        let mut slots = spare(|lists| take(&mut lists.slots));
        slots.resize_with(nodes.len(), || None);
        let mut adjoints = Adjoints { op: "backward", nodes, slots };
        adjoints.add(loss, || seed);
        while let Some(Node { op, value, backward, .. }) = adjoints.nodes.pop() {
            drop(value);
            let Some(backward) = backward else { continue }; // a leaf: its adjoint is a result
            // None where the loss does not depend on it.
            let Some(dy) = adjoints.slots[adjoints.nodes.len()].take() else { continue };
            if self.detect_anomaly {
                assert_finite(op, "got as its gradient", &dy, "in backward");
            }
            if self.is_watched {
                self.records.borrow_mut().note_gradient(adjoints.nodes.len(), &dy);
            }
            adjoints.op = op;
            backward(dy, &mut adjoints);
        }
        if self.is_watched {
            // Those of the leaves are complete only now.
            for (node, gradient) in adjoints.slots.iter().enumerate() {
                gradient.iter().for_each(|gradient| self.records.borrow_mut().note_gradient(node, gradient));
            }
        }
        self.nodes.replace(adjoints.nodes);
        Gradients::new(self, adjoints.slots, self.params.take())
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let (mut nodes, mut params) = (self.nodes.take(), self.params.take());
        let mut records = self.records.take();
        nodes.clear();
        records.clear();
        params.clear();
        spare(|lists| {
            lists.nodes = nodes;
            lists.records = records;
            if !self.spent.get() {
                lists.params = params; // otherwise the gradients have them
            }
        });
    }
}

/// The derivatives of the loss by every node, as far as backward has come.
pub struct Adjoints {
    /// The op whose closure runs.
    op: &'static str,
    /// Those that backward has not come to.
    nodes: Vec<Node>,
    slots: Vec<Option<Tensor>>,
}

impl Adjoints {
    /// Whether the gradient of a node is wanted at all.
    ///
    /// # Panics
    /// When the node does not come before the op.
    #[track_caller]
    pub fn wants(&self, node: NodeId) -> bool {
        self.node(node).wants_grad
    }

    #[track_caller]
    fn node(&self, node: NodeId) -> &Node {
        match self.nodes.get(node.0) {
            Some(node) => node,
            None => panic!(
                "{}: value {} of the tape is no input of this op, which comes before it",
                self.op, node.0
            ),
        }
    }

    /// Adds to the gradient of a node. The closure runs only where the gradient is wanted, so nothing is computed that nobody
    /// asked for.
    ///
    /// # Panics
    /// When the gradient has another shape than the node's value, or the node does not come before the op.
    #[track_caller]
    pub fn add(&mut self, node: NodeId, gradient: impl FnOnce() -> Tensor) {
        if !self.wants(node) {
            return;
        }
        let gradient = gradient();
        let (shape, got) = (self.node(node).value.shape(), gradient.shape());
        assert!(
            shape == got,
            "{}: an input of shape {shape} needs a gradient of that shape, got {got}",
            self.op
        );
        let slot = &mut self.slots[node.0];
        match slot {
            None => *slot = Some(gradient),
            Some(sum) => {
                // In place where the sum is nobody else's; `data_mut` copies otherwise.
                slices::zip_update(AddScaled(1.0), sum.data_mut(), gradient.contiguous().data());
            }
        }
    }
}

#[track_caller]
fn assert_finite(op: &str, what: &str, value: &Tensor, context: &str) {
    let value = value.contiguous();
    if let Some(at) = value.data().iter().position(|x| !x.is_finite()) {
        panic!("{op}: {what} {} at element {at} of shape {} {context}", value.data()[at], value.shape());
    }
}
