//! The loss as a surface over two weights and a bias: exact, in f64, from the data alone.
//!
//! ```text
//! L(θ) = Σ (θ · p - y)²          θ = (w₁, w₂, b),  p = (x[i, j], x[i, j + 1], 1) for each place
//! H    = 2 Σ p pᵀ                 the second derivatives: nowhere in it is θ, so H is the same everywhere
//!
//! θ' - θ* = (I - η H) (θ - θ*)    a step of gradient descent with rate η
//! ```
//!
//! Along an eigenvector of H with eigenvalue λ a step multiplies the distance from the minimum by 1 - η λ. It shrinks
//! where that is between -1 and 1; so the steepest direction decides, and 2 / λ_max is the largest rate that is stable.
//!
//! Eigenvalues come from Jacobi's rotations (1846, "Über ein leichtes Verfahren, die in der Theorie der
//! Säcularstörungen vorkommenden Gleichungen numerisch aufzulösen").
//!
//! What this is not: what the engine computes with. Next to read: `../contour.rs`.

use super::learn::Task;

/// The loss of a task.
pub struct Surface {
    places: Vec<([f64; 3], f64)>,
}

impl Surface {
    /// The surface of this picture and its edges.
    pub fn new(task: &Task) -> Surface {
        let (x, y) = (task.x.to_vec(), task.y.to_vec());
        let mut places = Vec::new();
        for i in 0..6 {
            for j in 0..7 {
                let seen = [x[i * 8 + j], x[i * 8 + j + 1], 1.0].map(f64::from);
                places.push((seen, f64::from(y[i * 7 + j])));
            }
        }
        Surface { places }
    }

    /// The loss at left weight, right weight and bias.
    pub fn loss(&self, at: [f64; 3]) -> f64 {
        self.places.iter().map(|(seen, y)| (dot(seen, &at) - y).powi(2)).sum()
    }

    /// The second derivatives.
    pub fn hessian(&self) -> [[f64; 3]; 3] {
        let mut hessian = [[0.0; 3]; 3];
        for (seen, _) in &self.places {
            for i in 0..3 {
                for j in 0..3 {
                    hessian[i][j] += 2.0 * seen[i] * seen[j];
                }
            }
        }
        hessian
    }
}

/// A direction in which the surface curves without turning.
#[derive(Clone, Copy, Debug)]
pub struct Direction<const N: usize> {
    /// How steeply: the eigenvalue.
    pub value: f64,
    /// Of length 1; its first large part is positive.
    pub vector: [f64; N],
}

/// Eigenvalues and eigenvectors of a symmetric matrix, the largest eigenvalue first.
pub fn directions<const N: usize>(mut a: [[f64; N]; N]) -> [Direction<N>; N] {
    let mut v = [[0.0; N]; N];
    for i in 0..N {
        v[i][i] = 1.0;
    }
    // Each sweep squares what is left beside the diagonal; five are enough for a 3 x 3, and more change nothing.
    for _ in 0..12 {
        for p in 0..N {
            for q in p + 1..N {
                if a[p][q] != 0.0 {
                    rotate(&mut a, &mut v, p, q);
                }
            }
        }
    }
    let mut found = std::array::from_fn(|i| {
        let vector: [f64; N] = std::array::from_fn(|row| v[row][i]);
        let sign = vector.iter().find(|part| part.abs() > 1e-9).map_or(1.0, |part| part.signum());
        Direction { value: a[i][i], vector: vector.map(|part| part * sign) }
    });
    found.sort_by(|left, right| right.value.total_cmp(&left.value));
    found
}

/// Turns the plane of axes `p` and `q` so that `a[p][q]` becomes 0.
fn rotate<const N: usize>(a: &mut [[f64; N]; N], v: &mut [[f64; N]; N], p: usize, q: usize) {
    // tan of the angle: the smaller root of t² + 2 t cot(2 angle) - 1 = 0.
    let cot = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = if cot == 0.0 { 1.0 } else { cot.signum() / (cot.abs() + (cot * cot + 1.0).sqrt()) };
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for row in a.iter_mut().chain(v.iter_mut()) {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    for k in 0..N {
        (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]);
    }
}

/// The sum of the products of two lists, element by element.
pub fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_are_what_the_matrix_only_stretches() {
        let a = [[4.0, 1.0, -2.0, 0.5], [1.0, -3.0, 0.0, 2.0], [-2.0, 0.0, 1.0, 1.5], [0.5, 2.0, 1.5, 7.0]];
        let found = directions(a);
        assert!(found.is_sorted_by(|left, right| left.value > right.value), "{found:?}");
        for (i, Direction { value, vector }) in found.iter().enumerate() {
            for row in 0..4 {
                assert!((dot(&a[row], vector) - value * vector[row]).abs() < 1e-12, "{found:?}");
            }
            for (j, other) in found.iter().enumerate() {
                let want = if i == j { 1.0 } else { 0.0 };
                assert!((dot(vector, &other.vector) - want).abs() < 1e-12, "{found:?}");
            }
        }
        assert_eq!(directions([[2.0, 0.0], [0.0, 5.0]]).map(|found| found.value), [5.0, 2.0]);
    }
}
