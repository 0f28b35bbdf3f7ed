//! Every op and its gradient against a formula in f64, on transposed, sliced and repeated inputs, odd sizes and size 1.
//!
//! Here: arithmetic, functions of one number, sums, maxima, softmax and the losses. Views are in `gradients_of_views.rs`;
//! matmul, conv2d, pooling and batch norm have files of their own. How an op is checked stands in `formula/mod.rs`.

mod formula;
mod oracle;

use formula::{SHORT, Tolerance, array, check, check_to, layouts, tensor};
use oracle::{Array, assert_close, labels, softmax};
use tapegrad::{Tape, Tensor, Var, parallel};

/// Shapes with sizes 1, odd, above one vector of sixteen, and of every rank.
const SHAPES: [&[usize]; 6] = [&[], &[1], &[1, 1], &[17], &[5, 7], &[2, 1, 3, 33]];

/// `f(a, b)` for shapes that broadcast, by counting indices.
fn broadcast(a: &Array, b: &Array, f: impl Fn(f64, f64) -> f64) -> Array {
    let rank = a.shape.len().max(b.shape.len());
    let size = |x: &Array, axis: usize| {
        let missing = rank - x.shape.len();
        if axis < missing { 1 } else { x.shape[axis - missing] }
    };
    let shape: Vec<usize> = (0..rank).map(|axis| size(a, axis).max(size(b, axis))).collect();
    let mut y = Array::zeros(&shape);
    for at in 0..y.data.len() {
        let (mut left, mut place_a, mut place_b, mut step_a, mut step_b) = (at, 0, 0, 1, 1);
        for axis in (0..rank).rev() {
            let index = left % shape[axis];
            left /= shape[axis];
            place_a += if size(a, axis) == 1 { 0 } else { index * step_a };
            place_b += if size(b, axis) == 1 { 0 } else { index * step_b };
            step_a *= size(a, axis);
            step_b *= size(b, axis);
        }
        y.data[at] = f(a.data[place_a], b.data[place_b]);
    }
    y
}

/// The gradient of what was repeated is a sum of up to 25 rounded terms of up to 4, which may cancel.
const SUMMED: Tolerance = Tolerance { absolute: 2.5e-7, ..SHORT };

#[test]
fn arithmetic_broadcasts() {
    let shapes: [(&[usize], &[usize]); 12] = [
        (&[], &[]),
        (&[1], &[1]),
        (&[5, 7], &[5, 7]),
        (&[5, 17], &[17]),
        (&[17], &[5, 17]),
        (&[3, 1], &[1, 19]),
        (&[], &[3, 5]),
        (&[3, 5], &[]),
        (&[2, 3, 4, 5], &[1, 3, 1, 1]),
        (&[1, 3, 1, 1], &[2, 3, 2, 3]),
        (&[2, 1, 3, 1], &[3, 1, 5]),
        (&[3, 1, 1], &[1, 1, 1]),
    ];
    for (a, b) in shapes {
        let (a, b) = (tensor(1, a), tensor(2, b));
        // A divisor keeps away from zero.
        let divisor = b.abs() + 0.5;
        let inputs = [a.clone(), b];
        check("add", &inputs, |v| v[0] + v[1], |x| broadcast(&x[0], &x[1], |a, b| a + b));
        check("sub", &inputs, |v| v[0] - v[1], |x| broadcast(&x[0], &x[1], |a, b| a - b));
        check_to(SUMMED, "mul", &inputs, |v| v[0] * v[1], |x| broadcast(&x[0], &x[1], |a, b| a * b));
        check_to(SUMMED, "div", &[a, divisor], |v| v[0] / v[1], |x| broadcast(&x[0], &x[1], |a, b| a / b));
    }
}

#[test]
fn arithmetic_with_numbers() {
    for shape in SHAPES {
        let x = [tensor(3, shape)];
        let divisor = [tensor(3, shape).abs() + 0.5];
        check("x + c", &x, |v| v[0] + 0.375, |a| a[0].map(|x| x + 0.375));
        check("c + x", &x, |v| 0.375 + v[0], |a| a[0].map(|x| 0.375 + x));
        check("x - c", &x, |v| v[0] - 0.375, |a| a[0].map(|x| x - 0.375));
        check("c - x", &x, |v| 0.375 - v[0], |a| a[0].map(|x| 0.375 - x));
        check("x c", &x, |v| v[0] * 0.375, |a| a[0].map(|x| x * 0.375));
        check("c x", &x, |v| 0.375 * v[0], |a| a[0].map(|x| 0.375 * x));
        check("x / c", &x, |v| v[0] / 0.375, |a| a[0].map(|x| x / 0.375));
        check("c / x", &divisor, |v| 0.375 / v[0], |a| a[0].map(|x| 0.375 / x));
        check("-x", &x, |v| -v[0], |a| a[0].map(|x| -x));
    }
    // The same value on both sides: both ways to the gradient are added.
    let x = [tensor(4, &[3, 5])];
    check("x x", &x, |v| v[0] * v[0], |a| a[0].map(|x| x * x));
    check("x - x", &x, |v| v[0] - v[0], |a| a[0].map(|_| 0.0));
    check("x / (x + 3)", &x, |v| v[0] / (v[0] + 3.0), |a| a[0].map(|x| x / (x + 3.0)));
}

