//! The command line of a bench: a filter, and options as `--name value` or `--name=value`.

use std::ffi::OsString;

use tapegrad::{Error, parallel};

pub const HELP: &str = "\
Usage: cargo bench [--bench conv|gemm|ops|step] [-- [FILTER] [OPTIONS]]

  FILTER                measure only cases whose name contains this
  --rounds N            how often each case is measured, in turn [default: 15]
  --threads N[,N...]    with how many threads [default: 1,2, as far as there are cores]
  --save-baseline NAME  keep the medians, in place of those kept under this name before
  --baseline NAME       compare with the medians kept under this name: 1.08x faster, or 0.97x the speed
  -h, --help            print this help

Each case is warmed up and then measured in turn with the others, round after round. The columns: the time of one run, median,
smallest and largest; the operations of the median run in GFLOP/s and as a share of the peak, which is what a loop of
multiply-adds on registers reached; GB/s of the bytes that an op must move at least; beside a baseline, ~ where the old median
lies between the new smallest and largest time, so that the difference may be the machine's.

Without --bench (as cargo test --benches calls it) each case runs once and nothing is measured.";

/// What the command line asks for.
#[derive(Default)]
pub struct Options {
    /// Only cases whose name contains it.
    pub filter: String,
    /// Measure; otherwise run each case once, as `cargo test --benches` wants.
    pub measure: bool,
    pub help: bool,
    /// Rounds of measuring.
    pub rounds: usize,
    /// The name to keep the medians under.
    pub save_baseline: Option<String>,
    /// The name of the medians to compare with.
    pub baseline: Option<String>,
    /// The numbers of threads to measure with; empty for the usual ones.
    pub threads: Vec<usize>,
}

impl Options {
    /// Takes a command line apart, without the program's name.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Error> {
        let (mut filter, mut rounds, mut threads) = (None, None, None);
        let mut options = Options::default();
        let mut args = args.into_iter().map(|arg| arg.to_string_lossy().into_owned());
        while let Some(arg) = args.next() {
            let (name, attached) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_string())),
                _ => (arg.as_str(), None),
            };
            let mut value = |expected: &str| {
                attached
                    .clone()
                    .or_else(|| args.next())
                    .ok_or_else(|| Error::argument(name, expected, "the end of the line"))
            };
            match name {
                "--rounds" => set(&mut rounds, name, number(name, &value(ROUNDS)?, ROUNDS)?)?,
                "--threads" => set(&mut threads, name, thread_counts(&value(THREADS)?)?)?,
                "--save-baseline" => {
                    set(&mut options.save_baseline, name, baseline_name(name, value(NAME)?)?)?;
                }
                "--baseline" => set(&mut options.baseline, name, baseline_name(name, value(NAME)?)?)?,
                "--bench" | "--help" | "-h" if attached.is_none() => match name {
                    "--bench" => options.measure = true,
                    _ => options.help = true,
                },
                _ if arg.starts_with('-') => {
                    return Err(Error::argument("option", "one of those below", format!("{arg:?}")));
                }
                _ => set(&mut filter, "FILTER", arg)?,
            }
        }
        options.filter = filter.unwrap_or_default();
        options.rounds = rounds.unwrap_or(15);
        options.threads = threads.unwrap_or_default();
        Ok(options)
    }
}

const ROUNDS: &str = "a whole number from 1";
const THREADS: &str = "whole numbers from 1 to 1024, separated by commas";
const NAME: &str =
    "at most 100 bytes of letters, digits, '-', '_' and '.', beginning with a letter or a digit";

/// Sets what may be given once.
fn set<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::argument(name, "one", "two")),
    }
}

fn number(name: &str, text: &str, expected: &str) -> Result<usize, Error> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| Error::argument(name, expected, format!("{text:?}")))
}

fn thread_counts(text: &str) -> Result<Vec<usize>, Error> {
    let mut counts = Vec::new();
    for part in text.split(',') {
        let count = number("--threads", part, THREADS)?;
        if count > parallel::MAX_THREADS {
            return Err(Error::argument("--threads", THREADS, format!("{part:?}")));
        }
        if !counts.contains(&count) {
            counts.push(count);
        }
    }
    Ok(counts)
}

/// A name becomes part of a file's, so it must not lead out of the folder nor be too long for one, and must not look like the next option,
/// where its own value is missing.
fn baseline_name(option: &str, name: String) -> Result<String, Error> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name.len() <= 100 && name.starts_with(char::is_alphanumeric) && name.chars().all(plain) {
        true => Ok(name),
        false => Err(Error::argument(option, NAME, format!("{name:?}"))),
    }
}
