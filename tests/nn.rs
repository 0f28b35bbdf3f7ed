//! Layers and nets: how they print, what they count, and where their first values lie.
//!
//! What nets compute is held against PyTorch in pytorch_golden.rs. Next to read: that file.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tapegrad::nn::{
    AvgPool2d, BatchNorm, Buffer, Conv2d, Flatten, Init, LeNet, Linear, MaxPool2d, Module, ReLU, Sequential,
    Sigmoid, Tanh, lenet_batch_norm,
};
use tapegrad::{Tape, Tensor};

#[test]
fn lenet_prints_as_cell_43() {
    let want = "\
LeNet(
  (conv): Sequential(
    (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))
    (1): Sigmoid()
    (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    (3): Conv2d(6, 16, kernel_size=(5, 5), stride=(1, 1))
    (4): Sigmoid()
    (5): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  )
  (fc): Sequential(
    (0): Linear(in_features=256, out_features=120, bias=True)
    (1): Sigmoid()
    (2): Linear(in_features=120, out_features=84, bias=True)
    (3): Sigmoid()
    (4): Linear(in_features=84, out_features=10, bias=True)
  )
)";
    let net = LeNet::new(&mut Init::new(0));
    assert_eq!(net.to_string(), want);
    assert_eq!((&net as &dyn Module).to_string(), want);
}

/// What PyTorch prints for cell 39's net, with `nn.Flatten()` for the notebook's own flatten layer.
#[test]
fn the_net_of_cell_39_prints_as_pytorch_prints_it() {
    let want = "\
Sequential(
  (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))
  (1): BatchNorm()
  (2): Sigmoid()
  (3): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  (4): Conv2d(6, 16, kernel_size=(5, 5), stride=(1, 1))
  (5): BatchNorm()
  (6): Sigmoid()
  (7): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
  (8): Flatten(start_dim=1, end_dim=-1)
  (9): Linear(in_features=256, out_features=120, bias=True)
  (10): BatchNorm()
  (11): Sigmoid()
  (12): Linear(in_features=120, out_features=84, bias=True)
  (13): BatchNorm()
  (14): Sigmoid()
  (15): Linear(in_features=84, out_features=10, bias=True)
)";
    assert_eq!(lenet_batch_norm(&mut Init::new(0)).to_string(), want);
}

/// What PyTorch 2.15 prints for the same layers.
#[test]
fn every_option_prints_as_pytorch_prints_it() {
    let init = &mut Init::new(0);
    let cases: [(Box<dyn Module>, &str); 12] = [
        (
            Box::new(Conv2d::new(1, 1, 3, init).padding(1)),
            "Conv2d(1, 1, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
        ),
        (
            Box::new(Conv2d::new(1, 1, (3, 5), init).padding((0, 1)).stride((3, 4))),
            "Conv2d(1, 1, kernel_size=(3, 5), stride=(3, 4), padding=(0, 1))",
        ),
        (
            Box::new(Conv2d::grouped(4, 8, 3, 2, init).dilation((2, 1)).without_bias()),
            "Conv2d(4, 8, kernel_size=(3, 3), stride=(1, 1), dilation=(2, 1), groups=2, bias=False)",
        ),
        (
            Box::new(Linear::new(4, 2, init).without_bias()),
            "Linear(in_features=4, out_features=2, bias=False)",
        ),
        (
            Box::new(MaxPool2d::new((2, 3)).stride((2, 1)).padding((1, 0)).dilation(2).ceil_mode(true)),
            "MaxPool2d(kernel_size=(2, 3), stride=(2, 1), padding=(1, 0), dilation=2, ceil_mode=True)",
        ),
        (Box::new(AvgPool2d::new(3).stride(2).padding(1)), "AvgPool2d(kernel_size=3, stride=2, padding=1)"),
        (Box::new(BatchNorm::new(6, 4)), "BatchNorm()"),
        (Box::new(ReLU), "ReLU()"),
        (Box::new(Tanh), "Tanh()"),
        (Box::new(Flatten), "Flatten(start_dim=1, end_dim=-1)"),
        (Box::new(Sequential::new()), "Sequential()"),
        (
            Box::new(Sequential::new().then(Sequential::new().then(Sigmoid))),
            "Sequential(\n  (0): Sequential(\n    (0): Sigmoid()\n  )\n)",
        ),
    ];
    for (module, want) in cases {
        assert_eq!(module.to_string(), want);
    }
}

