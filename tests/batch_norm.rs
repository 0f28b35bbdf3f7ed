//! batch_norm against the oracle and against PyTorch: output, all gradients, moving statistics, inference.
//!
//! Tolerances count roundings of half a unit, 6e-8 of a number. A normalised number goes through the difference from the mean, the
//! variance (short sums, so a few roundings) and two products; a gradient through these, two such sums and the difference of three
//! terms. What cancels is left with the error of its terms, so tolerances are parts of the largest element.
//!
//! Next to read: pytorch_golden.rs, where batch norm stands in a whole net.

mod formula;
mod oracle;

use formula::{array, layouts, tensor};
use oracle::{Array, Golden, assert_close, batch_norm};
use tapegrad::{Tape, Tensor, parallel};

const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.9;

/// Ten roundings.
const OUTPUT: f64 = 6e-7;
/// Twenty.
const GRADIENT: f64 = 1.2e-6;

/// What a pass through the op gives.
struct Pass {
    y: Tensor,
    dx: Tensor,
    dgamma: Tensor,
    dbeta: Tensor,
}

impl Pass {
    fn parts(&self) -> [(&'static str, &Tensor, f64); 4] {
        [
            ("y", &self.y, OUTPUT),
            ("dx", &self.dx, GRADIENT),
            ("dgamma", &self.dgamma, GRADIENT),
            ("dbeta", &self.dbeta, GRADIENT),
        ]
    }

    fn bits(&self) -> Vec<Vec<u32>> {
        let bits = |tensor: &Tensor| tensor.to_vec().iter().map(|x| x.to_bits()).collect();
        self.parts().iter().map(|(_, tensor, _)| bits(tensor)).collect()
    }
}

/// gamma, beta and the moving statistics.
#[derive(Clone)]
struct Layer {
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
}

impl Layer {
    fn new(channels: usize) -> Layer {
        let (mean, var) = (Tensor::zeros([channels]), Tensor::zeros([channels]));
        Layer { gamma: tensor(31, &[channels]) + 1.5, beta: tensor(32, &[channels]), mean, var }
    }

    fn train(&mut self, x: &Tensor, dy: &Tensor) -> Pass {
        let tape = Tape::training();
        let (v, gamma, beta) = (tape.variable(x), tape.variable(&self.gamma), tape.variable(&self.beta));
        let y = v.batch_norm(gamma, beta, &mut self.mean, &mut self.var, MOMENTUM, EPS);
        let value = y.value();
        let grads = (y * tape.input(dy)).sum().backward();
        Pass { y: value, dx: grads[v].clone(), dgamma: grads[gamma].clone(), dbeta: grads[beta].clone() }
    }

