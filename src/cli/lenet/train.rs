//! `lenet`: the notebook's cells 42 to 47, and with `--batch-norm` 39 to 41.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use super::args::{Command, Opt};
use super::progress::Progress;
use super::{Stop, check_environment, finish, interrupt, note, say, warn_of_debug_build};
use crate::data::FashionMnist;
use crate::nn::{Init, LeNet, Module, lenet_batch_norm};
use crate::optim::Adam;
use crate::parallel::{self, MAX_THREADS};
use crate::train::{self, Epoch, Outcome, Step, Training, train};

const COMMAND: Command = Command {
    name: "lenet",
    about: "Trains LeNet on Fashion-MNIST, as the notebook does: batches of 256, Adam, cross-entropy.",
    options: &[
        Opt { name: "--batch-norm", value: "", help: "train the net with batch normalisation" },
        Opt { name: "--epochs", value: "N", help: "passes over the training images [default: 5]" },
        Opt { name: "--batch-size", value: "N", help: "images per step [default: 256]" },
        Opt { name: "--lr", value: "X", help: "Adam's learning rate [default: 0.001]" },
        Opt { name: "--seed", value: "N", help: "what first weights and order come from [default: 0]" },
        Opt {
            name: "--threads",
            value: "N",
            help: "threads to use; changes no result [default: one per core]",
        },
        Opt {
            name: "--data",
            value: "DIR",
            help: "folder of the four IDX files, .gz or not [default: data/fashion-mnist]",
        },
        Opt { name: "--quiet", value: "", help: "print the lines of the epochs only" },
    ],
    notes: "Each epoch prints its mean training loss, the accuracy on the training images as they were seen, the accuracy on\n\
            the test images at its end, and its seconds. The last line is a hash of all parameters: the same options give the\n\
            same hash on every machine, with any number of threads.\n\n\
            Environment: TAPEGRAD_THREADS=N, and TAPEGRAD_ISA=scalar|avx2|avx512|neon to choose instructions.",
};

struct Options {
    batch_norm: bool,
    training: Training,
    lr: f64,
    data: PathBuf,
    quiet: bool,
}

/// Runs the program with the arguments behind its name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    finish(&COMMAND.usage(), parse(args).and_then(|options| train_and_report(&options)))
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Stop> {
    let args = COMMAND.parse(args)?;
    check_environment()?;
    let defaults = Training::default();
    let from_1 = "a whole number from 1";
    let options = Options {
        batch_norm: args.flag("--batch-norm"),
        training: Training {
            epochs: args.number("--epochs", defaults.epochs, from_1, |n| n >= 1)?,
            batch_size: args.number(
                "--batch-size",
                defaults.batch_size,
                "a whole number from 1 to 60000",
                |n| (1..=60_000).contains(&n),
            )?,
            seed: args.number("--seed", defaults.seed, "a whole number from 0 to 2^64 - 1", |_| true)?,
        },
        lr: args.number("--lr", 0.001, "a number above 0", |lr: f64| lr > 0.0 && lr.is_finite())?,
        data: args.get("--data").map_or_else(default_data, PathBuf::from),
        quiet: args.flag("--quiet"),
    };
    if args.get("--threads").is_some() {
        let expected = format!("a whole number from 1 to {MAX_THREADS}");
        let threads = args.number("--threads", 1, &expected, |n| (1..=MAX_THREADS).contains(&n))?;
        parallel::set_threads(threads);
    }
    Ok(options)
}

/// The bundled data: below the current folder, or else where this program was built.
pub(super) fn default_data() -> PathBuf {
    let here = PathBuf::from("data/fashion-mnist");
    let built = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist"));
    if !here.is_dir() && built.is_dir() { built } else { here }
}

fn train_and_report(options: &Options) -> Result<(), Stop> {
    let Options { training, quiet, .. } = options;
    warn_of_debug_build();
    interrupt::catch();
    let data = FashionMnist::load(&options.data)?;
    if !quiet {
        note(&format!(
            "{}: {} training and {} test images, {} threads, {}",
            data.name,
            data.train.len(),
            data.test.len(),
            parallel::threads(),
            crate::simd::level().name()
        ));
    }

    let mut init = Init::new(training.seed);
    let mut net: Box<dyn Module> = match options.batch_norm {
        false => Box::new(LeNet::new(&mut init)),
        true => Box::new(lenet_batch_norm(&mut init)),
    };
    if !quiet {
        say(&format!("{net}"))?;
        say(&format!("{} parameters", net.parameter_count()))?;
    }

    let mut progress = Progress::new(*quiet);
    let mut unsaid = Ok(());
    let mut started = Instant::now();
    let outcome = {
        let stop = interrupt::flag();
        let report = |event: train::Progress| match event {
            train::Progress::Step(step) => {
                if step.step == 1 {
                    started = Instant::now();
                }
                let name = format!("epoch {}/{}", step.epoch, training.epochs);
                progress.draw(&name, step.step, step.steps, &facts(&step, &started, training.batch_size));
            }
            train::Progress::Epoch(epoch) => {
                progress.clear();
                if unsaid.is_ok() {
                    unsaid = say(&line(&epoch));
                }
                // Nobody reads any more: no reason to go on.
                if unsaid.is_err() {
                    stop.store(true, std::sync::atomic::Ordering::Relaxed);
                }
            }
        };
        train(&mut *net, &mut Adam::new(options.lr), &data, training, stop, report)
    };
    progress.clear();
    unsaid?;
    match outcome {
        Outcome::Finished => say(&format!("parameter hash {:016x}", net.parameter_hash())),
        Outcome::Stopped { .. } => {
            note(&format!("{outcome}"));
            Err(Stop::Interrupted)
        }
        Outcome::Diverged { .. } => Err(Stop::Failed(outcome.to_string())),
    }
}

/// The notebook's line, and what it leaves out.
fn line(epoch: &Epoch) -> String {
    format!(
        "epoch {}, loss {:.4}, train acc {:.3}, test acc {:.3}, time {:.2} ({} of {} test images, {:.0} images/s)",
        epoch.epoch,
        epoch.loss,
        epoch.train.accuracy(),
        epoch.test.accuracy(),
        epoch.seconds,
        epoch.test.correct,
        epoch.test.total,
        (epoch.train.total + epoch.test.total) as f64 / epoch.seconds
    )
}

/// What stands behind the bar. The clock starts after the first step, so that step is not counted.
fn facts(step: &Step, started: &Instant, batch_size: usize) -> String {
    let rate = (step.seen - batch_size.min(step.seen)) as f64 / started.elapsed().as_secs_f64().max(1e-9);
    format!("loss {:.4}  {rate:.0} images/s", step.loss)
}
