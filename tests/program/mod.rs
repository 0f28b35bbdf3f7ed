//! The two programs, run as a user runs them, and a small data set for them.

// Each test file compiles this module for itself and uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::scratch::Scratch;

/// A program with its arguments, and without what the environment of this test asks for.
pub fn program(path: &str, args: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(args).env_remove("TAPEGRAD_THREADS").env_remove("TAPEGRAD_ISA");
    command
}

pub fn lenet(args: &[&str]) -> Command {
    program(env!("CARGO_BIN_EXE_lenet"), args)
}

pub fn edge_kernel(args: &[&str]) -> Command {
    program(env!("CARGO_BIN_EXE_edge_kernel"), args)
}

/// Runs a program that must end with this code, and never with a panic; gives stdout and stderr.
#[track_caller]
pub fn ends_with(code: i32, command: &mut Command) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert_eq!(status.code(), Some(code), "stdout: {stdout}\nstderr: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    (stdout, stderr)
}

/// Runs a program that must fail with one line and without results; gives the line behind `error: `.
#[track_caller]
pub fn refuses(command: &mut Command) -> String {
    let (stdout, stderr) = ends_with(1, command);
    assert_eq!(stdout, "");
    // Tests are built with debug assertions; `lenet` warns of that.
    let lines: Vec<&str> =
        stderr.lines().filter(|line| !line.starts_with("warning: this is a debug build")).collect();
    let [line] = lines[..] else { panic!("expected one line, found:\n{stderr}") };
    line.strip_prefix("error: ").unwrap_or_else(|| panic!("{line}")).to_string()
}

pub fn path(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Writes a small data set as raw IDX files: images whose brightness tells the label.
pub fn small_data(scratch: &Scratch, count: usize) -> String {
    for (name, count) in [("train", count), ("t10k", 50)] {
        let mut images = vec![0, 0, 8, 3];
        for size in [count as u32, 28, 28] {
            images.extend(size.to_be_bytes());
        }
        let mut labels = vec![0, 0, 8, 1];
        labels.extend((count as u32).to_be_bytes());
        for i in 0..count {
            let label = (i * 7 % 10) as u8;
            images.extend([label * 25; 28 * 28]);
            labels.push(label);
        }
        scratch.file(&format!("{name}-images-idx3-ubyte"), &images);
        scratch.file(&format!("{name}-labels-idx1-ubyte"), &labels);
    }
    path(scratch.dir()).to_string()
}

/// A data set of 140 pictures, and short trainings on it.
pub struct Place {
    pub scratch: Scratch,
    pub data: String,
}

impl Place {
    pub fn new(name: &str) -> Place {
        let scratch = Scratch::new(name);
        let data = small_data(&scratch, 140);
        Place { scratch, data }
    }

    pub fn at(&self, name: &str) -> String {
        path(&self.scratch.dir().join(name)).to_string()
    }

    /// `lenet` with these arguments, on the data, one line per epoch; 9 steps each.
    pub fn train(&self, args: &[&str]) -> Command {
        lenet(&[&["--data", &self.data, "--batch-size", "16", "--quiet"], args].concat())
    }
}

/// The lines of a run, without what differs from run to run.
pub fn lines(stdout: &str) -> Vec<String> {
    stdout.lines().map(|line| line.split(", time").next().unwrap_or_default().to_string()).collect()
}

/// stderr without the warning that tests are built with.
pub fn notes(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| !line.starts_with("warning: this is a debug build")).collect()
}

/// The checkpoints of a folder, the oldest first.
pub fn checkpoints(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    found.sort();
    found
}
