//! The blocked product against three loops, and those against arithmetic that is exact. Bit for bit, in the manner of the tests of
//! BLIS and XNNPACK: every size around a tile's, every way that a matrix can lie in memory, every start, every instruction set.
//!
//! A product takes whatever instructions the process has chosen, so the last test starts this binary again under each of the others.
//!
//! No memory is left unwatched: inputs are slices of exactly the length they need, so reading behind one panics; between their
//! elements, and in the C that is not to be read, there is NaN; and around C there are canaries.

mod every_isa;
mod oracle;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tapegrad::gemm::{self, Matrix, MatrixMut, Start, naive};

/// Numbers that use all bits of their mantissas. Products of the oracle's own, of twelve bits each, are exact, and would not
/// tell a fused multiply-add from two roundings.
fn values(seed: u32, n: usize) -> Vec<f32> {
    oracle::values(seed, n).into_iter().map(|value| value / 3.0).collect()
}

/// A matrix to read: numbers in memory with strides, NaN wherever no element lies.
struct Stored {
    memory: Vec<f32>,
    /// Where the matrix begins, so that it is aligned to nothing, and where it ends.
    ends: (usize, usize),
    rows: usize,
    cols: usize,
    strides: (usize, usize),
}

impl Stored {
    fn new(seed: u32, rows: usize, cols: usize, layout: usize) -> Stored {
        let strides = match layout % 4 {
            0 => (cols, 1),
            1 => (1, rows),                // transposed
            2 => (cols + 3, 1),            // rows of something wider
            _ => (2 * cols.max(1) * 3, 3), // apart in both directions
        };
        let start = layout % 5;
        let place = |i: usize, j: usize| start + i * strides.0 + j * strides.1;
        let end = if rows * cols == 0 { start } else { place(rows - 1, cols - 1) + 1 };
        let mut memory = vec![f32::NAN; end];
        for (at, value) in values(seed, rows * cols).into_iter().enumerate() {
            memory[place(at / cols, at % cols)] = value;
        }
        Stored { memory, ends: (start, end), rows, cols, strides }
    }

    fn matrix(&self) -> Matrix<'_> {
        let data = &self.memory[self.ends.0..self.ends.1];
        Matrix::strided(data, self.rows, self.cols, self.strides.0, self.strides.1)
    }
}

const CANARY: f32 = 12345.678;

/// C inside of a larger matrix of canaries, holding `inside` first; gives back the C that `write` makes of it.
#[track_caller]
fn product(m: usize, n: usize, inside: &[f32], write: impl FnOnce(MatrixMut)) -> Vec<f32> {
    let (above, left) = (2, 3);
    let (rows, cols) = (m + 2 * above, n + 2 * left);
    let mut data = vec![CANARY; rows * cols];
    for (at, &value) in inside.iter().enumerate() {
        data[(above + at / n) * cols + left + at % n] = value;
    }
    write(MatrixMut::new(&mut data, rows, cols).block(above, left, m, n));
    let mut c = Vec::with_capacity(m * n);
    for (i, row) in data.chunks_exact(cols).enumerate() {
        let (before, rest) = row.split_at(left);
        let (middle, behind) = rest.split_at(n);
        let is_c = (above..above + m).contains(&i);
        let outside = [before, if is_c { &[] } else { middle }, behind];
        let whole = outside.into_iter().flatten().all(|&canary| canary == CANARY);
        assert!(whole, "[{m}, {n}]: written outside of C, in row {i} of {rows}");
        if is_c {
            c.extend_from_slice(middle);
        }
    }
    c
}

/// The blocked product and the three loops, which must agree; `start` chooses among the four.
#[track_caller]
fn check(m: usize, n: usize, k: usize, start: usize, layouts: (usize, usize)) {
    let (a, b) = (Stored::new(1, m, k, layouts.0), Stored::new(2, k, n, layouts.1));
    let bias = values(3, m.max(n));
    let (start, inside) = match start % 4 {
        // What C holds is not read, or it would all be NaN.
        0 => (Start::Zero, vec![f32::NAN; m * n]),
        1 => (Start::Accumulate, values(4, m * n)),
        2 => (Start::PerRow(&bias[..m]), vec![f32::NAN; m * n]),
        _ => (Start::PerColumn(&bias[..n]), vec![f32::NAN; m * n]),
    };
    let got = product(m, n, &inside, |c| gemm::multiply(start, &a.matrix(), &b.matrix(), c));
    let want = product(m, n, &inside, |c| naive::multiply(start, &a.matrix(), &b.matrix(), c));
    // A NaN is an element that was not written, or one that was made of what lies between.
    let same = got.iter().zip(&want).all(|(got, want)| got.to_bits() == want.to_bits() && !got.is_nan());
    assert!(same, "[{m}, {k}] times [{k}, {n}], strides {:?} and {:?}", a.strides, b.strides);
}

/// The largest tiles are sixteen rows high, or four vectors wide.
const MR: usize = 16;
const NR: usize = 64;

/// Starts and layouts in turn, in every combination.
#[track_caller]
fn check_in_turn(m: usize, n: usize, k: usize, case: &mut usize) {
    *case += 1;
    check(m, n, k, *case, (*case / 4, *case / 16));
}

