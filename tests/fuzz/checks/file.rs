//! Bytes as a file, for readers that want a path. The file is kept and written over: many file systems are slow to make one.

use std::cell::RefCell;
use std::fs::{File, OpenOptions, remove_file};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// One file for each thread, gone when the thread ends.
struct Kept {
    path: PathBuf,
    file: File,
}

impl Kept {
    fn new() -> Kept {
        let name = format!("tapegrad-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path).unwrap();
        Kept { path, file }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = remove_file(&self.path);
    }
}

/// Runs `work` with the path of a file that holds the bytes.
pub fn with<T>(bytes: &[u8], work: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static KEPT: RefCell<Kept> = RefCell::new(Kept::new());
    }
    KEPT.with_borrow_mut(|kept| {
        kept.file.seek(SeekFrom::Start(0)).unwrap();
        kept.file.write_all(bytes).unwrap();
        kept.file.set_len(bytes.len() as u64).unwrap();
        work(&kept.path)
    })
}
