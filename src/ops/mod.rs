//! Chapter 5: the ops.
mod activation;
mod arith;
pub mod batch_norm;
mod broadcast;
pub mod conv2d;
mod cross_entropy;
mod elementary;
pub mod im2col;
mod layout;
mod matmul;
mod max;
pub mod pool;
mod reduce;
mod softmax;
pub mod window;
