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
    let mut new = Replacement::start(path)?;
    new.finish(bytes).map_err(|e| {
        // Best effort: the first error is the one worth telling. The name is ours alone, so nothing else is removed.
        let _ = fs::remove_file(&new.temporary);
        Error::io(path, EXPECTED, e)
    })
}

/// Whether [`replace`] could put a file at `path` now, as far as can be told without its bytes: to be asked before hours of work
/// whose result shall go there.
///
/// # Errors
/// As [`replace`].
pub fn check_replaceable(path: &Path) -> Result<()> {
    let new = Replacement::start(path)?;
    fs::remove_file(&new.temporary).map_err(|e| Error::io(path, EXPECTED, e))
}

const EXPECTED: &str = "a file that can be written";

/// A temporary file that is to take the place of another.
struct Replacement {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    permissions: Option<fs::Permissions>,
}

impl Replacement {
    /// Looks at what is at `path` and creates an empty file beside it.
    fn start(path: &Path) -> Result<Replacement> {
        let failed = |e| Error::io(path, EXPECTED, e);
        let old = match fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed(e)),
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
            target = fs::canonicalize(path).map_err(failed)?;
        }
        if target.file_name().is_none() {
            return Err(Error::format(path, EXPECTED, "a path without a file name"));
        }
        let temporary = temporary_beside(&target);
        // `create_new` never follows a link and never touches a file of somebody else.
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary).map_err(failed)?;
        Ok(Replacement { file, temporary, target, permissions: old.map(|old| old.permissions()) })
    }

    fn finish(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if let Some(permissions) = &self.permissions {
            self.file.set_permissions(permissions.clone())?;
        }
        // Without this, a power cut just after the rename can leave an empty file under the final name.
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.target)?;
        sync_folder(&self.target);
        Ok(())
    }
}

/// Has the new name itself brought to the disk. Best effort: the file is whole under one name or the other, and not every file
/// system lets a folder be synced.
fn sync_folder(target: &Path) {
    if cfg!(unix)
        && let Some(folder) = target.parent()
    {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

/// Whether a file in a folder is a temporary one of [`replace`], left behind by a process that was killed.
pub(crate) fn is_left_behind(name: &str) -> bool {
    name.starts_with(".tapegrad-") && name.ends_with(".partial")
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
