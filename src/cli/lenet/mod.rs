//! `lenet`: trains the notebook's nets (cells 39 to 47), and uses what was trained.
//!
//! ```text
//! lenet [OPTIONS]                                   trains: train.rs, and run.rs for what survives an interruption
//!                                                   (with --draw-tape, draw_tape.rs)
//! lenet eval --load FILE                            the accuracy on the test images: eval.rs
//! lenet predict --load FILE IMAGE...                what pictures show: predict.rs
//! lenet export --load FILE --onnx FILE.onnx         the net for other programs: export.rs
//! lenet compare A B --report FILE.html              two trainings in one page: compare.rs
//! ```

mod compare;
mod draw_tape;
mod eval;
mod export;
mod predict;
mod report;
mod run;
mod train;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{Args, Command, Opt};
use super::{Stop, check_environment, finish, note};
use crate::nn::{Init, LeNet, Module, lenet_batch_norm};
use crate::parallel::{self, MAX_THREADS};
use crate::save::{Metadata, SafeTensors, load_model_from};

/// What a command does with its options.
type Work = fn(&Args) -> Result<(), Stop>;

/// Runs the program with the arguments behind its name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter().peekable();
    let (command, work): (&Command, Work) = match args.peek().and_then(|first| first.to_str()) {
        Some("eval") => (&eval::COMMAND, eval::run),
        Some("predict") => (&predict::COMMAND, predict::run),
        Some("export") => (&export::COMMAND, export::run),
        Some("compare") => (&compare::COMMAND, compare::run),
        _ => (&train::COMMAND, train::run),
    };
    if command.name != train::COMMAND.name {
        args.next();
    }
    finish(
        &command.usage(),
        command.parse(args).and_then(|args| {
            check_environment()?;
            work(&args)
        }),
    )
}

const LOAD: Opt =
    Opt { name: "--load", value: "FILE", help: "the net, as --save or PyTorch's safetensors wrote it" };

const DATA: Opt = Opt {
    name: "--data",
    value: "DIR",
    help: "folder of the four IDX files, .gz or not [default: data/fashion-mnist]",
};

const THREADS: Opt =
    Opt { name: "--threads", value: "N", help: "threads to use; changes no result [default: one per core]" };

/// Does what `--threads` says.
fn set_threads(args: &Args) -> Result<(), Stop> {
    let expected = format!("a whole number from 1 to {MAX_THREADS}");
    if let Some(threads) = args.number("--threads", &expected, |n| (1..=MAX_THREADS).contains(&n))? {
        parallel::set_threads(threads);
    }
    Ok(())
}

/// The folder of the data set: what `--data` says, or the bundled one, below the current folder or else where this program was
/// built.
pub(super) fn data_folder(args: &Args) -> PathBuf {
    let here = PathBuf::from("data/fashion-mnist");
    let built = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist"));
    let default = if !here.is_dir() && built.is_dir() { built } else { here };
    args.path("--data").unwrap_or(default)
}

/// What a net of this program is called in the metadata of its files.
fn net_name(batch_norm: bool) -> &'static str {
    if batch_norm { "LeNet with batch norm" } else { "LeNet" }
}

/// A net with its first values.
fn new_net(batch_norm: bool, seed: u64) -> Box<dyn Module> {
    let init = &mut Init::new(seed);
    if batch_norm { Box::new(lenet_batch_norm(init)) } else { Box::new(LeNet::new(init)) }
}

/// Reads one of the two nets. Which of them it is, the names of the tensors tell, so that files of other programs load too.
fn load_net(path: &Path) -> crate::Result<(Box<dyn Module>, Metadata)> {
    let mut file = SafeTensors::open(path)?;
    // The notebook's net with batch norm is one Sequential, so its first layer is called 0.
    let batch_norm = file.tensors().contains_key("0.weight");
    let mut net = new_net(batch_norm, 0);
    load_model_from(&mut *net, &mut file)?;
    let metadata = file.metadata().clone();
    let hash = format!("{:016x}", net.parameter_hash());
    if let Some(written) = metadata.get("parameter_hash").filter(|&written| *written != hash) {
        note(&format!(
            "note: {}: its metadata tell of the parameter hash {written:.40?}, its parameters have {hash}: changed since, or damaged",
            path.display()
        ));
    }
    Ok((net, metadata))
}
