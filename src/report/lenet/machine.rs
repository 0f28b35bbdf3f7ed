//! The machine that a training ran on, as far as it says.
//!
//! Next to read: `compare.rs`.

use std::fs;

/// The name of the CPU, where the system tells it: Linux, in `/proc/cpuinfo`.
pub(super) fn cpu_name() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    let name = line.split_once(':')?.1.trim();
    (!name.is_empty()).then(|| name.to_string())
}
