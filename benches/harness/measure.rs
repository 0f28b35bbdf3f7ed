//! Measuring: warm up, then rounds that alternate between the cases.

use std::time::Instant;

use super::case::Prepared;
use tapegrad::profile::multiply_adds;

/// Seconds that one run of a case takes, over all rounds.
pub struct Times {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

/// The times of the cases, and the machine's peak in GFLOP/s.
pub fn measure(cases: &mut [Prepared], rounds: usize, threads: usize) -> (Vec<Times>, f64) {
    let repeats: Vec<usize> = cases.iter_mut().map(warm_up).collect();
    let mut times = vec![Vec::new(); cases.len()];
    // The best of all rounds: what others do on the machine can only hide the peak.
    let mut peak: f64 = 0.0;
    for _ in 0..rounds {
        peak = peak.max(multiply_adds(threads));
        for (i, case) in cases.iter_mut().enumerate() {
            times[i].push(time(case, repeats[i]));
        }
    }
    (times.into_iter().map(summary).collect(), peak)
}

/// Fills caches and the free list, and finds how many runs in a row make a measurement.
fn warm_up(case: &mut Prepared) -> usize {
    /// Seconds of one measurement: long beside the clock's own time and a cold start after the other cases, short enough that rounds
    /// alternate quickly.
    const ENOUGH: f64 = 0.01;
    /// Where the clock shows nothing.
    const MOST: usize = 1 << 20;
    (case.run)();
    let mut repeats = 1;
    loop {
        let seconds = time(case, repeats);
        // One fast run says little, since it may have been a slow one.
        if seconds * repeats as f64 >= ENOUGH / 4.0 || repeats >= MOST {
            return ((ENOUGH / seconds).ceil() as usize).clamp(1, MOST);
        }
        repeats *= 2;
    }
}

/// Seconds of one run.
fn time(case: &mut Prepared, repeats: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..repeats {
        (case.run)();
    }
    start.elapsed().as_secs_f64() / repeats as f64
}

fn summary(mut times: Vec<f64>) -> Times {
    times.sort_by(f64::total_cmp);
    Times { median: times[times.len() / 2], min: times[0], max: times[times.len() - 1] }
}
