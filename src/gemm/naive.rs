//! Three loops: what a matrix product means here. Everything else in this chapter is held against it, bit for bit.

use super::{Matrix, MatrixMut, Start};
use crate::simd::mul_add;

/// C = A B, one element after the other, one fused multiply-add after the other.
pub fn multiply(start: Start, a: &Matrix, b: &Matrix, mut c: MatrixMut) {
    for i in 0..c.rows() {
        for j in 0..c.cols() {
            let mut sum = match start {
                Start::Zero => 0.0,
                Start::Accumulate => c.row_mut(i)[j],
                Start::PerRow(bias) => bias[i],
                Start::PerColumn(bias) => bias[j],
            };
            for k in 0..a.cols() {
                sum = mul_add(a.get(i, k), b.get(k, j), sum);
            }
            c.row_mut(i)[j] = sum;
        }
    }
}
