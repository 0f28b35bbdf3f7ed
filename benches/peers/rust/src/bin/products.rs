//! Matrix products of one library: `products tapegrad|gemm|faer|matrixmultiply`, or `products blas FILE SYMBOL` for a Fortran `sgemm`
//! in a shared library. All are called from the same loop, so that none pays for a foreign language.

use std::os::raw::c_char;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use gemm::Parallelism;
use tapegrad::gemm::{Matrix, MatrixMut, Start, multiply};
use tapegrad_peers::protocol::{seconds, serve};
use tapegrad_peers::{magnitude, numbers};

/// C = A B, all row-major and without gaps: A is `[m, k]`, B `[k, n]`, C `[m, n]`.
struct Product {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

type Multiply = Box<dyn FnMut(&mut Product)>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let threads: usize =
        std::env::var("RAYON_NUM_THREADS").expect("RAYON_NUM_THREADS").parse().expect("a number");
    let mut multiply: Multiply = match words[..] {
        ["tapegrad"] => Box::new(by_tapegrad),
        ["gemm"] => Box::new(move |product| by_gemm(product, threads)),
        ["faer"] => Box::new(move |product| by_faer(product, threads)),
        ["matrixmultiply"] => Box::new(by_matrixmultiply),
        ["blas", file, symbol] => by_blas(file, symbol),
        _ => panic!("expected tapegrad, gemm, faer, matrixmultiply or blas FILE SYMBOL"),
    };
    // `check M N K`: the size of C; `run REPEATS M N K`: seconds of one run.
    serve(|request, words| {
        let [m, n, k] = words[words.len() - 3..].try_into().expect("three sizes");
        let mut product = Product { m, n, k, a: numbers(m * k), b: numbers(k * n), c: vec![f32::NAN; m * n] };
        match request {
            "check" => {
                multiply(&mut product);
                vec![magnitude(&product.c)]
            }
            "run" => vec![seconds(words[0], || multiply(&mut product))],
            other => panic!("{other}: not a request for a product"),
        }
    });
}

fn by_tapegrad(product: &mut Product) {
    let Product { m, n, k, a, b, c } = product;
    multiply(Start::Zero, &Matrix::new(a, *m, *k), &Matrix::new(b, *k, *n), MatrixMut::new(c, *m, *n));
}

fn by_gemm(product: &mut Product, threads: usize) {
    let &mut Product { m, n, k, .. } = product;
    let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    let (a, b, c) = (product.a.as_ptr(), product.b.as_ptr(), product.c.as_mut_ptr());
    let [n_stride, k_stride] = [n as isize, k as isize];
    // SAFETY: the strides are those of row-major matrices of these sizes, which a, b and c hold; c overlaps neither.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            n_stride,
            false,
            a,
            1,
            k_stride,
            b,
            1,
            n_stride,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

fn by_faer(product: &mut Product, threads: usize) {
    let Product { m, n, k, a, b, c } = product;
    let par = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
    matmul(
        MatMut::from_row_major_slice_mut(c, *m, *n),
        Accum::Replace,
        MatRef::from_row_major_slice(a, *m, *k),
        MatRef::from_row_major_slice(b, *k, *n),
        1.0,
        par,
    );
}

fn by_matrixmultiply(product: &mut Product) {
    let &mut Product { m, n, k, .. } = product;
    let (a, b, c) = (product.a.as_ptr(), product.b.as_ptr(), product.c.as_mut_ptr());
    let [n_stride, k_stride] = [n as isize, k as isize];
    // SAFETY: the strides are those of row-major matrices of these sizes, which a, b and c hold; c overlaps neither.
    unsafe {
        matrixmultiply::sgemm(m, k, n, 1.0, a, k_stride, 1, b, n_stride, 1, 0.0, c, n_stride, 1);
    }
}

/// Fortran's `sgemm`. Sizes are passed by pointers, so 64-bit ones also serve a library that reads 32 bits of them, on a machine that
/// stores the low half first.
type Sgemm = unsafe extern "C" fn(
    *const c_char, // whether A is transposed
    *const c_char,
    *const i64, // m
    *const i64,
    *const i64,
    *const f32, // alpha
    *const f32,
    *const i64,
    *const f32, // B
    *const i64,
    *const f32, // beta
    *mut f32,
    *const i64,
);

fn by_blas(file: &str, symbol: &str) -> Multiply {
    // SAFETY: the libraries of PyTorch and NumPy may be loaded anywhere; they stay loaded until the process ends.
    let library = unsafe { libloading::Library::new(file) }.unwrap_or_else(|error| panic!("{file}: {error}"));
    let library = Box::leak(Box::new(library));
    // SAFETY: the driver names the symbol of a Fortran sgemm.
    let sgemm = unsafe { library.get::<Sgemm>(symbol.as_bytes()) }
        .unwrap_or_else(|error| panic!("{symbol}: {error}"));
    Box::new(move |product| {
        let [m, n, k] = [product.m as i64, product.n as i64, product.k as i64];
        let (plain, one, zero) = (b'N' as c_char, 1.0, 0.0);
        let (a, b, c) = (product.a.as_ptr(), product.b.as_ptr(), product.c.as_mut_ptr());
        // Fortran's matrices are column-major, where a row-major one looks transposed: C' = B' A'.
        // SAFETY: sizes and leading dimensions are those of a, b and c; c overlaps neither.
        unsafe { sgemm(&plain, &plain, &n, &m, &k, &one, b, &n, a, &k, &zero, c, &n) }
    })
}