#[test]
fn names_and_counts_are_pytorch_s() {
    let mut net = LeNet::new(&mut Init::new(0));
    let want: [(&str, &[usize]); 10] = [
        ("conv.0.weight", &[6, 1, 5, 5]),
        ("conv.0.bias", &[6]),
        ("conv.3.weight", &[16, 6, 5, 5]),
        ("conv.3.bias", &[16]),
        ("fc.0.weight", &[120, 256]),
        ("fc.0.bias", &[120]),
        ("fc.2.weight", &[84, 120]),
        ("fc.2.bias", &[84]),
        ("fc.4.weight", &[10, 84]),
        ("fc.4.bias", &[10]),
    ];
    let found = net.named_parameters();
    assert_eq!(found.len(), want.len());
    for ((name, param), (want_name, want_shape)) in found.iter().zip(want) {
        assert_eq!((name.as_str(), &param.value().shape()[..]), (want_name, want_shape));
    }
    assert!(net.named_parameters_mut().iter().map(|(name, _)| name.as_str()).eq(want.map(|(name, _)| name)));
    assert!(net.named_buffers().is_empty());
    assert_eq!(net.parameter_count(), 44_426);

    let net = lenet_batch_norm(&mut Init::new(0));
    assert_eq!(net.parameter_count(), 44_426 + 2 * (6 + 16 + 120 + 84));
    let buffers: Vec<String> = net
        .named_buffers()
        .iter()
        .map(|(name, buffer)| format!("{name} {}", buffer.value().shape()))
        .collect();
    assert_eq!(
        buffers[..3],
        ["1.moving_mean [1, 6, 1, 1]", "1.moving_var [1, 6, 1, 1]", "5.moving_mean [1, 16, 1, 1]"]
    );
    assert_eq!(buffers[7], "13.moving_var [1, 84]");

    // A layer without bias has no such parameter, and works.
    let conv = Conv2d::new(2, 3, 2, &mut Init::new(0)).without_bias();
    assert_eq!((conv.named_parameters().len(), conv.parameter_count()), (1, 2 * 3 * 4));
    assert_eq!(
        conv.forward(Tape::inference().input(&Tensor::zeros([1, 2, 4, 4]))).value(),
        Tensor::zeros([1, 3, 3, 3])
    );
    let linear = Linear::new(2, 3, &mut Init::new(0)).without_bias();
    assert_eq!(
        linear.forward(Tape::inference().input(&Tensor::zeros([1, 2]))).value(),
        Tensor::zeros([1, 3])
    );
}

#[test]
fn the_summary_of_lenet() {
    let want = "\
layer   type        output shape    parameters
-       (input)     [2, 1, 28, 28]           -
-       LeNet       [2, 10]                  -
conv    Sequential  [2, 16, 4, 4]            -
conv.0  Conv2d      [2, 6, 24, 24]         156
conv.1  Sigmoid     [2, 6, 24, 24]           0
conv.2  MaxPool2d   [2, 6, 12, 12]           0
conv.3  Conv2d      [2, 16, 8, 8]        2,416
conv.4  Sigmoid     [2, 16, 8, 8]            0
conv.5  MaxPool2d   [2, 16, 4, 4]            0
fc      Sequential  [2, 10]                  -
fc.0    Linear      [2, 120]            30,840
fc.1    Sigmoid     [2, 120]                 0
fc.2    Linear      [2, 84]             10,164
fc.3    Sigmoid     [2, 84]                  0
fc.4    Linear      [2, 10]                850
total                                   44,426";
    let net = LeNet::new(&mut Init::new(0));
    let summary = net.summary(&[2, 1, 28, 28]);
    assert_eq!(summary.to_string(), want);
    assert_eq!(summary.parameter_count(), net.parameter_count());

    // A summary runs the net for use, not for training: moving statistics stay as they were.
    let net = lenet_batch_norm(&mut Init::new(0));
    let summary = net.summary(&[2, 1, 28, 28]);
    assert_eq!(summary.parameter_count(), 44_878);
    assert!(summary.rows.iter().all(|row| row.output.is_some()));
    assert!(net.named_buffers().iter().all(|(_, buffer)| buffer.value().to_vec().iter().all(|&x| x == 0.0)));
}

