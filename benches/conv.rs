//! conv2d, forward and forward with backward, on eight shapes: LeNet's two layers, one that candle is slow on, and five of larger nets.
//!
//! `cargo bench --bench conv`; what stands behind the name of a case: f forward, fb forward and backward, * without the gradient of the
//! images, which a first layer does not need. Images and the output's gradient lie in memory in the order in which conv2d puts out its own.

mod given_gradient;
mod harness;

use std::hint::black_box;
use std::process::ExitCode;

use given_gradient::given_gradient;
use harness::{Case, Work};
use tapegrad::nn::Init;
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::{Tape, Tensor};

#[derive(Clone, Copy)]
struct Shape {
    n: usize,
    c: usize,
    size: usize,
    oc: usize,
    k: usize,
    stride: usize,
    padding: usize,
    first: bool,
}

const SHAPES: [Shape; 8] = [
    Shape { n: 256, c: 1, size: 28, oc: 6, k: 5, stride: 1, padding: 0, first: true },
    Shape { n: 256, c: 6, size: 12, oc: 16, k: 5, stride: 1, padding: 0, first: false },
    Shape { n: 2, c: 3, size: 320, oc: 16, k: 3, stride: 1, padding: 1, first: true },
    Shape { n: 1, c: 64, size: 56, oc: 64, k: 3, stride: 1, padding: 1, first: false },
    Shape { n: 8, c: 128, size: 28, oc: 128, k: 3, stride: 1, padding: 1, first: false },
    Shape { n: 8, c: 256, size: 14, oc: 256, k: 1, stride: 1, padding: 0, first: false },
    Shape { n: 32, c: 3, size: 224, oc: 64, k: 7, stride: 2, padding: 3, first: true },
    Shape { n: 16, c: 512, size: 7, oc: 512, k: 3, stride: 1, padding: 1, first: false },
];

fn main() -> ExitCode {
    harness::main("conv", SHAPES.into_iter().flat_map(|shape| [forward(shape), both(shape)]).collect())
}

impl Shape {
    fn name(&self) -> String {
        let Shape { n, c, size, oc, k, stride, padding, .. } = self;
        format!("{n}, {c}, {size}x{size} -> {oc}, k{k}, s{stride}, p{padding}")
    }

    fn out(&self) -> usize {
        (self.size + 2 * self.padding - self.k) / self.stride + 1
    }

    /// The work of this many passes: forward, the filters' gradient, the images' gradient.
    fn work(&self, passes: usize) -> Work {
        let Shape { n, c, oc, k, .. } = self;
        let flop = passes * 2 * n * oc * self.out() * self.out() * c * k * k;
        Work { flop: Some(flop as f64), ..Work::default() }
    }

    fn options(&self) -> Conv2dOptions {
        Conv2dOptions { stride: self.stride.into(), padding: self.padding.into(), ..Conv2dOptions::default() }
    }

    /// Images, filters, bias and the gradient of the output. In a net, images and gradient come from such layers and for them, so they lie as
    /// conv2d's output does.
    fn inputs(&self) -> [Tensor; 4] {
        let Shape { n, c, size, oc, k, .. } = *self;
        let (w, b) = (numbers([oc, c, k, k]), Tensor::zeros([oc]));
        let x = numbers([n, c, size, size]);
        let tape = Tape::inference();
        let y = tape.input(&x).conv2d(tape.input(&w), Some(tape.input(&b)), &self.options()).value();
        let dy = numbers([n, oc, self.out(), self.out()]);
        [in_order_of(&x, &y), w, b, in_order_of(&dy, &y)]
    }
}

/// The same numbers, their axes in memory in the same order as those of `other`.
fn in_order_of(x: &Tensor, other: &Tensor) -> Tensor {
    let mut axes = [0, 1, 2, 3];
    axes.sort_by_key(|&axis| std::cmp::Reverse(other.strides()[axis]));
    let mut inverse = [0; 4];
    for (i, axis) in axes.into_iter().enumerate() {
        inverse[axis] = i;
    }
    x.permute(&axes).contiguous().permute(&inverse)
}

fn numbers(shape: [usize; 4]) -> Tensor {
    Init::new(0).uniform(shape, -1.0, 1.0)
}

fn forward(shape: Shape) -> Case {
    Case::new(format!("{}: f", shape.name()), shape.work(1), move || {
        let ([x, w, b, _], options) = (shape.inputs(), shape.options());
        move || {
            let tape = Tape::inference();
            let y = tape.input(&x).conv2d(tape.input(&w), Some(tape.input(&b)), &options);
            black_box(y.value());
        }
    })
}

fn both(shape: Shape) -> Case {
    let (mark, passes) = if shape.first { ("*", 2) } else { ("", 3) };
    Case::new(format!("{}: fb{mark}", shape.name()), shape.work(passes), move || {
        let ([x, w, b, dy], options) = (shape.inputs(), shape.options());
        move || {
            let tape = Tape::training();
            let images = if shape.first { tape.input(&x) } else { tape.variable(&x) };
            let y = images.conv2d(tape.variable(&w), Some(tape.variable(&b)), &options);
            black_box(given_gradient(y, &dy).backward());
        }
    })
}
