//! Runs tests of a binary again under each of the other instruction sets, and on other numbers of threads.
//!
//! A process chooses its instructions once (`TAPEGRAD_ISA`), so the binary starts itself anew. An emulator cannot do that;
//! there both variables that are used here are set from outside.

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]

use std::process::Command;

use tapegrad::simd::{Level, level};

/// What the process that started this one found.
const FOUND: &str = "TAPEGRAD_FOUND";

/// Runs the test called `name` under every instruction set of this CPU that this process does not use, and says which those are
/// and which ones the CPU lacks.
#[track_caller]
pub fn run_again(name: &str) {
    start_again(name, "");
}

/// Holds a hash of results against what the test called `name`, which calls this, finds under every other instruction set.
#[track_caller]
pub fn agree(name: &str, hash: u64) {
    let hash = format!("{hash:016x}");
    println!("{name}: found {hash} on {}", level().name());
    match std::env::var(FOUND) {
        Ok(found) => assert_eq!(hash, found, "on {}", level().name()),
        Err(_) => start_again(name, &hash),
    }
}

#[track_caller]
fn start_again(name: &str, found: &str) {
    if let Some(chosen) = std::env::var_os("TAPEGRAD_ISA") {
        // This is a process that the lines below started, or somebody has chosen.
        assert_eq!(chosen, level().name());
        return;
    }
    let program = std::env::current_exe().expect("this program has a path");
    for (other, threads) in Level::ALL.into_iter().zip(["1", "7", "16", "2"]) {
        if other == level() {
            continue;
        }
        if !other.is_available() {
            println!("{name}: skipped on {}, which this CPU lacks", other.name());
            continue;
        }
        println!("{name}: again on {}, {threads} threads", other.name());
        let mut again = Command::new(&program);
        again.env("TAPEGRAD_ISA", other.name()).env("TAPEGRAD_THREADS", threads).args(["--exact", name]);
        if !found.is_empty() {
            again.env(FOUND, found);
        }
        let output = again.output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "on {}:\n{text}", other.name());
        assert!(text.contains(&format!("test {name} ... ok")), "on {} nothing ran:\n{text}", other.name());
    }
}
