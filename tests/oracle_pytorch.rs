//! The oracle against PyTorch: two references, made apart, that must agree to nine digits.
//!
//! Where they do, an engine that differs from one differs from both. It also proves the
//! way from the Python scripts to here: the generator, the format, the parser, the samples. Nothing
//! here touches the crate under test.

mod oracle;

use oracle::close::assert_close_f64;
use oracle::conv2d::{self, Conv2d};
use oracle::pool::{AvgPool2d, MaxPool2d, avg_pool2d, avg_pool2d_gradient, max_pool2d, max_pool2d_gradient};
use oracle::{Array, Golden, assert_close, batch_norm, golden, matmul, softmax};

/// A number stored to nine digits is off by at most half a unit in the ninth, which is 5e-9 of a
/// number that begins with 1.00. The rest is left for the two f64 sums, added in other orders.
const NINE_DIGITS: f64 = 5.1e-9;

/// Holds an oracle's result against PyTorch's f64 run, and PyTorch's own f32 run against the same
/// truth, so that a mix-up of the two would show.
#[track_caller]
fn check(golden: &Golden, name: &str, got: &[f64]) {
    let truth = &golden.truth(name);
    assert_close_f64(name, &golden.sample(name, got), truth, NINE_DIGITS, 1e-12);
    assert_close(&format!("{name} in f32"), golden.f32(name), truth, 1e-5, 1e-6);
}

#[track_caller]
fn check_array(golden: &Golden, name: &str, got: &Array) {
    assert_eq!(got.shape, golden.shape(name), "the shape of {name}");
    check(golden, name, &got.data);
}

#[test]
fn conv2d_agrees() {
    let golden = Golden::read("ops.txt");
    for case in golden.cases("conv2d") {
        let array = |part: &str| golden.array(&format!("{case}.{part}"));
        let pair = |part: &str| golden.pair(&format!("{case}.{part}"));
        let (x, w, b, dy) = (array("x"), array("w"), array("b"), array("dy"));
        let options = Conv2d {
            stride: pair("stride"),
            padding: pair("padding"),
            dilation: pair("dilation"),
            groups: golden.integers(&format!("{case}.groups"))[0],
        };
        let (dx, dw, db) = conv2d::gradients(&x, &w, &options, &dy);
        let y = conv2d::forward(&x, &w, Some(&b), &options);
        for (part, got) in [("y", y), ("dx", dx), ("dw", dw), ("db", db)] {
            check_array(&golden, &format!("{case}.{part}"), &got);
        }
    }
}

#[test]
fn pools_agree() {
    let golden = Golden::read("ops.txt");
    for case in golden.cases("max_pool2d") {
        let pair = |part: &str| golden.pair(&format!("{case}.{part}"));
        let options = MaxPool2d {
            kernel: pair("kernel"),
            stride: pair("stride"),
            padding: pair("padding"),
            dilation: pair("dilation"),
            ceil_mode: golden.flag(&format!("{case}.ceil_mode")),
        };
        let x = golden.array(&format!("{case}.x"));
        let (y, winners) = max_pool2d(&x, &options);
        let dx = max_pool2d_gradient(&x.shape, &winners, &golden.array(&format!("{case}.dy")));
        check_array(&golden, &format!("{case}.y"), &y);
        check_array(&golden, &format!("{case}.dx"), &dx);
    }
    for case in golden.cases("avg_pool2d") {
        let pair = |part: &str| golden.pair(&format!("{case}.{part}"));
        let options = AvgPool2d {
            kernel: pair("kernel"),
            stride: pair("stride"),
            padding: pair("padding"),
            ceil_mode: golden.flag(&format!("{case}.ceil_mode")),
            count_include_pad: golden.flag(&format!("{case}.count_include_pad")),
        };
        let x = golden.array(&format!("{case}.x"));
        let dx = avg_pool2d_gradient(&x.shape, &options, &golden.array(&format!("{case}.dy")));
        check_array(&golden, &format!("{case}.y"), &avg_pool2d(&x, &options));
        check_array(&golden, &format!("{case}.dx"), &dx);
    }
}