#[test]
fn functions_of_one_number() {
    for shape in SHAPES {
        let wide = [tensor(5, shape) * 8.0];
        let positive = [tensor(6, shape).abs() * 4.0 + 0.015625];
        // Near 1 the output is rounded to a multiple of 6e-8, and the gradient is read off the output, as PyTorch's is.
        let read_off = Tolerance { absolute: 6e-8, ..SHORT };
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        check_to(read_off, "sigmoid", &wide, |v| v[0].sigmoid(), |a| a[0].map(sigmoid));
        check("tanh", &[tensor(5, shape) * 3.0], |v| v[0].tanh(), |a| a[0].map(f64::tanh));
        check("relu", &wide, |v| v[0].relu(), |a| a[0].map(|x| x.max(0.0)));
        check("exp", &wide, |v| v[0].exp(), |a| a[0].map(f64::exp));
        check("ln", &positive, |v| v[0].ln(), |a| a[0].map(f64::ln));
        check("sqrt", &positive, |v| v[0].sqrt(), |a| a[0].map(f64::sqrt));
        check("square", &wide, |v| v[0].square(), |a| a[0].map(|x| x * x));
        check("abs", &wide, |v| v[0].abs(), |a| a[0].map(f64::abs));
    }
}

#[test]
fn powers() {
    for exponent in [0.0, 1.0, 2.0, 3.0, 7.0, -1.0, -2.0, 0.5, 1.5, -0.5, -2.25] {
        for shape in [&[1][..], &[17], &[3, 7]] {
            // Of negative numbers only whole powers exist.
            let x = tensor(7, shape) * 2.0;
            let x = if f32::fract(exponent) == 0.0 && exponent >= 0.0 { x } else { x.abs() + 0.25 };
            // e^(p ln x) magnifies the rounding of ln x by up to p ln x, here 2.25 * ln 4 = 3.
            let tolerance = Tolerance { relative: 1e-6, ..SHORT };
            let name = format!("pow {exponent}");
            let p = f64::from(exponent);
            check_to(tolerance, &name, &[x], |v| v[0].pow(exponent), |a| a[0].map(|x| x.powf(p)));
        }
    }
}

/// `f` of the numbers that lie along the reduced axes, for every place of the others.
fn reduce(x: &Array, axes: &[usize], keepdim: bool, f: impl Fn(&[f64]) -> f64) -> Array {
    let rank = x.shape.len();
    let kept: Vec<usize> =
        (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { x.shape[axis] }).collect();
    let mut groups: Vec<Vec<f64>> = vec![vec![]; kept.iter().product()];
    for (at, &value) in x.data.iter().enumerate() {
        let (mut left, mut place, mut step) = (at, 0, 1);
        for axis in (0..rank).rev() {
            let index = left % x.shape[axis];
            left /= x.shape[axis];
            place += if axes.contains(&axis) { 0 } else { index * step };
            step *= kept[axis];
        }
        groups[place].push(value);
    }
    let shape: Vec<usize> = if keepdim {
        kept
    } else {
        (0..rank).filter(|axis| !axes.contains(axis)).map(|axis| x.shape[axis]).collect()
    };
    Array::new(&shape, groups.iter().map(|group| f(group)).collect())
}

fn total(x: &[f64]) -> f64 {
    x.iter().sum()
}

