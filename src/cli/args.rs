//! Options: `--name value`, `--name=value` and flags.
//!
//! A program lists its options once, in a table; from it come the parsing, the help text, and the message for an option
//! that does not exist, with the nearest one that does.
//!
//! Behind `--` nothing is an option: so a file may be called `-x`. What this is not: short clusters (`-abc`); commands like
//! `lenet eval` are told apart in `lenet/mod.rs`, before this.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::path::PathBuf;
use std::str::FromStr;

use super::Stop;
use crate::Error;

/// One option of a program.
pub(super) struct Opt {
    /// The name, with its dashes.
    pub name: &'static str,
    /// What the value is called in the help text; empty for a flag.
    pub value: &'static str,
    /// One line of help.
    pub help: &'static str,
}

/// A program's command line: what `--help` says and what parsing accepts.
pub(super) struct Command {
    pub name: &'static str,
    pub about: &'static str,
    /// What the arguments without a name are called in the help text; empty where there are none.
    pub operands: &'static str,
    pub options: &'static [Opt],
    /// Printed below the options.
    pub notes: &'static str,
}

/// The options that were given.
pub(super) struct Args {
    values: HashMap<&'static str, OsString>,
    operands: Vec<OsString>,
}

impl Command {
    /// The first lines of the help text, which a usage error shows too.
    pub fn usage(&self) -> String {
        let usage = format!("{} [OPTIONS] {}", self.name, self.operands);
        let mut text = format!("Usage: {}\n\nOptions:\n", usage.trim_end());
        let own = self.options.iter().map(|Opt { name, value, help }| (format!("{name} {value}"), *help));
        let all = [("-h, --help", "print this help"), ("-V, --version", "print the version")];
        let rows: Vec<(String, &str)> = own.chain(all.map(|(name, help)| (name.to_string(), help))).collect();
        let width = rows.iter().map(|(name, _)| name.trim_end().len()).max().unwrap_or(0);
        for (name, help) in rows {
            let _ = writeln!(text, "  {:<width$}  {help}", name.trim_end());
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Takes a command line apart. The first argument, the program's name, is not part of `args`.
    pub fn parse(&self, args: impl IntoIterator<Item = OsString>) -> Result<Args, Stop> {
        let mut values = HashMap::new();
        let mut operands = Vec::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                operands.extend(args.by_ref());
                break;
            }
            let text = arg.to_string_lossy();
            match &*text {
                "-h" | "--help" => {
                    let Command { about, notes, .. } = self;
                    return Err(Stop::Text(format!("{about}\n\n{}\n\n{notes}", self.usage())));
                }
                "-V" | "--version" => {
                    return Err(Stop::Text(format!("{} {}", self.name, env!("CARGO_PKG_VERSION"))));
                }
                _ => {}
            }
            let (name, attached) = split_at_equals(&arg);
            let Some(option) = self.options.iter().find(|option| name == option.name) else {
                if !self.operands.is_empty() && !arg.as_encoded_bytes().starts_with(b"-") {
                    operands.push(arg);
                    continue;
                }
                return Err(Stop::Usage(self.unknown(&name.to_string_lossy())));
            };
            let value = match (option.value.is_empty(), attached) {
                (true, None) => OsString::new(),
                (true, Some(value)) => {
                    return Err(Stop::Usage(format!("{}: expected no value, found {value:?}", option.name)));
                }
                (false, Some(value)) => value,
                (false, None) => args.next().ok_or_else(|| {
                    Stop::Usage(format!(
                        "{}: expected a value {}, found the end of the line",
                        option.name, option.value
                    ))
                })?,
            };
            if values.insert(option.name, value).is_some() {
                return Err(Stop::Usage(format!("{}: expected once, found twice", option.name)));
            }
        }
        if let Some(extra) = operands.first().filter(|_| self.operands.is_empty()) {
            return Err(Stop::Usage(self.unknown(&extra.to_string_lossy())));
        }
        Ok(Args { values, operands })
    }

    fn unknown(&self, name: &str) -> String {
        let nearest = self.options.iter().map(|option| (distance(name, option.name), option.name)).min();
        match nearest {
            Some((far, nearest)) if far <= 2 && name.starts_with('-') => {
                format!("{name}: expected one of the options below, did you mean {nearest}?")
            }
            _ => format!("{name}: expected one of the options below"),
        }
    }
}

impl Args {
    /// Whether a flag was given.
    pub fn flag(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value of an option, as it was given.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.values.get(name).map(OsString::as_os_str)
    }

