//! Every op gives the same bits wherever its inputs, and the gradient of its output, lie in memory: stored by any order of axes,
//! cut out of something larger, apart from each other, at addresses that no vector register is aligned to.
//!
//! And the same on every instruction set, on any number of threads.
//!
//! `gradients.rs` and its neighbours say what each op is, on small inputs. Here nothing is asked but the bits, on sizes that are
//! cut into chunks and shared by three threads too.

mod every_isa;
mod formula;
mod oracle;

use std::cell::Cell;

use formula::tensor;
use oracle::labels;
use tapegrad::ops::avg_pool2d::AvgPool2dOptions;
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::ops::max_pool2d::MaxPool2dOptions;
use tapegrad::{Tape, Tensor, Var, parallel};

/// Every order of the numbers from 0 to `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![vec![]] };
    let shorter = orders(last);
    let with_last_at = |at: usize| {
        shorter.iter().map(move |order| [&order[..at], &[last], &order[at..]].concat()).collect::<Vec<_>>()
    };
    // The last number stays the last one first: the identity comes first.
    (0..count).rev().flat_map(with_last_at).collect()
}

/// The same elements in every order of axes in memory, and at other addresses; what lies between is NaN.
fn layouts(x: &Tensor) -> Vec<(String, Tensor)> {
    let mut all = vec![];
    for order in orders(x.rank()) {
        let mut back = vec![0; x.rank()];
        order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        all.push((format!("stored by axes {order:?}"), x.permute(&order).contiguous().permute(&back)));
    }
    for start in [1, 2, 3, 4, 8, 15] {
        let behind = Tensor::cat(&[&Tensor::full([start], f32::NAN), &x.reshape([x.numel()])], 0);
        all.push((format!("from {start} on"), behind.narrow(0, start, x.numel()).view(x.shape())));
    }
    let mut walled = x.clone();
    for axis in 0..x.rank() {
        let wall = |thick: usize| Tensor::full(walled.shape().with(axis, thick), f32::NAN);
        let within = Tensor::cat(&[&wall(1), &walled, &wall(2)], axis as isize);
        walled = within.narrow(axis as isize, 1, x.shape()[axis]);
    }
    all.push(("inside of a larger one".into(), walled));
    let nothing = Tensor::full(x.shape(), f32::NAN);
    all.push(("every second".into(), Tensor::stack(&[x, &nothing], -1).select(-1, 0)));
    all
}

/// The output and the gradient of every input, as bits, where `dy` is the gradient that reaches the op, as it lies in memory.
fn run(inputs: &[Tensor], op: &impl for<'t> Fn(&[Var<'t>]) -> Var<'t>, dy: &Tensor) -> Vec<Vec<u32>> {
    let tape = Tape::training();
    let vars: Vec<Var> = inputs.iter().map(|input| tape.variable(input)).collect();
    let y = op(&vars);
    let (value, id, dy) = (y.value(), y.id(), dy.clone());
    let loss = tape.record("given gradient", &[y], Tensor::scalar(0.0), dy, move |dy, _, adjoints| {
        adjoints.add(id, || dy);
    });
    let grads = loss.backward();
    let results = [value].into_iter().chain(vars.iter().map(|&var| grads[var].clone()));
    results.map(|tensor| tensor.to_vec().iter().map(|x| x.to_bits()).collect()).collect()
}

thread_local! {
    /// Set while results are not compared with each other, but gathered for the other processes: their hash so far.
    static GATHERED: Cell<Option<u64>> = const { Cell::new(None) };
}

#[track_caller]
fn check(what: &str, inputs: &[Tensor], op: impl for<'t> Fn(&[Var<'t>]) -> Var<'t>) {
    if GATHERED.get().is_none() {
        parallel::set_threads(3);
    }
    let tape = Tape::inference();
    let y = op(&inputs.iter().map(|input| tape.input(input)).collect::<Vec<_>>());
    let dy = tensor(77, &y.shape());
    let want = run(inputs, &op, &dy);
    assert!(want[0].iter().all(|&bits| f32::from_bits(bits).is_finite()), "{what}: made a NaN");
    if let Some(before) = GATHERED.get() {
        // FNV-1a, a word at a time.
        let mixed = |hash: u64, bits: &u32| (hash ^ u64::from(*bits)).wrapping_mul(0x0000_0100_0000_01b3);
        let hash = want.iter().flatten().fold(before, mixed);
        // Where it fails, the first line that differs names the op.
        println!("{hash:016x} after {what} of {:?}", inputs.iter().map(Tensor::shape).collect::<Vec<_>>());
        GATHERED.set(Some(hash));
        return;
    }

    let choices: Vec<_> = inputs.iter().chain([&dy]).map(layouts).collect();
    let most = choices.iter().map(Vec::len).max().expect("dy, at least");
    for layout in 0..most {
        // Each has another layout: there are 9, 10, 14 or 32, and 11 steps from one to the next never come back after two.
        let chosen: Vec<_> =
            choices.iter().enumerate().map(|(i, all)| &all[(layout + 11 * i) % all.len()]).collect();
        let tensors: Vec<Tensor> = chosen.iter().map(|(_, tensor)| tensor.clone()).collect();
        let got = run(&tensors[..inputs.len()], &op, &tensors[inputs.len()]);
        let names: Vec<&str> = chosen.iter().map(|(name, _)| name.as_str()).collect();
        for (of, (got, want)) in got.iter().zip(&want).enumerate() {
            let of = if of == 0 { "y".into() } else { format!("gradient {}", of - 1) };
            let shapes: Vec<_> = inputs.iter().map(Tensor::shape).collect();
            assert!(got == want, "{what} of {shapes:?}: other bits in {of} with inputs and dy {names:?}");
        }
    }
}