#[test]
fn batch_norm_agrees() {
    const EPS: f64 = 1e-5;
    let golden = Golden::read("ops.txt");
    for case in golden.cases("batch_norm") {
        let gamma = golden.array(&format!("{case}.gamma")).data;
        let beta = golden.array(&format!("{case}.beta")).data;
        let mut moving_mean = vec![0.0; gamma.len()];
        let mut moving_var = vec![0.0; gamma.len()];
        for step in ["step1", "step2", "step3", "inference"] {
            let name = |part: &str| format!("{case}.{step}.{part}");
            let (x, dy) = (golden.array(&name("x")), golden.array(&name("dy")));
            let (y, (dx, dgamma, dbeta)) = if step == "inference" {
                let (mean, var) = (&moving_mean, &moving_var);
                (
                    batch_norm::forward(&x, &gamma, &beta, mean, var, EPS),
                    batch_norm::inference_gradients(&x, &gamma, mean, var, EPS, &dy),
                )
            } else {
                let (mean, var) = batch_norm::statistics(&x);
                moving_mean = batch_norm::moving(&moving_mean, &mean, 0.9);
                moving_var = batch_norm::moving(&moving_var, &var, 0.9);
                let y = batch_norm::forward(&x, &gamma, &beta, &mean, &var, EPS);
                (y, batch_norm::gradients(&x, &gamma, EPS, &dy))
            };
            check(&golden, &name("moving_mean"), &moving_mean);
            check(&golden, &name("moving_var"), &moving_var);
            if golden.has(&name("y")) {
                check_array(&golden, &name("y"), &y);
                check_array(&golden, &name("dx"), &dx);
                check(&golden, &name("dgamma"), &dgamma);
                check(&golden, &name("dbeta"), &dbeta);
            }
        }
    }
}

#[test]
fn softmax_and_cross_entropy_agree() {
    let golden = Golden::read("ops.txt");
    for op in ["softmax", "log_softmax"] {
        for case in golden.cases(op) {
            let name = |part: &str| format!("{case}.{part}");
            let (x, dy) = (golden.array(&name("x")), golden.array(&name("dy")));
            let dim = golden.integers(&name("dim"))[0];
            let (y, dx) = if op == "softmax" {
                (softmax::softmax(&x, dim), softmax::softmax_gradient(&x, dim, &dy))
            } else {
                (softmax::log_softmax(&x, dim), softmax::log_softmax_gradient(&x, dim, &dy))
            };
            check_array(&golden, &name("y"), &y);
            check_array(&golden, &name("dx"), &dx);
        }
    }
    for case in golden.cases("cross_entropy") {
        let name = |part: &str| format!("{case}.{part}");
        let (x, labels) = (golden.array(&name("x")), golden.integers(&name("labels")));
        let dy = golden.number(&name("dy"));
        check(&golden, &name("y"), &[softmax::cross_entropy(&x, &labels)]);
        check_array(&golden, &name("dx"), &softmax::cross_entropy_gradient(&x, &labels).map(|v| v * dy));
    }
}

#[test]
fn matmul_and_linear_agree() {
    let golden = Golden::read("ops.txt");
    for case in golden.cases("matmul") {
        let array = |part: &str| golden.array(&format!("{case}.{part}"));
        let (a, b) = (array("a"), array("b"));
        let (da, db) = matmul::gradients(&a, &b, &array("dy"));
        for (part, got) in [("y", matmul::forward(&a, &b)), ("da", da), ("db", db)] {
            check_array(&golden, &format!("{case}.{part}"), &got);
        }
    }
    for case in golden.cases("linear") {
        let array = |part: &str| golden.array(&format!("{case}.{part}"));
        let (x, w, b) = (array("x"), array("w"), array("b"));
        let (dx, dw, db) = matmul::linear_gradients(&x, &w, &array("dy"));
        for (part, got) in [("y", matmul::linear(&x, &w, &b)), ("dx", dx), ("dw", dw), ("db", db)] {
            check_array(&golden, &format!("{case}.{part}"), &got);
        }
    }
}

fn sigmoid(x: &Array) -> Array {
    x.map(|v| 1.0 / (1.0 + (-v).exp()))
}

/// From sigmoid's output y and dy to dx.
fn sigmoid_gradient(y: &Array, dy: &Array) -> Array {
    Array::new(&y.shape, y.data.iter().zip(&dy.data).map(|(y, dy)| dy * y * (1.0 - y)).collect())
}

