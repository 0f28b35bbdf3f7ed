//! Chapter 4: tapes, parameters, gradients. Next to read: `ops.rs`.

use tapegrad::{Param, Tape, Tensor, Var, gradcheck};

use super::each_says;

/// Runs `work` on a tensor of ones put on two tapes.
fn on_two_tapes(shape: &[usize], work: impl for<'t> FnOnce(Var<'t>, Var<'t>)) {
    let (one, other) = (Tape::training(), Tape::inference());
    work(one.input(&Tensor::ones(shape)), other.input(&Tensor::ones(shape)));
}

#[test]
fn tapes_that_are_spent() {
    each_says(&[
        (
            || {
                let tape = Tape::training();
                let loss = tape.variable(&Tensor::ones([2])).sum();
                loss.backward();
                loss.backward();
            },
            "backward: this tape has run backward and is spent; add losses up before, or make a tape for each",
        ),
        (
            || {
                let tape = Tape::training();
                let loss = tape.variable(&Tensor::ones([2])).sum();
                loss.backward();
                println!("{}", loss.item());
            },
            "item: this tape has run backward and is spent; read its values, or compute with them, before",
        ),
        (
            || {
                let tape = Tape::training();
                let x = tape.variable(&Tensor::ones([2]));
                x.sum().backward();
                drop(x.value());
            },
            "value: this tape has run backward and is spent; read its values, or compute with them, before",
        ),
        // An op begins with reading.
        (
            || {
                let tape = Tape::training();
                let x = tape.variable(&Tensor::ones([2]));
                x.sum().backward();
                _ = x * 2.0;
            },
            "value: this tape has run backward and is spent; read its values, or compute with them, before",
        ),
        (
            || {
                let tape = Tape::training();
                let x = tape.variable(&Tensor::ones([2]));
                x.sum().backward();
                _ = x.shape();
            },
            "shape: this tape has run backward and is spent; read its values, or compute with them, before",
        ),
        (
            || {
                let tape = Tape::training();
                tape.variable(&Tensor::ones([2])).sum().backward();
                tape.input(&Tensor::ones([2]));
            },
            "input: this tape has run backward and is spent; make a new one",
        ),
        (
            || {
                let (tape, weight) = (Tape::training(), Param::new(Tensor::ones([2])));
                tape.variable(&Tensor::ones([2])).sum().backward();
                tape.param(&weight);
            },
            "param: this tape has run backward and is spent; make a new one",
        ),
    ]);
}

#[test]
fn backward_of_what_has_none() {
    each_says(&[
        (
            || drop(Tape::training().variable(&Tensor::ones([2, 3])).backward()),
            "backward: needs a loss with one element, got [2, 3]; take its sum() or mean()",
        ),
        (
            || drop(Tape::training().variable(&Tensor::ones([0])).backward()),
            "backward: needs a loss with one element, got [0]; take its sum() or mean()",
        ),
        (
            || drop(Tape::inference().variable(&Tensor::ones([2])).sum().backward()),
            "backward: this is an inference tape, which keeps nothing; use Tape::training()",
        ),
    ]);
}

#[test]
fn gradients_that_are_not_there() {
    each_says(&[
        (
            || {
                let (tape, weight) = (Tape::training(), Param::new(Tensor::ones([3])));
                let grads = tape.variable(&Tensor::ones([2])).sum().backward();
                _ = grads[&weight].item();
            },
            "gradients: the loss does not depend on this parameter of shape [3]: it was never put on this tape",
        ),
        // A graph that was cut.
        (
            || {
                let (tape, weight) = (Tape::training(), Param::new(Tensor::ones([3])));
                let x = tape.variable(&Tensor::ones([3]));
                let grads = (tape.param(&weight).detach() * x).sum().backward();
                _ = grads[&weight].item();
            },
            "gradients: the loss does not depend on this parameter of shape [3]: it was put on the tape, but the loss was not computed \
             from it",
        ),
        (
            || {
                let (tape, mut weight) = (Tape::training(), Param::new(Tensor::ones([3])));
                weight.set_requires_grad(false);
                let grads = tape.param(&weight).sum().backward();
                _ = grads[&weight].item();
            },
            "gradients: the loss does not depend on this parameter of shape [3]: it was frozen, with set_requires_grad(false)",
        ),
        // Data, a value on the way, a variable that the loss did not use, and one that came after it.
        (
            || {
                let tape = Tape::training();
                let (x, w) = (tape.input(&Tensor::ones([2])), tape.variable(&Tensor::ones([2])));
                _ = (x * w).sum().backward()[x].item();
            },
            "gradients: none for value 0 of the tape; only variables (Tape::variable) and parameters that the loss depends on have one",
        ),
        (
            || {
                let tape = Tape::training();
                let squares = tape.variable(&Tensor::ones([2])).square();
                _ = squares.sum().backward()[squares].item();
            },
            "gradients: none for value 1 of the tape; only variables (Tape::variable) and parameters that the loss depends on have one",
        ),
        (
            || {
                let tape = Tape::training();
                let (x, unused) = (tape.variable(&Tensor::ones([2])), tape.variable(&Tensor::ones([2])));
                _ = x.sum().backward()[unused].item();
            },
            "gradients: none for value 1 of the tape; only variables (Tape::variable) and parameters that the loss depends on have one",
        ),
        (
            || {
                let tape = Tape::training();
                let loss = tape.variable(&Tensor::ones([2])).sum();
                let late = tape.variable(&Tensor::ones([2]));
                _ = loss.backward()[late].item();
            },
            "gradients: none for value 2 of the tape; only variables (Tape::variable) and parameters that the loss depends on have one",
        ),
        // The variable has the same number on its tape, and the second tape lies where the first one did.
        (
            || {
                let mut before = None;
                for step in 0..2 {
                    let tape = Tape::training();
                    let x = tape.variable(&Tensor::scalar(step as f32));
                    if let Some(grads) = before.replace(x.square().backward()) {
                        _ = grads[x].item();
                    }
                }
            },
            "gradients: they are of another tape than this variable; ask those that its own tape gave",
        ),
    ]);
}

