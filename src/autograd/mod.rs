//! Chapter 4: reverse-mode automatic differentiation on a tape.
//!
//! A computation is written down as it runs: each op adds a node to a [`Tape`], with its value and a closure that turns
//! the gradient of its output into the gradients of its inputs (the chain rule for this op alone). The order in which
//! nodes were made is an order in which every node comes after its inputs, so `backward` is a loop from the loss to the
//! start of the tape: no graph search, no recursion.
//!
//! ```
//! use tapegrad::{Tape, Tensor};
//! let tape = Tape::training();
//! let x = tape.variable(&Tensor::new([1.0, 2.0, 3.0]));
//! let loss = (x * x).sum();              // nodes: x, x * x, sum
//! let grads = loss.backward();           // a loop over those three, from the end
//! assert_eq!(grads[x].to_vec(), [2.0, 4.0, 6.0]);
//! ```
//!
//! Reading order: `tape.rs` (the arena), `record.rs` (what a tape remembers of its nodes), `var.rs` (the handle), `param.rs` (what
//! outlives tapes), `gradients.rs` (what backward gives back), `check.rs` (gradients held against differences), `draw/` (the tape as
//! a picture).

mod check;
pub mod draw;
mod gradients;
mod param;
mod record;
mod tape;
mod var;

pub use check::{Mismatch, gradcheck};
pub use gradients::Gradients;
pub use param::Param;
pub(crate) use param::ParamId;
pub use record::{Keep, Kept, Memory, Role};
pub use tape::{Adjoints, NodeId, Tape};
pub use var::Var;
