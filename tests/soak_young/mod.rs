//! A young process beside an old one. Both take a step in turn, over and over, and what counts is how long one takes as a part of the
//! other.
//!
//! How long a step takes is the machine's matter, too: with neighbours on it, it changed by half within a minute, and one core was a third
//! faster than the other. Two steps on the same core, one right after the other, find the same machine. The other step is one of a
//! process that has just begun and has nothing behind it: a step in the same process would share whatever has slowed it down.
//!
//! The young one is the same test binary, started again: it trains from the beginning, and waits before every step for a line.

use std::fs;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tapegrad::parallel::set_threads;

/// Names the net of a young process, and makes it one.
const YOUNG: &str = "SOAK_YOUNG";

/// What stands before the seconds of a step. The test harness writes to the same stream.
const SECONDS: &str = "young, seconds: ";

/// Steps that a young process takes before it counts as warm.
const WARM_UP: usize = 20;

pub fn is_young() -> bool {
    std::env::var_os(YOUNG).is_some()
}

/// Trains until nobody asks for another step.
pub fn be_young() {
    let name = std::env::var(YOUNG).expect("the name of a net");
    let mut done = 0;
    set_threads(1);
    super::train_while(&name, &super::some_data(), |seconds| {
        done += 1;
        if done < WARM_UP {
            return true;
        }
        println!("{SECONDS}{seconds:e}");
        stdout().flush().expect("somebody listens");
        stdin().read_line(&mut String::new()).expect("somebody asks, or leaves") > 0
    });
}

/// A young process, seen from the old one.
pub struct Young {
    child: Child,
    /// Closed when dropped, which ends the process.
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The cores that this thread may run on when it is alone again.
    cores: Option<String>,
}

/// The cores that this thread may run on, where the system says so.
fn cores() -> Option<String> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(line.trim().to_string())
}

/// Keeps this thread, and what it starts, on these cores: "0" or "0-3". Without `taskset` it stays where it is.
fn keep_on(cores: &str) {
    let Ok(thread) = fs::read_link("/proc/thread-self") else { return };
    let Some(number) = thread.file_name() else { return };
    let _ = Command::new("taskset").args(["-p", "-c", cores]).arg(number).stdout(Stdio::null()).status();
}

impl Young {
    /// Starts one on the same core as this thread, and waits until it is warm.
    pub fn start(net: &str) -> Young {
        let cores = cores();
        if let Some(first) = cores.as_ref().and_then(|cores| cores.split(['-', ',']).next()) {
            keep_on(first);
        }
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["--exact", "--nocapture", super::TEST])
            .env(YOUNG, net)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let ask = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut young = Young { child, ask, answers, cores };
        young.answer();
        young
    }

    /// Has it take a step, and gives the seconds.
    pub fn step(&mut self) -> f64 {
        self.ask.as_mut().expect("open until dropped").write_all(b"\n").expect("it waits for this");
        self.answer()
    }

    fn answer(&mut self) -> f64 {
        let mut line = String::new();
        loop {
            line.clear();
            let bytes = self.answers.read_line(&mut line).expect("text");
            assert!(bytes > 0, "the young process has ended");
            if let Some((_, seconds)) = line.trim_end().split_once(SECONDS) {
                return seconds.parse().expect("seconds");
            }
        }
    }
}

impl Drop for Young {
    fn drop(&mut self) {
        self.ask = None;
        // It may be on its way to panic with us.
        let _ = self.child.wait();
        if let Some(cores) = &self.cores {
            keep_on(cores);
        }
    }
}
