//! Chapter 9: training. The notebook's `train_ch5` and `evaluate_accuracy`, cells 45 and 46.
//!
//! ```text
//! for every epoch                          a new order of the pictures, from (seed, epoch) alone
//!     for every batch
//!         tape, logits, loss               forward writes the tape
//!         loss.backward()                  backward spends it
//!         optimizer.step(net, grads)
//!     evaluate on the test pictures        on an inference tape: it changes nothing
//! ```
//!
//! The loop differs from the notebook's in one number. The notebook divides the sum of an epoch's losses by the batches
//! of *all* epochs so far, so its losses fall by a half, a third, a quarter without any learning. Here the loss of an epoch
//! is the mean over its pictures. In the first epoch the two agree (but for the last, shorter batch).
//!
//! A loss that is no number ends the training, before it reaches the parameters: nothing gets better after it. A flag
//! ends it from outside (Ctrl-C), between two steps.
//!
//! From the second step on no tensor memory is allocated: batches, values and gradients take what the step before gave
//! back.
//!
//! The [marks](mark) tell a [profile](crate::profile), where there is one, what is done between ops.
//!
//! What this is not: a place for printing. Progress is handed to a closure. Next to read: `save/mod.rs`.

mod events;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::data::{Batch, Batches, FashionMnist, Images};
use crate::nn::Module;
use crate::optim::Optimizer;
use crate::profile::mark;
use crate::{Tape, Tensor, Var};

pub use events::{Epoch, Moment, Outcome, Position, Progress, Score, Step, Training};

/// Trains a net on the training pictures and evaluates it on the test pictures after every epoch. The notebook's
/// `train_ch5`.
///
/// `stop` is looked at before every step and every batch of an evaluation. `report` hears of every step and every epoch;
/// an epoch that did not end is not reported.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// use tapegrad::data::{DatasetName, FashionMnist, Images};
/// use tapegrad::nn::{Flatten, Init, Linear, Sequential};
/// use tapegrad::optim::Adam;
/// use tapegrad::train::{Outcome, Progress, Training, train};
///
/// # fn main() -> tapegrad::Result<()> {
/// // Ten pictures, each of one brightness; the label is how bright.
/// let pixels = (0..10u8).flat_map(|label| [label * 25; 28 * 28]).collect();
/// let images = Images::new(pixels, (0..10).collect())?;
/// let data = FashionMnist { train: images.clone(), test: images, name: DatasetName::Other };
///
/// let mut net = Sequential::new().then(Flatten).then(Linear::new(28 * 28, 10, &mut Init::new(0)));
/// let training = Training { epochs: 3, batch_size: 4, seed: 0 };
/// let mut losses = Vec::new();
/// let outcome = train(&mut net, &mut Adam::new(0.001), &data, &training, &AtomicBool::new(false), |progress| {
///     if let Progress::Epoch(epoch) = progress {
///         losses.push(epoch.loss);
///     }
/// });
/// assert_eq!(outcome, Outcome::Finished);
/// assert!(losses.len() == 3 && losses[2] < losses[0]);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
/// Where the net does not take `[n, 1, 28, 28]` to `[n, classes]` with a class for every label, the loss does not depend on one of its
/// parameters, or the number of epochs or the size of a batch is 0.
#[track_caller]
pub fn train(
    net: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    data: &FashionMnist,
    training: &Training,
    stop: &AtomicBool,
    mut report: impl FnMut(Progress),
) -> Outcome {
    assert!(training.epochs > 0, "train: epochs must be at least 1, got 0");
    train_from(net, optimizer, data, training, Position::start_of(1), stop, |moment| report(moment.progress))
}

/// [`train`] from any position on, as a [checkpoint](crate::save::checkpoint) gives it back. `report` sees the net, the
/// optimiser and the gradients, too.
///
/// With the net, the optimiser, the options and the pictures of then, it ends with the same bits as a training that was never
/// interrupted: the order of an epoch's pictures depends on the seed and the epoch alone.
///
/// # Panics
/// As [`train`], and where an epoch has fewer steps than `position` says, or its epoch is 0.
#[track_caller]
pub fn train_from(
    net: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    data: &FashionMnist,
    training: &Training,
    mut position: Position,
    stop: &AtomicBool,
    mut report: impl FnMut(Moment<'_>),
) -> Outcome {
    assert!(position.epoch > 0, "train_from: epochs are counted from 1, got a position in epoch 0");
    let mut outputs = Vec::new();
    while position.epoch <= training.epochs {
        let epoch = position.epoch;
        let clock = Clock { start: Instant::now(), before: position.seconds };
        let batches = Batches::shuffled(&data.train, training.batch_size, training.seed, epoch as u64);
        assert!(
            position.step <= batches.len(),
            "train_from: epoch {epoch} has {} steps, got a position after {}",
            batches.len(),
            position.step
        );
        if let Err(outcome) = finish_steps(net, optimizer, &batches, &mut position, &clock, stop, &mut report)
        {
            return outcome;
        }
        outputs.clear();
        let Some(test) = evaluate_until(net, &data.test, stop, &mut outputs) else {
            return Outcome::Stopped { epoch, step: batches.len() };
        };
        let Position { score: train, .. } = position;
        let done = Epoch { epoch, loss: position.loss(), train, test, seconds: clock.seconds() };
        position = Position::start_of(epoch + 1);
        report(Moment {
            progress: Progress::Epoch(done),
            position,
            net,
            optimizer,
            gradients: None,
            test_logits: Some(&outputs),
        });
        mark("report");
    }
    Outcome::Finished
}

/// Counts the seconds of an epoch, those before an interruption included.
struct Clock {
    start: Instant,
    before: f64,
}

impl Clock {
    fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }
}

