//! softmax, its logarithm, and the cross-entropy of class indices.
//!
//! ```text
//! softmax(x)[i] = exp(x[i]) / sum(exp(x))            log_softmax(x)[i] = x[i] - ln(sum(exp(x)))
//! cross_entropy(x, labels) = mean over the rows of -log_softmax(row)[label]
//! ```
//!
//! The largest x is taken off first, which changes nothing but keeps exp from overflowing.
//! Gradients: from `y = softmax(x)`, dx[i] = y[i] (dy[i] - sum(dy y)); from its logarithm,
//! dx[i] = dy[i] - softmax(x)[i] sum(dy). Next file: matmul.rs.

use super::array::Array;

/// Applies `f` to every line of numbers along `axis`, the lines of `a` and `b` side by side.
fn along(a: &Array, b: &Array, axis: usize, f: impl Fn(&[f64], &[f64]) -> Vec<f64>) -> Array {
    assert_eq!(a.shape, b.shape, "equal shapes");
    let (outer, size, inner) = a.around(axis);
    let mut result = Array::zeros(&a.shape);
    for block in 0..outer {
        for rest in 0..inner {
            let place = |i: usize| (block * size + i) * inner + rest;
            let line = |array: &Array| (0..size).map(|i| array.data[place(i)]).collect::<Vec<_>>();
            for (i, value) in f(&line(a), &line(b)).into_iter().enumerate() {
                result.data[place(i)] = value;
            }
        }
    }
    result
}

fn log_softmax_line(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|v| (v - largest).exp()).sum();
    x.iter().map(|v| v - largest - sum.ln()).collect()
}

fn softmax_line(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|v| (v - largest).exp()).sum();
    x.iter().map(|v| (v - largest).exp() / sum).collect()
}

pub fn softmax(x: &Array, axis: usize) -> Array {
    along(x, x, axis, |x, _| softmax_line(x))
}

pub fn log_softmax(x: &Array, axis: usize) -> Array {
    along(x, x, axis, |x, _| log_softmax_line(x))
}

/// dx of `sum(softmax(x) * dy)`.
pub fn softmax_gradient(x: &Array, axis: usize, dy: &Array) -> Array {
    along(x, dy, axis, |x, dy| {
        let y = softmax_line(x);
        let weighted: f64 = y.iter().zip(dy).map(|(y, dy)| y * dy).sum();
        y.iter().zip(dy).map(|(y, dy)| y * (dy - weighted)).collect()
    })
}

/// dx of `sum(log_softmax(x) * dy)`.
pub fn log_softmax_gradient(x: &Array, axis: usize, dy: &Array) -> Array {
    along(x, dy, axis, |x, dy| {
        let total: f64 = dy.iter().sum();
        softmax_line(x).iter().zip(dy).map(|(y, dy)| dy - y * total).collect()
    })
}

/// The mean over the rows of `x [n,classes]`.
#[track_caller]
pub fn cross_entropy(x: &Array, labels: &[usize]) -> f64 {
    let [n, _] = x.dims();
    assert_eq!(n, labels.len(), "one label for each row");
    let y = log_softmax(x, 1);
    labels.iter().enumerate().map(|(row, &label)| -y.at([row, label])).sum::<f64>() / n as f64
}

/// dx of [`cross_entropy`]: (softmax(x) - one_hot(label)) / n.
pub fn cross_entropy_gradient(x: &Array, labels: &[usize]) -> Array {
    let [n, _] = x.dims();
    let mut dx = softmax(x, 1);
    for (row, &label) in labels.iter().enumerate() {
        *dx.at_mut([row, label]) -= 1.0;
    }
    dx.map(|v| v / n as f64)
}
