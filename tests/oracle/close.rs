//! Comparing an f32 result with an f64 truth, with a message that says where they part.
//!
//! Next file: conv2d.rs.

/// Panics at the caller unless every `got[i]` is within `absolute + relative * |want[i]|` of
/// `want[i]`. NaN equals only NaN, an infinity only itself.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], want: &[f64], relative: f64, absolute: f64) {
    let got: Vec<f64> = got.iter().map(|&v| f64::from(v)).collect();
    assert_close_f64(what, &got, want, relative, absolute);
}

/// [`assert_close`] for a result in f64.
#[track_caller]
pub fn assert_close_f64(what: &str, got: &[f64], want: &[f64], relative: f64, absolute: f64) {
    assert_eq!(got.len(), want.len(), "{what}: the number of elements");
    // The worst element by how many times the tolerance it is off, not the first one.
    let mut worst: Option<(f64, usize)> = None;
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let excess = excess(g, w, absolute + relative * w.abs());
        if excess > 1.0 && worst.is_none_or(|(most, _)| excess > most) {
            worst = Some((excess, i));
        }
    }
    if let Some((excess, i)) = worst {
        let (g, w) = (got[i], want[i]);
        panic!(
            "{what}: element {i} of {} is {g}, expected {w} \
             ({excess:.2} times the tolerance: relative {relative:e}, absolute {absolute:e})",
            got.len()
        );
    }
}

/// How many times the tolerance `got` is away from `want`.
fn excess(got: f64, want: f64, tolerance: f64) -> f64 {
    if got == want || (got.is_nan() && want.is_nan()) {
        return 0.0;
    }
    let difference = (got - want).abs();
    // One of the two isn't finite: no tolerance excuses that. NaN would compare as false below.
    if !difference.is_finite() {
        return f64::INFINITY;
    }
    difference / tolerance
}
