//! Runs tests of a binary again under each of the other instruction sets.
//!
//! A process chooses its instructions once (`TAPEGRAD_ISA`), so the binary starts itself anew. An emulator cannot do that;
//! there `TAPEGRAD_ISA` is set from outside, and this does nothing but look that the choice was heard.

use std::process::Command;

use tapegrad::simd::{Level, level};

/// Runs the test called `name` under every instruction set of this CPU that this process does not use, and says which those are
/// and which ones the CPU lacks.
#[track_caller]
pub fn run_again(name: &str) {
    if let Some(chosen) = std::env::var_os("TAPEGRAD_ISA") {
        // This is a process that the lines below started, or somebody has chosen.
        assert_eq!(chosen, level().name());
        return;
    }
    let program = std::env::current_exe().expect("this program has a path");
    println!("{name}: here on {}", level().name());
    for other in Level::ALL.into_iter().filter(|&other| other != level()) {
        if !other.is_available() {
            println!("{name}: skipped on {}, which this CPU lacks", other.name());
            continue;
        }
        println!("{name}: again on {}", other.name());
        let output = Command::new(&program)
            .env("TAPEGRAD_ISA", other.name())
            .args(["--exact", name])
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "on {}:\n{text}", other.name());
        assert!(text.contains(&format!("test {name} ... ok")), "on {} nothing ran:\n{text}", other.name());
    }
}
