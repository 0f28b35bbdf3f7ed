//! Files from outside: open one to read, replace one as a whole.
//!
//! Two promises are kept here, so that no reader or writer further on has to think of them:
//!
//! - Reading: only a regular file is opened. A folder would fail later with a message that names no path, a named pipe
//!   would wait for ever, and `/dev/zero` never ends.
//! - Writing: a file is written under a temporary name beside its place, then renamed over it. A write that fails (disk
//!   full, process killed) leaves what was there before.
//!
//! This file knows no format. Next to read: [`crate::data`], which reads the data sets.

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Opens the regular file at `path` and tells its length in bytes.
///
/// `expected` says what the caller hopes to find there, for the error message: "an IDX image file".
///
/// # Errors
/// The file is missing, cannot be read, or is a folder, a pipe or a device.
pub fn open(path: &Path, expected: &str) -> Result<(File, u64)> {
    // Ask before opening: opening a named pipe waits until somebody writes to it.
    let before = fs::metadata(path).map_err(|e| Error::io(path, expected, e))?;
    if !before.is_file() {
        return Err(Error::format(path, expected, kind_of(&before)));
    }
    let file = File::open(path).map_err(|e| Error::io(path, expected, e))?;
    let length = file.metadata().map_err(|e| Error::io(path, expected, e))?.len();
    Ok((file, length))
}

/// Puts `bytes` at `path`, whole or not at all.
///
/// An existing file keeps its permissions. A symbolic link is followed: the file that it points to is replaced.
///
/// # Errors
/// The folder is missing or cannot be written, the disk is full, or `path` is a folder, a device or a read-only file.
/// What was at `path` is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    const EXPECTED: &str = "a file that can be written";
    let old = match fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(Error::io(path, EXPECTED, e)),
    };
    let mut target = path.to_path_buf();
    if let Some(old) = &old {
        if !old.is_file() {
            return Err(Error::format(path, EXPECTED, kind_of(old)));
        }
        // A rename needs no permission on the file that it replaces, so ask here.
        if old.permissions().readonly() {
            return Err(Error::format(path, EXPECTED, "a read-only file"));
        }
        target = fs::canonicalize(path).map_err(|e| Error::io(path, EXPECTED, e))?;
    }
    if target.file_name().is_none() {
        return Err(Error::format(path, EXPECTED, "a path without a file name"));
    }

    let temporary = temporary_beside(&target);
    // `create_new` never follows a link and never touches a file of somebody else.
    let file = OpenOptions::new().write(true).create_new(true).open(&temporary);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        if let Some(old) = &old {
            file.set_permissions(old.permissions())?;
        }
        // Without this, a power cut just after the rename can leave an empty file under the final name.
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, &target)
    });
    written.map_err(|e| {
        // Best effort: the first error is the one worth telling. The name is ours alone, so nothing else is removed.
        if e.kind() != io::ErrorKind::AlreadyExists {
            let _ = fs::remove_file(&temporary);
        }
        Error::io(path, EXPECTED, e)
    })
}

/// A name in the same folder, because a rename is only atomic within one file system. It is short whatever the final
/// name is, and differs between processes and between calls.
fn temporary_beside(target: &Path) -> PathBuf {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    target.with_file_name(format!(".tapegrad-{}-{call}.partial", std::process::id()))
}

fn kind_of(metadata: &fs::Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "something that is not a regular file" }
}