/// The steps of an epoch that are left, or why they were not done.
#[track_caller]
fn finish_steps(
    net: &mut dyn Module,
    optimizer: &mut dyn Optimizer,
    batches: &Batches<'_>,
    position: &mut Position,
    clock: &Clock,
    stop: &AtomicBool,
    report: &mut impl FnMut(Moment<'_>),
) -> Result<(), Outcome> {
    let epoch = position.epoch;
    let mut labels = Vec::new();
    for (i, batch) in batches.iter().enumerate().skip(position.step) {
        if stop.load(Ordering::Relaxed) {
            return Err(Outcome::Stopped { epoch, step: i });
        }
        let tape = Tape::training();
        let logits = predict("train", net, &tape, &batch, &mut labels);
        let loss = logits.cross_entropy(&labels);
        let value = loss.item();
        if !value.is_finite() {
            return Err(Outcome::Diverged { epoch, step: i + 1, loss: value });
        }
        let score = Score { correct: count_correct(&logits.value(), &labels), total: batch.len() };
        mark("count correct");
        let gradients = loss.backward();
        optimizer.step(net, &gradients);
        mark("optimiser");

        position.step = i + 1;
        position.loss_sum += f64::from(value) * batch.len() as f64;
        position.score.correct += score.correct;
        position.score.total += score.total;
        position.seconds = clock.seconds();
        let step = Step {
            epoch,
            step: i + 1,
            steps: batches.len(),
            seen: position.score.total,
            loss: position.loss(),
            correct: position.score.correct,
            batch_loss: value,
            batch: score,
        };
        report(Moment {
            progress: Progress::Step(step),
            position: *position,
            net,
            optimizer,
            gradients: Some(&gradients),
            test_logits: None,
        });
        mark("report");
    }
    Ok(())
}

/// How many pictures a net has right. The notebook's `evaluate_accuracy`.
///
/// The tapes are inference tapes, so nothing is kept for backward, batch norm uses its moving statistics, and the net is
/// the same afterwards.
///
/// # Panics
/// Where the net does not take `[n, 1, 28, 28]` to `[n, classes]`, with a class for every label.
#[track_caller]
pub fn evaluate(net: &dyn Module, images: &Images) -> Score {
    match evaluate_until(net, images, &AtomicBool::new(false), &mut Vec::new()) {
        Some(score) => score,
        None => unreachable!("nobody sets this flag"),
    }
}

/// The net's outputs for all pictures, in their order: `[n, 10]` for LeNet.
///
/// # Panics
/// Where the net does not give one row for each picture, with a column for its label.
#[track_caller]
pub fn logits(net: &dyn Module, images: &Images) -> Tensor {
    let mut labels = Vec::new();
    let mut parts = Vec::new();
    for batch in Batches::in_order(images, EVALUATION_BATCH).iter() {
        parts.push(predict("logits", net, &Tape::inference(), &batch, &mut labels).value());
    }
    Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0)
}

/// Pictures per batch of an evaluation: as many as in a step of training, whose memory is then used again.
const EVALUATION_BATCH: usize = 256;

/// [`evaluate`], or `None` where the flag was set before the end. The net's outputs are appended to `outputs`.
#[track_caller]
fn evaluate_until(
    net: &dyn Module,
    images: &Images,
    stop: &AtomicBool,
    outputs: &mut Vec<f32>,
) -> Option<Score> {
    let mut labels = Vec::new();
    let mut score = Score::default();
    for batch in Batches::in_order(images, EVALUATION_BATCH).iter() {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let tape = Tape::inference();
        let logits = predict("evaluate", net, &tape, &batch, &mut labels).value();
        score.correct += count_correct(&logits, &labels);
        score.total += batch.len();
        outputs.extend_from_slice(logits.contiguous().data());
        mark("count correct");
    }
    Some(score)
}

/// The net's output for a batch, and the batch's labels.
#[track_caller]
fn predict<'t>(
    op: &str,
    net: &dyn Module,
    tape: &'t Tape,
    batch: &Batch<'_>,
    labels: &mut Vec<usize>,
) -> Var<'t> {
    labels.clear();
    labels.extend(batch.labels().map(usize::from));
    let pixels = batch.pixels();
    mark("load images");
    let logits = net.forward(tape.input(&pixels));
    let shape = logits.shape();
    assert!(
        shape.len() == 2 && shape[0] == batch.len(),
        "{op}: the net must give a row of logits for each picture, [{}, classes], got {shape}",
        batch.len()
    );
    if let Some(label) = labels.iter().max().filter(|label| **label >= shape[1]) {
        panic!("{op}: the net gives logits {shape}, which has no column for label {label}");
    }
    logits
}

/// How many rows of logits, `[n, classes]`, have their largest where the label says.
///
/// # Panics
/// When the logits are no matrix, have no classes, or there is not one label for each row.
#[track_caller]
pub fn count_correct(logits: &Tensor, labels: &[usize]) -> usize {
    let shape = logits.shape();
    assert!(
        shape.len() == 2 && shape[0] == labels.len(),
        "count_correct: {} labels need logits [{}, classes], got {shape}",
        labels.len(),
        labels.len()
    );
    logits.argmax(1).iter().zip(labels).filter(|(guess, label)| guess == label).count()
}
