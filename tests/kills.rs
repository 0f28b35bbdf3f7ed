//! A training is killed (`kill -9`) at a random moment, taken up again, perhaps killed once more, and must end with the net and
//! the log of one that was left alone.
//!
//! An ordinary run does a few; `tests/kills.sh` does 200. `KILLS=N` says how many trainings are killed, `KILLS_SEED=N` when.

#![cfg(unix)]

mod program;
mod scratch;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use program::{ends_with, lenet, path, small_data};
use scratch::Scratch;

/// What a training leaves behind: its last lines, its net, and its log without seconds.
#[derive(PartialEq)]
struct Result {
    stdout: String,
    net: Vec<u8>,
    log: String,
}

/// Where one training keeps what it has.
struct Place<'a> {
    data: &'a str,
    folder: std::path::PathBuf,
}

impl Place<'_> {
    fn new<'a>(data: &'a str, scratch: &Scratch, name: &str) -> Place<'a> {
        let folder = scratch.dir().join(name);
        fs::create_dir(&folder).unwrap();
        Place { data, folder }
    }

    fn file(&self, name: &str) -> String {
        path(&self.folder.join(name)).to_string()
    }

    /// Starts the training, or goes on with it: which of them, the program finds out.
    fn command(&self) -> std::process::Command {
        let (log, net) = (self.file("log.jsonl"), self.file("net.safetensors"));
        lenet(&[
            "--resume",
            path(&self.folder),
            "--log",
            &log,
            "--save",
            &net,
            "--data",
            self.data,
            "--epochs",
            "3",
            "--batch-size",
            "16",
            "--checkpoint-every",
            "4",
            "--threads",
            "1",
            "--quiet",
        ])
    }

    fn finish(&self) -> Result {
        let (stdout, _) = ends_with(0, &mut self.command());
        let hash = stdout.lines().last().unwrap_or_default().to_string();
        let log = fs::read_to_string(self.file("log.jsonl")).unwrap();
        Result {
            stdout: hash,
            net: fs::read(self.file("net.safetensors")).unwrap(),
            log: without_seconds(&log),
        }
    }
}

/// The log but for what differs from run to run.
fn without_seconds(log: &str) -> String {
    let strip = |line: &str| match line.split_once("\"seconds\":") {
        None => line.to_string(),
        Some((before, rest)) => {
            let after = rest.find([',', '}']).expect("a field ends");
            format!("{before}{}", &rest[after..])
        }
    };
    log.lines().map(strip).collect::<Vec<_>>().join("\n")
}

/// Numbers without a pattern (a linear congruential generator, Knuth's constants), from 0 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")))
}

/// Leaves nothing but whole things: what is in the folder under a final name can be read.
fn is_whole(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().all(|entry| {
        let path = entry.unwrap().path();
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => tapegrad::save::SafeTensors::open(&path).is_ok(),
            Some("jsonl") => fs::read(&path).unwrap().last().is_none_or(|&byte| byte == b'\n'),
            _ => true,
        }
    })
}

#[test]
fn a_killed_training_ends_with_the_bits_of_one_left_alone() {
    let scratch = Scratch::new("kills");
    let data = small_data(&scratch, 200);
    let start = Instant::now();
    let undisturbed = Place::new(&data, &scratch, "undisturbed").finish();
    let whole = start.elapsed();
    assert_eq!(undisturbed.log.lines().count(), 1 + 3 * (13 + 1) + 1, "start, steps and epochs, end");

    let trainings = number("KILLS", 8);
    let mut random = Random(number("KILLS_SEED", 1));
    let (mut kills, mut early) = (0, 0);
    for i in 0..trainings {
        let place = Place::new(&data, &scratch, &format!("killed-{i}"));
        // Until it has been killed once, and then perhaps again.
        loop {
            let mut child = place.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let wait: Duration = whole.mul_f64(random.next());
            std::thread::sleep(wait);
            child.kill().unwrap();
            let status = child.wait().unwrap();
            assert!(is_whole(&place.folder), "training {i}, killed after {wait:?}");
            if status.success() {
                early += 1;
                break;
            }
            kills += 1;
            if random.next() < 0.5 {
                break;
            }
        }
        let ended = place.finish();
        assert!(
            ended.stdout == undisturbed.stdout,
            "training {i}: {}, not {}",
            ended.stdout,
            undisturbed.stdout
        );
        assert!(ended.net == undisturbed.net, "training {i}: another net file");
        assert_eq!(ended.log, undisturbed.log, "training {i}");
        fs::remove_dir_all(&place.folder).unwrap();
    }
    println!(
        "{kills} kills in {trainings} trainings of {whole:?}, {early} trainings ended before; all ended with the same bits"
    );
}
