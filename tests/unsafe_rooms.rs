//! Everything that has `unsafe` in it, or stands on it, in sizes that Miri gets through in two minutes (`tests/sanitizers.sh miri`): it finds
//! reads and writes outside of memory, of memory that two borrow, and races between threads.
//!
//! Miri interprets plain Rust, so what the instructions of a CPU do is left to `guard_pages.rs` and the other sanitizers. What the numbers
//! are is asked here only as far as it costs nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tapegrad::gemm::{self, Matrix, MatrixMut, Packed, Start, naive};
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

/// Chains of views, read where they lie, copied, and written through a copy that leaves the first alone.
#[test]
fn views() {
    let x = tensor([3, 4, 5]);
    let views = [
        x.permute(&[2, 0, 1]),
        x.narrow(1, 1, 2).transpose(0, 2),
        x.slice(2, 1..4).select(0, 2).unsqueeze(1).expand([4, 2, 3]),
        x.unfold(2, 3, 2).unfold(1, 2, 1),
        x.reshape([4, 15]).t().flatten(0),
        x.select(1, 3).slice(1, 3..),
        x.narrow(0, 1, 0).expand([2, 0, 4, 5]),
    ];
    for view in views {
        let mut copy = view.contiguous();
        assert_eq!(copy.to_vec(), view.to_vec());
        copy.data_mut().fill(f32::NAN);
        assert!(view.to_vec().iter().all(|x| !x.is_nan()), "{}", view.shape());
        assert_eq!((&view + &view).sum().item(), 2.0 * view.sum().item());
    }
    assert_eq!(x.to_vec(), numbers(60));
}

/// An A that lies packed, shared by the threads that multiply with it into bands, and a transpose.
#[test]
fn packing() {
    let (m, n, k) = (18, 35, 7);
    let (a, b) = (numbers(m * k), numbers(k * n));
    let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
    let (mut got, mut want) = (vec![0.0; m * n], vec![0.0; m * n]);
    naive::multiply(Start::Zero, &a, &b, MatrixMut::new(&mut want, m, n));

    let width = gemm::tile_rows(m, n);
    let mut panels = vec![0.0; Packed::size(m, k, width)];
    gemm::pack_left(&a, width, &mut panels);
    let packed = Packed::of(&panels, m, k, width);
    for_each_part(MatrixMut::new(&mut got, m, n).split_columns(16), |i, band| {
        let columns = b.transposed().rows_from(16 * i, band.cols());
        gemm::multiply_block(Start::Zero, &packed, &columns, band);
    });
    assert_eq!(got, want);

    let mut turned = vec![0.0; m * k];
    gemm::transpose(a, MatrixMut::new(&mut turned, k, m));
    assert!((0..m * k).all(|at| turned[at] == a.get(at % m, at / m)));
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

/// Tapes side by side and one after the other, left without a backward, and gradients that outlive all of them.
#[test]
fn tapes() {
    let (a, b) = (tensor([3, 4]), tensor([4]));
    let kept = {
        let (first, second) = (Tape::training(), Tape::training());
        let (x, y) = (first.variable(&a), second.variable(&a));
        let b = first.variable(&b);
        let loss = (x.t().matmul(x) * b + x.narrow(0, 1, 1).sum()).square().sum();
        let left = (y * y).sigmoid().sum();
        assert!(left.item().is_finite());
        let grads = loss.backward();
        [grads[x].clone(), grads[b].clone()]
    };
    assert_eq!(kept[0].shape(), a.shape());
    assert_eq!(kept[1].shape(), b.shape());
    let tape = Tape::inference();
    let x = tape.input(&a);
    assert_eq!((x - x.detach()).abs().sum().item(), 0.0);
}
