//! What training is told and what it tells: options, steps, epochs, and how it ended.
//!
//! Next to read: `mod.rs`, the loop.

use std::fmt;

use crate::Gradients;
use crate::nn::Module;
use crate::optim::Optimizer;

/// How to train.
///
/// ```
/// use tapegrad::train::Training;
/// let training = Training { epochs: 2, ..Training::default() };
/// assert_eq!(training.batch_size, 256); // as in the notebook
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Training {
    /// How many times every picture is seen; 5 in the notebook.
    pub epochs: usize,
    /// How many pictures make a step; 256 in the notebook.
    pub batch_size: usize,
    /// What the order of the pictures comes from.
    pub seed: u64,
}

impl Default for Training {
    /// The notebook's: 5 epochs of batches of 256, with seed 0.
    fn default() -> Training {
        Training { epochs: 5, batch_size: 256, seed: 0 }
    }
}

/// One step, as soon as it is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The step in its epoch, counted from 1.
    pub step: usize,
    /// How many steps the epoch has.
    pub steps: usize,
    /// How many pictures of the epoch have been seen.
    pub seen: usize,
    /// The mean loss of the epoch so far.
    pub loss: f64,
    /// How many of those pictures the net had right when it saw them.
    pub correct: usize,
    /// The mean loss of this step's pictures, before the step.
    pub batch_loss: f32,
    /// How many of this step's pictures the net had right, before the step.
    pub batch: Score,
}

/// What an epoch gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The mean loss over the pictures, each at the time it was seen.
    pub loss: f64,
    /// On the training pictures, each at the time it was seen.
    pub train: Score,
    /// On the test pictures, at the end of the epoch.
    pub test: Score,
    /// How long it took, evaluation included.
    pub seconds: f64,
}

/// How many pictures of how many a net has right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Those it has right.
    pub correct: usize,
    /// All.
    pub total: usize,
}

impl Score {
    /// The share it has right, from 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.total as f64
    }
}

/// What training reports on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// A step is done.
    Step(Step),
    /// An epoch is done.
    Epoch(Epoch),
}

/// How far a training has come: with the net and the optimiser, all that it takes to go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// The epoch that is to be done, counted from 1.
    pub epoch: usize,
    /// How many steps of it are done. All of them, where only its evaluation is left.
    pub step: usize,
    /// The sum of the losses of the pictures that it has seen.
    pub loss_sum: f64,
    /// How many pictures it has seen, and how many of them the net had right.
    pub score: Score,
    /// How long it has taken so far.
    pub seconds: f64,
}

impl Position {
    /// Before the first step of an epoch, counted from 1.
    pub fn start_of(epoch: usize) -> Position {
        Position { epoch, step: 0, loss_sum: 0.0, score: Score::default(), seconds: 0.0 }
    }

    /// The mean loss of the epoch so far.
    pub(super) fn loss(&self) -> f64 {
        self.loss_sum / self.score.total as f64
    }
}

/// A moment between two steps, or after an epoch, and everything as it is then.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// What was done last.
    pub progress: Progress,
    /// How far the training is.
    pub position: Position,
    /// The net.
    pub net: &'a dyn Module,
    /// The optimiser.
    pub optimizer: &'a dyn Optimizer,
    /// The gradients of the last step; none after an epoch.
    pub gradients: Option<&'a Gradients>,
    /// The net's outputs for the test images, a row for each, after an epoch; none after a step.
    pub test_logits: Option<&'a [f32]>,
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// All epochs are done.
    Finished,
    /// The flag was set. So many steps of this epoch had been done: all of them, where it was set in the evaluation.
    Stopped {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The steps that were done of it.
        step: usize,
    },
    /// The loss was NaN or infinite. The parameters are as they were before that step.
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The step in its epoch, counted from 1.
        step: usize,
        /// The loss.
        loss: f32,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Finished => write!(out, "finished"),
            Outcome::Stopped { epoch, step } => write!(out, "stopped in epoch {epoch} after {step} steps"),
            Outcome::Diverged { epoch, step, loss } => {
                write!(
                    out,
                    "the loss became {loss} in epoch {epoch}, step {step}; try a smaller learning rate"
                )
            }
        }
    }
}
