//! Matrix products, C = A B: cubes from what fits the first cache to what fits none, and the skinny products of LeNet's layers.
//!
//! `cargo bench --bench gemm`; a name is m x n x k, for [m, k] times [k, n]. The matrices are row-major, and warm in whatever cache they
//! fit, since each product is repeated on the same ones.

mod harness;

use std::hint::black_box;
use std::process::ExitCode;

use harness::{Case, Work};
use tapegrad::gemm::{Matrix, MatrixMut, Start, multiply};
use tapegrad::nn::Init;

const CUBES: [usize; 6] = [64, 128, 256, 512, 1024, 2048];

/// LeNet's products as m, n, k. A convolution's are those of one image, with the filters as A and the image's patches as B.
const LENET: [([usize; 3], &str); 6] = [
    ([6, 576, 25], "conv 1"),
    ([16, 64, 150], "conv 2"),
    ([256, 120, 256], "linear 1"),
    ([256, 84, 120], "linear 2"),
    ([256, 10, 84], "linear 3"),
    ([120, 256, 256], "linear 1, weight's gradient"),
];

fn main() -> ExitCode {
    let cubes = CUBES.map(|size| case([size; 3], ""));
    let lenet = LENET.map(|(sizes, layer)| case(sizes, layer));
    harness::main("gemm", cubes.into_iter().chain(lenet).collect())
}

fn case([m, n, k]: [usize; 3], layer: &str) -> Case {
    let name = format!("{m}x{n}x{k} {layer}").trim_end().to_string();
    let work = Work { flop: Some((2 * m * n * k) as f64), ..Work::default() };
    Case::new(name, work, move || {
        let mut init = Init::new(0);
        let (a, b) = (init.uniform([m, k], -1.0, 1.0), init.uniform([k, n], -1.0, 1.0));
        let mut c = vec![0.0; m * n];
        move || {
            let (a, b) = (Matrix::new(a.data(), m, k), Matrix::new(b.data(), k, n));
            multiply(Start::Zero, &a, &b, MatrixMut::new(&mut c, m, n));
            black_box(&c);
        }
    })
}
