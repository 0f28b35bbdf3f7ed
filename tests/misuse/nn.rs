//! Chapter 6: layers and nets. Next to read: `optim.rs`.

use tapegrad::nn::{
    BatchNorm, Buffer, Conv2d, Flatten, Init, LeNet, Linear, MaxPool2d, Module, Sequential, Sigmoid,
    lenet_batch_norm,
};
use tapegrad::{Tape, Tensor};

use super::each_says;

fn init() -> Init {
    Init::new(0)
}

/// Runs `net` on ones.
#[track_caller]
fn forward(net: &impl Module, shape: &[usize]) {
    net.forward(Tape::training().input(&Tensor::ones(shape)));
}

#[test]
fn making_layers() {
    each_says(&[
        (
            || drop(Linear::new(0, 5, &mut init())),
            "Linear: in_features and out_features must be at least 1, got 0 and 5",
        ),
        (
            || drop(Linear::new(5, 0, &mut init())),
            "Linear: in_features and out_features must be at least 1, got 5 and 0",
        ),
        (
            || drop(Linear::new(usize::MAX, 2, &mut init())),
            "shape: [2, 18446744073709551615] has more elements than this machine can address",
        ),
        (
            || drop(Conv2d::new(0, 6, 5, &mut init())),
            "Conv2d: channels and kernel must be at least 1, got 0 in, 6 out and kernel (5, 5)",
        ),
        (
            || drop(Conv2d::new(1, 6, (5, 0), &mut init())),
            "Conv2d: channels and kernel must be at least 1, got 1 in, 6 out and kernel (5, 0)",
        ),
        (
            || drop(Conv2d::grouped(4, 6, 3, 4, &mut init())),
            "Conv2d: 4 groups must divide both 4 input and 6 output channels",
        ),
        (
            || drop(Conv2d::grouped(4, 6, 3, 0, &mut init())),
            "Conv2d: 0 groups must divide both 4 input and 6 output channels",
        ),
        (|| drop(BatchNorm::new(6, 3)), "BatchNorm: num_dims is 2 for [n, c] or 4 for [n, c, h, w], got 3"),
        (|| drop(BatchNorm::new(0, 2)), "BatchNorm: num_features must be at least 1, got 0"),
        (
            || Buffer::new(Tensor::zeros([2])).set(&Tensor::zeros([3])),
            "set: the buffer has shape [2], got [3]",
        ),
    ]);
}

#[test]
fn first_values() {
    each_says(&[
        (
            || drop(init().uniform([2], 1.0, -1.0)),
            "uniform: needs low <= high and a finite distance, got 1 and -1",
        ),
        (
            || drop(init().uniform([2], f32::NAN, 1.0)),
            "uniform: needs low <= high and a finite distance, got NaN and 1",
        ),
        (
            || drop(init().uniform([2], f32::MIN, f32::MAX)),
            "uniform: needs low <= high and a finite distance, got -340282350000000000000000000000000000000 and \
             340282350000000000000000000000000000000",
        ),
        (
            || drop(init().normal([2], 0.0, -1.0)),
            "normal: needs a finite mean and a standard deviation of 0 or more, got 0 and -1",
        ),
        (
            || drop(init().normal([2], f32::NAN, 1.0)),
            "normal: needs a finite mean and a standard deviation of 0 or more, got NaN and 1",
        ),
        (
            || drop(init().kaiming_uniform([3], 0.0)),
            "kaiming_uniform: needs a weight with two axes or more, outputs first, and at least one element, got [3]",
        ),
        (
            || drop(init().kaiming_uniform([3, 2], f64::NAN)),
            "kaiming_uniform: the slope a is a finite number, got NaN",
        ),
        (
            || drop(init().xavier_uniform([3, 0])),
            "xavier_uniform: needs a weight with two axes or more, outputs first, and at least one element, got [3, 0]",
        ),
        (|| drop(init().bias([3], 0)), "bias: a layer needs at least one input per output, got fan_in 0"),
        (
            || drop(init().randn([usize::MAX, 2])),
            "Tensor: [18446744073709551615, 2] has more elements than this machine can address",
        ),
    ]);
}

