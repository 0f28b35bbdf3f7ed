//! `lenet` without a command: trains, as the notebook's cells 42 to 47 do, and with `--batch-norm` 39 to 41.
//!
//! This file is about options: what can be said, and, where a training goes on, what its checkpoint says instead.
//! Next to read: `run.rs`, the training itself.

use std::fmt::Display;
use std::path::PathBuf;

use super::super::args::{Args, Command, Opt};
use super::super::color::{COLOR, Color};
use super::super::{Stop, interrupt, note, warn_of_debug_build};
use super::{DATA, THREADS, data_folder, net_name, set_threads};
use crate::Error;
use crate::save::checkpoint::{Checkpoint, Checkpoints};
use crate::train::Training;

pub(super) const COMMAND: Command = Command {
    name: "lenet",
    about: "Trains LeNet on Fashion-MNIST, as the notebook does: batches of 256, Adam, cross-entropy.\n\n\
            lenet eval     the accuracy of a saved net\n\
            lenet predict  what a saved net sees in pictures\n\
            lenet export   a saved net as ONNX, for other programs\n\
            lenet compare  two trainings in one page\n\n\
            Each of them has its own --help. Without one of them:",
    operands: "",
    options: &[
        Opt { name: "--batch-norm", value: "", help: "train the net with batch normalisation" },
        Opt { name: "--epochs", value: "N", help: "passes over the training images [default: 5]" },
        Opt { name: "--batch-size", value: "N", help: "images per step [default: 256]" },
        Opt { name: "--lr", value: "X", help: "Adam's learning rate [default: 0.001]" },
        Opt { name: "--seed", value: "N", help: "what first weights and order come from [default: 0]" },
        Opt { name: "--save", value: "FILE", help: "write the trained net, as safetensors" },
        Opt { name: "--log", value: "FILE", help: "append a line of JSON for every step and every epoch" },
        Opt { name: "--draw-tape", value: "FILE", help: "draw the tape of the first step, as SVG" },
        Opt {
            name: "--report",
            value: "FILE.html",
            help: "a page that shows the training, written again after every epoch",
        },
        Opt {
            name: "--checkpoint",
            value: "DIR",
            help: "keep the training there after every epoch, so that it can go on after an interruption",
        },
        Opt { name: "--checkpoint-every", value: "N", help: "and after every N steps" },
        Opt { name: "--resume", value: "DIR", help: "go on from the newest checkpoint there" },
        THREADS,
        DATA,
        Opt { name: "--profile", value: "", help: "print, at the end, where the time went: op by op" },
        COLOR,
        Opt { name: "--quiet", value: "", help: "print the lines of the epochs only" },
    ],
    notes: "Each epoch prints its mean training loss, the accuracy on the training images as they were seen, the accuracy on\n\
            the test images at its end, and its seconds. The last line is a hash of all parameters: the same options give the\n\
            same hash on every machine, with any number of threads, interrupted or not.\n\n\
            With --resume, options that are not given are those of the checkpoint. Only --epochs may be another number: a\n\
            training that is done can be made longer.\n\n\
            Environment: TAPEGRAD_THREADS=N, and TAPEGRAD_ISA=scalar|avx2|avx512|neon to choose instructions.",
};

/// Everything that a training is to be.
pub(super) struct Plan {
    pub batch_norm: bool,
    pub training: Training,
    pub lr: f64,
    /// Steps between checkpoints, beside those of the epochs.
    pub every: Option<usize>,
    pub data: PathBuf,
    pub save: Option<PathBuf>,
    pub log: Option<PathBuf>,
    pub report: Option<PathBuf>,
    pub profile: bool,
    pub draw_tape: Option<PathBuf>,
    pub color: Color,
    pub quiet: bool,
}

impl Plan {
    /// The options that decide what the training gives, as a report lists them.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let Training { epochs, batch_size, seed } = self.training;
        vec![
            ("--batch-norm", if self.batch_norm { "yes" } else { "no" }.to_string()),
            ("--epochs", epochs.to_string()),
            ("--batch-size", batch_size.to_string()),
            ("--lr", self.lr.to_string()),
            ("--seed", seed.to_string()),
        ]
    }
}

