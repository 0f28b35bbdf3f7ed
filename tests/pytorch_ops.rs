//! Every op against PyTorch, forward and backward: `golden/ops.txt`, made by `golden/ops.py`.
//!
//! Here: arithmetic, functions of one number, reductions, softmax and the losses. The goldens of matmul, conv2d, pooling and
//! batch norm are held by those ops' own files. Results are compared with PyTorch's run in f64.

mod oracle;

use oracle::{Golden, assert_close};
use tapegrad::{Tape, Tensor, Var};

/// What a result may be off: in parts of the largest element of its tensor, and at all, where terms of about 1 cancel.
/// One rounding is 6e-8.
const TOLERANCE: f64 = 2.5e-7;

fn tensor(golden: &Golden, name: &str) -> Tensor {
    Tensor::from_slice(golden.f32(name), golden.shape(name))
}

/// Axes, which the file gives as a list or as one number; `None` stands for all of them.
fn axes(golden: &Golden, case: &str) -> Option<Vec<isize>> {
    let name = format!("{case}.dim");
    golden.has(&name).then(|| golden.integers(&name).into_iter().map(|axis| axis as isize).collect())
}

#[track_caller]
fn close(golden: &Golden, name: &str, got: &Tensor) {
    assert_eq!(got.shape()[..], *golden.shape(name), "the shape of {name}");
    let truth = golden.truth(name);
    let largest = truth.iter().fold(1.0_f64, |most, x| most.max(x.abs()));
    assert_close(name, &got.to_vec(), &truth, TOLERANCE, TOLERANCE * largest);
}

/// Runs a case: its inputs by name, the output, and the gradient of every input.
#[track_caller]
fn check(golden: &Golden, case: &str, inputs: &[&str], op: impl for<'t> Fn(&[Var<'t>]) -> Var<'t>) {
    let tape = Tape::training();
    let vars: Vec<Var> =
        inputs.iter().map(|input| tape.variable(&tensor(golden, &format!("{case}.{input}")))).collect();
    let y = op(&vars);
    close(golden, &format!("{case}.y"), &y.value());
    let grads = (y * tape.input(&tensor(golden, &format!("{case}.dy")))).sum().backward();
    for (input, &var) in inputs.iter().zip(&vars) {
        close(golden, &format!("{case}.d{input}"), &grads[var]);
    }
}

/// The cases of an op; as many as the script has.
#[track_caller]
fn cases(golden: &Golden, op: &str, count: usize) -> Vec<String> {
    let cases = golden.cases(op);
    assert_eq!(cases.len(), count, "{op}: {cases:?}");
    cases
}

#[test]
fn arithmetic() {
    let golden = Golden::read("ops.txt");
    for op in ["add", "sub", "mul", "div"] {
        for case in cases(&golden, op, 5) {
            check(&golden, &case, &["a", "b"], |v| match op {
                "add" => v[0] + v[1],
                "sub" => v[0] - v[1],
                "mul" => v[0] * v[1],
                _ => v[0] / v[1],
            });
        }
    }
}

fn function<'t>(op: &str, x: Var<'t>) -> Var<'t> {
    match op {
        "sigmoid" => x.sigmoid(),
        "tanh" => x.tanh(),
        "relu" => x.relu(),
        "exp" => x.exp(),
        "square" => x.square(),
        "ln" => x.ln(),
        "sqrt" => x.sqrt(),
        other => panic!("no function {other}"),
    }
}

#[test]
fn functions_of_one_number() {
    let golden = Golden::read("ops.txt");
    for op in ["sigmoid", "tanh", "relu", "exp", "square", "ln", "sqrt"] {
        check(&golden, &format!("{op}.plain"), &["x"], |v| function(op, v[0]));
    }
    for case in cases(&golden, "pow", 5) {
        let exponent = golden.number(&format!("{case}.exponent")) as f32;
        check(&golden, &case, &["x"], |v| v[0].pow(exponent));
    }
}

