//! What each fuzz target checks of its input, whatever the bytes are. Used twice: by the targets in ../fuzz_targets/, which
//! look for new inputs, and by tests/corpus.rs, which replays the old ones.

// Each target compiles all of them and uses one.
#![allow(dead_code)]

mod file;
mod parts;

pub mod checkpoint;
pub mod idx;
pub mod pgm;
pub mod png;
pub mod safetensors;
pub mod views;
