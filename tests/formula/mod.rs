//! An op on the tape held against a formula in f64.
//!
//! The gradient comes out of the formula by central differences, so no adjoint is derived a second time. Every op is run
//! on inputs that lie in memory in every way a view can, and must not only be right but have the same bits for all of them.
//!
//! ```text
//! check("sigmoid", &[values], |v| v[0].sigmoid(), |a| a[0].map(|x| 1.0 / (1.0 + (-x).exp())));
//! ```

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]

use tapegrad::{Tape, Tensor, Var};

use super::oracle::{Array, assert_close, numeric_gradient, values};

/// Numbers in (-1, 1), never 0 and never closer to it than 1e-4: functions with a kink there can be differentiated. They use
/// all bits of their mantissas, so that sums of them are rounded, and another order of additions shows in the bits.
pub fn tensor(seed: u32, shape: &[usize]) -> Tensor {
    let values: Vec<f32> =
        values(seed, shape.iter().product()).iter().map(|v| (v + 1.0 / 8192.0) * 0.9).collect();
    Tensor::from_slice(&values, shape)
}

pub fn array(tensor: &Tensor) -> Array {
    Array::from_f32(&tensor.shape(), &tensor.to_vec())
}

/// Whatever an op reads beside the view that it was given.
fn poison(shape: &[usize]) -> Tensor {
    Tensor::full(shape, f32::NAN)
}

/// The same tensor in all the ways that it can lie in memory, and one with repeated entries, which has other values.
pub fn layouts(x: &Tensor) -> Vec<(&'static str, Tensor)> {
    let backwards: Vec<usize> = (0..x.rank()).rev().collect();
    let transposed = x.permute(&backwards).contiguous().permute(&backwards);
    // Inside a larger tensor of NaN.
    let mut sliced = x.clone();
    for axis in 0..x.rank() {
        let length = x.shape()[axis];
        let wall = |thick: usize| poison(&sliced.shape().with(axis, thick));
        let walled = Tensor::cat(&[&wall(1), &sliced, &wall(2)], axis as isize);
        sliced = walled.narrow(axis as isize, 1, length);
    }
    // Two apart along the last axis, with NaN between.
    let between = Tensor::stack(&[x, &poison(&x.shape())], -1).select(-1, 0);
    // Strides of zero.
    let repeated = match x.shape().iter().position(|&dim| dim > 1) {
        Some(axis) => x.narrow(axis as isize, 0, 1).expand(x.shape()),
        None => x.clone(),
    };
    vec![
        ("in order", x.clone()),
        ("transposed", transposed),
        ("sliced", sliced),
        ("every second", between),
        ("repeated", repeated),
    ]
}

/// How the gradient of the output lies in memory when it reaches the op.
#[derive(Clone, Copy, PartialEq)]
enum Above {
    InOrder,
    Transposed,
    /// All ones, with strides of zero: what comes out of a sum.
    Ones,
}

/// The output, and the gradients of sum(y * dy).
fn run(
    inputs: &[Tensor],
    op: &impl for<'t> Fn(&[Var<'t>]) -> Var<'t>,
    dy: &[f32],
    above: Above,
) -> Vec<Tensor> {
    let tape = Tape::training();
    let vars: Vec<Var> = inputs.iter().map(|input| tape.variable(input)).collect();
    let y = op(&vars);
    let value = y.value();
    let dy = Tensor::from_slice(dy, y.shape());
    let backwards: Vec<usize> = (0..dy.rank()).rev().collect();
    let loss = match above {
        Above::InOrder => (y * tape.input(&dy)).sum(),
        Above::Transposed => (y.permute(&backwards) * tape.input(&dy.permute(&backwards))).sum(),
        Above::Ones => y.sum(),
    };
    let grads = loss.backward();
    [value].into_iter().chain(vars.iter().map(|&var| grads[var].clone())).collect()
}

fn bits(results: &[Tensor]) -> Vec<Vec<u32>> {
    results.iter().map(|tensor| tensor.to_vec().iter().map(|x| x.to_bits()).collect()).collect()
}

/// What an f32 result may be off from the formula.
#[derive(Clone, Copy)]
pub struct Tolerance {
    /// In parts of itself.
    pub relative: f64,
    /// In parts of the largest element of its tensor.
    pub of_largest: f64,
    /// At all, where terms of about 1 cancel.
    pub absolute: f64,
}

