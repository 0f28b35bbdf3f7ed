//! What the fuzzer has found, once more: every input of tests/fuzz/corpus/, checked as tests/fuzz.sh checks it. An input
//! that once went wrong stays there, so that it never does so again.

#[path = "fuzz/checks/mod.rs"]
mod checks;

use checks::{checkpoint, idx, pgm, png, safetensors, views};
use std::fs;
use std::path::Path;

/// Checks all inputs of a target; which of them fails, the output says last.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}: no inputs", folder.display());
    for path in paths {
        println!("{}", path.display());
        check(&fs::read(&path).unwrap());
    }
}

#[test]
fn checkpoints() {
    replay("checkpoint", checkpoint::check);
}

#[test]
fn idx_files() {
    replay("idx", idx::check);
}

#[test]
fn pgm_files() {
    replay("pgm", pgm::check);
}

#[test]
fn png_files() {
    // There is no other reader here.
    replay("png", |bytes| png::check(bytes, &|_, _| {}));
}

#[test]
fn safetensors_files() {
    replay("safetensors", |bytes| safetensors::check(bytes, &|_, _| {}));
}

#[test]
fn chains_of_views() {
    replay("views", views::check);
}
