//! Single operations other than products and convolutions, in the sizes that LeNet has at batch size 256.
//!
//! `cargo bench --bench ops`; f forward, fb forward and backward. They do little with each number, so what counts is how many bytes go
//! in and out: of each tensor that an op reads or writes, in forward and again in backward, once. What it keeps for itself (which place of
//! a window won) is not counted.

mod given_gradient;
mod harness;

use std::hint::black_box;
use std::process::ExitCode;

use given_gradient::given_gradient;
use harness::{Case, Work};
use tapegrad::nn::{Init, LeNet, Module};
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::{Tape, Tensor, Var};

/// After LeNet's first convolution, 884,736 numbers, and after its second.
const FIRST: [usize; 4] = [256, 6, 24, 24];
const SECOND: [usize; 4] = [256, 16, 8, 8];

fn main() -> ExitCode {
    let mut cases = vec![
        forward("sigmoid", Tensor::sigmoid),
        both("sigmoid", FIRST, 5.0, |x| x.sigmoid()),
        forward("exp", Tensor::exp),
        forward("tanh", Tensor::tanh),
        forward("relu", Tensor::relu),
        add(),
        sum(),
    ];
    for shape in [FIRST, SECOND] {
        cases.push(max_pool(shape));
        // x to y, then dy to dx; y and dy are a quarter of x.
        cases.push(both("max_pool2d(2)", shape, 2.5, |x| x.max_pool2d(2)));
    }
    for shape in [FIRST, SECOND] {
        cases.extend([batch_norm(shape, "images last", images_last), batch_norm(shape, "in order", numbers)]);
    }
    cases.extend([cross_entropy(), adam()]);
    harness::main("ops", cases)
}

fn named(op: &str, shape: &[usize], passes: &str) -> String {
    format!("{op} {shape:?}: {passes}")
}

/// The work of moving so many `f32`s.
fn moves(floats: f64) -> Work {
    Work { bytes: Some(4.0 * floats), ..Work::default() }
}

fn len(shape: [usize; 4]) -> f64 {
    shape.iter().product::<usize>() as f64
}

fn numbers(shape: &[usize]) -> Tensor {
    Init::new(0).randn(shape)
}

/// An op that makes a number of each number.
fn forward(op: &str, run: fn(&Tensor) -> Tensor) -> Case {
    Case::new(named(op, &FIRST, "f"), moves(2.0 * len(FIRST)), move || {
        let x = numbers(&FIRST);
        move || drop(black_box(run(&x)))
    })
}

/// An op of one input with its gradient, which together move so many floats for each of the input's.
fn both(op: &str, shape: [usize; 4], moved: f64, run: for<'t> fn(Var<'t>) -> Var<'t>) -> Case {
    Case::new(named(op, &shape, "fb"), moves(moved * len(shape)), move || {
        let x = numbers(&shape);
        let dy = numbers(&run(Tape::inference().input(&x)).shape());
        move || {
            let tape = Tape::training();
            let y = run(tape.variable(&x));
            black_box(given_gradient(y, &dy).backward());
        }
    })
}

fn add() -> Case {
    Case::new(named("add", &FIRST, "f"), moves(3.0 * len(FIRST)), || {
        let (x, y) = (numbers(&FIRST), numbers(&FIRST));
        move || drop(black_box(&x + &y))
    })
}

fn sum() -> Case {
    Case::new(named("sum", &FIRST, "f"), moves(len(FIRST)), || {
        let x = numbers(&FIRST);
        move || drop(black_box(x.sum()))
    })
}

fn max_pool(shape: [usize; 4]) -> Case {
    Case::new(named("max_pool2d(2)", &shape, "f"), moves(1.25 * len(shape)), move || {
        let x = numbers(&shape);
        move || drop(black_box(x.max_pool2d(2)))
    })
}

/// Images as a convolution leaves them, `[c, h, w, n]` in memory.
fn images_last(shape: &[usize]) -> Tensor {
    let [n, c, h, w] = std::array::from_fn(|axis| shape[axis]);
    numbers(&[c, h, w, n]).permute(&[3, 0, 1, 2])
}

/// In a net the images lie images last; in order, they are moved first.
fn batch_norm(shape: [usize; 4], order: &str, numbers: fn(&[usize]) -> Tensor) -> Case {
    // x to y, then x and dy to dx.
    let name = format!("{}, {order}", named("batch_norm", &shape, "fb"));
    Case::new(name, moves(5.0 * len(shape)), move || {
        let (x, dy, c) = (numbers(&shape), numbers(&shape), shape[1]);
        let (gamma, beta) = (Tensor::ones([c]), Tensor::zeros([c]));
        let (mut mean, mut var) = (Tensor::zeros([c]), Tensor::ones([c]));
        move || {
            let tape = Tape::training();
            let (gamma, beta) = (tape.variable(&gamma), tape.variable(&beta));
            let y = tape.variable(&x).batch_norm(gamma, beta, &mut mean, &mut var, 0.9, 1e-5);
            black_box(given_gradient(y, &dy).backward());
        }
    })
}

fn cross_entropy() -> Case {
    let shape = [256, 10];
    // Logits in, and once more for their gradient.
    Case::new(named("cross_entropy", &shape, "fb"), moves(3.0 * 2560.0), move || {
        let (x, labels) = (numbers(&shape), (0..256).map(|i| i % 10).collect::<Vec<usize>>());
        move || {
            let tape = Tape::training();
            black_box(tape.variable(&x).cross_entropy(&labels).backward());
        }
    })
}

fn adam() -> Case {
    const PARAMETERS: f64 = 44_426.0;
    // Parameter, gradient and both means in; all but the gradient out.
    Case::new("Adam, LeNet's 44426 parameters", moves(7.0 * PARAMETERS), || {
        let mut net = LeNet::new(&mut Init::new(0));
        let tape = Tape::training();
        let loss = net.forward(tape.input(&numbers(&[2, 1, 28, 28]))).cross_entropy(&[0, 1]);
        let (mut adam, gradients) = (Adam::new(0.001), loss.backward());
        move || adam.step(&mut net, &gradients)
    })
}
