//! Chapter 5: the ops.
mod activation;
mod arith;
pub mod batch_norm;
mod broadcast;
pub mod conv2d;
mod cross_entropy;
pub mod im2col;
mod layout;
mod matmul;
pub mod pool;
mod reduce;
mod softmax;
pub mod window;
