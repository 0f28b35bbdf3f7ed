//! Chapter 7: optimisers. Next to read: `data.rs`.

use std::borrow::Cow;

use tapegrad::nn::{Init, Linear, Module, Part, Sequential};
use tapegrad::optim::{Adam, AdamW, Optimizer, Sgd};
use tapegrad::{Param, Tape, Tensor, Var};

use super::each_says;

#[test]
fn options() {
    each_says(&[
        (|| drop(Sgd::new(-1.0)), "Sgd: a learning rate is 0 or more, got -1"),
        (|| drop(Sgd::new(f64::INFINITY)), "Sgd: a learning rate is 0 or more, got inf"),
        (|| drop(Adam::new(f64::NAN)), "Adam: a learning rate is 0 or more, got NaN"),
        (|| drop(AdamW::new(-0.1)), "AdamW: a learning rate is 0 or more, got -0.1"),
        (|| Sgd::new(0.1).set_lr(f64::NAN), "Sgd: a learning rate is 0 or more, got NaN"),
        (|| Adam::new(0.1).set_lr(-0.1), "Adam: a learning rate is 0 or more, got -0.1"),
        (|| AdamW::new(0.1).set_lr(f64::INFINITY), "AdamW: a learning rate is 0 or more, got inf"),
        (|| drop(Sgd::new(0.1).momentum(1.0)), "Sgd: momentum is at least 0 and less than 1, got 1"),
        (|| drop(Sgd::new(0.1).momentum(f64::NAN)), "Sgd: momentum is at least 0 and less than 1, got NaN"),
        (|| drop(Sgd::new(0.1).dampening(1.5)), "Sgd: dampening is from 0 to 1, got 1.5"),
        (|| drop(Sgd::new(0.1).dampening(f64::NAN)), "Sgd: dampening is from 0 to 1, got NaN"),
        (|| drop(Sgd::new(0.1).weight_decay(-0.1)), "Sgd: weight_decay is 0 or more, got -0.1"),
        (|| drop(Sgd::new(0.1).weight_decay(f64::INFINITY)), "Sgd: weight_decay is 0 or more, got inf"),
        (
            || drop(Sgd::new(0.1).nesterov()),
            "Sgd: Nesterov's momentum needs a momentum above 0 and no dampening, got 0 and 0",
        ),
        (
            || drop(Sgd::new(0.1).momentum(0.9).nesterov().dampening(0.5)),
            "Sgd: Nesterov's momentum goes without dampening, got 0.5",
        ),
        (
            || drop(Sgd::new(0.1).momentum(0.9).nesterov().momentum(0.0)),
            "Sgd: Nesterov's momentum needs a momentum above 0, got 0",
        ),
        (|| drop(Adam::new(0.1).betas(1.0, 0.9)), "Adam: beta1 is at least 0 and less than 1, got 1"),
        (|| drop(Adam::new(0.1).betas(0.9, 1.0)), "Adam: beta2 is at least 0 and less than 1, got 1"),
        (|| drop(Adam::new(0.1).betas(-0.1, 0.9)), "Adam: beta1 is at least 0 and less than 1, got -0.1"),
        (
            || drop(AdamW::new(0.1).betas(0.9, f64::NAN)),
            "AdamW: beta2 is at least 0 and less than 1, got NaN",
        ),
        (|| drop(Adam::new(0.1).eps(-1e-8)), "Adam: eps is 0 or more, got -0.00000001"),
        (|| drop(AdamW::new(0.1).eps(f64::NAN)), "AdamW: eps is 0 or more, got NaN"),
        (|| drop(AdamW::new(0.1).weight_decay(-1.0)), "AdamW: weight_decay is 0 or more, got -1"),
        (|| drop(Adam::new(0.1).weight_decay(f64::NAN)), "Adam: weight_decay is 0 or more, got NaN"),
    ]);
}

#[test]
fn gradients_of_another_shape() {
    each_says(&[
        (
            || Sgd::new(0.1).update(&mut Param::new(Tensor::zeros([2, 3])), &Tensor::zeros([3])),
            "Sgd: the parameter has shape [2, 3], its gradient [3]",
        ),
        (
            || Adam::new(0.1).update(&mut Param::new(Tensor::zeros([2, 3])), &Tensor::zeros([3, 2])),
            "Adam: the parameter has shape [2, 3], its gradient [3, 2]",
        ),
        (
            || AdamW::new(0.1).update(&mut Param::new(Tensor::zeros([2, 3])), &Tensor::zeros([2, 3, 1])),
            "AdamW: the parameter has shape [2, 3], its gradient [2, 3, 1]",
        ),
    ]);
}

/// A layer of one's own, for which the second list was forgotten.
struct Scale(Param);

impl Module for Scale {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x * x.tape().param(&self.0)
    }

    fn name(&self) -> &str {
        "Scale"
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        vec![("scale".into(), Part::Param(&self.0))]
    }
}

/// Two layers, and the gradients of a loss that only the first of them made.
fn cut_short() -> (Sequential, tapegrad::Gradients) {
    let init = &mut Init::new(0);
    let net = Sequential::new().then(Linear::new(4, 3, init)).then(Linear::new(3, 2, init));
    let tape = Tape::training();
    let hidden = net.layers().next().expect("two layers").forward(tape.input(&Tensor::ones([5, 4])));
    (net, hidden.sum().backward())
}

#[test]
fn parameters_that_the_loss_does_not_reach() {
    each_says(&[
        (
            || {
                let (mut net, grads) = cut_short();
                Sgd::new(0.1).step(&mut net, &grads);
            },
            "step: the loss does not depend on 1.weight, a parameter of shape [2, 3]; if that is meant, freeze it with \
             set_requires_grad(false)",
        ),
        (
            || {
                let (mut net, grads) = cut_short();
                net.named_parameters_mut()[2].1.set_requires_grad(false);
                Adam::new(0.1).step(&mut net, &grads);
            },
            "step: the loss does not depend on 1.bias, a parameter of shape [2]; if that is meant, freeze it with \
             set_requires_grad(false)",
        ),
        (
            || {
                let (mut net, grads) = cut_short();
                AdamW::new(0.1).step(&mut net, &grads);
            },
            "step: the loss does not depend on 1.weight, a parameter of shape [2, 3]; if that is meant, freeze it with \
             set_requires_grad(false)",
        ),
        // Its gradient is there, but nobody would be given it.
        (
            || {
                let mut net = Sequential::new()
                    .then(Linear::new(4, 3, &mut Init::new(0)))
                    .then(Scale(Param::new(Tensor::ones([3]))));
                let grads = net.forward(Tape::training().input(&Tensor::ones([5, 4]))).sum().backward();
                Sgd::new(0.1).step(&mut net, &grads);
            },
            "step: the parts() of this net and its modules list 3 parameters, their parts_mut() 2; what is left out never changes",
        ),
    ]);
}
