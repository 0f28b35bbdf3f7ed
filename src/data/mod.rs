//! Data sets: from files of bytes to batches of numbers.
//!
//! The path of a picture through this folder:
//!
//! 1. `idx` reads one file, gzipped or raw, and believes nothing that the file says about itself;
//! 2. `fashion_mnist` puts four such files together and keeps the pictures as bytes;
//! 3. `batches` deals them out, shuffled or in order, and turns bytes into numbers from 0 to 1 only then.
//!
//! Keeping bytes costs 55 MB for both halves of Fashion-MNIST; as `f32` it would be 220 MB.
//!
//! Nothing here knows of tensors: a batch is written into a slice that the caller owns. Next to read:
//! `data/idx.rs`.

pub mod idx;

mod fashion_mnist;
pub use fashion_mnist::{CLASSES, DatasetName, FashionMnist, HEIGHT, Images, WIDTH};

mod batches;
pub use batches::{Batch, Batches, permutation};
