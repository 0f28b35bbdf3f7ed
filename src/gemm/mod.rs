//! Chapter 3: general matrix multiplication, C = A B, the kernel under every dense layer and every convolution.
//!
//! One rule makes its results the same everywhere: **an element of C is one chain of fused multiply-adds, along k, in
//! order**, starting from zero, from a bias, or from what C held:
//!
//! ```text
//! c[i][j] = fma(a[i][k-1], b[k-1][j], … fma(a[i][1], b[1][j], fma(a[i][0], b[0][j], start)))
//! ```
//!
//! Cutting C into tiles, A and B into blocks, or the work into threads changes only *when* an element's chain is
//! advanced, never its order. So the three loops of `naive.rs` and the blocked SIMD kernel agree to the last bit, on
//! every instruction set and any number of threads, and the tests compare them with `==`.
//!
//! Reading order: `naive.rs` (what it means), `matrix.rs` (strided matrices), `pack.rs` (copying blocks into the order
//! the kernel reads), `tile.rs` (the micro-kernel in registers), `blocked.rs` (the five loops),
//! `rows.rs` (two of them, where B, or neither side, needs packing), `few_rows.rs` (where there is too little to do to pack at all),
//! `places.rs` (one loop, where A lies anywhere).
//!
//! What this is not: BLAS. There is no alpha and beta (a bias and "add to what is there" are what layers need), and
//! the output is row-major; inputs may have any strides.

mod blocked;
mod few_rows;
mod matrix;
pub mod naive;
mod pack;
mod places;
mod rows;
mod tile;

pub use blocked::{multiply_block, tile_rows};
pub use matrix::{Matrix, MatrixMut};
pub use pack::{Packed, Panels, pack_left, transpose};
pub use places::{Place, multiply_places, tile_for};
pub use rows::{Listed, Rows, Step, multiply_rows, multiply_unpacked};
pub use tile::Tile;

use crate::parallel;

/// What the chain of every element of C starts from.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    /// C = A B; C is not read.
    Zero,
    /// C += A B
    Accumulate,
    /// C = A B + the same number all along a row: one per row, a convolution's bias.
    PerRow(&'a [f32]),
    /// C = A B + the same number all down a column: one per column, a linear layer's bias.
    PerColumn(&'a [f32]),
}

/// Below this many multiplications a product stays on one thread: it takes some ten microseconds, what handing half
/// of it to another thread costs.
const PARALLEL_FROM: usize = 1 << 19;

/// C = A B, on the pool's threads.
///
/// ```
/// use tapegrad::gemm::{Matrix, MatrixMut, Start, multiply};
/// let (a, b, mut c) = ([1., 2., 3., 4.], [5., 6., 7., 8.], [0.; 4]);
/// multiply(Start::Zero, &Matrix::new(&a, 2, 2), &Matrix::new(&b, 2, 2), MatrixMut::new(&mut c, 2, 2));
/// assert_eq!(c, [19., 22., 43., 50.]);
/// ```
///
/// # Panics
/// When the sizes do not fit.
#[track_caller]
pub fn multiply(start: Start, a: &Matrix, b: &Matrix, c: MatrixMut) {
    let (m, n, k) = (c.rows(), c.cols(), a.cols());
    check_sizes("multiply", (a.rows(), k), (b.rows(), b.cols()), &c);
    start.check("multiply", &c);
    let threads = parallel::threads();
    if threads == 1 || m * n * k.max(1) < PARALLEL_FROM {
        return multiply_band(start, a, b, c);
    }
    // Each thread takes a band of C, across its longer side. The number of bands may depend on the number of threads,
    // since no element's chain does. Bands are whole tiles wide, but for the last.
    let by_rows = m >= n;
    let whole = if by_rows { m } else { n };
    let band = whole.div_ceil(threads).next_multiple_of(if by_rows { 8 } else { 32 });
    let bands = if by_rows { c.split_rows(band) } else { c.split_columns(band) };
    parallel::for_each_part(bands, |i, c| {
        let from = i * band;
        if by_rows {
            multiply_band(start.block(from, 0, c.rows(), n), &a.rows_from(from, c.rows()), b, c);
        } else {
            let b = b.transposed().rows_from(from, c.cols()).transposed();
            multiply_band(start.block(0, from, m, c.cols()), a, &b, c);
        }
    });
}

/// For a C of so few columns, each number of A is used in few tiles, four of the widest: it is not packed either.
const NARROW: usize = 256;

/// Up to half of a second-level cache, B stays there as it lies, and copying it into panels first would only cost.
const UNPACKED: usize = 1 << 17;

/// C = A B on the calling thread.
fn multiply_band(start: Start, a: &Matrix, b: &Matrix, c: MatrixMut) {
    let (m, n, k) = (c.rows(), c.cols(), a.cols());
    if m <= few_rows::FEW && a.strides().1 == 1 && b.strides().0 == 1 && m * n * k > 0 {
        return few_rows::multiply_few_rows(start, *a, *b, c);
    }
    let has_rows = b.strides().1 == 1 && b.strides().0 * k <= UNPACKED;
    if !has_rows || m * n * k == 0 {
        return multiply_block(start, a, &b.transposed(), c);
    }
    if n <= NARROW && a.strides().1 == 1 {
        return multiply_unpacked(start, *a, *b, c);
    }
    let mr = tile_rows(m, n);
    let mut packed = parallel::Scratch::new(Packed::size(m, k, mr));
    pack_left(a, mr, &mut packed);
    multiply_rows(start, &Packed::of(&packed, m, k, mr), *b, c);
}

/// Refuses a product whose sizes do not fit.
#[track_caller]
fn check_sizes(op: &str, a: (usize, usize), b: (usize, usize), c: &MatrixMut) {
    let (m, n) = (c.rows(), c.cols());
    assert!(
        a.0 == m && b.0 == a.1 && b.1 == n,
        "{op}: [{}, {}] times [{}, {}] into [{m}, {n}] is not [m, k] times [k, n] into [m, n]",
        a.0,
        a.1,
        b.0,
        b.1
    );
}

impl<'a> Start<'a> {
    /// Refuses a bias of another length than the result has rows, or columns.
    #[track_caller]
    fn check(&self, op: &str, c: &MatrixMut) {
        let (what, wanted, got) = match self {
            Start::PerRow(bias) => ("row", c.rows(), bias.len()),
            Start::PerColumn(bias) => ("column", c.cols(), bias.len()),
            Start::Zero | Start::Accumulate => return,
        };
        assert!(wanted == got, "{op}: a bias per {what} needs {wanted} elements, got {got}");
    }

    /// The start for the block of `rows` by `cols` elements of C whose first is (i, j).
    #[inline(always)]
    fn block(self, i: usize, j: usize, rows: usize, cols: usize) -> Start<'a> {
        match self {
            Start::PerRow(bias) => Start::PerRow(&bias[i..i + rows]),
            Start::PerColumn(bias) => Start::PerColumn(&bias[j..j + cols]),
            same => same,
        }
    }
}
