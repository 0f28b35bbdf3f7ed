//! Everything that has `unsafe` in it, in sizes that Miri gets through in two minutes: it finds reads and writes outside of memory,
//! of memory that two borrow, and races between threads.
//!
//! ```sh
//! TAPEGRAD_ISA=scalar TAPEGRAD_THREADS=3 MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks" \
//!     cargo +nightly miri test --test unsafe_rooms
//! ```
//!
//! (The threads of the pool never end, which Miri would call a leak.) Miri interprets plain Rust, so what the instructions of a CPU do is
//! left to `kernels.rs` and `guard_pages.rs`. What the numbers are is asked here only as far as it costs nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tapegrad::gemm::{self, Matrix, MatrixMut, Start, naive};
use tapegrad::nn::{Init, Module};
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::optim::{Adam, Optimizer, Sgd};
use tapegrad::parallel::{self, Chunks, Scratch, for_each, for_each_part};
use tapegrad::tensor::buffer::{release_free, statistics};
use tapegrad::{Tape, Tensor, nn};

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7 % 11) as f32 - 5.0).collect()
}

fn tensor<const N: usize>(shape: [usize; N]) -> Tensor {
    Tensor::from_slice(&numbers(shape.iter().product()), shape)
}

/// Blocks that are born, shared, written through their only owner, recycled, and given back to the system.
#[test]
fn buffers() {
    for len in [0, 1, 15, 16, 17, 100] {
        let mut x = tensor([len]);
        let y = x.clone();
        x.data_mut().iter_mut().for_each(|x| *x += 1.0);
        assert!(x.data().iter().zip(y.data()).all(|(x, y)| *x == *y + 1.0));
        drop((x, y));
        assert_eq!(Tensor::zeros([len]).to_vec(), vec![0.0; len]);
    }
    assert!(statistics().free > 0);
    // From another thread than the one that made them, too.
    let x = tensor([3, 5]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let x = x.clone();
            scope.spawn(move || assert_eq!((&x + &x).t().contiguous().get([4, 2]), 2.0 * x.get([2, 4])));
        }
    });
    drop(x);
    release_free();
    let mut scratch = Scratch::new(33);
    scratch.fill(1.0);
    drop(scratch);
    assert_eq!(Scratch::new(20).len(), 20);
}

/// Parts of memory on several threads, calls inside of calls, and a part that panics.
#[test]
fn pool() {
    let (mut x, mut y, mut z) = (vec![0; 23], vec![0; 8], vec![String::new(); 8]);
    for round in 1..=3 {
        let parts = (Chunks::new(&mut x, 3), Chunks::new(&mut y, 1), Chunks::new(&mut z, 1));
        for_each_part(parts, |i, (x, y, z)| {
            for_each(2, |_| {});
            x.iter_mut().for_each(|x| *x += i);
            y[0] += x.iter().sum::<usize>();
            z[0].push('.');
        });
        assert!(x.iter().enumerate().all(|(at, &x)| x == at / 3 * round));
    }
    assert!(z.iter().all(|z| z == "..."));
    assert!(catch_unwind(AssertUnwindSafe(|| for_each(5, |i| assert!(i != 3)))).is_err());
    assert_eq!(parallel::map(4, |i| vec![i; i]).concat(), [1, 2, 2, 3, 3, 3]);
}

