//! The history of a training: the lines of its log, in memory.
//!
//! The report shows these numbers and no others, so what it shows is what the log says. A history is filled while a training
//! runs, or read from a log, or from a page that was made of one.
//!
//! A long training has more steps than a page can show; then every second, fifth, tenth ... is shown ([`History::shown`]), and
//! the page says so.
//!
//! Next to read: `stall.rs`.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::file;
use crate::save::log::{Epoch, Line, Start, Step};
use crate::train::Position;

/// The most steps that a page shows.
const SHOWN: usize = 1500;

/// What a training has told so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// What is trained, and how.
    pub start: Start,
    /// Every step.
    pub steps: Vec<Step>,
    /// Every epoch.
    pub epochs: Vec<Epoch>,
    /// The hash of the trained net, once it is trained.
    pub parameter_hash: Option<String>,
}

impl History {
    /// Adds what comes next. The first line of a training begins a new history.
    pub fn add(&mut self, line: Line) {
        match line {
            Line::Start(start) => *self = History { start, ..History::default() },
            Line::Step(step) => self.steps.push(step),
            Line::Epoch(epoch) => self.epochs.push(epoch),
            Line::End { parameter_hash } => self.parameter_hash = Some(parameter_hash),
        }
    }

    /// Reads the last training of a log, or the training that a page of [`Report`](super::Report) shows.
    ///
    /// # Errors
    /// The file cannot be read, or is neither.
    pub fn read(path: &Path) -> Result<History> {
        let (mut file, _) = file::open(path, EXPECTED)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|e| Error::io(path, EXPECTED, e))?;
        let page =
            text.split_once(&format!("id=\"{DATA}\">\n")).and_then(|(_, rest)| rest.split_once("</script>"));
        let lines = page.map_or(text.as_str(), |(lines, _)| lines);
        let mut history = History::default();
        let mut started = false;
        for (i, line) in lines.split_inclusive('\n').enumerate() {
            // Somebody may be writing it just now.
            let Some(line) = line.strip_suffix('\n') else { break };
            let line = Line::read(line)
                .map_err(|mistake| mistake.at(path))
                .map_err(|error| at_line(error, i + 1))?;
            started |= matches!(line, Line::Start(_));
            history.add(line);
        }
        if !started {
            return Err(Error::format(path, EXPECTED, "no first line of a training"));
        }
        Ok(history)
    }

    /// Whether nothing is missing between the last line and a position that a training goes on from.
    pub fn reaches(&self, position: &Position) -> bool {
        let (epoch, step) = (position.epoch as u64, position.step as u64);
        match step {
            0 => self.epochs.last().map_or(0, |last| last.epoch) + 1 == epoch,
            _ => self.steps.last().is_some_and(|last| (last.epoch, last.step) == (epoch, step)),
        }
    }

    /// Steps in an epoch, 0 while none is known.
    pub fn steps_per_epoch(&self) -> u64 {
        let most = self.steps.iter().map(|step| step.steps.max(step.step)).max();
        most.unwrap_or(0)
    }

    /// The number of a step, counted from 1 at the start of the training.
    pub fn number(&self, step: &Step) -> u64 {
        step.epoch.saturating_sub(1).saturating_mul(self.steps_per_epoch()).saturating_add(step.step)
    }

    /// The steps that a page shows, and one in how many they are.
    pub fn shown(&self) -> (Vec<&Step>, u64) {
        // 1, 2, 5, 10, 20, 50 ...: steps whose layers were measured, one in ten, stay among them.
        let mut every = 1;
        for factor in [2.0, 2.5, 2.0].into_iter().cycle().take(57) {
            if self.steps.len() as u64 <= every * SHOWN as u64 {
                break;
            }
            every = (every as f64 * factor) as u64;
        }
        let shown = self.steps.iter().filter(|step| step.step.saturating_sub(1).is_multiple_of(every));
        (shown.collect(), every)
    }

    /// The log of the steps that are shown, as lines of JSON.
    pub fn lines(&self) -> String {
        let mut lines = format!("{}\n", Line::Start(self.start.clone()));
        let (steps, _) = self.shown();
        let mut epochs = self.epochs.iter().peekable();
        let mut write = |line: Line| {
            let _ = writeln!(lines, "{line}");
        };
        for step in steps {
            while let Some(epoch) = epochs.next_if(|epoch| epoch.epoch < step.epoch) {
                write(Line::Epoch(epoch.clone()));
            }
            write(Line::Step(step.clone()));
        }
        for epoch in epochs {
            write(Line::Epoch(epoch.clone()));
        }
        if let Some(parameter_hash) = self.parameter_hash.clone() {
            write(Line::End { parameter_hash });
        }
        lines
    }
}

/// What programs find the history by in a page.
pub(super) const DATA: &str = "log";

const EXPECTED: &str = "the log of a training, or the page of a report";

fn at_line(error: Error, line: usize) -> Error {
    match error {
        Error::Format { path, expected, found } => {
            Error::Format { path, expected: format!("{expected} in line {line} of a log"), found }
        }
        other => other,
    }
}