/// The whole LeNet, forward and backward, out of the oracle's parts: step 1 of lenet.txt.
#[test]
fn lenet_agrees() {
    let golden = Golden::read("lenet.txt");
    let weight = |name: &str| golden.array(&format!("weight.{name}"));
    let images = golden.array("batch.1.images");
    let labels = golden.integers("batch.1.labels");
    let options = Conv2d::default();
    let halve = MaxPool2d::new((2, 2));

    // Each block keeps its input, its sigmoid's output and its pool's winners for the way back.
    let mut x = images;
    let mut blocks = Vec::new();
    for layer in ["conv.0", "conv.3"] {
        let (w, b) = (weight(&format!("{layer}.weight")), weight(&format!("{layer}.bias")));
        let y = sigmoid(&conv2d::forward(&x, &w, Some(&b), &options));
        let (pooled, winners) = max_pool2d(&y, &halve);
        blocks.push((layer, x, w, y, winners));
        x = pooled;
    }
    let pooled_shape = x.shape.clone();
    x = Array::new(&[32, 256], x.data);
    let mut layers = Vec::new();
    for layer in ["fc.0", "fc.2", "fc.4"] {
        let (w, b) = (weight(&format!("{layer}.weight")), weight(&format!("{layer}.bias")));
        let y = matmul::linear(&x, &w, &b);
        let output = if layer == "fc.4" { y } else { sigmoid(&y) };
        layers.push((layer, x, w));
        x = output;
    }
    check(&golden, "logits.1", &x.data[..20]);
    check(&golden, "loss.1", &[softmax::cross_entropy(&x, &labels)]);

    let mut dy = softmax::cross_entropy_gradient(&x, &labels);
    for (layer, x, w) in layers.into_iter().rev() {
        let (dx, dw, db) = matmul::linear_gradients(&x, &w, &dy);
        check_whole(&golden, &format!("grad.{layer}.weight"), &dw);
        check_array(&golden, &format!("grad.{layer}.bias"), &db);
        dy = if layer == "fc.0" { dx } else { sigmoid_gradient(&x, &dx) };
    }
    dy = Array::new(&pooled_shape, dy.data);
    for (layer, x, w, y, winners) in blocks.into_iter().rev() {
        let dy_pool = max_pool2d_gradient(&y.shape, &winners, &dy);
        let (dx, dw, db) = conv2d::gradients(&x, &w, &options, &sigmoid_gradient(&y, &dy_pool));
        check_whole(&golden, &format!("grad.{layer}.weight"), &dw);
        check_array(&golden, &format!("grad.{layer}.bias"), &db);
        dy = dx;
    }
}

/// The stored sample, and where there is one, the sum and the norm of the whole tensor.
#[track_caller]
fn check_whole(golden: &Golden, name: &str, got: &Array) {
    check_array(golden, name, got);
    if golden.entry(name).every > 1 {
        let norm = got.dot(got).sqrt();
        let sum: f64 = got.data.iter().sum();
        // A sum may cancel down to rounding noise: hold it against the size of what was summed.
        let size = norm * (got.data.len() as f64).sqrt();
        assert_close_f64(name, &[norm], &golden.truth(&format!("{name}.norm")), NINE_DIGITS, 0.0);
        assert_close_f64(name, &[sum], &golden.truth(&format!("{name}.sum")), NINE_DIGITS, 1e-12 * size);
    }
}

/// Every golden file can be read to its end, and the printing cases have their text.
#[test]
fn all_files_can_be_read() {
    for file in ["ops.txt", "optimizers.txt", "lenet.txt", "lenet_batch_norm.txt"] {
        assert!(Golden::read(file).names().len() > 100, "{file}");
    }
    let printed = golden::printed();
    let edges = printed.iter().find(|case| case.tensor.name == "cell_7").expect("cell 7 is there");
    assert_eq!(edges.text, "tensor([[ 1., -1.]])");
    assert_eq!(edges.tensor.shape, [1, 2]);
    assert_eq!(edges.tensor.single, [1.0, -1.0]);
    let (lines, starts) = printed.iter().fold((0, 0), |(lines, starts), case| {
        (lines + case.text.lines().count(), starts + usize::from(case.text.starts_with("tensor(")))
    });
    assert_eq!(starts, printed.len(), "every text begins with tensor(");
    assert!(lines > 2 * printed.len());
}