pub(super) fn run(args: &Args) -> Result<(), Stop> {
    let given = Given::parse(args)?;
    set_threads(args)?;
    let color = Color::of(args)?;
    warn_of_debug_build();
    interrupt::catch();
    let (checkpoints, newest) = open_checkpoints(args)?;
    let plan = Plan {
        batch_norm: settle("--batch-norm", given.batch_norm, &newest, kept_batch_norm, false)?,
        training: Training {
            epochs: given.epochs.or(newest.as_ref().map(|kept| kept.training().epochs)).unwrap_or(5),
            batch_size: settle(
                "--batch-size",
                given.batch_size,
                &newest,
                |kept| kept.training().batch_size,
                256,
            )?,
            seed: settle("--seed", given.seed, &newest, |kept| kept.training().seed, 0)?,
        },
        lr: settle("--lr", given.lr, &newest, Checkpoint::lr, 0.001)?,
        every: given.every.or_else(|| newest.as_ref()?.option("checkpoint_every")?.parse().ok()),
        data: data_folder(args),
        save: args.path("--save"),
        log: args.path("--log"),
        report: args.path("--report"),
        profile: args.flag("--profile"),
        draw_tape: args.path("--draw-tape"),
        color,
        quiet: args.flag("--quiet"),
    };
    super::run::run(&plan, checkpoints, newest)
}

/// The options that were given, of those that a checkpoint has, too.
struct Given {
    batch_norm: Option<bool>,
    epochs: Option<usize>,
    batch_size: Option<usize>,
    lr: Option<f64>,
    seed: Option<u64>,
    every: Option<usize>,
}

impl Given {
    fn parse(args: &Args) -> Result<Given, Stop> {
        let from_1 = "a whole number from 1";
        let given = Given {
            batch_norm: args.flag("--batch-norm").then_some(true),
            epochs: args.number("--epochs", from_1, |n| n >= 1)?,
            batch_size: args
                .number("--batch-size", "a whole number from 1 to 60000", |n| (1..=60_000).contains(&n))?,
            lr: args.number("--lr", "a number above 0", |lr: f64| lr > 0.0 && lr.is_finite())?,
            seed: args.number("--seed", "a whole number from 0 to 2^64 - 1", |_| true)?,
            every: args.number("--checkpoint-every", from_1, |n| n >= 1)?,
        };
        if args.flag("--checkpoint") && args.flag("--resume") {
            let expected =
                "one of --checkpoint DIR for a new training and --resume DIR for one that is there";
            return Err(Error::argument("--resume", expected, "both").into());
        }
        if given.every.is_some() && !args.flag("--checkpoint") && !args.flag("--resume") {
            return Err(
                Error::argument("--checkpoint-every", "--checkpoint DIR beside it", "no folder").into()
            );
        }
        Ok(given)
    }
}

/// The folder that was named, and the checkpoint in it to go on from.
fn open_checkpoints(args: &Args) -> crate::Result<(Option<Checkpoints>, Option<Checkpoint>)> {
    if let Some(folder) = args.path("--checkpoint") {
        return Ok((Some(Checkpoints::create(folder)?), None));
    }
    let Some(folder) = args.path("--resume") else { return Ok((None, None)) };
    let mut checkpoints = Checkpoints::open(&folder)?;
    let (newest, damaged) = checkpoints.newest()?;
    for error in damaged {
        note(&format!("warning: {error}; going back to the checkpoint before it"));
    }
    // It was stopped before it could write one.
    if newest.is_none() {
        note(&format!("{}: no checkpoint yet, starting from the beginning", folder.display()));
    }
    Ok((Some(checkpoints), newest))
}

fn kept_batch_norm(kept: &Checkpoint) -> bool {
    kept.option("net") == Some(net_name(true))
}

/// An option as it was given, as the checkpoint has it, or by default. Given and kept must agree.
fn settle<T: PartialEq + Display>(
    name: &str,
    given: Option<T>,
    newest: &Option<Checkpoint>,
    kept: impl Fn(&Checkpoint) -> T,
    default: T,
) -> crate::Result<T> {
    match (given, newest) {
        (Some(given), Some(newest)) if given != kept(newest) => {
            let expected = format!("{}, as in the checkpoint {}", kept(newest), newest.path().display());
            Err(Error::argument(name, expected, given.to_string()))
        }
        (Some(given), _) => Ok(given),
        (None, Some(newest)) => Ok(kept(newest)),
        (None, None) => Ok(default),
    }
}