/// Small and odd, one chunk and a rest, and a batch of images of more than a chunk.
const SHAPES: [&[usize]; 4] = [&[17], &[151, 113], &[3, 5, 7], &[5, 6, 24, 25]];

#[test]
fn every_order_is_there_once() {
    assert_eq!(orders(2), [[0, 1], [1, 0]]);
    let mut all = orders(4);
    assert_eq!(all[0], [0, 1, 2, 3]);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 24);
}

#[test]
fn arithmetic() {
    let pairs: [(&[usize], &[usize]); 4] = [
        (&[151, 113], &[151, 113]),
        (&[151, 113], &[113]),
        (&[5, 6, 24, 25], &[1, 6, 1, 1]),
        (&[3, 1, 7], &[5, 1]),
    ];
    for (a, b) in pairs {
        let inputs = [tensor(1, a), tensor(2, b).abs() + 0.5];
        check("add", &inputs, |v| v[0] + v[1]);
        check("sub", &inputs, |v| v[0] - v[1]);
        check("mul", &inputs, |v| v[0] * v[1]);
        check("div", &inputs, |v| v[0] / v[1]);
    }
}

#[test]
fn functions_of_one_number() {
    for shape in SHAPES {
        let (any, positive) = ([tensor(3, shape) * 4.0], [tensor(4, shape).abs() + 0.01]);
        check("neg", &any, |v| -v[0]);
        check("plus a number", &any, |v| v[0] + 0.3);
        check("a number over", &positive, |v| 0.3 / v[0]);
        check("sigmoid", &any, |v| v[0].sigmoid());
        check("tanh", &any, |v| v[0].tanh());
        check("relu", &any, |v| v[0].relu());
        check("exp", &any, |v| v[0].exp());
        check("ln", &positive, |v| v[0].ln());
        check("sqrt", &positive, |v| v[0].sqrt());
        check("square", &any, |v| v[0].square());
        check("abs", &any, |v| v[0].abs());
        check("pow", &positive, |v| v[0].pow(2.7));
    }
}

#[test]
fn sums_and_maxima() {
    for shape in SHAPES {
        let x = [tensor(5, shape)];
        check("sum", &x, |v| v[0].sum());
        check("mean", &x, |v| v[0].mean());
        check("norm", &x, |v| v[0].norm());
        check("max", &x, |v| v[0].max());
        for axis in 0..shape.len() as isize {
            check(&format!("sum_axes {axis}"), &x, |v| v[0].sum_axes(&[axis], false));
            check(&format!("mean_axes {axis}"), &x, |v| v[0].mean_axes(&[axis], true));
            check(&format!("norm_axes {axis}"), &x, |v| v[0].norm_axes(&[axis], false));
            check(&format!("max_axis {axis}"), &x, |v| v[0].max_axis(axis, false));
        }
    }
    let images = [tensor(6, SHAPES[3])];
    for axes in [[0, 2, 3], [1, 2, 3], [0, 1, 3]] {
        check(&format!("sum_axes {axes:?}"), &images, |v| v[0].sum_axes(&axes, false));
    }
}

#[test]
fn softmax_and_losses() {
    for shape in SHAPES {
        let x = [tensor(7, shape) * 5.0];
        for axis in 0..shape.len() as isize {
            check(&format!("softmax {axis}"), &x, |v| v[0].softmax(axis));
            check(&format!("log_softmax {axis}"), &x, |v| v[0].log_softmax(axis));
        }
    }
    for (n, classes) in [(1, 1), (7, 10), (2000, 10), (150, 113)] {
        let labels = labels(8, n, classes);
        check("cross_entropy", &[tensor(8, &[n, classes])], |v| v[0].cross_entropy(&labels));
    }
    check("mse_loss", &[tensor(9, SHAPES[1]), tensor(10, SHAPES[1])], |v| v[0].mse_loss(v[1]));
}

