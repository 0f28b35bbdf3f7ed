//! Chapter 5: the ops.
mod activation;
mod arith;
pub mod avg_pool2d;
pub mod batch_norm;
mod broadcast;
pub mod conv2d;
mod conv2d_weight;
mod cross_entropy;
mod elementary;
pub mod im2col;
mod layout;
mod matmul;
mod max;
pub mod max_pool2d;
mod mse;
mod reduce;
mod softmax;
pub mod window;