#[test]
fn every_size_up_to_two_tiles() {
    let mut case = 0;
    for m in 0..=2 * MR + 1 {
        for n in 0..=2 * NR + 1 {
            for k in [0, 1, 2, 7, 16, 33] {
                check_in_turn(m, n, k, &mut case);
            }
            // The combinations meet other sizes in the next column.
            case += 1;
        }
    }
}

/// The places where blocks of k end, and of the rows and columns.
#[test]
fn sizes_around_blocks() {
    let mut case = 0;
    for k in [255, 256, 257, 511, 513] {
        for m in [1, 5, 6, 13, 14, 29, 167, 169] {
            for n in [1, 15, 17, 32, 65] {
                check_in_turn(m, n, k, &mut case);
            }
        }
    }
    for (m, n, k) in [(3, 2047, 5), (7, 2049, 3), (2, 2113, 301)] {
        check_in_turn(m, n, k, &mut case);
    }
}

/// Products of LeNet and of odd sizes, which are cut into blocks of every kind and shared by threads.
#[test]
fn large_products() {
    for (m, n, k) in
        [(6, 576, 25), (16, 64, 150), (256, 10, 84), (200, 100, 600), (299, 401, 513), (2, 2100, 300)]
    {
        for start in 0..4 {
            check(m, n, k, start, (start, start + 1));
        }
    }
}

/// Also where the sum of the first row and the number of rows wraps around to something small.
#[test]
fn a_block_must_lie_in_its_matrix() {
    let mut memory = [0.0; 12];
    for (i, j, rows, cols) in
        [(0, 0, 4, 4), (0, 0, 3, 5), (1, 0, 3, 1), (0, 4, 1, 1), (usize::MAX, 0, 1, 1), (0, 2, 1, usize::MAX)]
    {
        let payload = catch_unwind(AssertUnwindSafe(|| {
            MatrixMut::new(&mut memory, 3, 4).block(i, j, rows, cols).rows();
        }));
        let message = payload.expect_err("it panics");
        let text = message.downcast_ref::<String>().expect("a text");
        assert!(text.ends_with("does not lie in [3, 4]"), "{rows} by {cols} from ({i}, {j}): {text}");
    }
    assert_eq!(MatrixMut::new(&mut memory, 3, 4).block(3, 4, 0, 0).rows(), 0);
}

/// Strides of zero: the same row, or the same column, again and again.
#[test]
fn repeated_rows_and_columns() {
    let (m, n, k) = (19, 37, 23);
    let (row, column, b) = (values(5, k), values(6, m), Stored::new(2, k, n, 0));
    for a in [Matrix::strided(&row, m, k, 0, 1), Matrix::strided(&column, m, k, 1, 0)] {
        let inside = vec![f32::NAN; m * n];
        let got = product(m, n, &inside, |c| gemm::multiply(Start::Zero, &a, &b.matrix(), c));
        let want = product(m, n, &inside, |c| naive::multiply(Start::Zero, &a, &b.matrix(), c));
        assert_eq!(got, want);
    }
}

/// Powers of two, each row and column with another one: all products and sums are exact, and whole numbers say what they are.
/// This does not believe even the three loops.
#[test]
fn exact_products() {
    for (m, n, k) in [(1, 1, 1), (14, 32, 16), (29, 65, 20), (100, 70, 24)] {
        let power = |e: usize| (1u32 << (e % 4)) as f32;
        let a: Vec<f32> = (0..m * k).map(|at| power(at / k + at % k)).collect();
        let b: Vec<f32> = (0..k * n).map(|at| power(at / n * 3 + at % n)).collect();
        let mut c = vec![f32::NAN; m * n];
        let (left, right) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
        gemm::multiply(Start::Zero, &left, &right, MatrixMut::new(&mut c, m, n));
        for (at, &got) in c.iter().enumerate() {
            let (i, j) = (at / n, at % n);
            let want: u64 = (0..k).map(|p| 1u64 << ((i + p) % 4 + (p * 3 + j) % 4)).sum();
            assert_eq!(got, want as f32, "element ({i}, {j}) of [{m}, {k}] times [{k}, {n}]");
        }
    }
}

/// A product's order of additions is part of its meaning: one chain along k, each step rounded once.
#[test]
fn the_three_loops_are_one_chain() {
    let (m, n, k) = (3, 5, 300);
    let (a, b) = (values(7, m * k), values(8, k * n));
    let mut c = vec![f32::NAN; m * n];
    let (left, right) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
    naive::multiply(Start::Zero, &left, &right, MatrixMut::new(&mut c, m, n));
    for (at, &got) in c.iter().enumerate() {
        let (i, j) = (at / n, at % n);
        let want = (0..k).fold(0.0, |sum, p| a[i * k + p].mul_add(b[p * n + j], sum));
        assert_eq!(got, want);
    }
}

#[test]
fn with_all_other_instructions() {
    for test in ["every_size_up_to_two_tiles", "sizes_around_blocks", "large_products", "exact_products"] {
        every_isa::run_again(test);
    }
}
