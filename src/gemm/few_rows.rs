//! A product with few rows, by a B that lies in memory column after column: a linear layer for one image, x Wᵀ.
//!
//! Each number of B is used once or a few times, so time goes into reading it. Packed, it would be read, written, and read again; here
//! it goes from memory to registers once:
//!
//! ```text
//! for sixteen columns of C                      sixteen columns of B: rows of W
//!     for sixteen steps of k
//!         load 16 × 16 numbers of B and transpose them in registers: sixteen columns, side by side, for each step
//!         for each step, for each row of C      one multiply-add
//! ```
//!
//! What this is not: a dot product, whose partial sums would run along k side by side. An element here is the one chain along k that it is
//! in every product, so an image gets the same bits alone as in a batch.

use super::{Matrix, MatrixMut, Start};
use crate::simd::{Isa, Kernel, LANES, Lanes, dispatch};

/// The most rows for which this pays. With more, the tiles of `tile.rs` do more with each panel that is packed.
pub(super) const FEW: usize = 4;

/// C = A B on the calling thread, for at most [`FEW`] rows, which lie contiguously in A; and so do the columns of B.
pub(super) fn multiply_few_rows(start: Start, a: Matrix, b: Matrix, c: MatrixMut) {
    assert!(a.rows() == c.rows() && b.rows() == a.cols() && b.cols() == c.cols());
    assert!(a.strides().1 == 1 && b.strides().0 == 1);
    dispatch(FewRows { start, a, b, c });
}

struct FewRows<'a> {
    start: Start<'a>,
    a: Matrix<'a>,
    b: Matrix<'a>,
    c: MatrixMut<'a>,
}

impl Kernel for FewRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        match self.c.rows() {
            1 => self.rows::<I, 1>(isa),
            2 => self.rows::<I, 2>(isa),
            3 => self.rows::<I, 3>(isa),
            FEW => self.rows::<I, FEW>(isa),
            more => unreachable!("{more} rows are not few"),
        }
    }
}

impl FewRows<'_> {
    // As in `tile.rs`, sums stay in registers only where every index into them is known at compile time.
    #[inline(always)]
    fn rows<I: Isa, const ROWS: usize>(self, isa: I) {
        let FewRows { start, a, b, mut c } = self;
        let (k, n) = (a.cols(), b.cols());
        let mut rows = [&[][..]; ROWS];
        for i in 0..ROWS {
            rows[i] = &a.from(i, 0)[..k];
        }
        for j in (0..n).step_by(LANES) {
            let width = LANES.min(n - j);
            let mut sums = first_sums::<I, ROWS>(isa, start, c.block(0, j, ROWS, width), j);
            // Behind the last column, it is read again and not stored.
            let mut columns = [&[][..]; LANES];
            for i in 0..LANES {
                columns[i] = &b.from(0, (j + i).min(n - 1))[..k];
            }
            for block in 0..k / LANES {
                let steps = transposed(isa, &columns, block * LANES);
                for i in 0..ROWS {
                    let factors = &rows[i].as_chunks::<LANES>().0[block];
                    for step in 0..LANES {
                        sums[i] = isa.splat(factors[step]).mul_add(steps[step], sums[i]);
                    }
                }
            }
            if k % LANES > 0 {
                // The last sixteen steps, of which some have been made.
                let from = k.saturating_sub(LANES);
                let steps = match from {
                    0 => transposed_short(isa, &columns),
                    _ => transposed(isa, &columns, from),
                };
                for step in k / LANES * LANES..k {
                    for i in 0..ROWS {
                        sums[i] = isa.splat(rows[i][step]).mul_add(steps[step - from], sums[i]);
                    }
                }
            }
            for i in 0..ROWS {
                sums[i].store_partial(&mut c.row_mut(i)[j..][..width]);
            }
        }
    }
}

/// Sixteen steps from `at` on: for each the numbers of all columns.
#[inline(always)]
fn transposed<I: Isa>(isa: I, columns: &[&[f32]; LANES], at: usize) -> [I::F32; LANES] {
    let mut block = [isa.splat(0.0); LANES];
    for i in 0..LANES {
        block[i] = isa.load(&columns[i][at..].as_chunks::<LANES>().0[0]);
    }
    I::F32::transpose(block)
}

/// The steps of columns that are shorter.
#[inline(always)]
fn transposed_short<I: Isa>(isa: I, columns: &[&[f32]; LANES]) -> [I::F32; LANES] {
    let mut block = [isa.splat(0.0); LANES];
    for i in 0..LANES {
        block[i] = isa.load_partial(columns[i], 0.0);
    }
    I::F32::transpose(block)
}

/// Where the chains of sixteen columns, or fewer, of C start. `j` is the first of them.
#[inline(always)]
fn first_sums<I: Isa, const ROWS: usize>(isa: I, start: Start, mut c: MatrixMut, j: usize) -> [I::F32; ROWS] {
    let mut sums = [isa.splat(0.0); ROWS];
    match start {
        Start::Zero => {}
        Start::Accumulate => {
            for i in 0..ROWS {
                sums[i] = isa.load_partial(c.row_mut(i), 0.0);
            }
        }
        Start::PerRow(bias) => {
            for i in 0..ROWS {
                sums[i] = isa.splat(bias[i]);
            }
        }
        Start::PerColumn(bias) => sums = [isa.load_partial(&bias[j..][..c.cols()], 0.0); ROWS],
    }
    sums
}
