//! The log of a training: one line of JSON for every step and every epoch, to be read by other programs, also while it runs.
//!
//! ```text
//! {"event":"start","net":"LeNet","parameters":44426,"optimizer":"Adam","lr":0.001,"epochs":5,"batch_size":256,"seed":0,…}
//! {"event":"step","epoch":1,"step":1,"steps":235,"loss":2.31,"accuracy":0.09,"epoch_loss":2.31,"epoch_accuracy":0.09,"lr":0.001,
//!  "seconds":0.004,"gradient_norm":{"conv.0":0.07,"conv.3":0.05,"fc.0":0.18,"fc.2":0.29,"fc.4":0.87},
//!  "activation":{"conv.0":[-0.8,0.02,0.9],"conv.1":[0.3,0.5,0.7],…}}
//! {"event":"epoch","epoch":1,"loss":1.76,"accuracy":0.356,"test_accuracy":0.599,"lr":0.001,"seconds":0.82}
//! {"event":"end","parameter_hash":"754fa75e51a4936f"}
//! ```
//!
//! (Each is one line in the file.) `loss` and `accuracy` of a step are those of its pictures before it; `epoch_loss` and
//! `epoch_accuracy` those of the epoch so far; `seconds` count from the start of the epoch. `gradient_norm` is the Euclidean
//! length of the gradients of a layer's parameters. `activation` gives the least, the mean and the greatest output of every layer
//! for 16 test images after the step; only every tenth step has it ([`Probe`]). JSON has no NaN: what is no number is `null`.
//!
//! The file is only ever appended to, a whole line at a time, so a reader never sees half a step, and what was there before
//! stays. There is one exception: a training that is taken up again first cuts off its own lines behind its checkpoint, since
//! it will write them once more. Its log then reads as if it had never stopped.
//!
//! Next to read: `log/line.rs`.

mod line;

mod measure;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Mistake, Result, mistake};
use crate::nn::Module;
use crate::optim::Optimizer;
use crate::train::{Moment, Position, Training};

pub use line::{Epoch, Line, Start, Step};
pub use measure::{Probe, gradient_norms};

const EXPECTED: &str = "a log that can be written";

/// Longer lines are none of ours.
const MAX_LINE: u64 = 1 << 20;

/// A log that is written.
pub struct Log {
    path: PathBuf,
    file: File,
    /// How long the file is, where it is one that can be cut (a pipe cannot).
    length: Option<u64>,
}

impl Log {
    /// Opens a log for a new training; what is there already stays.
    ///
    /// # Errors
    /// The file cannot be written, or ends in the middle of a line.
    pub fn append(path: impl AsRef<Path>) -> Result<Log> {
        let mut log = Log::open(path.as_ref())?;
        if log.length.is_some_and(|length| length > 0) {
            let failed = |e| Error::io(&log.path, EXPECTED, e);
            let mut last = [0];
            log.file.seek(SeekFrom::End(-1)).map_err(failed)?;
            log.file.read_exact(&mut last).map_err(failed)?;
            if last != *b"\n" {
                return Err(Error::format(&log.path, "a log of whole lines", "no line break at its end"));
            }
        }
        Ok(log)
    }

    /// Opens the log of a training that goes on from `position`. Its first line is at byte `start`, as [`len`](Log::len) told
    /// before it was written; lines behind the position are cut off.
    ///
    /// # Errors
    /// The file cannot be written, or does not hold the log of a training there.
    pub fn resume(path: impl AsRef<Path>, start: u64, position: &Position) -> Result<Log> {
        let mut log = Log::open(path.as_ref())?;
        match log.length {
            // It was stopped before the first line, or is to go into another file.
            Some(length) if length <= start => return Log::append(path),
            Some(_) => {
                let kept = log.kept(start, position)?;
                log.file.set_len(kept).map_err(|e| Error::io(&log.path, EXPECTED, e))?;
                log.length = Some(kept);
            }
            None => {}
        }
        Ok(log)
    }

    fn open(path: &Path) -> Result<Log> {
        let failed = |e| Error::io(path, EXPECTED, e);
        // A pipe is opened for writing alone: reading from it as well would keep it open for ever.
        let regular = !path.exists() || path.is_file();
        let file = OpenOptions::new().append(true).create(true).read(regular).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        Ok(Log { path: path.to_path_buf(), length: metadata.is_file().then_some(metadata.len()), file })
    }

    /// How many bytes of the file come before `position`, in the training whose first line is at `start`.
    fn kept(&mut self, start: u64, position: &Position) -> Result<u64> {
        let failed = |e| Error::io(&self.path, EXPECTED, e);
        self.file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut reader = BufReader::new(&self.file);
        let (mut line, mut at, mut cut) = (Vec::new(), start, None);
        loop {
            line.clear();
            let count = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() != Some(&b'\n') && count as u64 != MAX_LINE {
                return Ok(cut.unwrap_or(at)); // the end, or half a line
            }
            let event =
                std::str::from_utf8(&line).map_or_else(|_| mistake("UTF-8", "other bytes"), Line::read);
            let event = event.map_err(|Mistake { expected, found }| {
                Error::format(&self.path, format!("{expected} at byte {at} of a log"), found)
            })?;
            // Never cut off what another training has written.
            if matches!(event, Line::Start(_)) != (at == start) {
                let expected = format!("the log of one training from byte {start} on");
                return Err(Error::format(
                    &self.path,
                    expected,
                    format!("event {:?} at byte {at}", event.event()),
                ));
            }
            if at > start && cut.is_none() && event.is_behind(position) {
                cut = Some(at);
            }
            at += count as u64;
        }
    }

    /// How long the log is, in bytes; `None` where it is no file but a pipe.
    #[allow(clippy::len_without_is_empty, reason = "whether it is empty nobody asks")]
    pub fn len(&self) -> Option<u64> {
        self.length
    }

    /// Writes the first line of a training: what is trained, and how.
    ///
    /// # Errors
    /// The line cannot be written; the log then is as it was.
    pub fn start(&mut self, net: &dyn Module, optimizer: &dyn Optimizer, training: &Training) -> Result<()> {
        self.write(&Line::start(net, optimizer, training))
    }

    /// Writes the line of a step or an epoch.
    ///
    /// # Errors
    /// As [`start`](Log::start).
    pub fn moment(&mut self, moment: &Moment<'_>) -> Result<()> {
        self.write(&Line::moment(moment, None))
    }

    /// Writes the last line: the training is done.
    ///
    /// # Errors
    /// As [`start`](Log::start).
    pub fn end(&mut self, net: &dyn Module) -> Result<()> {
        self.write(&Line::end(net))
    }

    /// Waits until the lines are on the disk. Before a checkpoint: a log must not be behind it.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&self) -> Result<()> {
        match self.length {
            Some(_) => self.file.sync_data().map_err(|e| Error::io(&self.path, EXPECTED, e)),
            None => Ok(()),
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// As [`start`](Log::start).
    pub fn write(&mut self, line: &Line) -> Result<()> {
        let line = format!("{line}\n");
        if let Err(e) = self.file.write_all(line.as_bytes()) {
            // Half a line may be there now. Best effort: the first error is the one worth telling.
            if let Some(length) = self.length {
                let _ = self.file.set_len(length);
            }
            return Err(Error::io(&self.path, EXPECTED, e));
        }
        self.length = self.length.map(|length| length + line.len() as u64);
        Ok(())
    }
}
