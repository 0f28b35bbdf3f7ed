//! Numbers below 2^-126 are computed with as they are, gradually losing digits: no path flushes them to zero, on the way in or out.
//!
//! They are whole multiples of 2^-149, so sums of them, and products with small whole numbers, are exact, and whole numbers say
//! what they are. A path that flushed them would give zeros.

mod every_isa;
mod oracle;

use oracle::labels;
use tapegrad::gemm::{Matrix, MatrixMut, Start, multiply};
use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::optim::{Adam, Optimizer};
use tapegrad::simd::{Isa, Kernel, LANES, Lanes, Level, dispatch_at};
use tapegrad::{Tape, Tensor};

/// `count` times the smallest positive number.
fn tiny(count: i64) -> f32 {
    assert!(count.abs() < 1 << 23, "{count} is no subnormal number");
    f32::from_bits(count.unsigned_abs() as u32).copysign(if count < 0 { -1.0 } else { 1.0 })
}

fn power(exponent: i32) -> f32 {
    2.0_f64.powi(exponent) as f32
}

struct Operations;

impl Kernel for Operations {
    /// A name, what it gives in the first lane, and what it is.
    type Output = Vec<(&'static str, f32, f32)>;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        // Known to no compiler, or it would do the arithmetic itself.
        let vector = |value: f32| isa.load(&[std::hint::black_box(value); LANES]);
        let (zero, yes, no) = (vector(0.0), vector(1.0), vector(2.0));
        let first = |vector: I::F32| vector.to_array()[0];
        // (1 + 2^-23) (1 - 2^-23) = 1 - 2^-46 of half the smallest number, added to an odd multiple of it: a little less than
        // half way to the next. Rounded to f64 first it would be half way, and then go up to the even one.
        let (above, below) = (power(-75) + power(-98), power(-75) - power(-98));
        vec![
            ("load", first(vector(tiny(7))), tiny(7)),
            ("add", first(vector(tiny(7)) + vector(tiny(-3))), tiny(4)),
            ("add of normal numbers", first(vector(power(-126)) + vector(-1.5 * power(-126))), -power(-127)),
            ("sub", first(vector(tiny(7)) - vector(tiny(9))), tiny(-2)),
            ("neg", first(-vector(tiny(7))), tiny(-7)),
            ("abs", first(vector(tiny(-7)).abs()), tiny(7)),
            ("mul", first(vector(tiny(7)) * vector(3.0)), tiny(21)),
            ("mul, to even", first(vector(power(-75)) * vector(3.0 * power(-75))), tiny(2)),
            ("mul, to zero", first(vector(power(-75)) * vector(power(-75))), 0.0),
            ("mul up", first(vector(tiny(1)) * vector(power(127))), power(-22)),
            ("div", first(vector(tiny(21)) / vector(3.0)), tiny(7)),
            ("div up", first(vector(tiny(21)) / vector(tiny(7))), 3.0),
            ("mul_add", first(vector(tiny(7)).mul_add(vector(3.0), vector(tiny(2)))), tiny(23)),
            (
                "mul_add, addend",
                first(vector(power(-80)).mul_add(vector(power(-60)), vector(tiny(2)))),
                tiny(514),
            ),
            (
                "mul_add, once",
                first(vector(above).mul_add(vector(below), vector(tiny(1 << 22 | 1)))),
                tiny(1 << 22 | 1),
            ),
            ("sqrt", first(vector(tiny(2)).sqrt()), power(-74)),
            ("max", first(vector(tiny(1)).max(zero)), tiny(1)),
            ("min", first(vector(tiny(-1)).min(zero)), tiny(-1)),
            ("where_gt", first(vector(tiny(1)).where_gt(zero, yes, no)), 1.0),
            ("where_eq", first(vector(tiny(1)).where_eq(zero, yes, no)), 2.0),
            ("fold_sum", vector(tiny(5)).fold_sum(), tiny(80)),
            ("fold_max", vector(tiny(-5)).fold_max(), tiny(-5)),
        ]
    }
}

#[test]
fn lanes() {
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        for (name, got, want) in dispatch_at(level, Operations) {
            assert_eq!(got.to_bits(), want.to_bits(), "{name} on {}: {got:e}, not {want:e}", level.name());
        }
    }
}

/// Whole numbers in -most..=most, the same in every run.
fn whole(seed: u32, most: i64, count: usize) -> Vec<i64> {
    labels(seed, count, 2 * most as usize + 1).into_iter().map(|label| label as i64 - most).collect()
}

fn small(numbers: &[i64]) -> Vec<f32> {
    numbers.iter().map(|&n| n as f32).collect()
}

fn subnormal(numbers: &[i64]) -> Vec<f32> {
    numbers.iter().map(|&n| tiny(n)).collect()
}

/// The elements of a tensor are these multiples of the smallest number.
#[track_caller]
fn check(what: &str, got: &[f32], want: &[i64]) {
    let bits = |values: &[f32]| values.iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<_>>();
    assert!(want.iter().any(|&count| count != 0), "{what}: nothing to find");
    assert!(bits(got) == bits(&subnormal(want)), "{what}: {got:?}, not {want:?} times the smallest number");
}

