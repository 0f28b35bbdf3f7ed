//! Measuring, with std alone: rounds that alternate between the cases, medians, and the peak to compare with.
//!
//! Machines are shared and their speed drifts, so cases are not measured one after the other but in turn, round after round, and each is
//! judged by its median. The smallest and largest time stand beside it: a wide spread says that the machine was busy.

use std::hint::black_box;
use std::time::Instant;

use tapegrad::parallel;
use tapegrad::simd::{Isa, Kernel, Lanes, dispatch, level};

/// One thing to measure.
pub struct Case {
    pub name: String,
    /// Floating-point operations of one run, for GFLOP/s.
    pub flop: f64,
    pub run: Box<dyn FnMut()>,
}

/// The command line of a bench.
pub struct Options {
    /// Only cases whose name contains it.
    filter: String,
    /// Measure; otherwise run each case once, as `cargo test --benches` wants.
    measure: bool,
    /// Rounds of measuring.
    rounds: usize,
}

const HELP: &str = "Usage: cargo bench [--bench conv] [-- [FILTER] [--rounds N]]

  FILTER      measure only cases whose name contains this
  --rounds N  how often each case is measured, in turn [default: 15]
  --help      print this help

Without --bench (as cargo test --benches calls it) each case runs once and nothing is measured.";

impl Options {
    /// Reads the command line; ends the program where it is wrong or asks for help.
    pub fn from_args() -> Options {
        let mut options = Options { filter: String::new(), measure: false, rounds: 15 };
        let mut args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => options.measure = true,
                "--help" | "-h" => {
                    println!("{HELP}");
                    std::process::exit(0);
                }
                "--rounds" => {
                    match args.next().and_then(|rounds| rounds.parse().ok()).filter(|&rounds| rounds > 0) {
                        Some(rounds) => options.rounds = rounds,
                        None => wrong("--rounds: expected a whole number from 1"),
                    }
                }
                other if other.starts_with('-') => {
                    wrong(&format!("{other}: expected one of the options below"))
                }
                filter => options.filter = filter.to_string(),
            }
        }
        options
    }
}

fn wrong(message: &str) -> ! {
    eprintln!("error: {message}\n\n{HELP}");
    std::process::exit(2);
}

/// Measures the cases in turn and prints a line for each.
pub fn run(options: &Options, threads: usize, mut cases: Vec<Case>) {
    let threads_text = if threads == 1 { "1 thread".to_string() } else { format!("{threads} threads") };
    cases.retain(|case| case.name.contains(&options.filter));
    if cases.is_empty() {
        println!("{threads_text}: no case's name contains {:?}", options.filter);
        return;
    }
    for case in &mut cases {
        (case.run)(); // warms up caches and the free list
    }
    if !options.measure {
        println!("{threads_text}: {} cases ran once each, not measured (see --help)", cases.len());
        return;
    }
    // Enough runs in a row that one measurement takes about ten milliseconds.
    let repeats: Vec<usize> =
        cases.iter_mut().map(|case| (0.01 / time(case, 1)).ceil().clamp(1.0, 1000.0) as usize).collect();
    let mut times = vec![Vec::new(); cases.len()];
    // The best of all rounds: what others do on the machine can only hide the peak.
    let mut peak: f64 = 0.0;
    for _ in 0..options.rounds {
        peak = peak.max(multiply_adds(threads));
        for (i, case) in cases.iter_mut().enumerate() {
            times[i].push(time(case, repeats[i]));
        }
    }
    println!("{threads_text}, {}, peak {peak:.0} GFLOP/s", level().name());
    println!("{:44} {:>9} {:>9} {:>9} {:>9} {:>6}", "", "median ms", "min", "max", "GFLOP/s", "peak");
    for (case, times) in cases.iter().zip(&mut times) {
        let median = median(times);
        let rate = case.flop / median / 1e9;
        println!(
            "{:44} {:9.3} {:9.3} {:9.3} {rate:9.1} {:5.0}%",
            case.name,
            median * 1e3,
            times[0] * 1e3,
            times[times.len() - 1] * 1e3,
            100.0 * rate / peak
        );
    }
}

/// Seconds of one run.
fn time(case: &mut Case, repeats: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..repeats {
        (case.run)();
    }
    start.elapsed().as_secs_f64() / repeats as f64
}

/// Sorts the times and gives the middle one.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The multiply-adds that this many threads do at once, in GFLOP/s: a loop over registers that touches no memory. With all of them,
/// since cores slow each other down: they share heat, and sometimes their units.
fn multiply_adds(threads: usize) -> f64 {
    /// Chains that depend on nothing but themselves: enough to keep two units with a latency of four busy.
    struct Peak(usize);
    impl Kernel for Peak {
        type Output = (f32, usize);
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> (f32, usize) {
            let (factor, addend) = (isa.splat(black_box(0.99)), isa.splat(black_box(0.01)));
            let chains = if I::VECTORS >= 32 { 12 } else { 6 };
            let mut sums = [isa.splat(0.0); 12];
            for _ in 0..self.0 {
                for sum in &mut sums[..chains] {
                    *sum = sum.mul_add(factor, addend);
                }
            }
            (sums.into_iter().fold(isa.splat(0.0), |a, b| a + b).fold_sum(), chains)
        }
    }
    const STEPS: usize = 200_000;
    // Some parts more than threads, so that one that comes late costs little.
    let run = || parallel::map(8 * threads, |_| black_box(dispatch(Peak(STEPS))).1);
    run(); // wakes the pool
    let start = Instant::now();
    let chains: usize = run().iter().sum();
    (chains * STEPS * 16 * 2) as f64 / start.elapsed().as_secs_f64() / 1e9
}
