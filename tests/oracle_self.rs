//! The oracle against central differences in f64: is each gradient the gradient of its forward?
//!
//! That a forward is the right function is shown beside this, in `tests/oracle_pytorch.rs`. Nothing
//! here touches the crate under test. In each test the loss is `sum(y * dy)` with dy at random, the
//! same contraction that the gradients are defined by.

mod oracle;

use oracle::close::assert_close_f64;
use oracle::conv2d::{self, Conv2d};
use oracle::pool::{AvgPool2d, MaxPool2d, avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient};
use oracle::{Array, assert_close, batch_norm, labels, matmul, numeric_gradient, softmax, values};

const STEP: f64 = 1e-5;

fn array(seed: u32, shape: &[usize]) -> Array {
    Array::from_f32(shape, &values(seed, shape.iter().product()))
}

/// Holds `gradient` against the differences of `loss`, a function of an array like `at`.
#[track_caller]
fn check(what: &str, gradient: &[f64], at: &Array, loss: impl Fn(&Array) -> f64) {
    let numeric = numeric_gradient(|data| loss(&Array::new(&at.shape, data.to_vec())), &at.data, STEP);
    assert!(gradient.iter().any(|&v| v != 0.0), "{what}: a gradient of nothing but zeros shows nothing");
    assert_close_f64(what, gradient, &numeric, 1e-7, 1e-9);
}

#[test]
fn conv2d_gradients_agree_with_differences() {
    let plain = Conv2d::default();
    let cases: [(&[usize], &[usize], Conv2d); 5] = [
        (&[2, 3, 4, 5], &[2, 3, 3, 2], plain),
        (&[1, 2, 5, 4], &[3, 2, 3, 3], Conv2d { padding: (2, 1), ..plain }),
        (&[1, 2, 6, 7], &[2, 2, 2, 3], Conv2d { stride: (2, 3), padding: (0, 1), ..plain }),
        (&[1, 4, 5, 5], &[6, 2, 2, 2], Conv2d { groups: 2, dilation: (2, 1), ..plain }),
        (&[1, 3, 4, 4], &[3, 1, 3, 3], Conv2d { groups: 3, padding: (1, 1), stride: (2, 1), ..plain }),
    ];
    for (i, (x_shape, w_shape, options)) in cases.into_iter().enumerate() {
        let (x, w, b) = (array(1, x_shape), array(2, w_shape), array(3, &w_shape[..1]));
        let dy = array(4, &conv2d::output_shape(&x, &w, &options));
        let (dx, dw, db) = conv2d::gradients(&x, &w, &options, &dy);
        let loss = |x: &Array, w: &Array, b: &Array| conv2d::forward(x, w, Some(b), &options).dot(&dy);
        check(&format!("dx of case {i}"), &dx.data, &x, |x| loss(x, &w, &b));
        check(&format!("dw of case {i}"), &dw.data, &w, |w| loss(&x, w, &b));
        check(&format!("db of case {i}"), &db.data, &b, |b| loss(&x, &w, b));
    }
}

#[test]
fn pool_gradients_agree_with_differences() {
    let x = array(5, &[2, 2, 7, 6]);
    let max = MaxPool2d::new((3, 2));
    for (i, options) in [
        max,
        MaxPool2d { stride: (2, 1), padding: (1, 1), ..max },
        MaxPool2d { stride: (2, 3), dilation: (2, 3), ceil_mode: true, ..max },
    ]
    .into_iter()
    .enumerate()
    {
        let (y, winners) = max_pool2d(&x, &options);
        let dy = array(6, &y.shape);
        let dx = max_pool2d_gradient(&x.shape, &winners, &dy);
        check(&format!("max, case {i}"), &dx.data, &x, |x| max_pool2d(x, &options).0.dot(&dy));
    }
    let avg = AvgPool2d::new((3, 2));
    for (i, options) in [
        avg,
        AvgPool2d { stride: (2, 1), padding: (1, 1), ..avg },
        AvgPool2d { stride: (3, 3), padding: (1, 0), ceil_mode: true, ..avg },
        AvgPool2d { stride: (2, 1), padding: (1, 1), count_include_pad: false, ..avg },
    ]
    .into_iter()
    .enumerate()
    {
        let dy = array(7, &avg_pool2d(&x, &options).shape);
        let dx = avg_pool2d_gradient(&x.shape, &options, &dy);
        check(&format!("avg, case {i}"), &dx.data, &x, |x| avg_pool2d(x, &options).dot(&dy));
    }
}

#[test]
fn batch_norm_gradients_agree_with_differences() {
    const EPS: f64 = 1e-5;
    for shape in [&[7, 3][..], &[2, 3, 4, 2]] {
        let (x, dy) = (array(8, shape), array(9, shape));
        let gamma = array(10, &[3]).map(|v| 1.0 + v / 2.0);
        let beta = array(11, &[3]);
        let training = |x: &Array, gamma: &Array, beta: &Array| {
            let (mean, variance) = batch_norm::statistics(x);
            batch_norm::forward(x, &gamma.data, &beta.data, &mean, &variance, EPS).dot(&dy)
        };
        let (dx, dgamma, dbeta) = batch_norm::gradients(&x, &gamma.data, EPS, &dy);
        check("training dx", &dx.data, &x, |x| training(x, &gamma, &beta));
        check("training dgamma", &dgamma, &gamma, |gamma| training(&x, gamma, &beta));
        check("training dbeta", &dbeta, &beta, |beta| training(&x, &gamma, beta));

        let (mean, variance) = ([0.1, -0.2, 0.3], [0.5, 0.0, 2.0]);
        let inference = |x: &Array, gamma: &Array, beta: &Array| {
            batch_norm::forward(x, &gamma.data, &beta.data, &mean, &variance, 0.01).dot(&dy)
        };
        let (dx, dgamma, dbeta) =
            batch_norm::inference_gradients(&x, &gamma.data, &mean, &variance, 0.01, &dy);
        check("inference dx", &dx.data, &x, |x| inference(x, &gamma, &beta));
        check("inference dgamma", &dgamma, &gamma, |gamma| inference(&x, gamma, &beta));
        check("inference dbeta", &dbeta, &beta, |beta| inference(&x, &gamma, beta));
    }
}

