//! Baselines: the medians of an earlier run, to compare with.
//!
//! A baseline is a text file for each name and bench, in Cargo's target folder: a first line that says what it is, then a line for each
//! case with the number of threads, the median in seconds, and the name, separated by tabs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tapegrad::{Error, file};

const FIRST_LINE: &str = "tapegrad medians 1: threads, seconds, case";

/// Medians in seconds, by number of threads and case.
#[derive(Debug, Default, PartialEq)]
pub struct Baseline {
    medians: BTreeMap<(usize, String), f64>,
}

/// Cargo tells a bench where the target folder is, whoever has moved it: it holds this `tmp`.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-baselines")
}

fn path(name: &str, bench: &str) -> PathBuf {
    folder().join(format!("{name}-{bench}.txt"))
}

/// Makes the folder of all baselines, where it is missing.
pub fn create_folder() -> Result<(), Error> {
    fs::create_dir_all(folder()).map_err(|error| Error::io(folder(), "a folder for baselines", error))
}

impl Baseline {
    pub fn insert(&mut self, threads: usize, case: &str, median: f64) {
        self.medians.insert((threads, case.to_string()), median);
    }

    pub fn get(&self, threads: usize, case: &str) -> Option<f64> {
        self.medians.get(&(threads, case.to_string())).copied()
    }

    pub fn keys(&self) -> impl ExactSizeIterator<Item = (usize, &str)> {
        self.medians.keys().map(|(threads, case)| (*threads, case.as_str()))
    }

    /// Keeps it, whole or not at all, in place of an older one. The folder must be there.
    pub fn write(&self, name: &str, bench: &str) -> Result<PathBuf, Error> {
        let path = path(name, bench);
        file::replace(&path, self.to_text().as_bytes())?;
        Ok(path)
    }

    /// The one that was kept under this name.
    pub fn read(name: &str, bench: &str) -> Result<Baseline, Error> {
        /// Bytes; a thousand times what a bench writes. A file that is no baseline may be of any size.
        const LONGEST: u64 = 1 << 20;
        let path = path(name, bench);
        let expected = format!("a baseline, as --save-baseline {name} writes it");
        let (file, length) = file::open(&path, &expected)?;
        if length > LONGEST {
            return Err(Error::format(&path, expected, format!("{length} bytes")));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes).map_err(|error| Error::io(&path, &expected, error))?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Baseline::parse(&path, text),
            Err(_) => Err(Error::format(&path, expected, "bytes that are no text")),
        }
    }

    fn to_text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for ((threads, case), median) in &self.medians {
            // An exponent, and as many digits as bring back the same number.
            text += &format!("{threads}\t{median:e}\t{case}\n");
        }
        text
    }

    fn parse(path: &Path, text: &str) -> Result<Baseline, Error> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        if first != FIRST_LINE {
            return Err(Error::format(path, format!("{FIRST_LINE:?} in line 1"), format!("{first:?}")));
        }
        let mut baseline = Baseline::default();
        for (i, line) in lines.enumerate() {
            let Some((threads, median, case)) = fields(line) else {
                let expected = format!("threads, seconds and a case, separated by tabs, in line {}", i + 2);
                return Err(Error::format(path, expected, format!("{line:?}")));
            };
            baseline.insert(threads, case, median);
        }
        Ok(baseline)
    }
}

fn fields(line: &str) -> Option<(usize, f64, &str)> {
    let (threads, rest) = line.split_once('\t')?;
    let (median, case) = rest.split_once('\t')?;
    let median = median.parse().ok().filter(|&median: &f64| median.is_finite() && median > 0.0)?;
    Some((threads.parse().ok()?, median, case))
}