/// A net that calls `forward` of one layer leaves that layer's shape out, and no other.
struct Careless {
    first: Linear,
    second: Sequential,
}

impl Module for Careless {
    fn forward<'t>(&self, x: tapegrad::Var<'t>) -> tapegrad::Var<'t> {
        self.second.forward(self.first.call(x))
    }
    fn name(&self) -> &str {
        "Careless"
    }
    fn parts(&self) -> Vec<(std::borrow::Cow<'static, str>, tapegrad::nn::Part<'_>)> {
        use tapegrad::nn::Part;
        vec![("first".into(), Part::Module(&self.first)), ("second".into(), Part::Module(&self.second))]
    }
}

#[test]
fn a_summary_says_what_it_does_not_know() {
    let init = &mut Init::new(0);
    let second = Sequential::new().then(Sigmoid).then(Linear::new(3, 2, init)).then(Sigmoid);
    let net = Careless { first: Linear::new(4, 3, init), second };
    let rows = net.summary(&[5, 4]).rows;
    let found: Vec<(&str, Option<Vec<usize>>)> =
        rows.iter().map(|row| (row.path.as_str(), row.output.map(|shape| shape.to_vec()))).collect();
    let want = [
        ("", Some(vec![5, 2])),
        ("first", Some(vec![5, 3])),
        ("second", None),
        ("second.0", Some(vec![5, 3])),
        ("second.1", Some(vec![5, 2])),
        ("second.2", Some(vec![5, 2])),
    ];
    assert_eq!(found, want);

    // A net that panics under the watch is watched no longer.
    let failed = catch_unwind(AssertUnwindSafe(|| net.summary(&[5, 7])));
    assert!(failed.is_err());
    assert_eq!(net.summary(&[5, 4]).rows, rows);
}

/// Mean and variance of a sample, in f64.
fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance)
}

/// Bounds are at five standard errors: a right generator fails once in a million seeds, and the seeds are fixed.
#[test]
fn random_numbers_have_their_distribution() {
    let n = 100_000_usize;
    let root = (n as f64).sqrt();
    for seed in [0, 1, u64::MAX] {
        let uniform = Init::new(seed).rand([n]).to_vec();
        assert!(uniform.iter().all(|x| (0.0..1.0).contains(x)));
        let (mean, variance) = moments(&uniform);
        assert!((mean - 0.5).abs() < 5.0 * (1.0 / 12.0_f64).sqrt() / root, "mean {mean}");
        // The variance of (x - 1/2)² is 1/180.
        assert!((variance - 1.0 / 12.0).abs() < 5.0 * (1.0 / 180.0_f64).sqrt() / root, "variance {variance}");

        // An odd number of elements: the last pair is used by half.
        let normal = Init::new(seed).randn([n - 1]).to_vec();
        let (mean, variance) = moments(&normal);
        assert!(mean.abs() < 5.0 / root, "mean {mean}");
        assert!((variance - 1.0).abs() < 5.0 * 2.0_f64.sqrt() / root, "variance {variance}");
        for (bound, share) in [(1.0, 0.682_689_5), (2.0, 0.954_499_7), (3.0, 0.997_300_2)] {
            let within = normal.iter().filter(|x| x.abs() < bound).count() as f64 / n as f64;
            assert!(
                (within - share).abs() < 5.0 * (share * (1.0 - share)).sqrt() / root,
                "{within} within {bound}"
            );
        }
        // The two numbers of a pair, and neighbours, have nothing to do with one another.
        for apart in [1, 2, 16] {
            let products = normal.iter().zip(&normal[apart..]).map(|(a, b)| f64::from(a * b));
            let correlation = products.sum::<f64>() / (n - apart) as f64;
            assert!(correlation.abs() < 5.0 / root, "correlation {correlation} at {apart}");
        }
    }
    let moved = Init::new(5).normal([n], 3.0, 0.5).to_vec();
    let (mean, variance) = moments(&moved);
    assert!((mean - 3.0).abs() < 2.5 / root && (variance - 0.25).abs() < 0.25 * 5.0 * 2.0_f64.sqrt() / root);
}

