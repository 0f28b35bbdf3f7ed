//! conv2d, forward and forward with backward, on eight shapes: LeNet's two layers, one that candle is slow on, and five of larger nets.
//!
//! `cargo bench --bench conv`; what stands behind the name of a case: f forward, fb forward and backward, * without the gradient of the
//! images, which a first layer does not need.

mod harness;

use harness::{Case, Options};
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::{Tape, Tensor, parallel};

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

fn main() {
    let options = Options::from_args();
    let most = parallel::threads();
    for threads in [1, 2] {
        if threads <= most {
            parallel::set_threads(threads);
            harness::run(&options, threads, SHAPES.iter().flat_map(cases).collect());
        }
    }
}

/// Numbers between -1 and 1 without a pattern.
fn numbers(shape: [usize; 4]) -> Tensor {
    let mut tensor = Tensor::empty(shape);
    for (i, value) in tensor.data_mut().iter_mut().enumerate() {
        *value = ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    }
    tensor
}

fn cases(shape: &Shape) -> [Case; 2] {
    let &Shape { n, c, size, oc, k, stride, padding, first } = shape;
    let options =
        Conv2dOptions { stride: stride.into(), padding: padding.into(), ..Conv2dOptions::default() };
    let out = (size + 2 * padding - k) / stride + 1;
    let flop = (2 * n * oc * out * out * c * k * k) as f64;
    let (x, w, b) = (numbers([n, c, size, size]), numbers([oc, c, k, k]), Tensor::zeros([oc]));
    let dy = numbers([n, oc, out, out]);
    let name = format!("{n}, {c}, {size}x{size} -> {oc}, k{k}, s{stride}, p{padding}");

    let (images, filters, bias) = (x.clone(), w.clone(), b.clone());
    let forward = move || {
        let tape = Tape::inference();
        let y = tape.input(&images).conv2d(tape.input(&filters), Some(tape.input(&bias)), &options);
        std::hint::black_box(y.value());
    };
    let both = move || {
        let tape = Tape::training();
        let images = if first { tape.input(&x) } else { tape.variable(&x) };
        let y = images.conv2d(tape.variable(&w), Some(tape.variable(&b)), &options);
        // An op whose gradient by y is dy, for nothing: a real loss would be measured along with the convolution.
        let (output, given) = (y.id(), dy.clone());
        let loss = tape.record("given_gradient", &[y], Tensor::scalar(0.0), move |_, adjoints| {
            adjoints.add(output, || given);
        });
        std::hint::black_box(loss.backward());
    };
    let passes = if first { 2.0 } else { 3.0 };
    let mark = if first { "*" } else { "" };
    [
        Case { name: format!("{name}: f"), flop, run: Box::new(forward) },
        Case { name: format!("{name}: fb{mark}"), flop: passes * flop, run: Box::new(both) },
    ]
}