/// Products through every layout and start, in bands of every kind.
#[test]
fn products() {
    let mut case = 0;
    for (m, n, k) in [(0, 3, 2), (1, 1, 0), (5, 17, 3), (7, 33, 5), (2, 67, 3)] {
        for (a_strides, b_strides) in [
            ((k, 1), (n, 1)),
            ((1, m), (n, 1)),
            ((k, 1), (1, k)),
            ((k + 2, 1), (n + 3, 1)),
            ((2, 2 * m), (0, 1)),
        ] {
            let size = |rows: usize, cols: usize, (down, across): (usize, usize)| {
                if rows * cols == 0 { 0 } else { (rows - 1) * down + (cols - 1) * across + 1 }
            };
            let (a, b) = (numbers(size(m, k, a_strides)), numbers(size(k, n, b_strides)));
            let a = Matrix::strided(&a, m, k, a_strides.0, a_strides.1);
            let b = Matrix::strided(&b, k, n, b_strides.0, b_strides.1);
            let bias = numbers(m.max(n));
            case += 1;
            let start = match case % 4 {
                0 => Start::Zero,
                1 => Start::Accumulate,
                2 => Start::PerRow(&bias[..m]),
                _ => Start::PerColumn(&bias[..n]),
            };
            let (mut got, mut want) = (numbers(m * n), numbers(m * n));
            gemm::multiply(start, &a, &b, MatrixMut::new(&mut got, m, n));
            naive::multiply(start, &a, &b, MatrixMut::new(&mut want, m, n));
            assert_eq!(got, want, "[{m}, {k}] times [{k}, {n}]");
        }
    }
}

#[test]
fn bands() {
    let (rows, cols) = (6, 10);
    let mut memory = numbers(rows * cols);
    let mut mark = |cut: &dyn Fn(MatrixMut)| {
        memory.fill(0.0);
        cut(MatrixMut::new(&mut memory, rows, cols));
        assert!(memory.iter().all(|&x| x == 1.0), "{memory:?}");
    };
    let add = |_: usize, mut band: MatrixMut| {
        for i in 0..band.rows() {
            band.row_mut(i).iter_mut().for_each(|x| *x += 1.0);
        }
    };
    mark(&|c| for_each_part(c.split_rows(4), add));
    mark(&|c| for_each_part(c.split_columns(3), add));
    mark(&|c| for_each_part(c.split_groups(3, 2), add));
    mark(&|c| for_each_part(c.split_grid(2, 4), add));
}

/// Convolutions of few images and of many, whose bands threads share, with all gradients.
#[test]
fn convolutions() {
    for (n, c, size, oc, kernel, stride, padding, groups) in [
        (2, 1, 4, 2, 3, 1, 0, 1),
        (2, 2, 3, 4, 2, 2, 1, 2),
        (17, 1, 3, 2, 2, 1, 1, 1),
        (16, 2, 2, 2, 2, 2, 0, 2),
        (2, 1, 3, 17, 2, 1, 0, 1),
    ] {
        let options = Conv2dOptions {
            stride: stride.into(),
            padding: padding.into(),
            groups,
            ..Conv2dOptions::default()
        };
        let tape = Tape::training();
        let x = tape.variable(&tensor([n, c, size, size]));
        let w = tape.variable(&tensor([oc, c / groups, kernel, kernel]));
        let b = tape.variable(&tensor([oc]));
        let grads = x.conv2d(w, Some(b), &options).square().sum().backward();
        assert!([&grads[x], &grads[w], &grads[b]].iter().all(|grad| grad.sum().item().is_finite()));
    }
}

/// Two steps of a small net with every kind of layer, for few images and for many, whose pooling keeps bytes.
#[test]
fn steps_of_training() {
    for n in [2, 16] {
        let mut net = nn::Sequential::new()
            .then(nn::Conv2d::new(1, 2, 3, &mut Init::new(0)))
            .then(nn::BatchNorm::new(2, 4))
            .then(nn::Sigmoid)
            .then(nn::MaxPool2d::new(2))
            .then(nn::AvgPool2d::new(2))
            .then(nn::Flatten)
            .then(nn::Linear::new(2, 3, &mut Init::new(0)));
        let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
        let mut optimizers: [Box<dyn Optimizer>; 2] = [Box::new(Adam::new(0.01)), Box::new(Sgd::new(0.01))];
        for optimizer in &mut optimizers {
            let tape = Tape::training();
            let loss = net.forward(tape.input(&tensor([n, 1, 6, 6]))).cross_entropy(&labels);
            assert!(loss.item().is_finite());
            optimizer.step(&mut net, &loss.backward());
        }
    }
}
