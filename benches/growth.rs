//! How the time of a convolution grows: by images, by channels and by pixels. Where it grows with the work, GFLOP/s stay the same.
//!
//! `cargo bench --bench growth`. Each case is a convolution of 3x3 with its backward pass, of which one number is doubled from case to
//! case. (A step of training in batches of 32 to 2048 is among the cases of `step.rs`.)

mod given_gradient;
mod harness;

use std::hint::black_box;
use std::process::ExitCode;

use given_gradient::given_gradient;
use harness::{Case, Work};
use tapegrad::Tape;
use tapegrad::nn::Init;
use tapegrad::ops::conv2d::Conv2dOptions;

fn main() -> ExitCode {
    let mut cases = Vec::new();
    for n in [8, 16, 32, 64, 128, 256, 512] {
        cases.push(conv(format!("{n} images [16, 16, 16] -> 16"), n, 16, 16, 16));
    }
    for c in [4, 8, 16, 32, 64, 128, 256] {
        cases.push(conv(format!("32 images [{c}, 16, 16] -> 32"), 32, c, 16, 32));
    }
    for oc in [4, 8, 16, 32, 64, 128, 256] {
        cases.push(conv(format!("32 images [32, 16, 16] -> {oc}"), 32, 32, 16, oc));
    }
    for (size, n) in [8, 16, 32, 64, 128, 256].into_iter().flat_map(|size| [(size, 2), (size, 16)]) {
        cases.push(conv(format!("{n} images [16, {size}, {size}] -> 16"), n, 16, size, 16));
    }
    harness::main("growth", cases)
}

/// n images of c channels and `size` squared pixels, and as many again for each of the filters.
fn conv(name: String, n: usize, c: usize, size: usize, oc: usize) -> Case {
    const SIDE: usize = 3;
    let flop = 3 * 2 * n * oc * c * size * size * SIDE * SIDE;
    Case::new(name, Work { flop: Some(flop as f64), ..Work::default() }, move || {
        let numbers = |shape: [usize; 4]| Init::new(0).uniform(shape, -1.0, 1.0);
        let (x, w, dy) =
            (numbers([n, c, size, size]), numbers([oc, c, SIDE, SIDE]), numbers([n, oc, size, size]));
        let options = Conv2dOptions { padding: 1.into(), ..Conv2dOptions::default() };
        move || {
            let tape = Tape::training();
            let y = tape.variable(&x).conv2d(tape.variable(&w), None, &options);
            black_box(given_gradient(y, &dy).backward());
        }
    })
}
