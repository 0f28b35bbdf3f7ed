//! `train` and `evaluate` do what they say: what they count and report, and how they end. On small pictures made here.
//!
//! Trainings on the real pictures are in training.rs. Next to read: that file.

use std::sync::atomic::{AtomicBool, Ordering};

use tapegrad::data::{DatasetName, FashionMnist, Images};
use tapegrad::nn::{Flatten, Init, Linear, Sequential};
use tapegrad::optim::{Optimizer, ParamState, Sgd};
use tapegrad::train::{Outcome, Progress, Score, Training, evaluate, train};
use tapegrad::{Param, Tensor};

/// Pictures that are easy to tell apart: class c has a bright row c.
fn striped(count: usize) -> Images {
    let mut pixels = vec![0_u8; count * 784];
    let labels: Vec<u8> = (0..count).map(|i| (i * 7 % 10) as u8).collect();
    for (picture, &label) in pixels.chunks_mut(784).zip(&labels) {
        picture[usize::from(label) * 28..][..28].fill(200);
    }
    Images::new(pixels, labels).unwrap_or_else(|error| panic!("{error}"))
}

fn one_layer() -> Sequential {
    Sequential::new().then(Flatten).then(Linear::new(784, 10, &mut Init::new(1)))
}

#[test]
fn training_learns_counts_and_reports() {
    let data = FashionMnist { train: striped(100), test: striped(37), name: DatasetName::Other };
    let mut net = one_layer();
    let training = Training { epochs: 3, batch_size: 32, seed: 5 };
    let (mut steps, mut epochs) = (Vec::new(), Vec::new());
    let outcome =
        train(&mut net, &mut Sgd::new(0.1), &data, &training, &AtomicBool::new(false), |progress| {
            match progress {
                Progress::Step(step) => steps.push(step),
                Progress::Epoch(epoch) => epochs.push(epoch),
            }
        });
    assert_eq!(outcome, Outcome::Finished);
    assert_eq!((steps.len(), epochs.len()), (3 * 4, 3));
    let seen: Vec<usize> = steps[..4].iter().map(|step| step.seen).collect();
    assert_eq!(seen, [32, 64, 96, 100], "the last batch is short");
    for (i, epoch) in epochs.iter().enumerate() {
        let last = steps[4 * i + 3];
        assert_eq!((last.epoch, last.step, last.steps, epoch.epoch), (i + 1, 4, 4, i + 1));
        assert_eq!((last.loss, last.correct), (epoch.loss, epoch.train.correct));
        assert_eq!((epoch.train.total, epoch.test.total), (100, 37));
        assert!(epoch.seconds > 0.0);
    }
    assert!(epochs[2].loss < epochs[0].loss);
    assert_eq!(epochs[2].test, Score { correct: 37, total: 37 });
    assert_eq!(evaluate(&net, &data.test), epochs[2].test);
    assert_eq!(epochs[2].test.accuracy(), 1.0);
}

/// The loss of an epoch is the mean over its pictures, not over its batches: with a learning rate of 0 it is the loss of
/// all pictures at once, however they are cut.
#[test]
fn the_loss_is_the_mean_over_the_pictures() {
    let images = striped(100);
    let data = FashionMnist { train: images.clone(), test: images, name: DatasetName::Other };
    let loss_with = |batch_size| {
        let (mut net, mut loss) = (one_layer(), 0.0);
        let training = Training { epochs: 1, batch_size, seed: 5 };
        train(&mut net, &mut Sgd::new(0.0), &data, &training, &AtomicBool::new(false), |progress| {
            if let Progress::Epoch(epoch) = progress {
                loss = epoch.loss;
            }
        });
        loss
    };
    let whole = loss_with(100);
    for batch_size in [1, 32, 99] {
        assert!((loss_with(batch_size) - whole).abs() < 1e-6 * whole);
    }
}

#[test]
fn training_stops_between_two_steps() {
    let data = FashionMnist { train: striped(100), test: striped(10), name: DatasetName::Other };
    let stop = AtomicBool::new(false);
    let mut steps = 0;
    let training = Training { epochs: 5, batch_size: 32, seed: 0 };
    let outcome = train(&mut one_layer(), &mut Sgd::new(0.1), &data, &training, &stop, |progress| {
        if let Progress::Step(step) = progress {
            steps += 1;
            stop.store(step.epoch == 2 && step.step == 3, Ordering::Relaxed);
        }
    });
    assert_eq!((outcome, steps), (Outcome::Stopped { epoch: 2, step: 3 }, 4 + 3));
    assert_eq!(outcome.to_string(), "stopped in epoch 2 after 3 steps");
}

#[test]
fn a_loss_that_is_no_number_ends_training() {
    let data = FashionMnist { train: striped(100), test: striped(10), name: DatasetName::Other };
    let mut net = one_layer();
    let training = Training { epochs: 5, batch_size: 32, seed: 0 };
    let outcome = train(&mut net, &mut Breaks(2), &data, &training, &AtomicBool::new(false), |_| ());
    let Outcome::Diverged { epoch: 1, step: 3, loss } = outcome else { panic!("{outcome:?}") };
    assert!(loss.is_nan());
    assert!(outcome.to_string().starts_with("the loss became NaN in epoch 1, step 3"), "{outcome}");
}

/// An optimiser that makes a NaN in its second step (a step has two updates: weight and bias).
struct Breaks(i32);

impl Optimizer for Breaks {
    fn update(&mut self, param: &mut Param, _: &Tensor) {
        if param.value().rank() == 1 {
            self.0 -= 1;
        }
        if self.0 == 0 {
            param.data_mut()[0] = f32::NAN;
        }
    }
    fn name(&self) -> &'static str {
        "Breaks"
    }
    fn hyperparameters(&self) -> Vec<(&'static str, f64)> {
        vec![]
    }
    fn state(&self, _: &Param) -> Option<ParamState> {
        None
    }
    fn set_state(&mut self, _: &Param, _: Option<ParamState>) -> tapegrad::Result<()> {
        Ok(())
    }
    fn lr(&self) -> f64 {
        0.0
    }
    fn set_lr(&mut self, _: f64) {}
}
