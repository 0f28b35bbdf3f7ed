//! A full disk, a folder that cannot be written, a reader that leaves, closed streams, strange paths: one clear line, the right exit
//! code, and what was kept before is still whole.

#![cfg(unix)]

mod program;
mod scratch;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use program::{Place, checkpoints, ends_with, lenet, notes, path, refuses};
use tapegrad::save::SafeTensors;

/// A shell in which a folder `small` is a disk of so many kilobytes and a folder `read_only` cannot be written, or `None` where
/// the system does not let a test make them.
#[cfg(target_os = "linux")]
fn shell_with_disks(place: &Place, kilobytes: u32, script: &str) -> Option<Command> {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    let possible = POSSIBLE.get_or_init(|| {
        let mount = "mkdir -p /tmp && mount -t tmpfs -o size=64k none /tmp";
        let tried = Command::new("unshare").args(["-rm", "sh", "-c", mount]).stderr(Stdio::null()).status();
        let possible = tried.is_ok_and(|status| status.success());
        if !possible {
            let _ =
                writeln!(std::io::stderr(), "skipped: no rights to mount a small disk (unshare -rm; mount)");
        }
        possible
    });
    for folder in ["small", "read_only"] {
        fs::create_dir_all(place.scratch.dir().join(folder)).unwrap();
    }
    let setup = format!(
        "set -e; mount -t tmpfs -o size={kilobytes}k none small; mount --bind read_only read_only; mount -o remount,ro,bind read_only; set +e\n{script}"
    );
    let mut shell = Command::new("unshare");
    shell.args(["-rm", "sh", "-c", &setup]).current_dir(place.scratch.dir());
    shell.env("LENET", env!("CARGO_BIN_EXE_lenet")).env("DATA", &place.data);
    shell.env_remove("TAPEGRAD_THREADS").env_remove("TAPEGRAD_ISA");
    possible.then_some(shell)
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_what_was_there() {
    let place = Place::new("kept-full");
    // Room for two checkpoints of 536 kB, but not for the next beside them.
    let script = r#"
        "$LENET" --data "$DATA" --batch-size 16 --quiet --epochs 3 --checkpoint small/kept; echo "train $?"
        ls small/kept
        rm small/kept/epoch-0001*; "$LENET" --data "$DATA" --resume small/kept --quiet --epochs 2; echo "resume $?"
    "#;
    let Some(mut shell) = shell_with_disks(&place, 1200, script) else { return };
    let (stdout, stderr) = ends_with(0, &mut shell);
    let kept: Vec<&str> = stdout.lines().filter(|line| line.starts_with("epoch-")).collect();
    assert_eq!(
        kept,
        ["epoch-0001-step-000000.safetensors", "epoch-0002-step-000000.safetensors"],
        "{stdout}{stderr}"
    );
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(
        errors,
        [
            "error: small/kept/epoch-0003-step-000000.safetensors: expected a file that can be written, found: No space left on device (os error 28)"
        ]
    );
    assert!(stdout.contains("\ntrain 1\n") && stdout.contains("\nresume 0\n"), "{stdout}{stderr}");

    // A net and a log: the old net is whole, the log ends with a whole line.
    let script = r#"
        "$LENET" --data "$DATA" --batch-size 16 --quiet --epochs 1 --save small/net.safetensors; echo "first $?"
        "$LENET" --data "$DATA" --batch-size 16 --quiet --epochs 1 --seed 1 --save small/net.safetensors; echo "second $?"
        "$LENET" eval --load small/net.safetensors --data "$DATA"; echo "eval $?"
        "$LENET" --data "$DATA" --batch-size 16 --quiet --epochs 100 --log small/log.jsonl; echo "log $?"
        tail -c 1 small/log.jsonl | od -An -c; ls -A small
    "#;
    let (stdout, stderr) = ends_with(0, &mut shell_with_disks(&place, 240, script).expect("as before"));
    let codes: Vec<&str> =
        stdout.lines().filter(|line| line.ends_with(" 0") || line.ends_with(" 1")).collect();
    assert_eq!(codes, ["first 0", "second 1", "eval 0", "log 1"], "{stdout}{stderr}");
    assert!(stdout.contains("\\n"), "{stdout}");
    assert!(stdout.ends_with("\nlog.jsonl\nnet.safetensors\n"), "no temporary files: {stdout}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(
        errors,
        [
            "error: small/net.safetensors: expected a file that can be written, found: No space left on device (os error 28)",
            "error: small/log.jsonl: expected a log that can be written, found: No space left on device (os error 28)",
        ]
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_is_told_of_before_the_training() {
    let place = Place::new("kept-read-only");
    let script = r#"
        for option in "--save read_only/net" "--log read_only/log" "--checkpoint read_only/kept" "--resume read_only"; do
            "$LENET" --data "$DATA" --quiet --epochs 2 $option; echo $?
        done
    "#;
    let Some(mut shell) = shell_with_disks(&place, 100, script) else { return };
    let (stdout, stderr) = ends_with(0, &mut shell);
    assert_eq!(stdout, "1\n1\n1\n1\n", "{stderr}");
    let found = "found: Read-only file system (os error 30)";
    assert_eq!(
        notes(&stderr),
        [
            format!("error: read_only/net: expected a file that can be written, {found}"),
            format!("error: read_only/log: expected a log that can be written, {found}"),
            format!("error: read_only/kept: expected a folder for checkpoints, {found}"),
            format!("error: read_only: expected a folder of checkpoints that can be written, {found}"),
        ]
    );
}

/// Wherever a file is written or read, a folder in its place is refused with a line, and before the training.
#[test]
fn a_folder_in_the_place_of_a_file_is_refused() {
    let place = Place::new("kept-folder");
    let folder = place.at("folder");
    fs::create_dir(&folder).unwrap();
    for args in [&["--save", &folder][..], &["--log", &folder], &["--report", &folder]] {
        let line = refuses(&mut place.train(&[args, &["--epochs", "2"]].concat()));
        assert!(line.starts_with(&format!("{folder}: expected a ")), "{line}");
    }
    for args in [&["eval", "--load", &folder][..], &["predict", "--load", &folder, "x"]] {
        let line = refuses(&mut lenet(args));
        assert_eq!(line, format!("{folder}: expected a safetensors file, found a folder"));
    }
    let file = place.scratch.file("file", b"");
    let line = refuses(&mut place.train(&["--checkpoint", path(&file)]));
    assert!(line.starts_with(&format!("{}: expected a folder for checkpoints", path(&file))), "{line}");
    let line = refuses(&mut place.train(&["--resume", path(&file)]));
    assert_eq!(line, format!("{}: expected a folder of checkpoints, found a file", path(&file)));
    let missing = place.at("missing/net");
    for option in ["--save", "--log"] {
        let line = refuses(&mut place.train(&[option, &missing, "--epochs", "2"]));
        assert!(
            line.starts_with(&format!("{missing}: expected a ")) && line.contains("found: No such"),
            "{line}"
        );
    }
}

#[test]
fn paths_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStringExt;
    let place = Place::new("kept-bytes");
    let name = |end: &[u8]| {
        let mut bytes = place.scratch.dir().as_os_str().as_encoded_bytes().to_vec();
        bytes.extend(b"/n\xff\xfet ");
        bytes.extend(end);
        std::ffi::OsString::from_vec(bytes)
    };
    let mut train = place.train(&["--epochs", "1"]);
    train
        .arg("--save")
        .arg(name(b"net"))
        .arg("--log")
        .arg(name(b"log"))
        .arg("--checkpoint")
        .arg(name(b"kept"));
    ends_with(0, &mut train);
    ends_with(0, place.train(&["--epochs", "2"]).arg("--resume").arg(name(b"kept")));
    ends_with(0, lenet(&["eval", "--data", &place.data]).arg("--load").arg(name(b"net")));
    ends_with(0, lenet(&["export"]).arg("--load").arg(name(b"net")).arg("--onnx").arg(name(b"onnx")));
    let missing = refuses(lenet(&["eval"]).arg("--load").arg(name(b"missing")));
    assert!(
        missing.contains("/n\u{fffd}\u{fffd}t missing: expected a safetensors file, found: No such"),
        "{missing}"
    );
}

/// A shell closes them with `>&-`; std opens /dev/null in their place.
#[test]
fn closed_streams_do_no_harm() {
    let place = Place::new("kept-closed");
    let net = place.at("net.safetensors");
    let script = format!(
        r#""$0" --data "{}" --epochs 1 --batch-size 16 --save "{net}" <&- >&- 2>&-; echo $?
        "$0" eval --load "{net}" --data "{}" | head -c 0; "$0" predict --load "{net}" missing.pgm 2>&-; echo $?"#,
        place.data, place.data
    );
    let (stdout, stderr) = ends_with(
        0,
        Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_lenet")]).env_remove("TAPEGRAD_ISA"),
    );
    assert_eq!((stdout.as_str(), notes(&stderr)), ("0\n1\n", vec![]));
    SafeTensors::open(net).unwrap();
}

#[test]
fn a_reader_that_goes_away_loses_no_checkpoint() {
    let place = Place::new("kept-head");
    let folder = place.at("kept");
    let script = format!(
        r#""$0" --data "{}" --epochs 100000 --batch-size 16 --quiet --checkpoint "{folder}" | head -n 1"#,
        place.data
    );
    let (stdout, stderr) = ends_with(
        0,
        Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_lenet")]).env_remove("TAPEGRAD_ISA"),
    );
    assert!(stdout.starts_with("epoch 1,") && notes(&stderr).is_empty(), "{stdout}{stderr}");
    let newest = checkpoints(&folder).pop().unwrap();
    let epoch: String = path(&newest).split("epoch-").last().unwrap().chars().take(4).collect();
    // As long as the checkpoint says and one more.
    let epochs = epoch.parse::<usize>().unwrap().to_string();
    let (stdout, _) = ends_with(0, &mut place.train(&["--resume", &folder, "--epochs", &epochs]));
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_a_whole_report() {
    let place = Place::new("kept-full-report");
    // A page is about 700 kB at the end and smaller at the start: the last does not fit beside the one before, which stays.
    let script = r#"
        "$LENET" --data "$DATA" --batch-size 16 --quiet --epochs 1 --report page.html; echo "outside $?"
        head -c "$(($(wc -c < page.html) / 2))" /dev/zero > small/filler
        cp page.html small/page.html
        "$LENET" --data "$DATA" --batch-size 16 --quiet --epochs 1 --report small/page.html; echo "inside $?"
        tail -n 1 small/page.html
        ls -A small
    "#;
    let Some(mut shell) = shell_with_disks(&place, 1400, script) else { return };
    let (stdout, stderr) = ends_with(0, &mut shell);
    assert!(stdout.contains("outside 0\n"), "{stdout}{stderr}");
    assert!(stdout.ends_with("inside 1\n</html>\nfiller\npage.html\n"), "{stdout}{stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(
        errors,
        [
            "error: small/page.html: expected a file that can be written, found: No space left on device (os error 28)"
        ]
    );
}

/// A log may go to another program while it is written.
#[test]
fn a_log_may_be_a_pipe() {
    let place = Place::new("kept-pipe");
    let pipe = place.at("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = Command::new("cat").arg(&pipe).stdout(Stdio::piped()).spawn().unwrap();
    ends_with(0, &mut place.train(&["--epochs", "1", "--log", &pipe, "--checkpoint", &place.at("kept")]));
    let log = String::from_utf8(reader.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(log.lines().count(), 1 + 9 + 1 + 1, "{log}");
    assert!(log.starts_with("{\"event\":\"start\"") && log.contains("{\"event\":\"end\""), "{log}");
}