    /// The value of an option as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// The path that an option must give.
    pub fn needed_path(&self, name: &str) -> Result<PathBuf, Stop> {
        self.path(name).ok_or_else(|| Error::argument(name, "a FILE", "no such option").into())
    }

    /// The arguments without a name.
    pub fn operands(&self) -> &[OsString] {
        &self.operands
    }

    /// The value of an option as a number that passes `valid`, where it was given.
    pub fn number<T: FromStr + Copy>(
        &self,
        name: &str,
        expected: &str,
        valid: impl Fn(T) -> bool,
    ) -> Result<Option<T>, Stop> {
        let Some(given) = self.get(name) else { return Ok(None) };
        let parsed = given.to_str().and_then(|text| text.parse().ok()).filter(|&number| valid(number));
        parsed.map_or_else(
            || Err(Error::argument(name, expected, format!("{given:?}")).into()),
            |n| Ok(Some(n)),
        )
    }
}

/// `--name=value` cut in two. Names are ASCII, so a value that is not UTF-8 (a path) survives.
fn split_at_equals(arg: &OsStr) -> (OsString, Option<OsString>) {
    let bytes = arg.as_encoded_bytes();
    match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) if bytes.starts_with(b"--") && bytes[..at].is_ascii() => {
            let (name, value) = (&bytes[..at], &bytes[at + 1..]);
            (to_os(name), Some(to_os(value)))
        }
        _ => (arg.to_os_string(), None),
    }
}

#[cfg(unix)]
fn to_os(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn to_os(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// How many letters must be added, removed or exchanged to make one word of another (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(a != *b)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: Command = Command {
        name: "demo",
        about: "A demo.",
        operands: "",
        options: &[
            Opt { name: "--epochs", value: "N", help: "how many" },
            Opt { name: "--quiet", value: "", help: "say less" },
        ],
        notes: "That is all.",
    };

    fn parse(args: &[&str]) -> Result<Args, String> {
        COMMAND.parse(args.iter().map(OsString::from)).map_err(|stop| match stop {
            Stop::Text(text) | Stop::Usage(text) | Stop::Failed(text) => text,
            _ => "?".into(),
        })
    }

    #[test]
    fn takes_values_in_both_forms_and_flags() {
        for args in [&["--epochs", "3", "--quiet"][..], &["--quiet", "--epochs=3"]] {
            let args = parse(args).unwrap();
            assert!(args.flag("--quiet"));
            assert_eq!(args.number("--epochs", "", |_: usize| true).ok(), Some(Some(3)));
        }
        assert_eq!(parse(&[]).unwrap().number("--epochs", "", |_: usize| true).ok(), Some(None));
    }

    #[test]
    fn takes_operands_where_there_are_some() {
        let command = Command { operands: "FILE...", ..COMMAND };
        let parse = |args: &[&str]| command.parse(args.iter().map(OsString::from)).ok().unwrap();
        let args = parse(&["a.png", "--quiet", "b=c", "--", "--quiet", "-x"]);
        assert_eq!(args.operands(), ["a.png", "b=c", "--quiet", "-x"]);
        assert!(command.parse(["-x".into()]).is_err());
        assert!(command.usage().starts_with("Usage: demo [OPTIONS] FILE...\n"));
    }

    #[test]
    fn says_what_is_wrong() {
        for (args, message) in [
            (&["--epoch", "3"][..], "--epoch: expected one of the options below, did you mean --epochs?"),
            (&["train"], "train: expected one of the options below"),
            (&["--", "train"], "train: expected one of the options below"),
            (&["--epochs"], "--epochs: expected a value N, found the end of the line"),
            (&["--quiet=yes"], "--quiet: expected no value, found \"yes\""),
            (&["--quiet", "--quiet"], "--quiet: expected once, found twice"),
        ] {
            assert_eq!(parse(args).err().as_deref(), Some(message));
        }
    }

    #[test]
    fn help_lists_every_option() {
        let help = parse(&["--help"]).err().unwrap();
        for part in ["A demo.", "Usage: demo [OPTIONS]", "--epochs N", "how many", "--quiet", "That is all."]
        {
            assert!(help.contains(part), "{help}");
        }
    }

    #[test]
    fn distances_are_small_for_typing_mistakes() {
        assert_eq!((distance("--sead", "--seed"), distance("--lr", "--lr"), distance("", "abc")), (1, 0, 3));
    }
}
