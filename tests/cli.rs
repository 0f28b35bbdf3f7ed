//! The two programs as a user meets them: what they print, how they end, what they say to a wrong argument or file.

mod scratch;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use scratch::Scratch;

fn lenet(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lenet"));
    command.args(args).env_remove("TAPEGRAD_THREADS").env_remove("TAPEGRAD_ISA");
    command
}

fn edge_kernel(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edge_kernel"));
    command.args(args).env_remove("TAPEGRAD_THREADS").env_remove("TAPEGRAD_ISA");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// Runs a program that must end with this code, and never with a panic; gives stdout and stderr.
#[track_caller]
fn ends_with(code: i32, command: &mut Command) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert_eq!(status.code(), Some(code), "stdout: {stdout}\nstderr: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    (stdout, stderr)
}

/// Writes a small data set as raw IDX files: images whose brightness tells the label.
fn small_data(scratch: &Scratch, count: usize) -> String {
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
    scratch.dir().to_str().expect("a UTF-8 path").to_string()
}

#[test]
fn help_lists_every_option_and_version_is_the_crates() {
    let (help, _) = ends_with(0, &mut lenet(&["--help"]));
    for option in [
        "--batch-norm",
        "--epochs N",
        "--batch-size N",
        "--lr X",
        "--seed N",
        "--threads N",
        "--data DIR",
        "--quiet",
    ] {
        assert!(help.contains(option), "{option} is missing in:\n{help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
    let (help, _) = ends_with(0, &mut edge_kernel(&["-h"]));
    for option in ["--seed N", "--image FILE", "--data DIR", "--out FILE"] {
        assert!(help.contains(option), "{option} is missing in:\n{help}");
    }
    let (version, _) = ends_with(0, &mut lenet(&["--version"]));
    assert_eq!(version, format!("lenet {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_arguments_exit_2_with_the_options() {
    for (args, message) in [
        (&["--epoch", "3"][..], "error: --epoch: expected one of the options below, did you mean --epochs?"),
        (&["--epochs", "many"], "error: --epochs: expected a whole number from 1, found \"many\""),
        (&["--epochs", "0"], "error: --epochs: expected a whole number from 1, found \"0\""),
        (
            &["--batch-size", "60001"],
            "error: --batch-size: expected a whole number from 1 to 60000, found \"60001\"",
        ),
        (&["--lr", "-1"], "error: --lr: expected a number above 0, found \"-1\""),
        (&["--lr", "nan"], "error: --lr: expected a number above 0, found \"nan\""),
        (&["--threads", "0"], "error: --threads: expected a whole number from 1 to 1024, found \"0\""),
        (&["--seed"], "error: --seed: expected a value N, found the end of the line"),
        (&["--quiet=yes"], "error: --quiet: expected no value, found \"yes\""),
        (&["train"], "error: train: expected one of the options below"),
    ] {
        let (stdout, stderr) = ends_with(2, &mut lenet(args));
        assert_eq!(stdout, "");
        assert_eq!(stderr.lines().next(), Some(message));
        assert!(stderr.contains("--batch-size N"), "the options are listed:\n{stderr}");
    }
    ends_with(2, &mut edge_kernel(&["--size", "3"]));
}

#[test]
fn a_wrong_environment_exits_2() {
    let (_, stderr) = ends_with(2, lenet(&[]).env("TAPEGRAD_THREADS", "none"));
    assert!(
        stderr.starts_with("error: TAPEGRAD_THREADS: expected a number from 1 to 1024, found \"none\""),
        "{stderr}"
    );
    let (_, stderr) = ends_with(2, lenet(&[]).env("TAPEGRAD_ISA", "mmx"));
    assert!(stderr.starts_with("error: TAPEGRAD_ISA: expected one of scalar"), "{stderr}");
}

#[test]
fn a_wrong_file_exits_1_with_one_line() {
    let scratch = Scratch::new("cli-wrong-file");
    let data = small_data(&scratch, 20);
    scratch.file("train-images-idx3-ubyte", b"not an image file");
    let (stdout, stderr) = ends_with(1, &mut lenet(&["--data", &data]));
    assert_eq!(stdout, "");
    let line = stderr.lines().find(|line| line.starts_with("error: ")).expect("an error");
    assert!(line.contains("train-images-idx3-ubyte: expected") && line.contains("found"), "{line}");
    let (_, stderr) = ends_with(1, &mut lenet(&["--data", "no/such/folder"]));
    assert!(stderr.contains("no/such/folder"), "{stderr}");
}

/// Whether a line has the form that the notebook's has: `epoch 1, loss 1.8884, train acc 0.304, test acc 0.575, time 0.83 …`.
fn is_epoch_line(line: &str, epoch: usize) -> bool {
    let mut rest = line;
    for (name, decimals) in [("loss", 4), ("train acc", 3), ("test acc", 3), ("time", 2)] {
        let name = if name == "loss" { format!("epoch {epoch}, loss ") } else { format!("{name} ") };
        let Some(value) = rest.strip_prefix(name.as_str()) else { return false };
        let end = value.find([',', ' ']).unwrap_or(value.len());
        let Some((whole, fraction)) = value[..end].split_once('.') else { return false };
        if whole.parse::<u32>().is_err() || fraction.len() != decimals || fraction.parse::<u32>().is_err() {
            return false;
        }
        rest = value[end..].strip_prefix(", ").unwrap_or(&value[end..]);
    }
    true
}

#[test]
fn it_trains_on_another_data_set_and_prints_the_notebooks_lines() {
    let scratch = Scratch::new("cli-trains");
    let data = small_data(&scratch, 300);
    let run = |extra: &[&str]| {
        let mut args = vec!["--data", &data, "--epochs", "2", "--batch-size", "32", "--quiet"];
        args.extend(extra);
        ends_with(0, &mut lenet(&args)).0
    };
    for net in [&[][..], &["--batch-norm"]] {
        let one = run(&[net, &["--threads", "1"]].concat());
        let lines: Vec<&str> = one.lines().collect();
        assert_eq!(lines.len(), 3, "{one}");
        assert!(is_epoch_line(lines[0], 1) && is_epoch_line(lines[1], 2), "{one}");
        let hash = lines[2].strip_prefix("parameter hash ").expect("the hash");
        assert!(hash.len() == 16 && hash.chars().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
        // The same parameters on three threads, and others from another seed.
        assert_eq!(run(&[net, &["--threads", "3"]].concat()).lines().last(), lines.last().copied());
        assert_ne!(run(&[net, &["--seed", "1"]].concat()).lines().last(), lines.last().copied());
    }
}

#[test]
fn it_shows_the_net_and_says_that_the_data_is_not_fashion_mnist() {
    let scratch = Scratch::new("cli-shows");
    let data = small_data(&scratch, 64);
    let (stdout, stderr) = ends_with(0, &mut lenet(&["--data", &data, "--epochs", "1"]));
    assert!(stdout.starts_with("LeNet(\n  (conv): Sequential(\n"), "{stdout}");
    assert!(stdout.contains("\n44426 parameters\n"), "{stdout}");
    assert!(stderr.contains("not Fashion-MNIST"), "{stderr}");
    assert!(!stderr.contains('\r'), "no progress bar where there is no terminal: {stderr:?}");
    assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'), "no escape sequences in a pipe");
    // The tests are built with debug assertions, so it warns.
    assert!(stderr.contains("--release"), "{stderr}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let scratch = Scratch::new("cli-reader");
    let data = small_data(&scratch, 300);
    let mut child = lenet(&["--data", &data, "--epochs", "1000", "--batch-size", "32"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
    assert_eq!(first, "LeNet(\n");
    // The reader is dropped here: the next line meets a closed pipe.
    let status = child.wait().expect("it ends");
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("error"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_cleanly() {
    let scratch = Scratch::new("cli-interrupt");
    let data = small_data(&scratch, 300);
    let mut child = lenet(&["--data", &data, "--epochs", "100000", "--batch-size", "32"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    // Training has begun when the first epoch is reported.
    let mut line = String::new();
    while !line.starts_with("epoch 1,") {
        line.clear();
        assert!(out.read_line(&mut line).expect("a line") > 0, "it ended too soon");
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    let status = child.wait().expect("it ends");
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("stopped in epoch"), "{stderr}");
    assert!(rest.is_empty() || rest.ends_with('\n'), "whole lines only: {rest:?}");
}

#[test]
fn the_edge_detector_learns_and_draws() {
    let (stdout, _) = ends_with(0, &mut edge_kernel(&[]));
    for part in [
        "step 5, loss ",
        "step 10, loss ",
        "step 15, loss ",
        "step 20, loss ",
        "learned kernel: tensor([[",
        "tensor([[ 1., -1.]])",
    ] {
        assert!(stdout.contains(part), "{part} is missing in:\n{stdout}");
    }
    assert!(stdout.contains('█') || stdout.contains('▓'), "a picture in block characters:\n{stdout}");
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "it fits a terminal:\n{stdout}");
}

#[test]
fn the_edge_detector_takes_a_picture_and_writes_one() {
    let scratch = Scratch::new("cli-picture");
    // White on the left, black on the right: one edge, after column 9.
    let mut pgm = b"P5 20 4 255\n".to_vec();
    for _ in 0..4 {
        pgm.extend([255; 10]);
        pgm.extend([0; 10]);
    }
    let picture = scratch.file("half.pgm", &pgm);
    let out = scratch.dir().join("edges.png");
    let path = |path: &Path| path.to_str().expect("a UTF-8 path").to_string();
    let (_, stderr) = ends_with(0, &mut edge_kernel(&["--image", &path(&picture), "--out", &path(&out)]));
    assert!(stderr.contains("edges.png"), "{stderr}");
    let png = std::fs::read(&out).expect("written");
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "a PNG");

    // What is no picture is refused with one line, and what was there stays.
    let broken = scratch.file("broken.pgm", b"P5 20 4 255\nshort");
    let (_, stderr) = ends_with(1, &mut edge_kernel(&["--image", &path(&broken), "--out", &path(&out)]));
    assert!(stderr.lines().count() == 1 && stderr.contains("broken.pgm: expected"), "{stderr}");
    assert_eq!(std::fs::read(&out).expect("still there"), png);
    // A folder cannot be written to as a file.
    let (_, stderr) = ends_with(1, &mut edge_kernel(&["--out", &path(scratch.dir())]));
    assert!(stderr.contains("error: "), "{stderr}");
}
