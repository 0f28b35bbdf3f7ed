//! The blocked product against three loops, bit for bit.
use tapegrad::gemm::{self, Matrix, MatrixMut, Start, naive};

fn values(seed: u32, n: usize) -> Vec<f32> {
    (0..n as u32)
        .map(|i| ((i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32) - 1.0)
        .collect()
}

#[test]
fn blocked_equals_naive() {
    for &(m, n, k) in &[
        (1, 1, 1),
        (6, 576, 25),
        (16, 64, 150),
        (13, 37, 300),
        (256, 10, 84),
        (200, 100, 600),
        (7, 3, 0),
        (300, 400, 513),
    ] {
        let (a, b, bias) = (values(1, m * k), values(2, k * n), values(3, m.max(n)));
        for start in [Start::Zero, Start::Accumulate, Start::PerRow(&bias[..m]), Start::PerColumn(&bias[..n])]
        {
            let (mut c, mut d) = (values(4, m * n), values(4, m * n));
            let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
            gemm::multiply(start, &a, &b, MatrixMut::new(&mut c, m, n));
            naive::multiply(start, &a, &b, MatrixMut::new(&mut d, m, n));
            assert_eq!(c, d);
        }
    }
}
