//! The peak: the multiply-adds that the machine can do at most, to compare with.
//!
//! A loop over registers that touches no memory, with the instructions that ops use. Bursts of about a millisecond, the best of which
//! counts: shorter than the time for which a busy machine lets somebody else go on.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::parallel;
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};

/// What the machine can do at most, in GFLOP/s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// One thread alone.
    pub one_thread: f64,
    /// All threads of the pool at once.
    pub all_threads: f64,
    /// How many those are.
    pub threads: usize,
}

impl Peak {
    /// Measures it, in some ten milliseconds.
    pub fn measure() -> Peak {
        let threads = parallel::threads();
        let one_thread = best(|steps| (0..8).map(|_| chains(steps)).sum());
        let all_threads = if threads == 1 { one_thread } else { multiply_adds(threads) };
        Peak { one_thread, all_threads, threads }
    }

    /// Measures it again and keeps what was better: before and after a long run, of which a busy moment may have spoilt one.
    pub fn measured_again(self) -> Peak {
        let other = Peak::measure();
        Peak {
            one_thread: self.one_thread.max(other.one_thread),
            all_threads: self.all_threads.max(other.all_threads),
            threads: other.threads,
        }
    }
}

/// The multiply-adds that this many threads of the pool do at once, in GFLOP/s. With all of them, since cores slow each other down:
/// they share heat, and sometimes their units.
pub fn multiply_adds(threads: usize) -> f64 {
    // Some parts more than threads, so that one that comes late costs little.
    best(|steps| parallel::map(8 * threads, |_| chains(steps)).iter().sum())
}

/// The best rate of some bursts. A burst takes a number of steps and gives back how many lanes have each done as many multiply-adds.
fn best(burst: impl Fn(usize) -> usize) -> f64 {
    const LEAST: Duration = Duration::from_micros(700);
    let timed = |steps: usize| {
        let start = Instant::now();
        let lanes = burst(steps);
        (start.elapsed(), lanes)
    };
    // Plain Rust is a hundred times slower than AVX-512. The first bursts wake the pool, too.
    let mut steps = 500;
    while timed(steps).0 < LEAST {
        steps *= 2;
    }
    let rate = |(time, lanes): (Duration, usize)| (lanes * steps * 2) as f64 / time.as_secs_f64() / 1e9;
    (0..4).map(|_| rate(timed(steps))).fold(0.0, f64::max)
}

/// Runs chains of multiply-adds that depend on nothing but themselves, enough to keep two units with a latency of four busy. Gives back
/// how many lanes they had.
fn chains(steps: usize) -> usize {
    struct Chains(usize);
    impl Kernel for Chains {
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
            (sums.into_iter().fold(isa.splat(0.0), |a, b| a + b).fold_sum(), chains * LANES)
        }
    }
    black_box(dispatch(Chains(steps))).1
}
