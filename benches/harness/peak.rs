//! The peak: the multiply-adds that the machine can do at most, to compare with.

use std::hint::black_box;
use std::time::Instant;

use tapegrad::parallel;
use tapegrad::simd::{Isa, Kernel, Lanes, dispatch};

/// The multiply-adds that this many threads do at once, in GFLOP/s: a loop over registers that touches no memory. With all of them,
/// since cores slow each other down: they share heat, and sometimes their units.
pub fn multiply_adds(threads: usize) -> f64 {
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
    const STEPS: usize = 50_000;
    // Some parts more than threads, so that one that comes late costs little.
    let run = || parallel::map(8 * threads, |_| black_box(dispatch(Peak(STEPS))).1);
    run(); // wakes the pool
    // Bursts of a millisecond, the best of which counts: shorter than the time for which a busy machine lets somebody else go on.
    let burst = || {
        let start = Instant::now();
        let chains: usize = run().iter().sum();
        (chains * STEPS * 16 * 2) as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..4).map(|_| burst()).fold(0.0, f64::max)
}
