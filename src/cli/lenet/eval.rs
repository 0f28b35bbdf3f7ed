//! `lenet eval`: the accuracy of a saved net on the test images.

use std::time::Instant;

use super::super::args::{Args, Command, Opt};
use super::super::{Stop, say, warn_of_debug_build};
use super::{DATA, LOAD, THREADS, data_folder, load_net, set_threads};
use crate::data::FashionMnist;
use crate::file;
use crate::save::{Metadata, safetensors};
use crate::train::{Score, count_correct, logits};

pub(super) const COMMAND: Command = Command {
    name: "lenet eval",
    about: "Tells how many of the test images a saved net has right.",
    operands: "",
    options: &[
        LOAD,
        DATA,
        Opt {
            name: "--logits",
            value: "FILE",
            help: "write the logits of all test images, [n, 10], in the order of the files, as safetensors",
        },
        THREADS,
    ],
    notes: "A checkpoint is a saved net, too.",
};

pub(super) fn run(args: &Args) -> Result<(), Stop> {
    let load = args.needed_path("--load")?;
    set_threads(args)?;
    warn_of_debug_build();
    let (net, _) = load_net(&load)?;
    let data = FashionMnist::load(data_folder(args))?;
    let start = Instant::now();
    let logits = logits(&*net, &data.test);
    let labels: Vec<usize> = data.test.labels().iter().map(|&label| label.into()).collect();
    let score = Score { correct: count_correct(&logits, &labels), total: labels.len() };
    say(&format!(
        "test acc {:.3}, time {:.2} ({} of {} test images)",
        score.accuracy(),
        start.elapsed().as_secs_f64(),
        score.correct,
        score.total
    ))?;
    if let Some(path) = args.path("--logits") {
        file::replace(&path, &safetensors::encode(&[("logits".to_string(), logits)], &Metadata::new()))?;
    }
    Ok(())
}
