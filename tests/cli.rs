//! The two programs as a user meets them: what they print, how they end, what they say to a wrong argument or file.

mod program;
mod scratch;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use program::{edge_kernel, ends_with, lenet, path, refuses, small_data};
use scratch::Scratch;
use tapegrad::image::png;
use tapegrad::simd::Level;

#[test]
fn help_lists_every_option_and_version_is_the_crates() {
    let (help, stderr) = ends_with(0, &mut lenet(&["--help"]));
    assert_eq!(stderr, "");
    for option in [
        "--batch-norm",
        "--epochs N",
        "--batch-size N",
        "--lr X",
        "--seed N",
        "--threads N",
        "--data DIR",
        "--quiet",
        "--save FILE",
        "--log FILE",
        "--draw-tape FILE",
        "--checkpoint DIR",
        "--checkpoint-every N",
        "--resume DIR",
        "lenet eval",
        "lenet predict",
        "lenet export",
    ] {
        assert!(help.contains(option), "{option} is missing in:\n{help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
    let (help, _) = ends_with(0, &mut edge_kernel(&["-h"]));
    for option in ["--seed N", "--image FILE", "--data DIR", "--out FILE", "--report FILE"] {
        assert!(help.contains(option), "{option} is missing in:\n{help}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(ends_with(0, &mut lenet(&["--version"])).0, format!("lenet {version}\n"));
    assert_eq!(ends_with(0, &mut edge_kernel(&["-V"])).0, format!("edge_kernel {version}\n"));
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
        (&["--lr=inf"], "error: --lr: expected a number above 0, found \"inf\""),
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
    let (stdout, stderr) = ends_with(2, &mut edge_kernel(&["--images", "boot.pgm"]));
    assert_eq!(stdout, "");
    assert!(stderr.contains("did you mean --image?") && stderr.contains("--out FILE"), "{stderr}");
}

#[test]
fn a_wrong_environment_exits_2() {
    for command in [lenet, edge_kernel] {
        for wrong in ["none", "0", "1025", ""] {
            let (_, stderr) = ends_with(2, command(&[]).env("TAPEGRAD_THREADS", wrong));
            let message =
                format!("error: TAPEGRAD_THREADS: expected a number from 1 to 1024, found {wrong:?}");
            assert_eq!(stderr.lines().next(), Some(message.as_str()));
        }
        let (_, stderr) = ends_with(2, command(&[]).env("TAPEGRAD_ISA", "mmx"));
        assert!(stderr.starts_with("error: TAPEGRAD_ISA: expected one of scalar"), "{stderr}");
    }
}

#[test]
fn a_wrong_file_exits_1_with_one_line() {
    let scratch = Scratch::new("cli-wrong-file");
    let data = small_data(&scratch, 20);
    let images = scratch.file("train-images-idx3-ubyte", b"not an image file");
    let line = refuses(&mut lenet(&["--data", &data]));
    assert!(line.starts_with(&format!("{}: expected an IDX image file", path(&images))), "{line}");
    assert!(line.contains(", found "), "{line}");
    // The first image of this folder is what `edge_kernel` would show.
    assert_eq!(refuses(&mut edge_kernel(&["--data", &data])), line);

    fs::remove_file(images).expect("it was there");
    let line = refuses(&mut lenet(&["--data", &data]));
    assert!(line.contains("train-images-idx3-ubyte") && line.ends_with("found neither"), "{line}");
    let line = refuses(&mut lenet(&["--data", "no/such/folder"]));
    assert!(line.starts_with("no/such/folder: expected a folder with IDX files, found: "), "{line}");
}

/// A line with its numbers blotted out: `12.345` becomes `#.###`, so the digits behind the point still count.
fn form(line: &str) -> String {
    let (mut form, mut fraction) = (String::new(), false);
    for c in line.chars() {
        if !c.is_ascii_digit() {
            form.push(c);
            fraction = c == '.';
        } else if fraction || !form.ends_with('#') {
            form.push('#');
        }
    }
    form
}

/// The number behind `name` in a line of an epoch.
fn number(line: &str, name: &str) -> f64 {
    let (_, rest) = line.split_once(&format!("{name} ")).unwrap_or_else(|| panic!("no {name} in {line}"));
    let end = rest.find([',', ' ']).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("{name} in {line}"))
}

#[test]
fn it_trains_on_another_data_set_and_prints_the_notebooks_lines() {
    let scratch = Scratch::new("cli-trains");
    let data = small_data(&scratch, 300);
    let (stdout, _) = ends_with(0, &mut lenet(&["--data", &data, "--epochs=12", "--lr", "0.01", "--quiet"]));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 13, "{stdout}");
    for (line, epoch) in lines.iter().zip(1..=12) {
        assert!(line.starts_with(&format!("epoch {epoch}, ")), "{line}");
        let notebook = "epoch #, loss #.####, train acc #.###, test acc #.###, time #.##";
        assert_eq!(form(line), format!("{notebook} (# of # test images, # images/s)"));
        let (_, counts) = line.split_once('(').expect("the counts");
        let correct: f64 = counts.split(' ').next().expect("a word").parse().expect("a number");
        assert!(counts.contains(" of 50 test images"), "{line}");
        assert_eq!(format!("{:.3}", correct / 50.0), format!("{:.3}", number(line, "test acc")));
    }
    let hash = lines[12].strip_prefix("parameter hash ").expect("the hash");
    assert!(hash.len() == 16 && hash.chars().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
}

/// The last line: the hash of all parameters after three steps.
fn hash(data: &str, extra: &[&str], isa: &str) -> String {
    let args = [&["--data", data, "--epochs", "1", "--batch-size", "48", "--quiet"], extra].concat();
    let (stdout, _) = ends_with(0, lenet(&args).env("TAPEGRAD_ISA", isa));
    stdout.lines().last().expect("a line").to_string()
}

#[test]
fn the_hash_depends_on_the_seed_alone() {
    let scratch = Scratch::new("cli-hash");
    let data = small_data(&scratch, 140);
    for net in [&[][..], &["--batch-norm"]] {
        let want = hash(&data, &[net, &["--threads", "1"]].concat(), "scalar");
        assert!(want.starts_with("parameter hash "), "{want}");
        for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
            let got = hash(&data, &[net, &["--threads", "3"]].concat(), level.name());
            assert_eq!(got, want, "{net:?}, three threads, {}", level.name());
        }
        assert_ne!(hash(&data, &[net, &["--seed", "1"]].concat(), "scalar"), want, "{net:?}, another seed");
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

/// A step of 10^39 is infinite in `f32`, and what comes after it is no number.
#[test]
fn a_net_that_diverges_exits_1_and_says_when() {
    let scratch = Scratch::new("cli-diverges");
    let data = small_data(&scratch, 64);
    let line = refuses(&mut lenet(&["--data", &data, "--lr", "1e39", "--batch-size", "32", "--quiet"]));
    assert_eq!(line, "the loss became NaN in epoch 1, step 2; try a smaller learning rate");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let scratch = Scratch::new("cli-reader");
    let data = small_data(&scratch, 300);
    let mut child = lenet(&["--data", &data, "--epochs", "100000", "--batch-size", "32"])
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

/// A full disk, unlike a reader that left, means that results are lost.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_takes_nothing_exits_1() {
    let scratch = Scratch::new("cli-full");
    let picture = scratch.file("half.pgm", &half());
    let learns = &mut edge_kernel(&["--image", path(&picture)]);
    for command in [learns, &mut lenet(&["--help"]), &mut edge_kernel(&["--version"])] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let Output { status, stderr, .. } = command
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|child| child.wait_with_output())
            .expect("it runs");
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: standard output: expected to write there, found: "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
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
    assert!(stderr.contains("stopped in epoch") && !stderr.contains("panicked"), "{stderr}");
    assert!(rest.is_empty() || rest.ends_with('\n'), "whole lines only: {rest:?}");
    assert!(!rest.contains("parameter hash"), "the hash is of a net that is done: {rest}");
}

/// From another folder, too: then the data is that of the crate's own.
#[test]
fn the_edge_detector_learns_and_draws() {
    let scratch = Scratch::new("cli-edges");
    let (stdout, stderr) = ends_with(0, edge_kernel(&[]).current_dir(scratch.dir()));
    assert_eq!(stderr, "");
    let steps: Vec<&str> = stdout.lines().filter(|line| line.starts_with("step ")).collect();
    assert_eq!(steps.len(), 4, "{stdout}");
    for (line, step) in steps.iter().zip([5, 10, 15, 20]) {
        assert!(line.starts_with(&format!("step {step}, loss ")), "{line}");
        assert_eq!(form(line), "step #, loss #.###");
    }
    let losses: Vec<f64> = steps.iter().map(|line| number(line, "loss")).collect();
    assert!(losses.is_sorted_by(|before, after| before > after), "{losses:?}");
    for part in ["learned kernel: tensor([[", "tensor([[ 1., -1.]])"] {
        assert!(stdout.contains(part), "{part} is missing in:\n{stdout}");
    }
    assert!(stdout.contains('█') || stdout.contains('▓'), "a picture in block characters:\n{stdout}");
    assert!(!stdout.contains('\x1b'), "no escape sequences in a pipe");
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "it fits a terminal:\n{stdout}");
    // Whatever it starts from.
    let picture = scratch.file("half.pgm", &half());
    let mut printed = vec![];
    for seed in ["0", "1", "2", "18446744073709551615"] {
        printed.push(ends_with(0, &mut edge_kernel(&["--seed", seed, "--image", path(&picture)])).0);
        assert!(!printed[..printed.len() - 1].contains(&printed[printed.len() - 1]), "seed {seed}");
    }
}

/// White on the left, black on the right: one edge, after column 9.
fn half() -> Vec<u8> {
    let mut pgm = b"P5 20 4 255\n".to_vec();
    for _ in 0..4 {
        pgm.extend([255; 10]);
        pgm.extend([0; 10]);
    }
    pgm
}

#[test]
fn the_edge_detector_takes_a_picture_and_writes_one() {
    let scratch = Scratch::new("cli-picture");
    let (picture, out) = (scratch.file("half.pgm", &half()), scratch.dir().join("edges.png"));
    let (stdout, stderr) = ends_with(0, &mut edge_kernel(&["--image", path(&picture), "--out", path(&out)]));
    assert_eq!(stderr, format!("wrote {}\n", path(&out)));
    // In the terminal: column 9, two characters wide, in each of four rows.
    let edge = stdout.lines().filter(|line| *line == format!("{}██", " ".repeat(18))).count();
    assert_eq!(edge, 4, "{stdout}");
    // In the file: the same, each pixel a square.
    let found = png::read(&out).expect("written");
    let (width, height) = (found.width(), found.height());
    let scale = width / 19;
    assert_eq!((width, height), (19 * scale, 4 * scale));
    assert!(scale >= 10, "large enough to see: {width} x {height}");
    for (i, pixel) in found.to_bytes().into_iter().enumerate() {
        let column = i % width / scale;
        if column == 9 {
            assert_eq!(pixel, 255, "at {i}");
        } else {
            // The kernel is not quite [1, -1], so white without an edge is nearly black.
            assert!(pixel < 32, "{pixel} in column {column}");
        }
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    let scratch = Scratch::new("cli-hostile");
    let out = scratch.file("edges.png", b"what was there");
    for (name, bytes, message) in [
        (
            "short.pgm",
            &b"P5 20 4 255\nshort"[..],
            "expected 80 bytes for 20 x 4 pixels, found 5 bytes after the header",
        ),
        ("huge.pgm", b"P5 60000 60000 255\n", "expected at most 33554432 pixels, found 60000 x 60000"),
        ("colour.pgm", b"P6 1 1 255\nRGB", "expected a picture (PGM or PNG), found a PPM picture (colour)"),
        ("empty.pgm", b"", "expected a picture (PGM or PNG), found an empty file"),
        ("bright.pgm", b"P2 1 1 7\n8", "expected a pixel from 0 to 7, found 8"),
    ] {
        let picture = scratch.file(name, bytes);
        let line = refuses(&mut edge_kernel(&["--image", path(&picture), "--out", path(&out)]));
        assert_eq!(line, format!("{}: {message}", path(&picture)));
    }
    let line = refuses(&mut edge_kernel(&["--image", path(scratch.dir()), "--out", path(&out)]));
    assert_eq!(line, format!("{}: expected a picture (PGM or PNG), found a folder", path(scratch.dir())));
    let line = refuses(&mut edge_kernel(&["--image", "no/such.pgm", "--out", path(&out)]));
    assert!(line.starts_with("no/such.pgm: expected a picture (PGM or PNG), found: "), "{line}");
    assert_eq!(fs::read(&out).expect("still there"), b"what was there");
}

#[test]
fn a_picture_that_cannot_be_written_leaves_what_was_there() {
    let scratch = Scratch::new("cli-unwritable");
    let picture = scratch.file("half.pgm", &half());
    let fails = |out: &Path| {
        let (_, stderr) = ends_with(1, &mut edge_kernel(&["--image", path(&picture), "--out", path(out)]));
        let start = format!("error: {}: expected a file that can be written, found", path(out));
        assert!(stderr.starts_with(&start) && stderr.lines().count() == 1, "{stderr}");
    };
    fails(scratch.dir());
    fails(&scratch.dir().join("no such folder/edges.png"));

    let locked = scratch.file("locked.png", b"what was there");
    let mut permissions = fs::metadata(&locked).expect("it is there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&locked, permissions).expect("it is ours");
    fails(&locked);
    assert_eq!(fs::read(&locked).expect("still there"), b"what was there");
    let names = fs::read_dir(scratch.dir()).expect("a folder").count();
    assert_eq!(names, 2, "half.pgm and locked.png: nothing half written stays behind");
}
