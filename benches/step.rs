//! Whole steps of LeNet, as `train/mod.rs` does them: from bytes to changed parameters, to logits, or to a score.
//!
//! `cargo bench --bench step`. The time per image shows whether a larger batch costs more than its images. A step must also not become slow
//! where its numbers become subnormal, smaller than 1.2e-38, which takes some processors a hundred times as long.
//!
//! The images and labels mean nothing, and the learning rate is 0: that takes the same time, and every run finds the net as the first did.

mod harness;

use std::hint::black_box;
use std::process::ExitCode;

use harness::{Case, Work};
use tapegrad::Tape;
use tapegrad::data::{Batches, HEIGHT, Images, WIDTH};
use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::train::evaluate;

/// Floating-point operations of each layer's products for one image, forward.
const CONV1: usize = 2 * 6 * 24 * 24 * 25;
const CONV2: usize = 2 * 16 * 8 * 8 * 150;
const LINEAR: usize = 2 * (256 * 120 + 120 * 84 + 84 * 10);
const FORWARD: usize = CONV1 + CONV2 + LINEAR;
/// With the gradients of weights and inputs, which the first layer has none of.
const STEP: usize = 2 * CONV1 + 3 * CONV2 + 3 * LINEAR;

type Net = Box<dyn Module>;

fn plain() -> Net {
    Box::new(LeNet::new(&mut Init::new(0)))
}

fn batch_norm() -> Net {
    Box::new(lenet_batch_norm(&mut Init::new(0)))
}

/// All parameters so small that they are subnormal, and with them what the layers make of them.
fn subnormal_weights() -> Net {
    scaled(1e-38, |_| true)
}

/// The last layer's weight so small that all gradients below it are subnormal. Activations are as usual.
fn subnormal_gradients() -> Net {
    scaled(1e-36, |name| name == "fc.4.weight")
}

fn scaled(factor: f32, chosen: fn(&str) -> bool) -> Net {
    let mut net = plain();
    for (name, param) in net.named_parameters_mut() {
        if chosen(&name) {
            param.data_mut().iter_mut().for_each(|x| *x *= factor);
        }
    }
    net
}

fn main() -> ExitCode {
    let mut cases = Vec::new();
    for n in [32, 64, 128, 256, 512, 1024, 2048] {
        cases.push(step(&format!("LeNet, step of {n}"), n, plain));
    }
    cases.push(step("LeNet, step of 256, subnormal weights", 256, subnormal_weights));
    cases.push(step("LeNet, step of 256, subnormal gradients", 256, subnormal_gradients));
    for n in [32, 64, 256, 1024, 2048] {
        cases.push(step(&format!("batch norm, step of {n}"), n, batch_norm));
    }
    cases.extend([inference(1), inference(256), evaluation(10_000)]);
    harness::main("step", cases)
}

fn images(n: usize) -> Images {
    let byte = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
    let pixels = (0..n * HEIGHT * WIDTH).map(byte).collect();
    let labels = (0..n).map(|i| (i % 10) as u8).collect();
    Images::new(pixels, labels).expect("n whole images, and n labels below ten")
}

fn work(n: usize, flop: usize) -> Work {
    Work { flop: Some((n * flop) as f64), images: Some(n), ..Work::default() }
}

/// A step of training on n images.
fn step(name: &str, n: usize, net: fn() -> Net) -> Case {
    Case::new(name, work(n, STEP), move || {
        let (images, mut net, mut adam) = (images(n), net(), Adam::new(0.0));
        let mut labels = vec![0; n];
        move || {
            let batches = Batches::in_order(&images, n);
            let batch = batches.batch(0);
            batch.copy_labels(&mut labels);
            let tape = Tape::training();
            let loss = net.forward(tape.input(&batch.pixels())).cross_entropy(&labels);
            black_box(loss.item());
            adam.step(&mut *net, &loss.backward());
        }
    })
}

/// From a tensor of n images to logits.
fn inference(n: usize) -> Case {
    Case::new(format!("LeNet, inference of {n}"), work(n, FORWARD), move || {
        let (x, net) = (Init::new(0).rand([n, 1, HEIGHT, WIDTH]), plain());
        move || {
            let tape = Tape::inference();
            black_box(net.forward(tape.input(&x)).value());
        }
    })
}

/// How many of n images are right, in batches of 256.
fn evaluation(n: usize) -> Case {
    Case::new(format!("LeNet, evaluation of {n}"), work(n, FORWARD), move || {
        let (images, net) = (images(n), plain());
        move || {
            black_box(evaluate(&*net, &images));
        }
    })
}
