//! Chapter 5: the ops.
mod broadcast;
mod arith;
mod reduce;
mod layout;
mod activation;
mod matmul;
pub mod im2col;
pub mod conv2d;
pub mod pool;
pub mod batch_norm;
mod softmax;
mod cross_entropy;