#[test]
fn softmax_and_cross_entropy_gradients_agree_with_differences() {
    let shape = [3, 4, 2];
    let (x, dy) = (array(12, &shape).map(|v| v * 3.0), array(13, &shape));
    for axis in 0..3 {
        let dx = softmax::softmax_gradient(&x, axis, &dy);
        check("softmax", &dx.data, &x, |x| softmax::softmax(x, axis).dot(&dy));
        let dx = softmax::log_softmax_gradient(&x, axis, &dy);
        check("log_softmax", &dx.data, &x, |x| softmax::log_softmax(x, axis).dot(&dy));
    }
    let x = array(14, &[5, 4]).map(|v| v * 3.0);
    let classes = labels(15, 5, 4);
    let dx = softmax::cross_entropy_gradient(&x, &classes);
    check("cross_entropy", &dx.data, &x, |x| softmax::cross_entropy(x, &classes));
}

#[test]
fn matmul_and_linear_gradients_agree_with_differences() {
    let cases: [(&[usize], &[usize]); 5] = [
        (&[3, 4], &[4, 2]),
        (&[2, 3, 4], &[2, 4, 2]),
        (&[3, 4], &[2, 4, 2]),
        (&[2, 1, 2, 3], &[3, 3, 2]),
        (&[2, 1, 2, 3], &[1, 3, 3, 1]),
    ];
    for (a, b) in cases {
        let (a, b) = (array(16, a), array(17, b));
        let dy = array(18, &matmul::forward(&a, &b).shape);
        let (da, db) = matmul::gradients(&a, &b, &dy);
        check("matmul da", &da.data, &a, |a| matmul::forward(a, &b).dot(&dy));
        check("matmul db", &db.data, &b, |b| matmul::forward(&a, b).dot(&dy));
    }
    let (x, w, b) = (array(19, &[3, 4]), array(20, &[2, 4]), array(21, &[2]));
    let dy = array(22, &[3, 2]);
    let (dx, dw, db) = matmul::linear_gradients(&x, &w, &dy);
    check("linear dx", &dx.data, &x, |x| matmul::linear(x, &w, &b).dot(&dy));
    check("linear dw", &dw.data, &w, |w| matmul::linear(&x, w, &b).dot(&dy));
    check("linear db", &db.data, &b, |b| matmul::linear(&x, &w, b).dot(&dy));
}

/// The notebook's cells 3 and 4, and that the general convolution says the same.
#[test]
fn corr2d_gives_the_notebook_s_numbers() {
    let x = Array::new(&[3, 3], (0..9).map(f64::from).collect());
    let k = Array::new(&[2, 2], vec![0.0, 1.0, 2.0, 3.0]);
    let y = conv2d::corr2d(&x, &k);
    assert_eq!(y, Array::new(&[2, 2], vec![19.0, 25.0, 37.0, 43.0]));
    let general = conv2d::forward(
        &Array::new(&[1, 1, 3, 3], x.data),
        &Array::new(&[1, 1, 2, 2], k.data),
        None,
        &Conv2d::default(),
    );
    assert_eq!(general.data, y.data);
}

/// A check that cannot fail is worth nothing: one element off by a thousandth must be caught.
#[test]
#[should_panic(expected = "a wrong gradient: element 1 of 3")]
fn a_wrong_gradient_is_caught() {
    let x = array(23, &[3]);
    let mut wrong = x.map(|v| 2.0 * v);
    wrong.data[1] *= 1.001;
    check("a wrong gradient", &wrong.data, &x, |x| x.dot(x));
}

#[test]
#[should_panic(expected = "element 0 of 1 is NaN")]
fn a_nan_is_never_close_to_a_number() {
    assert_close("y", &[f32::NAN], &[1.0], f64::MAX, f64::MAX);
}

#[test]
#[should_panic(expected = "the number of elements")]
fn a_missing_element_is_caught() {
    assert_close("y", &[1.0], &[1.0, 1.0], 1e-6, 0.0);
}

/// The generator's promise: multiples of 1/4096 in (-1, 1), spread evenly, other seeds other numbers.
#[test]
fn values_are_exact_and_spread_evenly() {
    let drawn = values(1, 10_000);
    assert!(drawn.iter().all(|v| v.abs() < 1.0 && (v * 4096.0).fract() == 0.0));
    let mean = drawn.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e4;
    let mean_square = drawn.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 1e4;
    // Five standard errors of the mean (0.58 / 100) and of the mean square (0.30 / 100) of U(-1, 1).
    assert!(mean.abs() < 0.029, "mean {mean}");
    assert!((mean_square - 1.0 / 3.0).abs() < 0.015, "mean square {mean_square}");
    let same = drawn.iter().zip(values(2, 10_000)).filter(|(a, b)| *a == b).count();
    assert!(same < 20, "{same} of 10000 values agree between two seeds");
    assert!(labels(3, 1000, 10).iter().all(|&label| label < 10));
}
