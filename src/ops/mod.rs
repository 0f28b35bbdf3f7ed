//! Chapter 5: the ops, one file each, with formula, forward and backward side by side.
//!
//! An op is a method of [`Var`](crate::Var), and of [`Tensor`](crate::Tensor) where it is of use without gradients. It
//! computes its value, and records a closure that captures what its adjoint needs. The file's header gives the formula,
//! the adjoint, and what the tape keeps.
//!
//! | file | ops |
//! |---|---|
//! | `broadcast.rs` | the loop behind two operands of different shapes, and its adjoint, a sum |
//! | `arith.rs` | `+ - * /` |
//! | `reduce.rs`, `max.rs` | `sum`, `mean`, `norm`; `max`, `argmax` |
//! | `layout.rs` | `reshape`, `transpose`, `slice`, `unfold`, `cat` … with gradients |
//! | `activation.rs`, `elementary.rs` | `sigmoid`, `tanh`, `relu`; `exp`, `ln`, `sqrt`, `square`, `pow`, `abs` |
//! | `matmul.rs` | `matmul`, `linear` |
//! | `images_last.rs` | a batch with its images innermost in memory, in which many are worked on at once |
//! | `window.rs` | the arithmetic of kernel, stride, padding and dilation |
//! | `conv2d/` | convolution: of many images at once, and of single ones over patches packed for GEMM |
//! | `max_pool2d/`, `avg_pool2d.rs` | pooling |
//! | `batch_norm/` | batch normalisation |
//! | `softmax.rs`, `cross_entropy.rs`, `mse.rs` | `softmax`, `log_softmax`; the losses |
//!
//! A reader in a hurry reads `arith.rs`, `activation.rs` and `conv2d/mod.rs`.

mod activation;
mod arith;
pub mod avg_pool2d;
mod batch_norm;
mod broadcast;
pub mod conv2d;
mod cross_entropy;
mod elementary;
pub(crate) mod images_last;
mod layout;
mod matmul;
mod max;
pub mod max_pool2d;
mod mse;
mod reduce;
mod softmax;
pub mod window;
