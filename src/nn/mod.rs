//! Chapter 6: layers, and how they make a net.
//!
//! A layer owns its parameters and knows how to put itself on a tape: `forward` maps a [`Var`] to a [`Var`]. That
//! is all an engine needs. The rest of [`Module`] is about names: a layer lists its parts (parameters, buffers,
//! other layers), and from that list alone follow printing, counting, saving, loading and the optimiser's walk.
//!
//! ```
//! use std::borrow::Cow;
//! use tapegrad::nn::{Init, Linear, Module, Part, PartMut};
//! use tapegrad::{Tape, Tensor, Var};
//!
//! /// A net of one's own: two layers with names.
//! struct Net {
//!     hidden: Linear,
//!     output: Linear,
//! }
//!
//! impl Module for Net {
//!     fn name(&self) -> &str {
//!         "Net"
//!     }
//!     fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
//!         self.output.call(self.hidden.call(x).relu())
//!     }
//!     fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
//!         vec![("hidden".into(), Part::Module(&self.hidden)), ("output".into(), Part::Module(&self.output))]
//!     }
//!     fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
//!         vec![
//!             ("hidden".into(), PartMut::Module(&mut self.hidden)),
//!             ("output".into(), PartMut::Module(&mut self.output)),
//!         ]
//!     }
//! }
//!
//! let mut init = Init::new(0);
//! let net = Net { hidden: Linear::new(4, 8, &mut init), output: Linear::new(8, 2, &mut init) };
//! assert_eq!(net.parameter_count(), 4 * 8 + 8 + 8 * 2 + 2);
//! assert_eq!(net.named_parameters()[0].0, "hidden.weight");
//! assert_eq!(net.forward(Tape::inference().input(&Tensor::ones([3, 4]))).shape(), [3, 2]);
//! ```
//!
//! What this is not: a place for arithmetic. Each layer is a few lines around one op of chapter 5.
//!
//! Reading order: this file, `linear.rs` (the shortest layer with parameters), `conv2d.rs`, `pool.rs`,
//! `activation.rs`, `batch_norm.rs` (the only one with a memory), `sequential.rs`, `init.rs` (the first values),
//! `kind.rs` (what a layer is to other programs), `leaves.rs` (a net laid out flat), `print.rs`, `summary.rs`, `lenet.rs` (the notebook's nets).

mod activation;
mod batch_norm;
mod conv2d;
mod init;
mod kind;
mod leaves;
mod lenet;
mod linear;
mod pool;
mod print;
mod sequential;
mod summary;

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard};

use crate::{Param, Shape, Tape, Tensor, Var};

pub use activation::{Flatten, ReLU, Sigmoid, Tanh};
pub use batch_norm::BatchNorm;
pub use conv2d::Conv2d;
pub use init::Init;
pub use kind::Kind;
pub use leaves::leaves;
pub use lenet::{LeNet, lenet_batch_norm};
pub use linear::Linear;
pub use pool::{AvgPool2d, MaxPool2d};
pub use sequential::Sequential;
pub use summary::{Row, Summary};

/// A layer, or a net of layers.
///
/// Three methods are to be written, two more where there are parts; the rest is provided. A module is shared
/// between threads freely (`Send + Sync`), and `forward` takes `&self`: only an optimiser needs it `mut`.
pub trait Module: Send + Sync {
    /// The output for an input, recorded on the input's tape. Whether the net trains or is used, the tape says
    /// ([`Tape::is_training`]): a module has no mode of its own to forget.
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t>;

    /// The name of the layer's type, as printed: `Conv2d`.
    fn name(&self) -> &str;

    /// What is printed in the parentheses behind the name. PyTorch's `extra_repr`.
    fn extra_repr(&self) -> String {
        String::new()
    }

