//! im2col
