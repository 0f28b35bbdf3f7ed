//! What every op means, in naive f64 loops, and what PyTorch gave for it.
//!
//! Nothing here uses the crate under test. Two references stand side by side, so that
//! neither has to be believed alone:
//!
//! - the oracle: the definition of each op and of its gradients as nested loops in f64
//!   ([`conv2d`], [`pool`], [`batch_norm`], [`softmax`], [`matmul`]), checked against
//!   central differences ([`numeric_gradient`]) by `tests/oracle_self.rs`;
//! - the goldens: what PyTorch printed for given inputs ([`golden`]), written by the
//!   scripts in `tests/golden/`. `tests/oracle_self.rs` holds the oracle against them.
//!
//! A test file says `mod oracle;` and then, for example:
//!
//! ```text
//! use oracle::{Array, assert_close, conv2d, values};
//!
//! let x = values(1, 2 * 3 * 5 * 6);                     // Vec<f32>, the same in every run
//! let want = conv2d::forward(&Array::from_f32(&[2, 3, 5, 6], &x), &w, None, &geometry);
//! assert_close("conv2d", &y.to_vec(), &want.data, 1e-5, 1e-6);
//! ```
//!
//! Reading order: array.rs, data.rs, the ops, numeric.rs, golden.rs.

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod array;
pub mod batch_norm;
pub mod close;
pub mod conv2d;
pub mod data;
pub mod golden;
pub mod matmul;
pub mod numeric;
pub mod pool;
pub mod softmax;

pub use array::Array;
pub use close::assert_close;
pub use data::{labels, values};
pub use golden::Golden;
pub use numeric::numeric_gradient;
