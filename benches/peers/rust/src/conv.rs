//! A convolution to measure, and the answers of a worker that measures it.

use std::collections::HashMap;

use crate::protocol::{seconds, serve};
use crate::{magnitude, numbers};

/// Images `[n, c, size, size]`, filters `[oc, c, k, k]`.
#[derive(Clone, Copy)]
pub struct Shape {
    pub n: usize,
    pub c: usize,
    pub size: usize,
    pub oc: usize,
    pub k: usize,
    pub stride: usize,
    pub padding: usize,
    /// A net's first layer, whose images need no gradient.
    pub first: bool,
}

impl Shape {
    pub fn out(&self) -> usize {
        (self.size + 2 * self.padding - self.k) / self.stride + 1
    }

    pub fn images(&self) -> Vec<f32> {
        numbers(self.n * self.c * self.size * self.size)
    }

    pub fn filters(&self) -> Vec<f32> {
        numbers(self.oc * self.c * self.k * self.k)
    }
}

/// A peer's convolution of one shape, its inputs in place.
pub trait Convolution {
    fn new(shape: &Shape) -> Self;

    /// Nothing is kept for a backward pass; returns the output.
    fn forward(&self) -> Vec<f32>;

    /// As [`Convolution::forward`], but leaves the output where it is.
    fn run_forward(&self);

    /// Forward, and backward from a given gradient: of filters, bias and, unless the layer is a first one, images.
    fn run_both(&self);

    /// The gradient of the filters where the output's gradient is one everywhere.
    fn filter_gradient(&self) -> Vec<f32>;
}

/// `check SHAPE`: sizes of the results; `forward REPEATS SHAPE` and `both REPEATS SHAPE`: seconds of one run.
pub fn serve_convolution<C: Convolution>() {
    // All shapes stay in place, so that no round begins with filling memory.
    let mut convolutions: HashMap<Vec<usize>, C> = HashMap::new();
    serve(|request, numbers| {
        let (repeats, shape) = match request {
            "check" => (0, numbers),
            _ => (numbers[0], &numbers[1..]),
        };
        let convolution = convolutions.entry(shape.to_vec()).or_insert_with(|| {
            let &[n, c, size, oc, k, stride, padding, first] = shape else {
                panic!("a shape is eight numbers")
            };
            C::new(&Shape { n, c, size, oc, k, stride, padding, first: first == 1 })
        });
        match request {
            "check" => vec![magnitude(&convolution.forward()), magnitude(&convolution.filter_gradient())],
            "forward" => vec![seconds(repeats, || convolution.run_forward())],
            "both" => vec![seconds(repeats, || convolution.run_both())],
            other => panic!("{other}: not a request to a convolution"),
        }
    });
}
