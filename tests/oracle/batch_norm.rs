//! Batch normalisation as in the notebook's cell 37.
//!
//! Over the m elements of a channel (a batch `[n, c]`, or all pixels of `[n, c, h, w]`):
//!
//! ```text
//! mean = sum(x) / m            x_hat = (x - mean) / sqrt(var + eps)
//! var  = sum((x - mean)^2) / m     y = gamma * x_hat + beta
//! ```
//!
//! The variance is the biased one, for the moving statistics as well. They start at
//! zero and keep `momentum` (0.9) of themselves. torch.nn.BatchNorm2d differs in all three.
//!
//! [`gradients`] follows x on each of its three ways to y (itself, the mean, the variance) and
//! adds them up, instead of using the closed form that an engine uses. Next file: softmax.rs.

use super::array::Array;

/// What one channel's numbers in x are: their places in `x.data`.
fn places(shape: &[usize], channel: usize) -> Vec<usize> {
    let channels = shape[1];
    let pixels: usize = shape[2..].iter().product();
    let size: usize = shape.iter().product();
    (0..size).filter(|place| place / pixels % channels == channel).collect()
}

/// The mean and the biased variance of every channel of `x [n,c]` or `x [n,c,h,w]`.
pub fn statistics(x: &Array) -> (Vec<f64>, Vec<f64>) {
    let mut means = Vec::new();
    let mut variances = Vec::new();
    for channel in 0..x.shape[1] {
        let places = places(&x.shape, channel);
        let m = places.len() as f64;
        let mean = places.iter().map(|&p| x.data[p]).sum::<f64>() / m;
        let variance = places.iter().map(|&p| (x.data[p] - mean).powi(2)).sum::<f64>() / m;
        means.push(mean);
        variances.push(variance);
    }
    (means, variances)
}

/// The moving statistic after a step.
pub fn moving(old: &[f64], batch: &[f64], momentum: f64) -> Vec<f64> {
    old.iter().zip(batch).map(|(o, b)| momentum * o + (1.0 - momentum) * b).collect()
}

/// y with the given statistics: [`statistics`] of x in training, the moving ones in inference.
pub fn forward(x: &Array, gamma: &[f64], beta: &[f64], mean: &[f64], variance: &[f64], eps: f64) -> Array {
    let mut y = Array::zeros(&x.shape);
    for channel in 0..x.shape[1] {
        for p in places(&x.shape, channel) {
            let x_hat = (x.data[p] - mean[channel]) / (variance[channel] + eps).sqrt();
            y.data[p] = gamma[channel] * x_hat + beta[channel];
        }
    }
    y
}

/// The gradients (dx, dgamma, dbeta) of `sum(y * dy)` in training, where the statistics depend
/// on x.
pub fn gradients(x: &Array, gamma: &[f64], eps: f64, dy: &Array) -> (Array, Vec<f64>, Vec<f64>) {
    let (mean, variance) = statistics(x);
    let (mut dx, dgamma, dbeta) = inference_gradients(x, gamma, &mean, &variance, eps, dy);
    for channel in 0..x.shape[1] {
        let places = places(&x.shape, channel);
        let m = places.len() as f64;
        let spread = variance[channel] + eps;
        let centred = |p: usize| x.data[p] - mean[channel];
        let dx_hat = |p: usize| dy.data[p] * gamma[channel];
        // x_hat = centred * spread^(-1/2)
        let dvariance: f64 = places.iter().map(|&p| dx_hat(p) * centred(p) * -0.5 * spread.powf(-1.5)).sum();
        // The mean's other way, through the variance, is zero: the deviations sum to zero.
        let dmean: f64 = places.iter().map(|&p| -dx_hat(p) / spread.sqrt()).sum();
        for &p in &places {
            dx.data[p] += dvariance * 2.0 * centred(p) / m + dmean / m;
        }
    }
    (dx, dgamma, dbeta)
}

/// The gradients (dx, dgamma, dbeta) of `sum(y * dy)` in inference, where the statistics are
/// constants.
pub fn inference_gradients(
    x: &Array,
    gamma: &[f64],
    mean: &[f64],
    variance: &[f64],
    eps: f64,
    dy: &Array,
) -> (Array, Vec<f64>, Vec<f64>) {
    let mut dx = Array::zeros(&x.shape);
    let mut dgamma = vec![0.0; gamma.len()];
    let mut dbeta = vec![0.0; gamma.len()];
    for channel in 0..x.shape[1] {
        let deviation = (variance[channel] + eps).sqrt();
        for p in places(&x.shape, channel) {
            dx.data[p] = dy.data[p] * gamma[channel] / deviation;
            dgamma[channel] += dy.data[p] * (x.data[p] - mean[channel]) / deviation;
            dbeta[channel] += dy.data[p];
        }
    }
    (dx, dgamma, dbeta)
}