    /// What the module computes, for programs that do not run its `forward`: a layer that others know too, or a chain
    /// of such layers. [`Kind::Other`] unless it says more; such a module trains and saves, but is not exported.
    fn kind(&self) -> Kind<'_> {
        Kind::Other
    }

    /// The parameters, buffers and layers that this one is made of, with their names, in PyTorch's order.
    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        Vec::new()
    }

    /// The parameters and layers again, to be changed. Names and order are those of [`parts`](Module::parts).
    fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
        Vec::new()
    }

    /// [`forward`](Module::forward), seen by [`summary`](Module::summary). A net calls its layers with this, as a
    /// PyTorch net calls `self.conv(x)` and not `self.conv.forward(x)`; the result is the same.
    #[track_caller]
    fn call<'t>(&self, x: Var<'t>) -> Var<'t> {
        let watched = summary::enter(std::ptr::from_ref(self).cast(), self.name());
        let y = self.forward(x);
        if watched {
            summary::leave(y.shape());
        }
        y
    }

    /// Shows every parameter and buffer, depth first, under its full name: `conv.0.weight`. `prefix` is what
    /// stands before the names, empty for the whole net.
    fn visit<'a>(&'a self, prefix: &str, visitor: &mut dyn FnMut(String, Leaf<'a>)) {
        for (name, part) in self.parts() {
            let name = join(prefix, &name);
            match part {
                Part::Param(param) => visitor(name, Leaf::Param(param)),
                Part::Buffer(buffer) => visitor(name, Leaf::Buffer(buffer)),
                Part::Module(module) => module.visit(&name, visitor),
            }
        }
    }

    /// Shows every parameter to be changed, in the order of [`visit`](Module::visit).
    fn visit_mut<'a>(&'a mut self, prefix: &str, visitor: &mut dyn FnMut(String, &'a mut Param)) {
        for (name, part) in self.parts_mut() {
            let name = join(prefix, &name);
            match part {
                PartMut::Param(param) => visitor(name, param),
                PartMut::Module(module) => module.visit_mut(&name, visitor),
            }
        }
    }

    /// Every parameter with its full name: what an optimiser changes.
    fn named_parameters(&self) -> Vec<(String, &Param)> {
        let mut found = Vec::new();
        self.visit("", &mut |name, leaf| {
            if let Leaf::Param(param) = leaf {
                found.push((name, param));
            }
        });
        found
    }

    /// Every parameter with its full name, to be changed.
    fn named_parameters_mut(&mut self) -> Vec<(String, &mut Param)> {
        let mut found = Vec::new();
        self.visit_mut("", &mut |name, param| found.push((name, param)));
        found
    }

    /// Every buffer with its full name: what belongs to a saved net beside the parameters. Buffers are changed
    /// through `&self`, with [`Buffer::set`].
    fn named_buffers(&self) -> Vec<(String, &Buffer)> {
        let mut found = Vec::new();
        self.visit("", &mut |name, leaf| {
            if let Leaf::Buffer(buffer) = leaf {
                found.push((name, buffer));
            }
        });
        found
    }

    /// The number of learned numbers: 44,426 for [`LeNet`].
    fn parameter_count(&self) -> usize {
        self.named_parameters().iter().map(|(_, param)| param.value().numel()).sum()
    }

    /// A hash of every parameter and buffer, bit by bit: two runs that end with the same net print the same number.
    /// FNV-1a over the bytes, which is to tell nets apart, not to withstand an attack.
    fn parameter_hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        self.visit("", &mut |_, leaf| {
            let value = match leaf {
                Leaf::Param(param) => param.value().clone(),
                Leaf::Buffer(buffer) => buffer.value(),
            };
            for byte in value.contiguous().data().iter().flat_map(|x| x.to_bits().to_le_bytes()) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        });
        hash
    }

    /// The net as PyTorch prints it, the notebook's cell 43. The modules of this crate also implement `Display`.
    fn repr(&self) -> String {
        print::repr(self.name(), &self.extra_repr(), &self.parts())
    }

    /// The output shape and the parameters of every layer, for an input of the given shape.
    ///
    /// It runs the net once on zeros, on an inference tape, so it panics where the shapes do not fit.
    #[track_caller]
    fn summary(&self, input: &[usize]) -> Summary {
        let input = Shape::from(input);
        let watch = summary::Watch::start();
        let tape = Tape::inference();
        self.call(tape.input(&Tensor::zeros(input)));
        watch.finish(self.name(), &self.parts(), input)
    }
}

