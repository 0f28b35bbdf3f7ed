//! The notebook's two nets against PyTorch: output, loss, every gradient, and three Adam steps from the same weights.
//!
//! The numbers are from tests/golden/lenet.py. Every result is held against PyTorch's run in f64, which is the truth, with
//! a tolerance in units of the largest element of the tensor: rounding errors of a sum are about as large as its largest
//! terms, whatever is left of them. How large a tolerance is right is not a matter of taste: PyTorch's own f32 run is held
//! to the same one in the same place, so it cannot be wide by much without reason nor tighter than f32 is.
//!
//! Next to read: recycling.rs.

mod oracle;

use oracle::{Golden, assert_close};
use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::{Gradients, Tape, Tensor};

/// Biases right before a batch norm. Their gradient is zero but for rounding noise, which Adam would turn into steps of lr
/// with an arbitrary sign; the goldens' run does not train them.
const UNTRAINED: [&str; 4] = ["0.bias", "4.bias", "9.bias", "12.bias"];

/// What f32 may be off, in parts of a tensor's largest element. One rounding is 6e-8.
struct Tolerance {
    /// Of logits and loss: a chain of five layers, with sums of up to 256 terms.
    output: f64,
    /// Of gradients: the chain there and back, and sums over 32 images times up to 576 places.
    gradient: f64,
    /// Of parameters after each step. A step is lr times m / √v, which is at most about lr = 0.001 in size, and off by the
    /// relative error of a single element of the gradient: far more than that of the largest, where the element is small.
    parameter: f64,
}

// PyTorch's own f32 run is off by at most 1.1e-7, 1.9e-6 and 0.8e-7 here.
const LENET: Tolerance = Tolerance { output: 3e-7, gradient: 2.5e-6, parameter: 1.5e-7 };

/// A batch norm divides by the deviation over the batch, which is a tenth of the values or less in this net, and so
/// multiplies their rounding errors by ten or more; four in a row do it again and again. PyTorch's own f32 run is off by at
/// most 2.7e-6, 6.2e-6 and 1.1e-6 here.
const LENET_BATCH_NORM: Tolerance = Tolerance { output: 4e-6, gradient: 8e-6, parameter: 1.5e-6 };

/// Holds a result, and PyTorch's own in f32, against PyTorch's in f64.
#[track_caller]
fn check(golden: &Golden, name: &str, got: &Tensor, tolerance: f64) {
    assert_eq!(got.shape()[..], *golden.shape(name), "the shape of {name}");
    let truth = golden.truth(name);
    let largest = truth.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let got = got.to_vec();
    assert_close(name, &golden.sample(name, &got), &truth, 0.0, tolerance * largest);
    assert_close(&format!("{name} by PyTorch in f32"), golden.f32(name), &truth, 0.0, tolerance * largest);
    // The whole of a tensor that is only sampled: nothing can hide between the samples.
    if golden.has(&format!("{name}.norm.f64")) {
        let sum: f64 = got.iter().map(|&value| f64::from(value)).sum();
        let norm = got.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        let want_norm = golden.number(&format!("{name}.norm.f64"));
        assert!((norm - want_norm).abs() <= tolerance * want_norm, "{name}: norm {norm}, not {want_norm}");
        let want_sum = golden.number(&format!("{name}.sum.f64"));
        // Errors add up at worst like all of one sign.
        let slack = tolerance * largest * got.len() as f64;
        assert!((sum - want_sum).abs() <= slack, "{name}: sum {sum}, not {want_sum}");
    }
}

/// Gives the net the goldens' weights.
fn load(golden: &Golden, net: &mut dyn Module) {
    for (name, param) in net.named_parameters_mut() {
        let name = format!("weight.{name}");
        param.set(&Tensor::from_slice(golden.f32(&name), golden.shape(&name)));
    }
}

fn batch(golden: &Golden, step: usize) -> (Tensor, Vec<usize>) {
    let images = format!("batch.{step}.images");
    (
        Tensor::from_slice(golden.f32(&images), golden.shape(&images)),
        golden.integers(&format!("batch.{step}.labels")),
    )
}

/// Runs a batch forward and backward, and checks logits and loss.
fn gradients(golden: &Golden, net: &dyn Module, step: usize, tolerance: &Tolerance) -> Gradients {
    let (images, labels) = batch(golden, step);
    let tape = Tape::training();
    let logits = net.forward(tape.input(&images));
    let loss = logits.cross_entropy(&labels);
    assert_eq!(logits.shape(), [32, 10]);
    check(golden, &format!("logits.{step}"), &logits.value().narrow(0, 0, 2), tolerance.output);
    check(golden, &format!("loss.{step}"), &loss.value(), tolerance.output);
    loss.backward()
}

fn every_gradient(golden: &Golden, net: &mut dyn Module, tolerance: &Tolerance) {
    load(golden, net);
    let grads = gradients(golden, net, 1, tolerance);
    let parameters = net.named_parameters();
    for (name, param) in &parameters {
        if golden.has("moving.1.1.moving_mean") && UNTRAINED.contains(&name.as_str()) {
            // Zero in exact arithmetic: terms of the size of gamma's and beta's gradients that cancel.
            let noise = grads[*param].to_vec().into_iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!(noise < 1e-6, "the gradient of {name} is {noise}, not 0");
        } else {
            check(golden, &format!("grad.{name}"), &grads[*param], tolerance.gradient);
        }
    }
}

fn three_adam_steps(golden: &Golden, net: &mut dyn Module, tolerance: &Tolerance) {
    load(golden, net);
    let mut optimizer = Adam::new(0.001);
    if golden.has("moving.1.1.moving_mean") {
        for (name, param) in net.named_parameters_mut() {
            param.set_requires_grad(!UNTRAINED.contains(&name.as_str()));
        }
    }
    for step in 1..=3 {
        let grads = gradients(golden, net, step, tolerance);
        optimizer.step(net, &grads);
        for (name, param) in net.named_parameters() {
            if param.requires_grad() {
                check(golden, &format!("param.{step}.{name}"), param.value(), tolerance.parameter);
            }
        }
        for (name, buffer) in net.named_buffers() {
            if step != 2 {
                check(golden, &format!("moving.{step}.{name}"), &buffer.value(), tolerance.output);
            }
        }
    }
    let tape = Tape::inference();
    let logits = net.forward(tape.input(&batch(golden, 1).0)).value();
    check(golden, "inference", &logits.narrow(0, 0, 2), tolerance.output);
}

#[test]
fn every_gradient_of_lenet() {
    every_gradient(&Golden::read("lenet.txt"), &mut LeNet::new(&mut Init::new(0)), &LENET);
}

#[test]
fn three_adam_steps_of_lenet() {
    three_adam_steps(&Golden::read("lenet.txt"), &mut LeNet::new(&mut Init::new(0)), &LENET);
}

#[test]
fn every_gradient_of_lenet_with_batch_norm() {
    let mut net = lenet_batch_norm(&mut Init::new(0));
    every_gradient(&Golden::read("lenet_batch_norm.txt"), &mut net, &LENET_BATCH_NORM);
}

#[test]
fn three_adam_steps_of_lenet_with_batch_norm() {
    let mut net = lenet_batch_norm(&mut Init::new(0));
    three_adam_steps(&Golden::read("lenet_batch_norm.txt"), &mut net, &LENET_BATCH_NORM);
}
