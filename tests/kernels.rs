//! Every operation of the sixteen lanes, on every instruction set that this CPU has, against plain Rust, bit for bit.
//!
//! What is built of them: exp, ln, tanh and sigmoid in `math.rs`, the matrix product in `gemm.rs`.

mod oracle;

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