/// Refuses a net whose modules do not list all parameters twice, as [`Module::parts`] and as [`Module::parts_mut`].
#[track_caller]
pub(crate) fn check_parts(op: &str, listed: usize, to_change: usize) {
    assert!(
        listed == to_change,
        "{op}: the parts() of this net and its modules list {listed} parameters, their parts_mut() {to_change}; what is left out \
         never changes"
    );
}

/// The parts of a layer with a weight and a bias, where a bias of no elements is none.
fn weight_and_bias<'a>(weight: &'a Param, bias: &'a Param) -> Vec<(Cow<'static, str>, Part<'a>)> {
    let mut parts = vec![("weight".into(), Part::Param(weight))];
    if bias.value().numel() > 0 {
        parts.push(("bias".into(), Part::Param(bias)));
    }
    parts
}

/// The same, to be changed.
fn weight_and_bias_mut<'a>(
    weight: &'a mut Param,
    bias: &'a mut Param,
) -> Vec<(Cow<'static, str>, PartMut<'a>)> {
    let mut parts = vec![("weight".into(), PartMut::Param(weight))];
    if bias.value().numel() > 0 {
        parts.push(("bias".into(), PartMut::Param(bias)));
    }
    parts
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") }
}

/// One thing that a module is made of.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// A tensor that is learned.
    Param(&'a Param),
    /// A tensor that is kept but not learned.
    Buffer(&'a Buffer),
    /// A module inside.
    Module(&'a dyn Module),
}

/// One thing that a module is made of, to be changed. Buffers need no `mut`.
pub enum PartMut<'a> {
    /// A tensor that is learned.
    Param(&'a mut Param),
    /// A module inside.
    Module(&'a mut dyn Module),
}

/// What stands at the ends of the tree of modules.
#[derive(Clone, Copy)]
pub enum Leaf<'a> {
    /// A tensor that is learned.
    Param(&'a Param),
    /// A tensor that is kept but not learned.
    Buffer(&'a Buffer),
}

/// A tensor that a layer keeps and changes in `forward`, without a gradient: batch norm's moving statistics.
/// PyTorch's `register_buffer`. (The memory under a tensor, [`tensor::buffer`](crate::tensor::buffer), is another
/// thing.)
///
/// The value stands behind a lock. Two reasons: `forward` takes `&self`, so that a net can be used from several
/// threads, and a module that is printed, counted or saved meanwhile must see a whole value. The lock is taken once
/// per step, which costs nothing beside a convolution.
#[derive(Debug)]
pub struct Buffer {
    value: Mutex<Tensor>,
}

impl Buffer {
    /// A new buffer with its first value.
    pub fn new(value: Tensor) -> Buffer {
        Buffer { value: Mutex::new(value.contiguous()) }
    }

    /// The value as it is now. Cloning shares memory; a later change does not show in it.
    pub fn value(&self) -> Tensor {
        self.lock().clone()
    }

    /// Replaces the value by another of the same shape.
    #[track_caller]
    pub fn set(&self, value: &Tensor) {
        let mut held = self.lock();
        let shape = held.shape();
        // Out of the lock before a panic, or the buffer would be poisoned by somebody's mistake.
        if value.shape() == shape {
            *held = value.contiguous();
        } else {
            drop(held);
            panic!("set: the buffer has shape {shape}, got {}", value.shape());
        }
    }

    /// The value, held by this thread until the guard is dropped.
    fn lock(&self) -> MutexGuard<'_, Tensor> {
        // A panic while it is held (a shape mistake in an op) leaves the old tensor, which is whole.
        self.value.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
