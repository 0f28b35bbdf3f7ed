//! What can go wrong outside: files, formats, arguments.
//!
//! There are two kinds of mistake. A wrong shape is a mistake in the program: it panics at the line that made it. A
//! wrong file or a wrong argument is a mistake in the world: it comes back as an [`Error`], and the program goes on or
//! ends with one plain line. This file is about the second kind only.
//!
//! Every error says three things: where (a path or the name of an argument), what was expected there, and what was
//! found instead.
//!
//! Next to read: [`crate::file`], which opens and replaces files and is the first to return these errors.

use std::fmt::{self, Display, Write};
use std::io;
use std::path::PathBuf;

/// A result whose error is this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A file, a format or an argument that is not what it should be.
///
/// `Display` gives exactly one line, also when a path or a message holds line breaks: control characters are escaped.
///
/// ```
/// use tapegrad::Error;
///
/// let error = Error::format("train.gz", "an IDX image file (magic 0x00000803)", "magic 0x00000801");
/// assert_eq!(error.to_string(), "train.gz: expected an IDX image file (magic 0x00000803), found magic 0x00000801");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused: no such file, no permission, disk full.
    Io {
        /// The file that was asked for.
        path: PathBuf,
        /// What it was wanted for, as in "a readable file".
        expected: String,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The file is there and can be read, but its content or its kind is wrong.
    Format {
        /// The file.
        path: PathBuf,
        /// What the file should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A value given by the user is out of range or of the wrong kind.
    Argument {
        /// The argument as the user knows it, for example `--epochs`.
        name: String,
        /// The values that are allowed.
        expected: String,
        /// The value that was given.
        found: String,
    },
}

impl Error {
    /// An answer of the operating system, with the path that it is about.
    pub fn io(path: impl Into<PathBuf>, expected: impl Into<String>, source: io::Error) -> Error {
        Error::Io { path: path.into(), expected: expected.into(), source }
    }

    /// A file whose content is wrong.
    pub fn format(path: impl Into<PathBuf>, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Format { path: path.into(), expected: expected.into(), found: found.into() }
    }

    /// An argument whose value is wrong.
    pub fn argument(name: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Argument { name: name.into(), expected: expected.into(), found: found.into() }
    }
}

/// What is wrong with some bytes, found by a parser that does not know which file they come from.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub expected: String,
    pub found: String,
}

impl Mistake {
    /// The mistake as an error of the file at `path`.
    pub fn at(self, path: impl Into<PathBuf>) -> Error {
        Error::format(path, self.expected, self.found)
    }
}

/// A parser's way out.
pub(crate) fn mistake<T>(
    expected: impl Into<String>,
    found: impl Into<String>,
) -> std::result::Result<T, Mistake> {
    Err(Mistake { expected: expected.into(), found: found.into() })
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = OneLine(f);
        match self {
            Error::Io { path, expected, source } => {
                write!(line, "{}: expected {expected}, found: {source}", path.display())
            }
            Error::Format { path, expected, found } => {
                write!(line, "{}: expected {expected}, found {found}", path.display())
            }
            Error::Argument { name, expected, found } => {
                write!(line, "{name}: expected {expected}, found {found}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::Format { .. } | Error::Argument { .. } => None,
        }
    }
}

/// Escapes control characters on the way to `f`. A file name may hold a line break or a terminal escape sequence; an
/// error message must not pass it on.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c.is_control() {
                write!(self.0, "{}", c.escape_default())?;
            } else {
                self.0.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn says_where_what_was_expected_and_what_was_found() {
        let missing = Error::io("a.gz", "a readable file", io::Error::other("gone"));
        assert_eq!(missing.to_string(), "a.gz: expected a readable file, found: gone");
        assert!(missing.source().is_some());

        let argument = Error::argument("--epochs", "a whole number from 1", "\"many\"");
        assert_eq!(argument.to_string(), "--epochs: expected a whole number from 1, found \"many\"");
        assert!(argument.source().is_none());
    }

    #[test]
    fn stays_on_one_line() {
        let error = Error::format("a\nb\u{1b}[2J", "one\r\nline", "\u{85}");
        assert_eq!(error.to_string(), "a\\nb\\u{1b}[2J: expected one\\r\\nline, found \\u{85}");
    }
}