#[test]
fn layers() {
    each_says(&[
        (
            || forward(&Linear::new(4, 2, &mut init()), &[5, 3]),
            "linear: input [5, 3] needs a weight [out_features, 3], got [2, 4]",
        ),
        (
            || forward(&Linear::new(4, 2, &mut init()), &[5, 4, 1]),
            "linear: needs an input [n, in_features], got [5, 4, 1]; flatten(1) makes one",
        ),
        (
            || forward(&Conv2d::new(3, 6, 5, &mut init()), &[2, 1, 8, 8]),
            "conv2d: images [2, 1, 8, 8] have 1 channels, filters [6, 3, 5, 5] with 1 groups need 3",
        ),
        (
            || forward(&Conv2d::new(1, 6, 5, &mut init()), &[28, 28]),
            "conv2d: needs images [n, c, h, w], got [28, 28]; unsqueeze adds an axis of length 1",
        ),
        (
            || forward(&Conv2d::new(1, 6, 3, &mut init()).stride(0), &[1, 1, 8, 8]),
            "conv2d: the stride must be at least 1 on each axis, got (0, 0)",
        ),
        (
            || forward(&MaxPool2d::new(2).padding(2), &[1, 1, 8, 8]),
            "max_pool2d: padding (2, 2) is more than half of kernel (2, 2) with dilation (1, 1), which covers (2, 2)",
        ),
        (
            || forward(&BatchNorm::new(6, 4), &[2, 5, 8, 8]),
            "batch_norm: input [2, 5, 8, 8] has 5 channels, gamma [1, 6, 1, 1] has 6 elements",
        ),
        (|| forward(&Flatten, &[5]), "flatten: axis 1 is out of range for [5], whose axes go from -1 to 0"),
    ]);
}

/// The caller is that of the net, however deep the layer lies.
#[test]
fn nets() {
    each_says(&[
        (
            || {
                let init = &mut init();
                let net = Sequential::new()
                    .then(Linear::new(4, 3, init))
                    .then(Sigmoid)
                    .then(Linear::new(4, 2, init));
                forward(&net, &[5, 4]);
            },
            "linear: input [5, 3] needs a weight [out_features, 3], got [2, 4]",
        ),
        (
            || {
                let inner = Sequential::new().then(Sigmoid).then(Linear::new(4, 2, &mut init()));
                forward(&Sequential::new().then(inner), &[5, 3]);
            },
            "linear: input [5, 3] needs a weight [out_features, 3], got [2, 4]",
        ),
        (
            || forward(&LeNet::new(&mut init()), &[4, 3, 28, 28]),
            "conv2d: images [4, 3, 28, 28] have 3 channels, filters [6, 1, 5, 5] with 1 groups need 1",
        ),
        (
            || forward(&LeNet::new(&mut init()), &[4, 1, 32, 32]),
            "linear: input [4, 400] needs a weight [out_features, 400], got [120, 256]",
        ),
        (
            || forward(&lenet_batch_norm(&mut init()), &[4, 1, 8, 8]),
            "conv2d: kernel (5, 5) with dilation (1, 1) is larger than the padded image (2, 2) (image (2, 2), \
             padding (0, 0))",
        ),
        (
            || {
                let mut net = LeNet::new(&mut init());
                net.fc.named_parameters_mut()[0].1.data_mut()[0] = f32::INFINITY;
                let tape = Tape::training().detect_anomaly();
                net.forward(tape.input(&Tensor::zeros([1, 1, 28, 28])));
            },
            "linear: made inf at element 0 of shape [1, 120] from inputs [[1, 256], [120, 256], [120]]",
        ),
        (
            || _ = LeNet::new(&mut init()).summary(&[1, 1, 20, 20]),
            "linear: input [1, 64] needs a weight [out_features, 64], got [120, 256]",
        ),
        (
            || _ = LeNet::new(&mut init()).summary(&[1; 9]),
            "shape: a tensor has at most 8 axes, got [1, 1, 1, 1, 1, 1, 1, 1, 1]",
        ),
    ]);
}
