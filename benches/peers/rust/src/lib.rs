//! What the workers written in Rust share. A worker is a process that does one peer's work in one configuration, when it is asked.

pub mod conv;
pub mod lenet;
pub mod protocol;

/// Numbers between -1 and 1 without a pattern: the same in every worker, so that their results can be compared.
pub fn numbers(count: usize) -> Vec<f32> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// The sum of the absolute values: two results that agree here were asked for the same thing.
pub fn magnitude(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value.abs())).sum()
}
