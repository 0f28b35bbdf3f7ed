//! The command lines of the binaries: options in, lines out, and what a terminal user expects of both.
//!
//! The binaries themselves (`src/bin/`) are one line each; they call `lenet::run` and `edge_kernel::run` here, which return
//! how the program should end:
//!
//! | | exit code |
//! |---|---|
//! | done, `--help`, `--version`, or the reader of the output went away (`lenet \| head`) | 0 |
//! | a file or the machine refused | 1, one line on stderr |
//! | a wrong argument | 2, what was wrong and which options there are, on stderr |
//! | Ctrl-C | 130 |
//!
//! Results go to stdout; progress, notes and warnings to stderr.
//!
//! Reading order: `args.rs`, `interrupt.rs`, `terminal_size.rs`, `color.rs`, `progress.rs`, `lenet/mod.rs`, `edge_kernel.rs`.

mod args;
mod color;
pub mod edge_kernel;
mod interrupt;
pub mod lenet;
mod progress;
mod terminal_size;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::Error;

/// Why a program ends before its work is done.
enum Stop {
    /// `--help` or `--version`: the text to print.
    Text(String),
    /// A wrong command line.
    Usage(String),
    /// A wrong file, or a result that is not right.
    Failed(String),
    /// Nobody reads the output any more.
    Unread,
    /// Ctrl-C.
    Interrupted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        match error {
            Error::Argument { .. } => Stop::Usage(error.to_string()),
            _ => Stop::Failed(error.to_string()),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        match error.kind() {
            ErrorKind::BrokenPipe => Stop::Unread,
            _ => Stop::Failed(format!("standard output: expected to write there, found: {error}")),
        }
    }
}

/// Ends a program: says what there is to say, and to whom.
fn finish(usage: &str, outcome: Result<(), Stop>) -> ExitCode {
    // Nothing can be done about a stderr that takes nothing.
    let complain = |text: &str| drop(writeln!(io::stderr(), "{text}"));
    match outcome {
        Ok(()) | Err(Stop::Unread) => ExitCode::SUCCESS,
        Err(Stop::Text(text)) => finish(usage, say(&text)),
        Err(Stop::Usage(message)) => {
            complain(&format!("error: {message}\n\n{usage}"));
            ExitCode::from(2)
        }
        Err(Stop::Failed(message)) => {
            complain(&format!("error: {message}"));
            ExitCode::FAILURE
        }
        Err(Stop::Interrupted) => ExitCode::from(130),
    }
}

/// Prints a line of results. Unlike `println!`, a reader that went away is no panic.
fn say(line: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Prints a note or a warning on stderr.
fn note(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// Says that this build is slow, where it is.
fn warn_of_debug_build() {
    if cfg!(debug_assertions) {
        note(
            "warning: this is a debug build; with --release (cargo run --release) training is many times faster",
        );
    }
}

/// Checks what the environment asks of the engine (`TAPEGRAD_ISA`, `TAPEGRAD_THREADS`), before anything uses it.
fn check_environment() -> Result<(), Stop> {
    crate::simd::requested_level().map_err(Stop::Usage)?;
    crate::parallel::requested_threads().map_err(Stop::Usage)?;
    Ok(())
}
