//! Chapters 8 and 9: data, training, pictures. Next to read: `save.rs`.

use std::sync::atomic::AtomicBool;

use tapegrad::data::{Batches, DatasetName, FashionMnist, Images, permutation};
use tapegrad::image::GrayImage;
use tapegrad::nn::{Conv2d, Flatten, Init, Linear, Module, Part, PartMut, Sequential};
use tapegrad::optim::Sgd;
use tapegrad::train::{Position, Training, count_correct, evaluate, logits, train, train_from};
use tapegrad::{Param, Tensor, Var};

use super::each_says;

/// Four pictures with labels 0, 3, 6 and 9.
fn images() -> Images {
    Images::new(vec![100; 4 * 28 * 28], vec![0, 3, 6, 9]).expect("four pictures")
}

/// A net that sees every pixel.
fn net(classes: usize) -> Sequential {
    Sequential::new().then(Flatten).then(Linear::new(28 * 28, classes, &mut Init::new(0)))
}

/// Trains on those pictures.
#[track_caller]
fn training(net: &mut dyn Module, training: Training) {
    let data = FashionMnist { train: images(), test: images(), name: DatasetName::Other };
    train(net, &mut Sgd::new(0.1), &data, &training, &AtomicBool::new(false), |_| {});
}

/// Goes on with such a training from a position.
#[track_caller]
fn resumed(position: Position) {
    let data = FashionMnist { train: images(), test: images(), name: DatasetName::Other };
    let (mut net, mut sgd) = (net(10), Sgd::new(0.1));
    train_from(&mut net, &mut sgd, &data, &Training::default(), position, &AtomicBool::new(false), |_| {});
}

/// A net with a parameter that it forgets to use.
struct Forgetful {
    net: Sequential,
    scale: Param,
}

impl Module for Forgetful {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        self.net.call(x)
    }

    fn name(&self) -> &str {
        "Forgetful"
    }

    fn parts(&self) -> Vec<(std::borrow::Cow<'static, str>, Part<'_>)> {
        vec![("net".into(), Part::Module(&self.net)), ("scale".into(), Part::Param(&self.scale))]
    }

    fn parts_mut(&mut self) -> Vec<(std::borrow::Cow<'static, str>, PartMut<'_>)> {
        vec![
            ("net".into(), PartMut::Module(&mut self.net)),
            ("scale".into(), PartMut::Param(&mut self.scale)),
        ]
    }
}

#[test]
fn batches() {
    each_says(&[
        (|| _ = Batches::in_order(&images(), 0).len(), "batches: batch_size must be at least 1, got 0"),
        (|| _ = Batches::shuffled(&images(), 0, 0, 0).len(), "batches: batch_size must be at least 1, got 0"),
        (|| _ = Batches::in_order(&images(), 2).batch(2).len(), "batch: expected an index below 2, got 2"),
        (|| _ = images().image(4).len(), "image: expected an index below 4, got 4"),
        (|| _ = images().label(4), "label: expected an index below 4, got 4"),
        (
            || Batches::in_order(&images(), 2).batch(0).copy_labels(&mut [0_u8; 3]),
            "copy_labels: 2 pictures need 2 elements, got 3",
        ),
        (
            || drop(permutation(1 << 32, 0, 0)),
            "permutation: expected a count of at most 4294967295, got 4294967296",
        ),
    ]);
}

#[test]
fn training_and_evaluating() {
    each_says(&[
        (
            || training(&mut net(10), Training { epochs: 0, ..Training::default() }),
            "train: epochs must be at least 1, got 0",
        ),
        (
            || training(&mut net(10), Training { batch_size: 0, ..Training::default() }),
            "batches: batch_size must be at least 1, got 0",
        ),
        (
            || training(&mut net(5), Training::default()),
            "train: the net gives logits [4, 5], which has no column for label 9",
        ),
        (
            || training(&mut Conv2d::new(1, 10, 28, &mut Init::new(0)), Training::default()),
            "train: the net must give a row of logits for each picture, [4, classes], got [4, 10, 1, 1]",
        ),
        (
            || training(&mut Linear::new(28 * 28, 10, &mut Init::new(0)), Training::default()),
            "linear: needs an input [n, in_features], got [4, 1, 28, 28]; flatten(1) makes one",
        ),
        (
            || {
                let mut net = Forgetful { net: net(10), scale: Param::new(Tensor::ones([1])) };
                training(&mut net, Training::default());
            },
            "step: the loss does not depend on scale, a parameter of shape [1]; if that is meant, freeze it with \
             set_requires_grad(false)",
        ),
        // Such a net is never right about the pictures with the largest labels, which looks like a net that has not learned much.
        (
            || _ = evaluate(&net(9), &images()),
            "evaluate: the net gives logits [4, 9], which has no column for label 9",
        ),
        (
            || drop(logits(&net(9), &images())),
            "logits: the net gives logits [4, 9], which has no column for label 9",
        ),
        (
            || _ = count_correct(&Tensor::ones([4, 10]), &[1, 2, 3]),
            "count_correct: 3 labels need logits [3, classes], got [4, 10]",
        ),
        (
            || _ = count_correct(&Tensor::ones([0]), &[]),
            "count_correct: 0 labels need logits [0, classes], got [0]",
        ),
        (
            || _ = count_correct(&Tensor::ones([2, 0]), &[0, 0]),
            "argmax: axis 1 of [2, 0] has no entries, so no largest one",
        ),
        (
            || resumed(Position::start_of(0)),
            "train_from: epochs are counted from 1, got a position in epoch 0",
        ),
        (
            || resumed(Position { step: 3, ..Position::start_of(2) }),
            "train_from: epoch 2 has 1 steps, got a position after 3",
        ),
        (
            || _ = evaluate(&Conv2d::new(3, 10, 28, &mut Init::new(0)), &images()),
            "conv2d: images [4, 1, 28, 28] have 1 channels, filters [10, 3, 28, 28] with 1 groups need 3",
        ),
    ]);
}

#[test]
fn pictures() {
    each_says(&[
        (
            || drop(GrayImage::new(2, 2, vec![0.0; 3])),
            "GrayImage: a width of 2 and a height of 2 need width x height pixels, at least one; got 3",
        ),
        (
            || drop(GrayImage::from_bytes(0, 3, &[])),
            "GrayImage: a width of 0 and a height of 3 need width x height pixels, at least one; got 0",
        ),
        // The product of the sides wraps to 0.
        (
            || drop(GrayImage::stretched(1 << 32, 1 << 32, &[])),
            "GrayImage: a width of 4294967296 and a height of 4294967296 need width x height pixels, at least one; got 0",
        ),
        (
            || drop(GrayImage::new(1, 1, vec![0.0]).resized(4, 0)),
            "resized: expected 1 x 1 or more, and at most 268435456 pixels, got 4 x 0",
        ),
        (
            || drop(GrayImage::new(1, 1, vec![0.0]).resized(1 << 32, 1 << 32)),
            "resized: expected 1 x 1 or more, and at most 268435456 pixels, got 4294967296 x 4294967296",
        ),
    ]);
}
