//! Section 5.5, cells 42 to 47: LeNet, and the training loop written out as in the notebook.
//!
//! The loop here sees a few hundred images, to show that it and `train::train` are the same to the last bit. The real
//! training, on all of them, is in `training.rs`.
//!
//! Next to read: `batch_norm.rs`.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

use tapegrad::data::{Batches, FashionMnist, Images};
use tapegrad::nn::{self, Conv2d, Init, Linear, MaxPool2d, Module, Part, PartMut, Sequential, Sigmoid};
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::train::{self, Outcome, Progress, Training};
use tapegrad::{Tape, Tensor, Var};

use super::shows;

/// Cell 42: `class LeNet(nn.Module)`. The crate has the same as `nn::LeNet`; this is how one writes a net of one's own.
struct LeNet {
    conv: Sequential,
    fc: Sequential,
}

impl LeNet {
    fn new(init: &mut Init) -> LeNet {
        LeNet {
            conv: Sequential::new()
                .then(Conv2d::new(1, 6, 5, init)) // in, out, kernel
                .then(Sigmoid)
                .then(MaxPool2d::new(2).stride(2)) // kernel, stride
                .then(Conv2d::new(6, 16, 5, init))
                .then(Sigmoid)
                .then(MaxPool2d::new(2).stride(2)),
            fc: Sequential::new()
                .then(Linear::new(16 * 4 * 4, 120, init))
                .then(Sigmoid)
                .then(Linear::new(120, 84, init))
                .then(Sigmoid)
                .then(Linear::new(84, 10, init)),
        }
    }
}

impl Module for LeNet {
    fn forward<'t>(&self, img: Var<'t>) -> Var<'t> {
        let feature = self.conv.forward(img);
        self.fc.forward(feature.view([img.shape()[0], 16 * 4 * 4]))
    }

    fn name(&self) -> &str {
        "LeNet"
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        vec![("conv".into(), Part::Module(&self.conv)), ("fc".into(), Part::Module(&self.fc))]
    }

    fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
        vec![("conv".into(), PartMut::Module(&mut self.conv)), ("fc".into(), PartMut::Module(&mut self.fc))]
    }
}

/// Cell 43: `net = LeNet(); print(net)`.
#[test]
fn cells_42_and_43_lenet_printed() {
    let printed = "\
LeNet(
  (conv): Sequential(
    (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))
    (1): Sigmoid()
    (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    (3): Conv2d(6, 16, kernel_size=(5, 5), stride=(1, 1))
    (4): Sigmoid()
    (5): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  )
  (fc): Sequential(
    (0): Linear(in_features=256, out_features=120, bias=True)
    (1): Sigmoid()
    (2): Linear(in_features=120, out_features=84, bias=True)
    (3): Sigmoid()
    (4): Linear(in_features=84, out_features=10, bias=True)
  )
)";
    let (net, built_in) = (LeNet::new(&mut Init::new(42)), nn::LeNet::new(&mut Init::new(42)));
    shows(&net as &dyn Module, printed);
    shows(&built_in, printed);
    // From one seed, the two are the same net.
    assert_eq!(net.parameter_hash(), built_in.parameter_hash());
    // Ten logits for each image.
    assert_eq!(net.forward(Tape::inference().input(&Tensor::zeros([3, 1, 28, 28]))).shape(), [3, 10]);
}

/// Cell 44: `load_data_fashion_mnist(batch_size=batch_size)`.
fn load_data() -> FashionMnist {
    FashionMnist::load(concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist")).unwrap()
}

/// A batch as the notebook's loop gets it: `for X, y in train_iter`.
fn batches<'a>(iter: &'a Batches) -> impl Iterator<Item = (Tensor, Vec<usize>)> + 'a {
    iter.iter().map(|batch| (batch.pixels(), batch.labels().map(usize::from).collect()))
}

/// The first `n` images, as a set of their own.
fn first(images: &Images, n: usize) -> Images {
    let pixels = (0..n).flat_map(|i| images.image(i)).copied().collect();
    Images::new(pixels, (0..n).map(|i| images.label(i)).collect()).unwrap()
}

