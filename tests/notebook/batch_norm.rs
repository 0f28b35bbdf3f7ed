//! Section 5.10, cells 37 to 39: batch normalisation written from plain arithmetic, as the notebook writes it.
//!
//! It is held against this crate's layer, which does the same in one op with a gradient in closed form. Here the gradient
//! comes from the tape, through every mean and square root: two ways to it that share no line.
//!
//! The two round differently. Their numbers are about 1, made of sums of some hundred numbers, so they may differ by a few
//! times 2^-24 · √100: 2e-6 is allowed, and gradients, which are sums themselves, get it relative to their largest
//! element. A wrong term (a forgotten moving mean, n - 1 for n) is off by 1e-3 or more.
//!
//! The training of cell 41 is in `training.rs`.

use std::borrow::Cow;

use tapegrad::nn::{
    self, Buffer, Conv2d, Flatten, Init, Linear, MaxPool2d, Module, Part, PartMut, Sequential, Sigmoid,
    lenet_batch_norm,
};
use tapegrad::{Param, Tape, Tensor, Var};

/// Cell 37: `batch_norm(is_training, X, gamma, beta, moving_mean, moving_var, eps, momentum)`, which returns Y and the
/// two moving statistics. The tape says whether this is training.
fn batch_norm<'t>(
    x: Var<'t>,
    gamma: Var<'t>,
    beta: Var<'t>,
    moving_mean: Tensor,
    moving_var: Tensor,
    eps: f32,
    momentum: f32,
) -> (Var<'t>, Tensor, Tensor) {
    let tape = x.tape();
    if !tape.is_training() {
        // For prediction: the moving mean and variance.
        let x_hat = (x - tape.input(&moving_mean)) / (tape.input(&moving_var) + eps).sqrt();
        return (gamma * x_hat + beta, moving_mean, moving_var);
    }
    let (mean, var) = match x.shape().len() {
        // After a linear layer: the mean and variance of each feature.
        2 => {
            let mean = x.mean_axes(&[0], true);
            (mean, (x - mean).square().mean_axes(&[0], true))
        }
        // After a convolution: of each channel (axis 1), kept as an axis so that it broadcasts.
        4 => {
            let channel_mean =
                |v: Var<'t>| v.mean_axes(&[0], true).mean_axes(&[2], true).mean_axes(&[3], true);
            let mean = channel_mean(x);
            (mean, channel_mean((x - mean).square()))
        }
        rank => panic!("batch_norm: needs 2 or 4 axes, got {rank}"),
    };
    let x_hat = (x - mean) / (var + eps).sqrt();
    let moving_mean = momentum * moving_mean + (1.0 - momentum) * mean.value();
    let moving_var = momentum * moving_var + (1.0 - momentum) * var.value();
    (gamma * x_hat + beta, moving_mean, moving_var)
}

/// Cell 38: `class BatchNorm(nn.Module)`.
struct BatchNorm {
    gamma: Param,
    beta: Param,
    moving_mean: Buffer,
    moving_var: Buffer,
}

impl BatchNorm {
    fn new(num_features: usize, num_dims: usize) -> BatchNorm {
        let shape: &[usize] = if num_dims == 2 { &[1, num_features] } else { &[1, num_features, 1, 1] };
        BatchNorm {
            gamma: Param::new(Tensor::ones(shape)),
            beta: Param::new(Tensor::zeros(shape)),
            moving_mean: Buffer::new(Tensor::zeros(shape)),
            moving_var: Buffer::new(Tensor::zeros(shape)),
        }
    }
}

impl Module for BatchNorm {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let (gamma, beta) = (x.tape().param(&self.gamma), x.tape().param(&self.beta));
        let (y, moving_mean, moving_var) =
            batch_norm(x, gamma, beta, self.moving_mean.value(), self.moving_var.value(), 1e-5, 0.9);
        self.moving_mean.set(&moving_mean);
        self.moving_var.set(&moving_var);
        y
    }

    fn name(&self) -> &str {
        "BatchNorm"
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        vec![("gamma".into(), Part::Param(&self.gamma)), ("beta".into(), Part::Param(&self.beta))]
    }

    fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
        vec![
            ("gamma".into(), PartMut::Param(&mut self.gamma)),
            ("beta".into(), PartMut::Param(&mut self.beta)),
        ]
    }
}

/// Whether two tensors agree to `allowed`, relative to the largest element of `want` where that is above 1.
#[track_caller]
fn assert_near(got: &Tensor, want: &Tensor, allowed: f32, what: &str) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    let largest = want.abs().max().item().max(1.0);
    let far = (got - want).abs().max().item();
    // Written so that a NaN fails.
    assert!(far <= allowed * largest, "{what}: off by {far}, largest {largest}");
}