#[test]
fn a_seed_is_a_net() {
    let bits = |seed: u64| -> Vec<u32> {
        let net = LeNet::new(&mut Init::new(seed));
        net.named_parameters().iter().flat_map(|(_, p)| p.value().to_vec()).map(f32::to_bits).collect()
    };
    assert_eq!(bits(42), bits(42));
    let (one, two) = (bits(1), bits(2));
    let same = one.iter().zip(&two).filter(|(a, b)| a == b).count();
    assert!(same < 20, "{same} of {} numbers are the same for two seeds", one.len());
}

/// The bounds of the distributions, and that they are reached to a thousandth.
#[test]
fn first_values_lie_where_pytorch_s_lie() {
    let init = &mut Init::new(9);
    let largest = |x: &Tensor| x.to_vec().iter().fold(0.0_f64, |most, &x| most.max(f64::from(x).abs()));
    let within = |x: &Tensor, bound: f64| {
        let found = largest(x);
        assert!(found <= bound * (1.0 + 1e-7) && found > bound * 0.999, "{found}, not nearly {bound}");
        let (mean, variance) = moments(&x.to_vec());
        let root = (x.numel() as f64).sqrt();
        assert!(mean.abs() < 5.0 * bound / 3.0_f64.sqrt() / root, "mean {mean}");
        assert!(
            (variance - bound * bound / 3.0).abs() < 5.0 * bound * bound * (4.0 / 45.0_f64).sqrt() / root
        );
    };
    let layer = Linear::new(256, 3000, init);
    within(layer.weight.value(), 1.0 / 16.0);
    within(layer.bias.value(), 1.0 / 16.0);
    let conv = Conv2d::grouped(8, 4000, 3, 2, init);
    within(conv.weight.value(), 1.0 / 6.0); // fan_in is 4 channels of the group times 9
    within(conv.bias.value(), 1.0 / 6.0);
    within(&init.xavier_uniform([50, 10, 5, 2]), (6.0 / 600.0_f64).sqrt());
    within(&init.kaiming_uniform([300, 60], 0.0), (6.0 / 60.0_f64).sqrt());
}

#[test]
fn buffers_keep_their_shape() {
    let buffer = Buffer::new(Tensor::zeros([2]));
    let old = buffer.value();
    buffer.set(&Tensor::ones([2]));
    assert_eq!((old.to_vec(), buffer.value().to_vec()), (vec![0.0; 2], vec![1.0; 2]));
    assert!(catch_unwind(AssertUnwindSafe(|| buffer.set(&Tensor::ones([3])))).is_err());
    assert_eq!(buffer.value().to_vec(), [1.0; 2]);
}

/// The notebook's semantics: the share of the old value is 0.9, the variance is that of n, and both start at 0.
#[test]
fn moving_statistics_move_in_training_only() {
    let norm = BatchNorm::new(2, 2);
    let x = Tensor::new([[1.0, -2.0], [3.0, -6.0]]);
    let close = |buffer: &Buffer, want: [f32; 2]| {
        let got = buffer.value().to_vec();
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}, not {want:?}");
    };
    norm.forward(Tape::training().input(&x));
    close(&norm.moving_mean, [0.2, -0.4]);
    close(&norm.moving_var, [0.1, 0.4]);
    norm.forward(Tape::training().input(&x));
    close(&norm.moving_mean, [0.38, -0.76]);
    close(&norm.moving_var, [0.19, 0.76]);
    let before = (norm.moving_mean.value(), norm.moving_var.value());
    let tape = Tape::inference();
    let y = norm.forward(tape.input(&x)).value();
    assert_eq!((norm.moving_mean.value(), norm.moving_var.value()), before);
    let want = (1.0 - 0.38) / (0.19_f32 + 1e-5).sqrt();
    assert!((y.get([0, 0]) - want).abs() < 1e-5, "{} and {want}", y.get([0, 0]));
}

/// A module may be used from several threads at once.
#[test]
fn one_net_serves_many_threads() {
    let net = lenet_batch_norm(&mut Init::new(3));
    let x = Init::new(4).rand([2, 1, 28, 28]);
    let run = || net.forward(Tape::inference().input(&x)).value().to_vec();
    let alone = run();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            assert!(thread.join().is_ok_and(|y| y == alone));
        }
    });
}
