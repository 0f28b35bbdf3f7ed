//! The kernels: every operation of the sixteen lanes, on every instruction set that this CPU has, against plain Rust; and the
//! blocked product against three loops. Bit for bit, all of it.
//!
//! The product takes whatever instruction set the process has chosen, so one test starts this binary again under each of
//! the others (`TAPEGRAD_ISA`). exp, ln, tanh and sigmoid are in `math.rs`.

mod every_isa;
mod oracle;

use tapegrad::gemm::{self, Matrix, MatrixMut, Start, naive};
use tapegrad::simd::{Isa, Kernel, LANES, Lanes, Level, dispatch_at};

type Vector = [f32; LANES];

/// Numbers that use all bits of their mantissas. Products of the oracle's own, of twelve bits each, are exact, and would not
/// tell a fused multiply-add from two roundings.
fn values(seed: u32, n: usize) -> Vec<f32> {
    oracle::values(seed, n).into_iter().map(|value| value / 3.0).collect()
}

/// Every operation of three vectors, one row of results each.
struct Operations(Vector, Vector, Vector);

impl Kernel for Operations {
    type Output = Vec<(&'static str, Vector)>;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let (a, b, c) = (isa.load(&self.0), isa.load(&self.1), isa.load(&self.2));
        let (even, odd) = a.deinterleave(b);
        let (first, last) = a.interleave(b);
        let rows = std::array::from_fn(|i| isa.splat(self.0[i]) * b);
        let columns = I::F32::transpose(rows);
        let mut partial = [7.0; LANES];
        a.store_partial(&mut partial[..5]);
        let mut results = vec![
            ("splat", isa.splat(self.0[3])),
            ("load_partial", isa.load_partial(&self.0[..11], self.1[0])),
            ("store_partial", isa.load(&partial)),
            ("add", a + b),
            ("sub", a - b),
            ("mul", a * b),
            ("div", a / b),
            ("neg", -a),
            ("mul_add", a.mul_add(b, c)),
            ("sqrt", a.sqrt()),
            ("max", a.max(b)),
            ("min", a.min(b)),
            ("where_gt", a.where_gt(b, c, a)),
            ("where_eq", a.where_eq(b, c, b)),
            ("and_bits", a.and_bits(0x7f80_1234)),
            ("or_bits", a.or_bits(0x8000_0421)),
            ("or", a.or(b)),
            ("add_bits", a.add_bits(0xff12_3456)),
            ("add_as_integers", a.add_as_integers(b)),
            ("shift_up", a.shift_up::<23>()),
            ("shift_down", a.shift_down::<23>()),
            ("abs", a.abs()),
            ("even", even),
            ("odd", odd),
            ("first", first),
            ("last", last),
            ("fold_sums", I::F32::fold_sums(rows)),
            ("fold_sum", isa.splat(a.fold_sum())),
            ("fold_max", isa.splat(a.fold_max())),
        ];
        results.extend(columns.map(|column| ("transpose", column)));
        results.into_iter().map(|(name, vector)| (name, vector.to_array())).collect()
    }
}

/// What each operation means, in plain Rust: lane by lane where it has that form.
fn meaning(name: &str, a: &Vector, b: &Vector, c: &Vector) -> Option<Vector> {
    let lanes = |f: &dyn Fn(usize) -> f32| Some(std::array::from_fn(f));
    let bits = |f: &dyn Fn(u32, u32) -> u32| lanes(&|i| f32::from_bits(f(a[i].to_bits(), b[i].to_bits())));
    // The 32 numbers of both vectors in a row.
    let both = |i: usize| if i < LANES { a[i] } else { b[i - LANES] };
    let mixed = |i: usize| if i.is_multiple_of(2) { a[i / 2] } else { b[i / 2] };
    let folded = |mut x: Vector, f: fn(f32, f32) -> f32| {
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                x[i] = f(x[i], x[i + half]);
            }
        }
        x[0]
    };
    match name {
        "splat" => lanes(&|_| a[3]),
        "load_partial" => lanes(&|i| if i < 11 { a[i] } else { b[0] }),
        "store_partial" => lanes(&|i| if i < 5 { a[i] } else { 7.0 }),
        "add" => lanes(&|i| a[i] + b[i]),
        "sub" => lanes(&|i| a[i] - b[i]),
        "mul" => lanes(&|i| a[i] * b[i]),
        "div" => lanes(&|i| a[i] / b[i]),
        "neg" => bits(&|a, _| a ^ 0x8000_0000),
        "mul_add" => lanes(&|i| a[i].mul_add(b[i], c[i])),
        "sqrt" => lanes(&|i| a[i].sqrt()),
        "max" => lanes(&|i| if a[i] > b[i] { a[i] } else { b[i] }),
        "min" => lanes(&|i| if a[i] < b[i] { a[i] } else { b[i] }),
        "where_gt" => lanes(&|i| if a[i] > b[i] { c[i] } else { a[i] }),
        "where_eq" => lanes(&|i| if a[i] == b[i] { c[i] } else { b[i] }),
        "and_bits" => bits(&|a, _| a & 0x7f80_1234),
        "or_bits" => bits(&|a, _| a | 0x8000_0421),
        "or" => bits(&|a, b| a | b),
        "add_bits" => bits(&|a, _| a.wrapping_add(0xff12_3456)),
        "add_as_integers" => bits(&|a, b| a.wrapping_add(b)),
        "shift_up" => bits(&|a, _| a << 23),
        "shift_down" => bits(&|a, _| a >> 23),
        "abs" => bits(&|a, _| a & 0x7fff_ffff),
        "even" => lanes(&|i| both(2 * i)),
        "odd" => lanes(&|i| both(2 * i + 1)),
        "first" => lanes(&mixed),
        "last" => lanes(&|i| mixed(i + LANES)),
        "fold_sum" => lanes(&|_| folded(*a, |x, y| x + y)),
        "fold_max" => lanes(&|_| folded(*a, |x, y| if x > y { x } else { y })),
        "fold_sums" => lanes(&|i| folded(b.map(|b| a[i] * b), |x, y| x + y)),
        _ => None, // transpose, whose sixteen results are checked together
    }
}