/// Four roundings of the largest number: what some operations in a row may be off, wherever their terms cancel.
pub const SHORT: Tolerance = Tolerance { relative: 2.5e-7, of_largest: 2.5e-7, absolute: 0.0 };

/// [`check_to`] with [`SHORT`].
#[track_caller]
pub fn check(
    what: &str,
    inputs: &[Tensor],
    op: impl for<'t> Fn(&[Var<'t>]) -> Var<'t>,
    formula: impl Fn(&[Array]) -> Array,
) {
    check_to(SHORT, what, inputs, op, formula);
}

/// Holds an op and the gradient of each input against a formula, on inputs in every layout and in mixed layouts.
#[track_caller]
pub fn check_to(
    tolerance: Tolerance,
    what: &str,
    inputs: &[Tensor],
    op: impl for<'t> Fn(&[Var<'t>]) -> Var<'t>,
    formula: impl Fn(&[Array]) -> Array,
) {
    let choices: Vec<_> = inputs.iter().map(layouts).collect();
    let count = choices[0].len();
    for layout in 0..count {
        for mixed in [0, 1] {
            if mixed > 0 && inputs.len() == 1 {
                continue;
            }
            // Of mixed inputs each has another layout.
            let chosen: Vec<_> =
                choices.iter().enumerate().map(|(i, all)| &all[(layout + i * mixed) % count]).collect();
            let names: Vec<&str> = chosen.iter().map(|(name, _)| *name).collect();
            let shapes: Vec<_> = inputs.iter().map(Tensor::shape).collect();
            let what = format!("{what} of {shapes:?}, {}", names.join(" and "));
            let inputs: Vec<Tensor> = chosen.iter().map(|(_, tensor)| tensor.clone()).collect();
            check_one(tolerance, &what, &inputs, &op, &formula);
        }
    }
}

#[track_caller]
fn check_one(
    tolerance: Tolerance,
    what: &str,
    inputs: &[Tensor],
    op: &impl for<'t> Fn(&[Var<'t>]) -> Var<'t>,
    formula: &impl Fn(&[Array]) -> Array,
) {
    let arrays: Vec<Array> = inputs.iter().map(array).collect();
    let y = formula(&arrays);
    let given = values(77, y.data.len());
    let ones = vec![1.0; y.data.len()];
    let absolute = |want: &[f64]| {
        let largest = want.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        tolerance.of_largest * largest + tolerance.absolute
    };
    let close = |what: &str, got: &Tensor, want: &[f64]| {
        assert_close(what, &got.to_vec(), want, tolerance.relative, absolute(want));
    };
    for (dy, above) in [(&given, Above::InOrder), (&ones, Above::Ones)] {
        let got = run(inputs, op, dy, above);
        assert_eq!(got[0].shape()[..], y.shape[..], "{what}: the shape of y");
        close(&format!("{what}: y"), &got[0], &y.data);
        for which in 0..inputs.len() {
            assert_eq!(
                got[1 + which].shape(),
                inputs[which].shape(),
                "{what}: the shape of gradient {which}"
            );
            let weighted = |x: &[f64]| {
                let mut moved = arrays.clone();
                moved[which].data = x.to_vec();
                formula(&moved).data.iter().zip(dy).map(|(y, &dy)| y * f64::from(dy)).sum::<f64>()
            };
            let want = numeric_gradient(weighted, &arrays[which].data, 1e-5);
            // The differences themselves are off by some 1e-10.
            let absolute = absolute(&want) + 1e-9;
            let name = format!("{what}: gradient {which}");
            assert_close(&name, &got[1 + which].to_vec(), &want, tolerance.relative, absolute);
        }
    }
    // Strides change no bit, neither the inputs' nor those of dy.
    let in_order: Vec<Tensor> = inputs.iter().map(Tensor::contiguous).collect();
    let want = bits(&run(&in_order, op, &given, Above::InOrder));
    assert!(bits(&run(inputs, op, &given, Above::InOrder)) == want, "{what}: other bits than in order");
    assert!(bits(&run(inputs, op, &given, Above::Transposed)) == want, "{what}: other bits for a strided dy");
}
