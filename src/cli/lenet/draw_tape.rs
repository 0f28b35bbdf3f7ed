//! `lenet --draw-tape FILE.svg`: one step of the net as its tape, before training begins.
//!
//! The step is the one that training takes first: forward and backward on the same batch, with the names of the parameters and the
//! norm of every gradient. It changes nothing, so a training with a picture ends with the same bits as one without.
//!
//! Next to read: [`crate::autograd::draw`], which makes the picture.

use std::path::Path;

use super::super::note;
use super::train::Plan;
use crate::data::{Batches, FashionMnist};
use crate::nn::Module;
use crate::train::Position;
use crate::{Tape, Tensor, file};

/// Draws the step at `position`, where a training begins or goes on.
pub(super) fn run(
    path: &Path,
    plan: &Plan,
    net: &dyn Module,
    data: &FashionMnist,
    position: &Position,
) -> crate::Result<()> {
    let training = &plan.training;
    let batches = Batches::shuffled(&data.train, training.batch_size, training.seed, position.epoch as u64);
    // Of an epoch whose steps are all done only the evaluation is left; its last step will do.
    let batch = batches.batch(position.step.min(batches.len() - 1));
    // A training tape moves batch norm's statistics.
    let buffers = net.named_buffers();
    let before: Vec<Tensor> = buffers.iter().map(|(_, buffer)| buffer.value()).collect();
    let tape = Tape::training().watched();
    let labels: Vec<usize> = batch.labels().map(usize::from).collect();
    net.call(tape.input(&batch.pixels())).cross_entropy(&labels).backward();
    buffers.iter().zip(&before).for_each(|((_, buffer), value)| buffer.set(value));
    file::replace(path, tape.draw().named(net.named_parameters()).to_svg().as_bytes())?;
    if !plan.quiet {
        note(&format!("the tape of a step is drawn in {}", path.display()));
    }
    Ok(())
}
