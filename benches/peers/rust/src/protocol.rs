//! The worker's side of the protocol: a line in, a line out.
//!
//! The driver writes a request, words between spaces, to the worker's standard input. The worker does the work and answers with a line of
//! numbers behind `> `; other lines are for people. A worker that cannot answer ends, and what it says on standard error tells why.

use std::time::Instant;

/// Answers requests until the driver closes the input. Every worker can say how much memory it has held at most.
pub fn serve(mut answer: impl FnMut(&str, &[usize]) -> Vec<f64>) {
    for line in std::io::stdin().lines() {
        let line = line.expect("the driver writes text");
        let mut words = line.split_whitespace();
        let Some(request) = words.next() else { continue };
        let numbers: Vec<usize> = words
            .map(|word| word.parse().unwrap_or_else(|_| panic!("a whole number, not {word:?}")))
            .collect();
        let reply = match request {
            "memory" => vec![peak_memory()],
            _ => answer(request, &numbers),
        };
        let reply: Vec<String> = reply.iter().map(|number| format!("{number:e}")).collect();
        println!("> {}", reply.join(" "));
    }
}

/// The most memory that this process has held, in bytes.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line for the peak");
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kibibytes * 1024.0
}

/// Seconds of one run, from so many in a row. Short ones, which come in numbers, find their caches full.
pub fn seconds(repeats: usize, mut run: impl FnMut()) -> f64 {
    if repeats > 1 {
        run();
    }
    let start = Instant::now();
    for _ in 0..repeats {
        run();
    }
    start.elapsed().as_secs_f64() / repeats as f64
}