#[test]
fn views_and_copies() {
    for shape in [&[17, 3][..], &[151, 113], &[3, 5, 7], &[5, 6, 24, 25]] {
        let x = [tensor(11, shape), tensor(12, shape)];
        check("contiguous", &x[..1], |v| v[0].contiguous());
        check("reshape", &x[..1], |v| v[0].reshape([v[0].shape().numel()]));
        check("unfold", &x[..1], |v| v[0].unfold(1, 2, 1));
        check("cat", &x, |v| Var::cat(v, -1));
        check("stack", &x, |v| Var::stack(v, 1));
        check("expand", &x[..1], |v| v[0].unsqueeze(1).expand(v[0].unsqueeze(1).shape().with(1, 3)));
    }
}

#[test]
fn products() {
    let pairs: [(&[usize], &[usize]); 5] = [
        (&[1, 5], &[5, 3]),
        (&[33, 300], &[300, 65]),
        (&[130, 90], &[90, 70]),
        (&[4, 3, 5], &[4, 5, 17]),
        (&[2, 1, 13, 4], &[3, 4, 19]),
    ];
    for (a, b) in pairs {
        check("matmul", &[tensor(13, a), tensor(14, b)], |v| v[0].matmul(v[1]));
    }
    for (n, inputs, outputs) in [(7, 3, 33), (64, 256, 120), (5, 84, 10)] {
        let inputs = [tensor(15, &[n, inputs]), tensor(16, &[outputs, inputs]), tensor(17, &[outputs])];
        check("linear", &inputs, |v| v[0].linear(v[1], Some(v[2])));
    }
}

#[test]
fn convolutions() {
    let plain = Conv2dOptions::default();
    let moved = Conv2dOptions { stride: (2, 1).into(), padding: (1, 2).into(), ..plain };
    let grouped = Conv2dOptions { groups: 3, dilation: (1, 2).into(), ..plain };
    // LeNet's two, options, and many filters; then as many images as are worked on at once, with few filters and many; groups of many filters; wide rows.
    let cases: [([usize; 4], [usize; 4], Conv2dOptions); 12] = [
        ([9, 1, 28, 28], [6, 1, 5, 5], plain),
        ([9, 6, 12, 12], [16, 6, 5, 5], plain),
        ([2, 3, 9, 11], [4, 3, 3, 2], moved),
        ([3, 6, 8, 9], [9, 2, 2, 3], grouped),
        ([2, 5, 7, 6], [7, 5, 1, 1], plain),
        ([2, 16, 24, 24], [70, 16, 3, 3], plain),
        ([19, 6, 12, 12], [16, 6, 5, 5], plain),
        ([17, 3, 9, 11], [4, 3, 3, 2], moved),
        ([16, 6, 8, 9], [9, 2, 2, 3], grouped),
        ([18, 5, 9, 11], [37, 5, 3, 2], moved),
        ([3, 12, 24, 25], [60, 4, 3, 3], grouped),
        ([2, 3, 6, 70], [7, 3, 3, 3], plain),
    ];
    for (x, w, options) in cases {
        let inputs = [tensor(18, &x), tensor(19, &w), tensor(20, &w[..1])];
        check(&format!("conv2d, {options:?},"), &inputs, |v| v[0].conv2d(v[1], Some(v[2]), &options));
    }
}

#[test]
fn pools() {
    for shape in [[5, 6, 24, 25], [2, 3, 9, 11], [3, 17, 4, 5], [19, 3, 8, 9]] {
        let x = [tensor(21, &shape)];
        let overlapping = MaxPool2dOptions::new(3).stride(2).padding(1);
        check("max_pool2d", &x, |v| v[0].max_pool2d(2));
        check("max_pool2d, overlapping", &x, |v| v[0].max_pool2d(overlapping));
        let overlapping = AvgPool2dOptions::new(3).stride(2).padding(1);
        check("avg_pool2d", &x, |v| v[0].avg_pool2d(2));
        check("avg_pool2d, overlapping", &x, |v| v[0].avg_pool2d(overlapping));
    }
}

#[test]
fn batch_norms() {
    for shape in [&[5, 6, 24, 25][..], &[64, 120], &[3, 7, 2, 5], &[19, 3, 8, 9]] {
        let channels = shape[1];
        let inputs = [tensor(22, shape), tensor(23, &[channels]), tensor(24, &[channels])];
        check("batch_norm", &inputs, |v| {
            let (mut mean, mut var) = (Tensor::zeros([channels]), Tensor::ones([channels]));
            v[0].batch_norm(v[1], v[2], &mut mean, &mut var, 0.9, 1e-5)
        });
    }
}

#[test]
fn every_instruction_set() {
    GATHERED.set(Some(0xcbf2_9ce4_8422_2325));
    arithmetic();
    functions_of_one_number();
    sums_and_maxima();
    softmax_and_losses();
    views_and_copies();
    products();
    convolutions();
    pools();
    batch_norms();
    let hash = GATHERED.take().expect("it was set above");
    every_isa::agree("every_instruction_set", hash);
}
