//! Test data from a seed, the same here and in `tests/golden/data.py`.
//!
//! Integer arithmetic alone makes it, so no compiler, platform or library version can
//! change a bit. Every value is a multiple of 1/4096 in (-1, 1): f32 holds it
//! exactly, and an f32 engine and an f64 oracle start from the same numbers.
//!
//! This is no source of randomness for training; the crate has its own. Next file: close.rs.

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014) over a counter.
fn mixed(seed: u32, index: usize) -> u64 {
    let counter = u64::from(seed) << 32 | index as u64;
    let mut z = counter.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `n` multiples of 1/4096 in (-1, 1).
pub fn values(seed: u32, n: usize) -> Vec<f32> {
    // 8191 possible numerators, -4095 to 4095: the largest count below 2^13 that is symmetric.
    (0..n).map(|i| ((mixed(seed, i) % 8191) as f32 - 4095.0) / 4096.0).collect()
}

/// `n` integers in `0..classes`.
pub fn labels(seed: u32, n: usize, classes: usize) -> Vec<usize> {
    (0..n).map(|i| (mixed(seed, i) % classes as u64) as usize).collect()
}
