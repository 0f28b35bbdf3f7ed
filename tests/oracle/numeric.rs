//! Gradients without any derivation: central differences in f64.
//!
//! ```text
//! df/dx[i] = (f(x + h e_i) - f(x - h e_i)) / 2h        error: h^2 f'''/6 + about 1e-16 |f| / h
//! ```
//!
//! With h = 1e-5 both errors are near 1e-11 for functions of ordinary size. It needs an f in
//! f64: in f32 nothing beyond three digits would be left. Next file: golden.rs.

/// The gradient of `f` at `x`, one pair of evaluations for each element.
pub fn numeric_gradient(f: impl Fn(&[f64]) -> f64, x: &[f64], h: f64) -> Vec<f64> {
    let mut moved = x.to_vec();
    (0..x.len())
        .map(|i| {
            moved[i] = x[i] + h;
            let above = f(&moved);
            moved[i] = x[i] - h;
            let below = f(&moved);
            moved[i] = x[i];
            // Divided by the distance really moved: x + h is rounded.
            (above - below) / ((x[i] + h) - (x[i] - h))
        })
        .collect()
}