    fn infer(&mut self, x: &Tensor) -> Tensor {
        let tape = Tape::inference();
        let (v, gamma, beta) = (tape.input(x), tape.input(&self.gamma), tape.input(&self.beta));
        v.batch_norm(gamma, beta, &mut self.mean, &mut self.var, MOMENTUM, EPS).value()
    }
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    array(tensor).data
}

fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// Every element within `tolerance` of the largest one.
#[track_caller]
fn close(what: &str, got: &Tensor, want: &[f64], tolerance: f64) {
    assert_close(what, &got.to_vec(), want, 0.0, tolerance * largest(want));
}

/// 2-D and 4-D; odd sizes, sizes of 1, channels beyond and below a vector; few images and many; channels of less than a block of
/// 512 numbers, of a few, and of more than a task's 16,384.
const SHAPES: [&[usize]; 14] = [
    &[2, 1],
    &[7, 3],
    &[5, 17],
    &[33, 40],
    &[2, 3, 1, 1],
    &[1, 2, 3, 5],
    &[3, 5, 7, 9],
    &[4, 1, 17, 2],
    &[9, 6, 24, 24],
    &[19, 3, 8, 9],
    &[16, 2, 32, 32],
    &[17, 2, 31, 32],
    &[600, 3],
    &[2, 2, 129, 127],
];

#[test]
fn training_follows_the_formula_in_every_layout() {
    let eps = f64::from(EPS);
    for shape in SHAPES {
        // Off the middle, as after a sigmoid: the mean is no small number.
        let (x, dy) = (tensor(33, shape) + 0.5, tensor(34, shape));
        let mut first = None;
        for (layout, x) in layouts(&x).into_iter().filter(|(layout, _)| *layout != "repeated") {
            let mut layer = Layer::new(shape[1]);
            let got = layer.train(&x, &dy);
            let (gamma, beta) = (doubles(&layer.gamma), doubles(&layer.beta));
            let (mean, var) = batch_norm::statistics(&array(&x));
            let y = batch_norm::forward(&array(&x), &gamma, &beta, &mean, &var, eps);
            let (dx, dgamma, dbeta) = batch_norm::gradients(&array(&x), &gamma, eps, &array(&dy));
            for ((part, got, tolerance), want) in
                got.parts().into_iter().zip([&y.data, &dx.data, &dgamma, &dbeta])
            {
                // What of dx is left where its terms cancel (two numbers in a channel) has the error of the terms.
                let terms = if part == "dx" { size_of_terms(&gamma, &var, &dy) } else { 0.0 };
                let what = format!("{part} of {shape:?}, {layout}");
                assert_close(&what, &got.to_vec(), want, 0.0, tolerance * largest(want).max(terms));
            }
            assert_eq!(got.dx.shape(), x.shape());
            let bits = got.bits();
            assert!(
                *first.get_or_insert(bits.clone()) == bits,
                "{shape:?}, {layout}: other bits than in order"
            );
        }
    }
}

/// The largest of dx's terms: of dy times gamma over the deviation.
fn size_of_terms(gamma: &[f64], var: &[f64], dy: &Tensor) -> f64 {
    let steepest = gamma.iter().zip(var).map(|(g, v)| g.abs() / (v + f64::from(EPS)).sqrt());
    steepest.fold(0.0, f64::max) * largest(&doubles(dy))
}

#[test]
fn a_repeated_input_and_a_repeated_gradient() {
    let eps = f64::from(EPS);
    let shape = [6, 5, 3, 3];
    // Every image is the same, every gradient is 1: views with strides of zero.
    let x = tensor(35, &[1, 5, 3, 3]).expand(shape);
    let dy = Tensor::ones([1]).expand(shape);
    let mut layer = Layer::new(5);
    let got = layer.train(&x, &dy);
    let (mean, var) = batch_norm::statistics(&array(&x));
    let (gamma, beta) = (doubles(&layer.gamma), doubles(&layer.beta));
    close("y", &got.y, &batch_norm::forward(&array(&x), &gamma, &beta, &mean, &var, eps).data, OUTPUT);
    assert_eq!(got.dbeta.to_vec(), [54.0; 5]);
    // dy - its mean is 0, and so is the projection of 1 on deviations from a mean: only rounding is left.
    let noise = size_of_terms(&gamma, &var, &dy) * GRADIENT;
    assert_close("dx", &got.dx.to_vec(), &[0.0; 270], 0.0, noise);
}

#[test]
fn a_channel_of_one_number_or_of_equal_ones() {
    // Variance 0: y is beta, and dx is 0 because moving x moves the mean with it.
    let mut layer = Layer::new(3);
    let got = layer.train(&tensor(36, &[1, 3]), &tensor(37, &[1, 3]));
    assert_eq!(got.y.to_vec(), layer.beta.to_vec());
    assert_eq!(got.dx.to_vec(), [0.0; 3]);
    assert_eq!(got.dgamma.to_vec(), [0.0; 3]);
    assert_eq!(got.dbeta.to_vec(), tensor(37, &[1, 3]).to_vec());
    let mut layer = Layer::new(2);
    let got = layer.train(&Tensor::full([4, 2, 4, 4], 0.25), &tensor(38, &[4, 2, 4, 4]));
    for (channel, &beta) in layer.beta.to_vec().iter().enumerate() {
        assert_eq!(got.y.select(1, channel).to_vec(), [beta; 64]);
    }
}

/// Means far from zero, one of them far from the first number of its channel. E[x²] - mean² would have lost all but a digit of the
/// variance; a mean rounded to `f32` is off by 3e-5 of a deviation of 1, and so would y be.
#[test]
fn a_large_mean_costs_no_precision() {
    let eps = f64::from(EPS);
    for shape in [&[100, 3][..], &[5, 3, 9, 7], &[64, 3, 5, 5], &[33, 3, 24, 24]] {
        let (mut x, dy) = (tensor(39, shape) + 1000.0, tensor(40, shape));
        x.data_mut()[0] = -5.0;
        let mut layer = Layer::new(3);
        let got = layer.train(&x, &dy);
        let (mean, var) = batch_norm::statistics(&array(&x));
        let (gamma, beta) = (doubles(&layer.gamma), doubles(&layer.beta));
        let (dx, dgamma, dbeta) = batch_norm::gradients(&array(&x), &gamma, eps, &array(&dy));
        let y = batch_norm::forward(&array(&x), &gamma, &beta, &mean, &var, eps);
        let wants = [y.data, dx.data, dgamma, dbeta];
        for ((part, got, tolerance), want) in got.parts().into_iter().zip(&wants) {
            close(&format!("{part} of {shape:?}"), got, want, tolerance);
        }
        let moved = |of: &[f64]| batch_norm::moving(&[0.0; 3], of, f64::from(MOMENTUM));
        assert_close(&format!("the mean of {shape:?}"), &layer.mean.to_vec(), &moved(&mean), OUTPUT, 0.0);
        assert_close(&format!("the variance of {shape:?}"), &layer.var.to_vec(), &moved(&var), OUTPUT, 0.0);
    }
}

/// The gradient is written over dy where that is free, and nowhere else.
#[test]
fn dy_is_left_alone_where_others_have_it() {
    for shape in [&[20, 5][..], &[3, 5, 7, 9], &[16, 2, 33, 32]] {
        let (x, dy) = (tensor(48, shape), tensor(49, shape));
        let run = |shared: bool| {
            let tape = Tape::training();
            let (v, unit, zero) = (tape.variable(&x), Tensor::ones([shape[1]]), Tensor::zeros([shape[1]]));
            let (gamma, beta) = (tape.variable(&unit), tape.variable(&zero));
            let y = v.batch_norm(gamma, beta, &mut zero.clone(), &mut unit.clone(), MOMENTUM, EPS);
            // A sum of products hands over a gradient of its own, a sum of sums the same to both.
            let other = tape.variable(&dy);
            let y = if shared { (y + other) * tape.input(&dy) } else { y * tape.input(&dy) };
            let grads = y.sum().backward();
            if shared {
                assert_eq!(grads[other].to_vec(), dy.to_vec(), "{shape:?}");
            }
            grads[v].to_vec()
        };
        assert_eq!(run(true), run(false), "{shape:?}");
    }
}

#[test]
fn three_steps_and_inference_follow_pytorch() {
    let golden = Golden::read("ops.txt");
    for case in golden.cases("batch_norm") {
        let given = |name: &str| Tensor::from_slice(golden.f32(name), golden.shape(name));
        let (gamma, beta) = (given(&format!("{case}.gamma")), given(&format!("{case}.beta")));
        let mut layer = Layer::new(gamma.numel());
        (layer.gamma, layer.beta) = (gamma.reshape([gamma.numel()]), beta.reshape([beta.numel()]));
        for step in ["step1", "step2", "step3"] {
            let name = |part: &str| format!("{case}.{step}.{part}");
            let got = layer.train(&given(&name("x")), &given(&name("dy")));
            if golden.has(&name("y")) {
                for (part, got, tolerance) in got.parts() {
                    close(&name(part), got, &golden.truth(&name(part)), tolerance);
                }
            }
            close(&name("moving_mean"), &layer.mean, &golden.truth(&name("moving_mean")), OUTPUT);
            close(&name("moving_var"), &layer.var, &golden.truth(&name("moving_var")), OUTPUT);
        }
        let name = |part: &str| format!("{case}.inference.{part}");
        let before = layer.clone();
        let y = layer.infer(&given(&name("x")));
        close(&name("y"), &y, &golden.truth(&name("y")), OUTPUT);
        assert_eq!(layer.mean.to_vec(), before.mean.to_vec(), "{case}: inference moves no statistics");
        assert_eq!(layer.var.to_vec(), before.var.to_vec(), "{case}: inference moves no statistics");
    }
}

#[test]
fn inference_uses_the_moving_statistics_in_every_layout() {
    for shape in [&[1, 3][..], &[5, 17], &[1, 2, 3, 5], &[3, 5, 7, 9]] {
        let mut layer = Layer::new(shape[1]);
        (layer.mean, layer.var) = (tensor(41, &[shape[1]]), tensor(42, &[shape[1]]).abs() + 0.1);
        let statistics = (doubles(&layer.mean), doubles(&layer.var));
        for (layout, x) in layouts(&tensor(43, shape)) {
            let (gamma, beta) = (doubles(&layer.gamma), doubles(&layer.beta));
            let (mean, var) = &statistics;
            let want: Array = batch_norm::forward(&array(&x), &gamma, &beta, mean, var, f64::from(EPS));
            close(&format!("inference of {shape:?}, {layout}"), &layer.infer(&x), &want.data, OUTPUT);
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for shape in [&[300, 40][..], &[33, 6, 24, 24], &[5, 17, 31, 3], &[2, 2, 129, 127]] {
        let (x, dy) = (tensor(44, shape), tensor(45, shape));
        let run = |threads: usize| {
            parallel::set_threads(threads);
            let mut layer = Layer::new(shape[1]);
            let bits = layer.train(&x, &dy).bits();
            (bits, layer.mean.to_vec(), layer.var.to_vec(), layer.infer(&x).to_vec())
        };
        let (one, three) = (run(1), run(3));
        assert!(one == three, "{shape:?}: 3 threads give other bits than 1");
    }
}
