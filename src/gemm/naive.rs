//! Three loops: what a matrix product means here. Everything else in this chapter is held against it, bit for bit.

use super::{Matrix, MatrixMut, Start, check_sizes};
use crate::simd::mul_add;

/// C = A B, one element after the other, one fused multiply-add after the other.
///
/// # Panics
/// When the sizes do not fit.
#[track_caller]
pub fn multiply(start: Start, a: &Matrix, b: &Matrix, mut c: MatrixMut) {
    check_sizes("naive::multiply", (a.rows(), a.cols()), (b.rows(), b.cols()), &c);
    start.check("naive::multiply", &c);
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