#[test]
fn cell_44_the_batches() {
    let batch_size = 256;
    let data = load_data();
    let train_iter = Batches::shuffled(&data.train, batch_size, 44, 1);
    let test_iter = Batches::in_order(&data.test, batch_size);
    assert_eq!((train_iter.len(), test_iter.len()), (235, 40));
    let (mut n, mut of_class) = (0, [0; 10]);
    for (x, y) in batches(&train_iter) {
        assert_eq!(x.shape(), [y.len(), 1, 28, 28]);
        assert!(x.to_vec().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        n += y.len();
        y.into_iter().for_each(|class| of_class[class] += 1);
    }
    assert_eq!((n, of_class), (60_000, [6_000; 10]));
}

/// Cell 45: `evaluate_accuracy(data_iter, net)`. `torch.no_grad()`, `net.eval()` and `net.train()` are one thing here: an
/// inference tape.
fn evaluate_accuracy(data_iter: &Batches, net: &dyn Module) -> (usize, usize) {
    let (mut acc_sum, mut n) = (0, 0);
    for (x, y) in batches(data_iter) {
        let tape = Tape::inference();
        acc_sum += count_equal(&net.forward(tape.input(&x)).value().argmax(1), &y);
        n += y.len();
    }
    (acc_sum, n)
}

/// `(y_hat.argmax(dim=1) == y).sum()`
fn count_equal(guesses: &[usize], y: &[usize]) -> usize {
    guesses.iter().zip(y).filter(|(guess, y)| guess == y).count()
}

/// Cell 46: `train_ch5(net, train_iter, test_iter, batch_size, optimizer, device, num_epochs)`, with the mean of the
/// epoch's losses (the notebook divides by the batches of all epochs so far). Returns the last epoch's loss, and correct
/// images in training and test.
fn train_ch5(
    net: &mut dyn Module,
    data: &FashionMnist,
    optimizer: &mut Adam,
    training: &Training,
) -> (f64, usize, usize) {
    let mut last = (0.0, 0, 0);
    for epoch in 1..=training.epochs {
        let (mut train_l_sum, mut train_acc_sum, mut n) = (0.0, 0, 0);
        let train_iter = Batches::shuffled(&data.train, training.batch_size, training.seed, epoch as u64);
        for (x, y) in batches(&train_iter) {
            let tape = Tape::training();
            let y_hat = net.forward(tape.input(&x));
            let l = y_hat.cross_entropy(&y);
            train_l_sum += f64::from(l.item()) * y.len() as f64;
            train_acc_sum += count_equal(&y_hat.value().argmax(1), &y);
            n += y.len();
            optimizer.step(net, &l.backward());
        }
        let test_iter = Batches::in_order(&data.test, training.batch_size);
        last = (train_l_sum / n as f64, train_acc_sum, evaluate_accuracy(&test_iter, net).0);
    }
    last
}

/// Cells 45 to 47: the loops by hand, and the library's, do the same to the last bit.
#[test]
fn cells_45_to_47_training_by_hand() {
    let data = load_data();
    let data = FashionMnist { train: first(&data.train, 600), test: first(&data.test, 300), name: data.name };
    let (lr, training) = (0.001, Training { epochs: 2, batch_size: 256, seed: 47 });

    let mut net = LeNet::new(&mut Init::new(47));
    let before = net.parameter_hash();
    let by_hand = train_ch5(&mut net, &data, &mut Adam::new(lr), &training);
    assert_ne!(net.parameter_hash(), before, "training changes the parameters");

    let mut same = LeNet::new(&mut Init::new(47));
    let mut last = None;
    let stop = AtomicBool::new(false);
    let outcome = train::train(&mut same, &mut Adam::new(lr), &data, &training, &stop, |progress| {
        if let Progress::Epoch(epoch) = progress {
            last = Some((epoch.loss, epoch.train.correct, epoch.test.correct));
        }
    });
    assert_eq!((outcome, last), (Outcome::Finished, Some(by_hand)));
    assert_eq!(net.parameter_hash(), same.parameter_hash());

    // Ten classes, nothing learned in six steps: about a tenth is right, and the loss is about ln 10 = 2.303.
    let test_iter = Batches::in_order(&data.test, 256);
    assert_eq!(evaluate_accuracy(&test_iter, &net), (by_hand.2, 300));
    assert!((2.2..2.4).contains(&by_hand.0), "{by_hand:?}");
}