#[test]
fn extreme_numbers() {
    let golden = Golden::read("ops.txt");
    for op in ["sigmoid", "tanh", "relu", "exp"] {
        let tape = Tape::inference();
        let name = format!("{op}.extreme");
        let got = function(op, tape.input(&tensor(&golden, &format!("{name}.x")))).value().to_vec();
        // e^200 is a number in f64, so PyTorch's run in f32 is what to compare with; its last digits are its own.
        let want = golden.f32(&format!("{name}.y"));
        let as_f64: Vec<f64> = want.iter().map(|&y| f64::from(y)).collect();
        // The least subnormal number is 1.4e-45.
        assert_close(&name, &got, &as_f64, TOLERANCE, 3e-45);
        for (got, want) in got.iter().zip(want).filter(|(_, want)| !want.is_nan()) {
            assert_eq!(got.is_sign_negative(), want.is_sign_negative(), "{name}: {got} for {want}");
        }
    }
}

#[test]
fn reductions() {
    let golden = Golden::read("ops.txt");
    for case in cases(&golden, "sum", 5) {
        let keep = golden.flag(&format!("{case}.keepdim"));
        match axes(&golden, &case) {
            None => check(&golden, &case, &["x"], |v| v[0].sum()),
            Some(axes) => check(&golden, &case, &["x"], |v| v[0].sum_axes(&axes, keep)),
        }
    }
    for case in cases(&golden, "mean", 5) {
        let keep = golden.flag(&format!("{case}.keepdim"));
        match axes(&golden, &case) {
            None => check(&golden, &case, &["x"], |v| v[0].mean()),
            Some(axes) => check(&golden, &case, &["x"], |v| v[0].mean_axes(&axes, keep)),
        }
    }
    for case in cases(&golden, "norm", 5) {
        let keep = golden.flag(&format!("{case}.keepdim"));
        match axes(&golden, &case) {
            None => check(&golden, &case, &["x"], |v| v[0].norm()),
            Some(axes) => check(&golden, &case, &["x"], |v| v[0].norm_axes(&axes, keep)),
        }
    }
}

#[test]
fn maxima() {
    let golden = Golden::read("ops.txt");
    for case in cases(&golden, "max", 5) {
        let keep = golden.flag(&format!("{case}.keepdim"));
        match axes(&golden, &case).as_deref() {
            None => check(&golden, &case, &["x"], |v| v[0].max()),
            Some(&[axis]) => check(&golden, &case, &["x"], |v| v[0].max_axis(axis, keep)),
            // Several axes are joined to one first.
            Some(&[0, 2]) => {
                check(&golden, &case, &["x"], |v| v[0].permute(&[1, 0, 2]).flatten(1).max_axis(1, false));
            }
            Some(other) => panic!("{case}: axes {other:?}"),
        }
    }
    for case in cases(&golden, "argmax", 5) {
        let x = tensor(&golden, &format!("{case}.x"));
        let got = match axes(&golden, &case).as_deref() {
            None => x.flatten(0).argmax(0),
            Some(&[axis]) => x.argmax(axis),
            Some(other) => panic!("{case}: axes {other:?}"),
        };
        assert_eq!(got, golden.integers(&format!("{case}.y")), "{case}");
    }
}

#[test]
fn softmax_and_losses() {
    let golden = Golden::read("ops.txt");
    for case in cases(&golden, "softmax", 4) {
        let axis = golden.number(&format!("{case}.dim")) as isize;
        check(&golden, &case, &["x"], |v| v[0].softmax(axis));
    }
    for case in cases(&golden, "log_softmax", 4) {
        let axis = golden.number(&format!("{case}.dim")) as isize;
        check(&golden, &case, &["x"], |v| v[0].log_softmax(axis));
    }
    for case in cases(&golden, "cross_entropy", 3) {
        let labels = golden.integers(&format!("{case}.labels"));
        check(&golden, &case, &["x"], |v| v[0].cross_entropy(&labels));
    }
    for case in cases(&golden, "mse_loss", 1) {
        check(&golden, &case, &["x", "target"], |v| v[0].mse_loss(v[1]));
    }
}
