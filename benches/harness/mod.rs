//! The harness of the benches, with std and this crate alone: the command line, rounds of measuring, a table, baselines.
//!
//! Machines are shared and their speed drifts, so cases are not measured one after the other but in turn, round after round, and each is
//! judged by its median. The smallest and largest time stand beside it: a wide spread says that the machine was busy.
//!
//! Reading order: `case.rs` (what is measured), `measure.rs` (how; `src/profile/peak.rs` is what it is compared with), `table.rs`,
//! `baseline.rs` (what an earlier run took), `options.rs`. Each bench compiles all of it and calls `main`.

mod baseline;
mod case;
mod measure;
mod options;
mod table;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

pub use case::{Case, Work};

use baseline::Baseline;
use case::Prepared;
use options::{HELP, Options};
use tapegrad::simd::{self, level};
use tapegrad::{Error, parallel};

/// Why a bench ends early.
enum Stop {
    /// A wrong argument.
    Usage(String),
    /// A wrong file, or an output that cannot be written.
    Failed(String),
    /// Nobody reads the output any more: `cargo bench | head`.
    Unread,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        match error {
            Error::Argument { .. } => Stop::Usage(error.to_string()),
            _ => Stop::Failed(error.to_string()),
        }
    }
}

/// Does with the cases what the command line asks for.
pub fn main(bench: &str, cases: Vec<Case>) -> ExitCode {
    // Nothing can be done about a stderr that takes nothing.
    let complain = |text: String| drop(writeln!(io::stderr(), "error: {text}"));
    match run(bench, cases) {
        Ok(()) | Err(Stop::Unread) => ExitCode::SUCCESS,
        Err(Stop::Usage(message)) => {
            complain(format!("{message}\n\n{HELP}"));
            ExitCode::from(2)
        }
        Err(Stop::Failed(message)) => {
            complain(message);
            ExitCode::FAILURE
        }
    }
}

fn run(bench: &str, mut cases: Vec<Case>) -> Result<(), Stop> {
    let mut options = Options::parse(std::env::args_os().skip(1))?;
    if options.help {
        return say(HELP);
    }
    simd::requested_level().map_err(Stop::Usage)?;
    let most = parallel::requested_threads().map_err(Stop::Usage)?;
    if options.threads.is_empty() {
        options.threads = [1, 2].into_iter().filter(|&threads| threads <= most).collect();
    }
    cases.retain(|case| case.name.contains(&options.filter));
    if cases.is_empty() {
        return say(&format!("{bench}: no case's name contains {:?}", options.filter));
    }
    if options.measure { measure(bench, cases, &options) } else { run_once(bench, cases, &options) }
}

/// Runs each case once, which shows that it works, and says that this measures nothing.
fn run_once(bench: &str, mut cases: Vec<Case>, options: &Options) -> Result<(), Stop> {
    /// Floating-point operations. Each kind of case has one below it, and a machine without fast kernels takes seconds for it.
    const LARGE: f64 = 1e10;
    let all = cases.len();
    cases.retain(|case| case.work.flop.is_none_or(|flop| flop <= LARGE));
    let left_out = match all - cases.len() {
        0 => String::new(),
        large => format!(", {large} of more than {:.0} GFLOP left out", LARGE / 1e9),
    };
    let mut cases: Vec<Prepared> = cases.into_iter().map(Case::prepare).collect();
    for &threads in &options.threads {
        parallel::set_threads(threads);
        cases.iter_mut().for_each(|case| (case.run)());
        let (count, threads) = (cases.len(), table::thread_text(threads));
        let ran =
            if count == 1 { "1 case ran once".to_string() } else { format!("{count} cases ran once each") };
        say(&format!("{bench}, {threads}: {ran}{left_out}; nothing measured (see --help)"))?;
    }
    Ok(())
}

fn measure(bench: &str, cases: Vec<Case>, options: &Options) -> Result<(), Stop> {
    let old = match &options.baseline {
        Some(name) => Some((name, Baseline::read(name, bench)?)),
        None => None,
    };
    if options.save_baseline.is_some() {
        baseline::create_folder()?; // a folder that cannot be made is better known now than in a minute
    }
    // A reader that went away ends the work, but not where a file is still to be written.
    let print = |text: &str| match say(text) {
        Err(Stop::Unread) if options.save_baseline.is_some() => Ok(()),
        result => result,
    };

    let mut new = Baseline::default();
    let mut cases: Vec<Prepared> = cases.into_iter().map(Case::prepare).collect();
    for &threads in &options.threads {
        parallel::set_threads(threads);
        let (times, peak) = measure::measure(&mut cases, options.rounds, threads);
        for (case, times) in cases.iter().zip(&times) {
            new.insert(threads, &case.name, times.median);
        }
        let old = old.as_ref().map(|(name, old)| (name.as_str(), old));
        print(&format!(
            "{bench}, {}, {}, peak {peak:.0} GFLOP/s\n{}",
            table::thread_text(threads),
            level().name(),
            table::table(&cases, &times, threads, peak, old)
        ))?;
    }
    if let Some((name, old)) = &old {
        let wanted =
            |threads, case: &str| options.threads.contains(&threads) && case.contains(&options.filter);
        for (threads, case) in old.keys().filter(|(threads, case)| wanted(*threads, case)) {
            if new.get(threads, case).is_none() {
                print(&format!(
                    "missing: {case}, {}, is in baseline {name} only",
                    table::thread_text(threads)
                ))?;
            }
        }
    }
    if let Some(name) = &options.save_baseline {
        let path = new.write(name, bench)?;
        print(&format!("saved {} medians as {}", new.keys().count(), path.display()))?;
    }
    Ok(())
}

/// Prints to stdout. Unlike `println!`, a reader that went away is no panic.
fn say(text: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Stop::Unread,
        _ => Stop::Failed(format!("standard output: expected to write there, found: {error}")),
    })
}
