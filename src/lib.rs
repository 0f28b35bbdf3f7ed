//! A tensor and autograd engine from scratch: what is inside `torch`, small enough to read.
#![deny(missing_docs)]
// Comparisons like `!(a <= b)` are meant: they are true for NaN.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

// What can go wrong outside: files, formats, arguments.
pub mod error;

pub mod file;

// Chapter 1: numbers in a shape.
pub mod tensor;

// Chapter 2: sixteen lanes, and the threads that share the work.
pub mod simd;

pub mod parallel;

// Chapter 3: matrix multiplication.
pub mod gemm;

// Chapter 4: the tape.
pub mod autograd;

// Chapter 5: the ops.
pub mod ops;

// Chapter 6: layers and nets.
pub mod nn;

// Chapter 7: optimisers.
pub mod optim;

// Chapter 8: Fashion-MNIST, from files to batches.
pub mod data;

// Chapter 9: training.
pub mod train;

// Pictures: PGM in, PNG and terminal out.
pub mod image;

// The command lines.
pub mod cli;

pub use autograd::{Gradients, Param, Tape, Var, gradcheck};
pub use error::{Error, Result};
pub use tensor::{Shape, Tensor};