fn mean(x: &[f64]) -> f64 {
    total(x) / x.len() as f64
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn largest(x: &[f64]) -> f64 {
    x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[test]
fn reductions_over_all() {
    for shape in SHAPES {
        let x = [tensor(8, shape)];
        let all: Vec<usize> = (0..shape.len()).collect();
        check("sum", &x, |v| v[0].sum(), |a| reduce(&a[0], &all, false, total));
        check("mean", &x, |v| v[0].mean(), |a| reduce(&a[0], &all, false, mean));
        check("norm", &x, |v| v[0].norm(), |a| reduce(&a[0], &all, false, norm));
    }
}

#[test]
fn reductions_over_axes() {
    let cases: [(&[usize], &[isize]); 11] = [
        (&[1], &[0]),
        (&[19], &[-1]),
        (&[5, 19], &[0]),
        (&[5, 19], &[1]),
        (&[5, 19], &[1, 0]),
        (&[5, 19], &[]),
        (&[3, 4, 5], &[1]),
        (&[3, 4, 5], &[0, -1]),
        (&[2, 3, 2, 5], &[0, 2, 3]),
        (&[2, 1, 3, 1], &[1, 3]),
        (&[3, 70], &[0]),
    ];
    for (shape, axes) in cases {
        let x = [tensor(9, shape)];
        let at: Vec<usize> =
            axes.iter().map(|&axis| axis.rem_euclid(shape.len() as isize) as usize).collect();
        for keep in [false, true] {
            let name = |op: &str| format!("{op} over {axes:?}, keepdim {keep}");
            check(&name("sum"), &x, |v| v[0].sum_axes(axes, keep), |a| reduce(&a[0], &at, keep, total));
            check(&name("mean"), &x, |v| v[0].mean_axes(axes, keep), |a| reduce(&a[0], &at, keep, mean));
            check(&name("norm"), &x, |v| v[0].norm_axes(axes, keep), |a| reduce(&a[0], &at, keep, norm));
        }
    }
}

#[test]
fn long_sums_stay_precise_and_keep_their_bits() {
    // Longer than a chunk of the inner axis, and than a block of rows of the outer one.
    for (shape, axis) in
        [(vec![3, 40_000], 1), (vec![40_000, 3], 0), (vec![700, 70], 0), (vec![2, 600, 5], 1)]
    {
        let x = tensor(10, &shape) + 1.0;
        let want = reduce(&array(&x), &[axis], false, total);
        let sums = |threads: usize, x: &Tensor| {
            parallel::set_threads(threads);
            x.sum_axes(&[axis as isize], false).to_vec()
        };
        let one = sums(1, &x);
        // Partial sums of some thousand terms around 1: their roundings partly cancel.
        assert_close(&format!("sums over axis {axis} of {shape:?}"), &one, &want.data, 2e-6, 0.0);
        for (layout, view) in layouts(&x).into_iter().filter(|(layout, _)| *layout != "repeated") {
            assert_eq!(sums(3, &view), one, "{shape:?}, {layout}, 3 threads");
        }
    }
}

#[test]
fn empty_reductions() {
    let empty = Tensor::zeros([0, 3]);
    assert_eq!(empty.sum().item(), 0.0);
    assert_eq!(empty.sum_axes(&[0], false).to_vec(), [0.0; 3]);
    assert!(empty.mean().item().is_nan());
    assert_eq!(empty.norm().item(), 0.0);
    let tape = Tape::training();
    let x = tape.variable(&empty);
    assert_eq!(x.sum().backward()[x].shape(), [0, 3]);
    // At 0 the norm has a kink; PyTorch and this crate say 0.
    let tape = Tape::training();
    let x = tape.variable(&Tensor::zeros([3]));
    assert_eq!(x.norm().backward()[x].to_vec(), [0.0; 3]);
}

#[test]
fn maxima() {
    for shape in SHAPES {
        // Repeated numbers are equal, and whose the gradient is then is asked below.
        let distinct = distinct(shape);
        for (layout, x) in layouts(&distinct).into_iter().filter(|(layout, _)| *layout != "repeated") {
            let numbers = array(&x);
            let all: Vec<usize> = (0..shape.len()).collect();
            let y = reduce(&numbers, &all, false, largest);
            let dx = broadcast(&numbers, &y, |x, y| f64::from(x == y));
            let got = gradient(&x, |x| x.max());
            assert_eq!(array(&got.0), y, "max of {shape:?}, {layout}");
            assert_eq!(array(&got.1), dx, "max of {shape:?}, {layout}: dx");
            for axis in 0..shape.len() {
                let kept = reduce(&numbers, &[axis], true, largest);
                let dx = broadcast(&numbers, &kept, |x, y| f64::from(x == y));
                for (keep, y) in [(true, kept), (false, reduce(&numbers, &[axis], false, largest))] {
                    let from_the_end = axis as isize - shape.len() as isize;
                    let got = gradient(&x, |x| x.max_axis(from_the_end, keep));
                    assert_eq!(array(&got.0), y, "max of {shape:?} over {axis}, keepdim {keep}, {layout}");
                    assert_eq!(
                        array(&got.1),
                        dx,
                        "max of {shape:?} over {axis}, keepdim {keep}, {layout}: dx"
                    );
                }
            }
        }
    }
}

/// Numbers whose order is mixed and none of which is equal to another.
fn distinct(shape: &[usize]) -> Tensor {
    let len: usize = shape.iter().product();
    let values: Vec<f32> = (0..len).map(|i| ((i * 89 + 31) % 211) as f32 / 211.0 - 0.5).collect();
    Tensor::from_slice(&values, shape)
}

/// The value, and the gradient of its sum.
fn gradient(x: &Tensor, op: impl for<'t> Fn(Var<'t>) -> Var<'t>) -> (Tensor, Tensor) {
    let tape = Tape::training();
    let x = tape.variable(x);
    let y = op(x);
    let value = y.value();
    let grads = y.sum().backward();
    (value, grads[x].clone())
}

#[test]
fn maxima_of_equal_numbers_and_nan() {
    let nan = f32::NAN;
    let x = Tensor::new([[2.0, 5.0, 5.0], [5.0, 1.0, 5.0]]);
    // Over everything all share, along an axis the first one takes it.
    assert_eq!(gradient(&x, |x| x.max()).1.to_vec(), [0.0, 0.25, 0.25, 0.25, 0.0, 0.25]);
    assert_eq!(gradient(&x, |x| x.max_axis(1, false)).1.to_vec(), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(gradient(&x, |x| x.max_axis(0, true)).1.to_vec(), [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(x.argmax(1), [1, 0]);
    // NaN counts as larger than anything, and the first one is found.
    let x = Tensor::new([[2.0, nan, 5.0, nan], [-1.0, -0.5, -f32::INFINITY, -0.5]]);
    assert!(x.max().item().is_nan());
    assert_eq!(x.argmax(1), [1, 1]);
    assert_eq!(x.argmax(0), [0, 0, 0, 0]);
    assert_eq!(gradient(&x, |x| x.max_axis(1, false)).1.to_vec(), [0., 1., 0., 0., 0., 1., 0., 0.]);
    assert_eq!(gradient(&x, |x| x.max()).1.to_vec(), [0., 0.5, 0., 0.5, 0., 0., 0., 0.]);
}

/// Exponentials and sums of up to some dozen terms; in the gradient, terms of up to 1 cancel.
const SOFTMAX: Tolerance = Tolerance { relative: 5e-7, of_largest: 5e-7, absolute: 1e-7 };

#[test]
fn softmax_and_its_logarithm() {
    let cases: [(&[usize], isize); 8] = [
        (&[1], 0),
        (&[1, 1], 1),
        (&[17], -1),
        (&[5, 7], 1),
        (&[5, 7], 0),
        (&[3, 33], 1),
        (&[2, 5, 3], 1),
        (&[3, 1, 4], 1),
    ];
    for (shape, axis) in cases {
        let x = [tensor(11, shape) * 4.0];
        let at = axis.rem_euclid(shape.len() as isize) as usize;
        let name = |op: &str| format!("{op} over {axis}");
        check_to(SOFTMAX, &name("softmax"), &x, |v| v[0].softmax(axis), |a| softmax::softmax(&a[0], at));
        check_to(
            SOFTMAX,
            &name("log_softmax"),
            &x,
            |v| v[0].log_softmax(axis),
            |a| softmax::log_softmax(&a[0], at),
        );
    }
}

#[test]
fn losses() {
    for (n, classes) in [(1, 1), (1, 5), (7, 10), (3, 17), (33, 3)] {
        let labels = labels(12, n, classes);
        let x = [tensor(13, &[n, classes]) * 4.0];
        let scalar = |value: f64| Array::new(&[], vec![value]);
        check_to(
            SOFTMAX,
            "cross_entropy",
            &x,
            |v| v[0].cross_entropy(&labels),
            |a| scalar(softmax::cross_entropy(&a[0], &labels)),
        );
        let inputs = [tensor(14, &[n, classes]), tensor(15, &[n, classes])];
        check(
            "mse_loss",
            &inputs,
            |v| v[0].mse_loss(v[1]),
            |a| {
                let squares: Vec<f64> =
                    a[0].data.iter().zip(&a[1].data).map(|(a, b)| (a - b).powi(2)).collect();
                scalar(mean(&squares))
            },
        );
    }
}
