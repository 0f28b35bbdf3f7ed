//! Whether to use colours: `--color`, `NO_COLOR` and what the output is.
//!
//! | `--color` | colours |
//! |---|---|
//! | `always` | yes |
//! | `never` | no |
//! | `auto`, or not given | where the output is a terminal, `TERM` is set and not `dumb`, and `NO_COLOR` is not set or empty (no-color.org) |
//!
//! No information is in colour alone. Next to read: `progress.rs`.

use std::io::IsTerminal;

use super::Stop;
use super::args::{Args, Opt};
use crate::Error;

/// The option, for programs that use colours.
pub(super) const COLOR: Opt =
    Opt { name: "--color", value: "WHEN", help: "colours: auto, always or never [default: auto]" };

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// What `--color` says.
    pub fn of(args: &Args) -> Result<Color, Stop> {
        match args.get(COLOR.name).map(|when| (when, when.to_str())) {
            None | Some((_, Some("auto"))) => Ok(Color::Auto),
            Some((_, Some("always"))) => Ok(Color::Always),
            Some((_, Some("never"))) => Ok(Color::Never),
            Some((other, _)) => {
                Err(Error::argument(COLOR.name, "auto, always or never", format!("{other:?}")).into())
            }
        }
    }

    /// Whether to use colours on this output.
    pub fn is_used_on(self, output: &impl IsTerminal) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                output.is_terminal()
                    && set("NO_COLOR").is_none()
                    && set("TERM").is_some_and(|term| term != "dumb")
            }
        }
    }
}

/// Whether an output is a terminal on which a line can be rewritten.
pub(super) fn can_rewrite(output: &impl IsTerminal) -> bool {
    output.is_terminal() && set("TERM").is_none_or(|term| term != "dumb")
}

fn set(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A text in the one colour that the programs use, or plain.
pub(super) fn accent(text: &str, is_used: bool) -> String {
    if is_used && !text.is_empty() { format!("\x1b[36m{text}\x1b[0m") } else { text.to_string() }
}
