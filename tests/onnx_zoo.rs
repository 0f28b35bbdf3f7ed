//! A zoo of nets with all layers and options, written as ONNX models for other runtimes to run.
//!
//! Next to read: interop/run.sh, which has them run.

mod onnx_reader;

use std::fs;
use std::path::PathBuf;

use onnx_reader::read;
use tapegrad::nn::{
    AvgPool2d, BatchNorm, Conv2d, Flatten, Init, LeNet, Linear, MaxPool2d, Module, ReLU, Sequential, Sigmoid,
    Tanh, lenet_batch_norm,
};
use tapegrad::save::onnx;
use tapegrad::{Tape, Tensor};

/// Nets with all layers and options, for other runtimes: with the shape of an input.
fn zoo() -> Vec<(&'static str, Box<dyn Module>, Vec<usize>)> {
    let init = &mut Init::new(7);
    let average = AvgPool2d::new(3).stride(2).padding(1);
    let norm = |num_features, num_dims| {
        let mut norm = BatchNorm::new(num_features, num_dims);
        let shape = norm.gamma.value().shape();
        let mut init = Init::new(11);
        norm.gamma.set(&init.randn(shape));
        norm.beta.set(&init.randn(shape));
        norm.moving_mean.set(&init.randn(shape));
        norm.moving_var.set(&init.rand(shape));
        norm
    };
    let normed = lenet_batch_norm(init);
    for _ in 0..40 {
        normed.forward(Tape::training().input(&init.randn([32, 1, 28, 28]))); // moves the statistics
    }
    vec![
        ("conv", Box::new(Conv2d::new(3, 5, 3, init)), vec![3, 8, 9]),
        (
            "conv-pair",
            Box::new(Conv2d::new(3, 5, (5, 2), init).stride((1, 2)).padding((2, 1))),
            vec![3, 8, 9],
        ),
        ("conv-dilation", Box::new(Conv2d::new(2, 4, 3, init).dilation((2, 3)).padding(4)), vec![2, 8, 9]),
        ("conv-groups", Box::new(Conv2d::grouped(4, 6, 3, 2, init).padding(1)), vec![4, 8, 9]),
        (
            "conv-depthwise",
            Box::new(Conv2d::grouped(4, 8, 3, 4, init).stride(2).without_bias()),
            vec![4, 8, 9],
        ),
        ("conv-without-bias", Box::new(Conv2d::new(1, 2, 3, init).without_bias()), vec![1, 8, 9]),
        ("linear", Box::new(Linear::new(7, 5, init)), vec![7]),
        ("linear-without-bias", Box::new(Linear::new(7, 5, init).without_bias()), vec![7]),
        ("max", Box::new(MaxPool2d::new(2)), vec![2, 8, 9]),
        ("max-pair", Box::new(MaxPool2d::new((3, 2)).stride((2, 1)).padding((1, 0))), vec![2, 8, 9]),
        ("max-dilation", Box::new(MaxPool2d::new(2).stride(1).dilation(3).padding(1)), vec![2, 8, 9]),
        ("max-long-padding", Box::new(MaxPool2d::new(2).stride(1).dilation(4).padding(2)), vec![2, 8, 9]),
        (
            "max-long-rows",
            Box::new(MaxPool2d::new(2).stride(1).dilation((4, 1)).padding((2, 0))),
            vec![2, 8, 9],
        ),
        ("max-ceil", Box::new(MaxPool2d::new(3).stride(2).ceil_mode(true)), vec![2, 8, 9]),
        ("max-ceil-padding", Box::new(MaxPool2d::new(3).padding(1).ceil_mode(true)), vec![2, 9, 8]),
        (
            "max-ceil-dilation",
            Box::new(MaxPool2d::new(2).stride(3).dilation(4).ceil_mode(true)),
            vec![2, 9, 8],
        ),
        ("average", Box::new(AvgPool2d::new(2)), vec![2, 8, 9]),
        ("average-pair", Box::new(AvgPool2d::new((3, 2)).stride((2, 1)).padding((1, 0))), vec![2, 8, 9]),
        ("average-padding", Box::new(average), vec![2, 8, 9]),
        ("average-real-places", Box::new(average.count_include_pad(false)), vec![2, 8, 9]),
        ("average-ceil", Box::new(AvgPool2d::new(3).stride(2).ceil_mode(true)), vec![2, 8, 10]),
        ("average-ceil-padding", Box::new(average.ceil_mode(true)), vec![2, 8, 9]),
        (
            "average-ceil-real-places",
            Box::new(average.ceil_mode(true).count_include_pad(false)),
            vec![2, 8, 9],
        ),
        ("average-ceil-last-left-out", Box::new(AvgPool2d::new(3).padding(1).ceil_mode(true)), vec![2, 8, 9]),
        ("batch-norm-2d", Box::new(norm(6, 2)), vec![6]),
        ("batch-norm-4d", Box::new(norm(3, 4)), vec![3, 5, 4]),
        ("sigmoid", Box::new(Sigmoid), vec![6, 5]),
        ("relu", Box::new(ReLU), vec![6, 5, 4]),
        ("tanh", Box::new(Tanh), vec![6]),
        ("flatten", Box::new(Flatten), vec![2, 3, 4]),
        ("nothing", Box::new(Sequential::new()), vec![4]),
        ("lenet", Box::new(LeNet::new(init)), vec![1, 28, 28]),
        ("lenet-batch-norm", Box::new(normed), vec![1, 28, 28]),
    ]
}

/// The last shape in the graph is that of what the net gives, for one picture and for three. Where TAPEGRAD_ZOO names a folder, every
/// model is written there, with an input and our output as raw little-endian floats.
#[test]
fn the_zoo() {
    let folder = std::env::var_os("TAPEGRAD_ZOO").map(PathBuf::from);
    for (name, net, shape) in zoo() {
        let shape = [&[3], &shape[..]].concat();
        let x = Init::new(3).randn(&shape[..]);
        let tape = Tape::inference();
        let y = net.forward(tape.input(&x)).value();
        let model = onnx::encode(&*net, &shape).unwrap();
        let sizes: String = y.shape()[1..].iter().map(|size| format!(", {size}")).collect();
        let lines = read(&model).lines;
        assert!(lines[lines.len() - 1].ends_with(&format!(" : [batch{sizes}]")), "{name}: {lines:?}");
        assert!(y.to_vec().iter().any(|&y| y != 0.0) && y.to_vec().iter().all(|y| y.is_finite()), "{name}");
        if let Some(folder) = &folder {
            let raw =
                |tensor: &Tensor| tensor.to_vec().iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
            fs::write(folder.join(format!("{name}.onnx")), model).unwrap();
            fs::write(folder.join(format!("{name}.input.f32")), raw(&x)).unwrap();
            fs::write(folder.join(format!("{name}.output.f32")), raw(&y)).unwrap();
        }
    }
}
