//! A folder for the files of one test. It is new at the start and gone at the end, also when the test fails.

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

pub struct Scratch(PathBuf);

impl Scratch {
    /// `name` must differ between tests, because they run at the same time.
    pub fn new(name: &str) -> Scratch {
        let folder = format!("{name}-{}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The message of an error that must come, be one line, and begin with the path that it is about.
#[track_caller]
pub fn message<T>(result: tapegrad::Result<T>, path: &Path) -> String {
    let Err(error) = result else { panic!("{}: expected an error", path.display()) };
    let line = error.to_string();
    assert!(!line.contains(['\n', '\r']), "more than one line: {line:?}");
    let start = format!("{}: expected ", path.display());
    let Some(rest) = line.strip_prefix(&start) else { panic!("{line:?} does not begin with {start:?}") };
    assert!(rest.contains(", found"), "does not say what was found: {line:?}");
    rest.to_string()
}