/// Cells 37 and 38: three steps of training and a prediction, with other numbers in every step.
#[track_caller]
fn same_as_the_layer(shape: &[usize]) {
    let init = &mut Init::new(38);
    let (c, num_dims) = (shape[1], shape.len());
    let (mut by_hand, mut layer) = (BatchNorm::new(c, num_dims), nn::BatchNorm::new(c, num_dims));
    // Other than ones and zeros, or a gradient that forgets gamma would not show.
    let (gamma, beta) =
        (init.uniform(layer.gamma.value().shape(), 0.5, 1.5), init.randn(layer.beta.value().shape()));
    by_hand.gamma.set(&gamma);
    by_hand.beta.set(&beta);
    layer.gamma.set(&gamma);
    layer.beta.set(&beta);

    for step in 1..=3 {
        let x = init.normal(shape, step as f32, 2.0);
        let weights = init.randn(shape); // so that the elements of dy differ
        let run = |layer: &dyn Module, params: [&Param; 2]| {
            let tape = Tape::training();
            let x = tape.variable(&x);
            let y = layer.forward(x);
            let value = y.value();
            let grads = (y * tape.input(&weights)).sum().backward();
            [value, grads[x].clone(), grads[params[0]].clone(), grads[params[1]].clone()]
        };
        let got = run(&layer, [&layer.gamma, &layer.beta]);
        let want = run(&by_hand, [&by_hand.gamma, &by_hand.beta]);
        for (what, (got, want)) in ["y", "dx", "dgamma", "dbeta"].iter().zip(got.iter().zip(&want)) {
            assert_near(got, want, 2e-6, &format!("{shape:?}, step {step}, {what}"));
        }
        for (what, got, want) in [
            ("moving_mean", &layer.moving_mean, &by_hand.moving_mean),
            ("moving_var", &layer.moving_var, &by_hand.moving_var),
        ] {
            assert_near(&got.value(), &want.value(), 2e-6, &format!("{shape:?}, step {step}, {what}"));
        }
    }

    // Prediction uses the moving statistics and leaves them alone.
    let before = (layer.moving_mean.value(), by_hand.moving_mean.value());
    let (tape, x) = (Tape::inference(), init.normal(shape, 1.0, 2.0));
    let (got, want) = (layer.forward(tape.input(&x)), by_hand.forward(tape.input(&x)));
    assert_near(&got.value(), &want.value(), 2e-6, "prediction");
    assert_eq!((layer.moving_mean.value(), by_hand.moving_mean.value()), before);
}

#[test]
fn cells_37_and_38_batch_norm_after_a_linear_layer() {
    same_as_the_layer(&[32, 7]);
    same_as_the_layer(&[5, 120]);
    same_as_the_layer(&[2, 1]);
}

#[test]
fn cells_37_and_38_batch_norm_after_a_convolution() {
    same_as_the_layer(&[8, 6, 5, 5]);
    same_as_the_layer(&[3, 16, 4, 4]);
    same_as_the_layer(&[1, 2, 3, 1]);
}

/// Cell 39: LeNet with the batch norm of cell 38.
fn net(init: &mut Init) -> Sequential {
    Sequential::new()
        .then(Conv2d::new(1, 6, 5, init))
        .then(BatchNorm::new(6, 4))
        .then(Sigmoid)
        .then(MaxPool2d::new(2).stride(2))
        .then(Conv2d::new(6, 16, 5, init))
        .then(BatchNorm::new(16, 4))
        .then(Sigmoid)
        .then(MaxPool2d::new(2).stride(2))
        .then(Flatten)
        .then(Linear::new(16 * 4 * 4, 120, init))
        .then(BatchNorm::new(120, 2))
        .then(Sigmoid)
        .then(Linear::new(120, 84, init))
        .then(BatchNorm::new(84, 2))
        .then(Sigmoid)
        .then(Linear::new(84, 10, init))
}

/// Cell 39: the net by hand and `lenet_batch_norm` print the same, and give the same loss and gradients.
#[test]
fn cell_39_lenet_with_batch_norm() {
    let (by_hand, built_in) = (net(&mut Init::new(39)), lenet_batch_norm(&mut Init::new(39)));
    assert_eq!(by_hand.to_string(), built_in.to_string());

    let images = Init::new(1).rand([16, 1, 28, 28]);
    let labels: Vec<usize> = (0..16).map(|i| i * 3 % 10).collect();
    let run = |net: &Sequential| {
        let tape = Tape::training();
        let loss = net.forward(tape.input(&images)).cross_entropy(&labels);
        (loss.item(), loss.backward())
    };
    let ((got_loss, got), (want_loss, want)) = (run(&built_in), run(&by_hand));
    assert!((got_loss - want_loss).abs() < 1e-5, "{got_loss} and {want_loss}");
    let params = built_in.named_parameters().into_iter().zip(by_hand.named_parameters());
    for ((name, built_in), (same_name, by_hand)) in params {
        assert_eq!(name, same_name);
        assert_near(&got[built_in], &want[by_hand], 1e-5, &name);
    }
}
