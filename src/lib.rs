//! A tensor and autograd engine from scratch: what is inside `torch`, small enough to read.
//!
//! ```
//! use tapegrad::nn::{Conv2d, Init, Module};
//! use tapegrad::{Tape, Tensor};
//!
//! // A picture, white at both ends and black between, and its vertical edges: 1 where it turns black, -1 where white.
//! let x = Tensor::new([[1., 1., 0., 0., 0., 0., 1., 1.]; 6]).reshape([1, 1, 6, 8]);
//! let y = Tensor::new([[0., 1., 0., 0., 0., -1., 0.]; 6]).reshape([1, 1, 6, 7]);
//!
//! let mut conv = Conv2d::new(1, 1, (1, 2), &mut Init::new(0));
//! let lr = 0.01;
//! for step in 1..=20 {
//!     let tape = Tape::training();
//!     let y_hat = conv.forward(tape.input(&x));
//!     let loss = (y_hat - tape.input(&y)).square().sum();
//!     let grads = loss.backward();
//!     conv.weight.add_scaled(-lr, &grads[&conv.weight]);
//!     conv.bias.add_scaled(-lr, &grads[&conv.bias]);
//! }
//! // It has learned the kernel [1, -1].
//! let learned = conv.weight.value().to_vec();
//! assert!((learned[0] - 1.0).abs() < 0.2 && (learned[1] + 1.0).abs() < 0.2);
//! ```
//!
//! # The map
//! The modules below are the chapters, in reading order; each uses only chapters above it. Begin with [`tensor`], or, to see
//! first where it leads, with [`autograd`] and `ops/arith.rs`.
//!
//! 1. [`tensor`]: numbers in a shape; views without copies; recycled memory
//! 2. [`simd`], [`parallel`]: sixteen lanes on every CPU; the thread pool
//! 3. [`gemm`]: matrix multiplication, three loops and then five
//! 4. [`autograd`]: the tape, and backward as a loop over it; [`profile`]: where its time goes
//! 5. [`ops`]: one op, one file, with its adjoint
//! 6. [`nn`]: layers, nets, first values
//! 7. [`optim`]: SGD, Adam, AdamW
//! 8. [`data`]: Fashion-MNIST, from files to batches
//! 9. [`train`]: the training loop; [`save`]: nets on disk; [`image`]: pictures in and out; [`report`]: pages to
//!    look at; [`cli`]: the two programs
//!
//! # What it promises
//! - Every result is a pure function of its inputs and the seed: the same bits on any number of threads, with AVX-512, AVX2, NEON
//!   or plain Rust, for any strides and alignment.
//! - A wrong shape panics at the caller's line with the op, the shapes and the rule. What comes from outside (files, arguments)
//!   returns an [`Error`] that says where, what was expected and what was found.
//! - From the second step on, training allocates no tensor memory.
//! - `unsafe` stays in small rooms: [`unsafe_code`] lists every block with its argument.

#![deny(missing_docs)]
// Comparisons like `!(a <= b)` are meant: they are true for NaN.
#![allow(clippy::neg_cmp_op_on_partial_ord)]
// Kernels index several arrays by one counter, known at compile time; iterators would hide that.
#![allow(clippy::needless_range_loop)]

// What can go wrong outside: files, formats, arguments.
pub mod error;

pub mod file;

mod json;

// Chapter 1: numbers in a shape.
pub mod tensor;

// Chapter 2: sixteen lanes, and the threads that share the work.
pub mod simd;

pub mod parallel;

// Chapter 3: matrix multiplication.
pub mod gemm;

// Where the time goes.
pub mod profile;

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

// What outlives the process: nets, checkpoints, logs.
pub mod save;

// Pictures: PGM in, PNG and terminal out.
pub mod image;

// What to look at: pages of HTML with charts.
pub mod report;

// The command lines of the two programs.
pub mod cli;

/// Every `unsafe` block, and why it is sound.
///
#[doc = include_str!("unsafe.md")]
pub mod unsafe_code {}

pub use autograd::{Gradients, Param, Tape, Var, gradcheck};
pub use error::{Error, Result};
pub use tensor::{Shape, Tensor};

/// The README's code runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