#[test]
fn products() {
    for (m, n, k) in [(1, 1, 1), (17, 35, 40), (33, 129, 300)] {
        let (a, b, bias) = (whole(1, 1000, m * k), whole(2, 3, k * n), whole(3, 5000, m));
        let want: Vec<i64> = (0..m * n)
            .map(|at| bias[at / n] + (0..k).map(|p| a[at / n * k + p] * b[p * n + at % n]).sum::<i64>())
            .collect();
        let (tiny_bias, mut c) = (subnormal(&bias), vec![f32::NAN; m * n]);
        for (name, left, right) in [("left", subnormal(&a), small(&b)), ("right", small(&a), subnormal(&b))] {
            let (left, right) = (Matrix::new(&left, m, k), Matrix::new(&right, k, n));
            multiply(Start::PerRow(&tiny_bias), &left, &right, MatrixMut::new(&mut c, m, n));
            check(&format!("subnormal {name} side of [{m}, {k}] times [{k}, {n}]"), &c, &want);
        }
    }
}

/// A convolution, its gradient by the images and that by the filters, each with one subnormal factor. (Of a few images,
/// and of as many as are worked on at once.)
#[test]
fn convolutions() {
    for (n, c, side, oc, kernel) in [(3, 2, 9, 4, 3), (2, 3, 8, 70, 2), (19, 2, 9, 4, 3)] {
        let out = side - kernel + 1;
        let (x_shape, w_shape) = ([n, c, side, side], [oc, c, kernel, kernel]);
        let x = whole(4, 500, x_shape.iter().product());
        let w = whole(5, 3, w_shape.iter().product());
        let dy = whole(6, 2, n * oc * out * out);
        let (mut y, mut dx, mut dw) = (vec![0; dy.len()], vec![0; x.len()], vec![0; w.len()]);
        for at in 0..dy.len() * c * kernel * kernel {
            let (j, i, channel) = (at % kernel, at / kernel % kernel, at / (kernel * kernel) % c);
            let to = at / (kernel * kernel * c);
            let (column, row, filter) = (to % out, to / out % out, to / (out * out) % oc);
            let image = to / (out * out * oc);
            let from = ((image * c + channel) * side + row + i) * side + column + j;
            let tap = ((filter * c + channel) * kernel + i) * kernel + j;
            y[to] += x[from] * w[tap];
            dx[from] += dy[to] * w[tap];
            dw[tap] += dy[to] * x[from];
        }
        let run = |x: Vec<f32>, w: Vec<f32>| {
            let tape = Tape::training();
            let (x, w) = (
                tape.variable(&Tensor::from_slice(&x, x_shape)),
                tape.variable(&Tensor::from_slice(&w, w_shape)),
            );
            let y = x.conv2d(w, None, &Conv2dOptions::default());
            let value = y.value();
            let grads = (y * tape.input(&Tensor::from_slice(&small(&dy), value.shape()))).sum().backward();
            (value.to_vec(), grads[x].to_vec(), grads[w].to_vec())
        };
        let (got_y, _, got_dw) = run(subnormal(&x), small(&w));
        check("conv2d", &got_y, &y);
        check("conv2d by its filters", &got_dw, &dw);
        let (_, got_dx, _) = run(small(&x), subnormal(&w));
        check("conv2d by its images", &got_dx, &dx);
    }
}

#[test]
fn other_ops() {
    let counts = whole(7, 4000, 3 * 32 * 32);
    let x = Tensor::from_slice(&subnormal(&counts), [3, 1, 32, 32]);
    let times = |by: i64| counts.iter().map(|n| n * by).collect::<Vec<_>>();
    check("contiguous", &x.t().contiguous().t().to_vec(), &counts);
    check("add", &(&x + &x).to_vec(), &times(2));
    check("mul", &(&x * 3.0).to_vec(), &times(3));
    check("neg", &(-&x).to_vec(), &times(-1));
    check("relu", &x.relu().to_vec(), &counts.iter().map(|&n| n.max(0)).collect::<Vec<_>>());
    check("sum", &x.sum().to_vec(), &[counts.iter().sum()]);
    check("max", &x.max().to_vec(), &[counts.iter().copied().max().expect("some")]);
    check("sum_axes", &x.sum_axes(&[0, 2, 3], false).to_vec(), &[counts.iter().sum()]);
    let windows = |of: &dyn Fn([i64; 4]) -> i64| {
        let at = |i: usize| i / 256 * 1024 + i / 16 % 16 * 64 + i % 16 * 2;
        (0..768).map(|i| of([0, 1, 32, 33].map(|step| counts[at(i) + step]))).collect::<Vec<_>>()
    };
    check("max_pool2d", &x.max_pool2d(2).to_vec(), &windows(&|four| four.into_iter().max().unwrap_or(0)));
    check("avg_pool2d", &(&x * 4.0).avg_pool2d(2).to_vec(), &windows(&|four| four.iter().sum()));
}

/// Some CPUs take a hundred times as long for them, so it matters that training makes none: neither gradients nor, in Adam's
/// second moments, their squares by a thousandth.
#[test]
fn training_makes_none() {
    let mut init = Init::new(3);
    let nets: [Box<dyn Module>; 2] = [Box::new(LeNet::new(&mut init)), Box::new(lenet_batch_norm(&mut init))];
    for mut net in nets {
        let mut adam = Adam::new(0.001);
        let (x, labels) = (init.rand([64, 1, 28, 28]), labels(8, 64, 10));
        for step in 1..=20 {
            let tape = Tape::training();
            let grads = net.forward(tape.input(&x)).cross_entropy(&labels).backward();
            for (name, param) in net.named_parameters() {
                let gradient = grads[param].to_vec();
                let small =
                    gradient.iter().filter(|x| **x != 0.0 && *x * *x * 1e-3 < f32::MIN_POSITIVE).count();
                assert!(small == 0, "step {step}: {small} of {} gradients of {name}", gradient.len());
            }
            adam.step(&mut *net, &grads);
        }
    }
}

#[test]
fn with_all_other_instructions() {
    for test in ["products", "convolutions", "other_ops"] {
        every_isa::run_again(test);
    }
}