/// Numbers of every kind: zeros of both signs, subnormal and huge ones, infinities, NaN, equal neighbours.
fn vectors() -> Vec<Vector> {
    let special = [0.0, -0.0, 1.0, -1.0, 1e-40, -1e-45, f32::MIN_POSITIVE, f32::MAX, f32::MIN, f32::INFINITY];
    let special = [&special[..], &[f32::NEG_INFINITY, f32::NAN, -f32::NAN, 0.1, 3.0, -2.5]].concat();
    let mut vectors: Vec<Vector> =
        values(1, 20 * LANES).chunks_exact(LANES).map(|chunk| std::array::from_fn(|i| chunk[i])).collect();
    // Every special number meets every other one in some rotation.
    vectors.extend((0..LANES).map(|by| std::array::from_fn(|i| special[(i + by) % LANES])));
    vectors
}

/// The same bits; which NaN it is, no instruction set promises.
fn same(got: &Vector, want: &Vector) -> bool {
    got.iter().zip(want).all(|(g, w)| g.to_bits() == w.to_bits() || (g.is_nan() && w.is_nan()))
}

#[test]
fn every_operation_means_the_same_on_every_instruction_set() {
    let vectors = vectors();
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        for (i, a) in vectors.iter().enumerate() {
            for (j, b) in vectors.iter().enumerate() {
                let c = &vectors[(i * 7 + j * 3) % vectors.len()];
                let results = dispatch_at(level, Operations(*a, *b, *c));
                for (name, got) in &results {
                    let Some(want) = meaning(name, a, b, c) else { continue };
                    assert!(same(got, &want), "{level:?} {name}({a:?}, {b:?}, {c:?}): {got:?}, not {want:?}");
                }
                let columns: Vec<_> = results.iter().filter(|(name, _)| *name == "transpose").collect();
                assert_eq!(columns.len(), LANES);
                for (at, (_, column)) in columns.into_iter().enumerate() {
                    let want = a.map(|row| row * b[at]);
                    assert!(
                        same(column, &want),
                        "{level:?} transpose: column {at} is {column:?}, not {want:?}"
                    );
                }
            }
        }
    }
}

/// A matrix to read: numbers in memory with strides, NaN wherever no element lies.
struct Stored {
    data: Vec<f32>,
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
        let len = rows.max(1) * strides.0 + cols.max(1) * strides.1;
        let mut data = vec![f32::NAN; len];
        for (at, value) in values(seed, rows * cols).into_iter().enumerate() {
            data[at / cols * strides.0 + at % cols * strides.1] = value;
        }
        Stored { data, rows, cols, strides }
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix::strided(&self.data, self.rows, self.cols, self.strides.0, self.strides.1)
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
    for (at, value) in data.into_iter().enumerate() {
        let (i, j) = (at / cols, at % cols);
        if (above..above + m).contains(&i) && (left..left + n).contains(&j) {
            c.push(value);
        } else {
            assert_eq!(value, CANARY, "[{m}, {n}]: written to ({i}, {j}), outside of C");
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
    // NaN differs from itself, so an element that was not written fails here too.
    assert!(got == want, "[{m}, {k}] times [{k}, {n}], strides {:?} and {:?}", a.strides, b.strides);
}

/// Every height of a tile of fourteen rows twice over, widths around the multiples of sixteen, depths around a block's.
#[test]
fn every_size_of_product() {
    let mut case = 0;
    for m in 0..=2 * 14 + 1 {
        for n in [0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65] {
            for k in [0, 1, 2, 7, 16, 255, 256, 257] {
                // Starts and layouts in turn: 5 and 16 have no factor in common with the numbers of sizes.
                case += 1;
                check(m, n, k, case, (case / 4, case / 16));
            }
        }
    }
}

/// Products that are cut into blocks of every kind, and shared by threads.
#[test]
fn large_products() {
    for (m, n, k) in
        [(6, 576, 25), (16, 64, 150), (256, 10, 84), (200, 100, 600), (300, 400, 513), (2, 2100, 300)]
    {
        for start in 0..4 {
            check(m, n, k, start, (start, start + 1));
        }
    }
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
fn products_on_every_other_instruction_set() {
    every_isa::run_again("every_size_of_product");
    every_isa::run_again("large_products");
}