#[test]
fn two_tapes() {
    each_says(&[
        (
            || on_two_tapes(&[2], |a, b| _ = a + b),
            "add: its inputs lie on different tapes; put both values on one",
        ),
        (
            || on_two_tapes(&[2], |a, b| _ = a - b),
            "sub: its inputs lie on different tapes; put both values on one",
        ),
        (
            || on_two_tapes(&[2], |a, b| _ = b * a),
            "mul: its inputs lie on different tapes; put both values on one",
        ),
        (
            || on_two_tapes(&[2], |a, b| _ = a / b),
            "div: its inputs lie on different tapes; put both values on one",
        ),
        (
            || on_two_tapes(&[2, 2], |a, b| _ = a.matmul(b)),
            "matmul: its inputs lie on different tapes; put both values on one",
        ),
        (
            || on_two_tapes(&[2, 2], |a, b| _ = a.linear(b, None)),
            "linear: its inputs lie on different tapes; put both values on one",
        ),
        (
            || on_two_tapes(&[1, 1, 2, 2], |a, b| _ = a.conv2d(b, None, &Default::default())),
            "conv2d: its inputs lie on different tapes; put both values on one",
        ),
        (
            || on_two_tapes(&[2], |a, b| _ = a.mse_loss(b)),
            "mse_loss: its inputs lie on different tapes; put both values on one",
        ),
        (
            || on_two_tapes(&[2], |a, b| _ = Var::cat(&[a, b], 0)),
            "cat: its inputs lie on different tapes; put both values on one",
        ),
        (
            || on_two_tapes(&[2], |a, b| _ = Var::stack(&[a, b], 0)),
            "stack: its inputs lie on different tapes; put both values on one",
        ),
        (
            || {
                on_two_tapes(&[1, 2], |x, gamma| {
                    let (mut mean, mut var) = (Tensor::zeros([2]), Tensor::zeros([2]));
                    _ = x.batch_norm(gamma, x, &mut mean, &mut var, 0.9, 1e-5);
                })
            },
            "batch_norm: its inputs lie on different tapes; put both values on one",
        ),
    ]);
}

#[test]
fn parameters() {
    each_says(&[
        (
            || Param::new(Tensor::ones([2, 3])).set(&Tensor::ones([3, 2])),
            "set: the parameter has shape [2, 3], got [3, 2]",
        ),
        // Shapes that broadcast, too: a parameter keeps its own.
        (
            || Param::new(Tensor::ones([2, 3])).add_scaled(-0.1, &Tensor::ones([3])),
            "add_scaled: the parameter has shape [2, 3], got [3]",
        ),
    ]);
}

#[test]
fn ops_of_ones_own() {
    each_says(&[
        // Before the check was made in release builds, too, a gradient that broadcasts was taken.
        (
            || {
                let tape = Tape::training();
                let x = tape.variable(&Tensor::ones([2]));
                let id = x.id();
                let y = tape.record("own", &[x], Tensor::ones([2]), (), move |(), _, to| {
                    to.add(id, || Tensor::ones([1]))
                });
                y.sum().backward();
            },
            "own: an input of shape [2] needs a gradient of that shape, got [1]",
        ),
        (
            || {
                let (tape, other) = (Tape::training(), Tape::training());
                let x = tape.variable(&Tensor::ones([]));
                for _ in 0..3 {
                    other.variable(&Tensor::ones([]));
                }
                let foreign = other.variable(&Tensor::ones([])).id();
                let y =
                    tape.record("own", &[x], Tensor::ones([]), (), move |(), dy, to| to.add(foreign, || dy));
                y.backward();
            },
            "own: value 3 of the tape is no input of this op, which comes before it",
        ),
        (
            || drop(gradcheck(|_, v| v[0].square(), &[Tensor::ones([2]), Tensor::ones([2])])),
            "gradients: none for value 1 of the tape; only variables (Tape::variable) and parameters that the loss depends on have one",
        ),
    ]);
}

#[test]
fn anomalies() {
    each_says(&[
        (
            || {
                let tape = Tape::training().detect_anomaly();
                tape.variable(&Tensor::new([[1.0, -1.0]])).ln();
            },
            "ln: made NaN at element 1 of shape [1, 2] from inputs [[1, 2]]",
        ),
        // The root of 0 is finite, its gradient is not: the op before it gets it.
        (
            || {
                let tape = Tape::training().detect_anomaly();
                let x = tape.variable(&Tensor::new([0.0]));
                (x * 2.0).sqrt().sum().backward();
            },
            "mul: got as its gradient inf at element 0 of shape [1] in backward",
        ),
    ]);
}
