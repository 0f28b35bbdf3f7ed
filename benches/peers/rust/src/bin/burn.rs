//! burn on its CPU backend, flex: `burn lenet|lenet-batch-norm|conv`.

use std::hint::black_box;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::sigmoid;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};
use tapegrad_peers::conv::{Convolution, Shape, serve_convolution};
use tapegrad_peers::lenet::{LEARNING_RATE, Trainer, serve_trainer};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["lenet"] => serve_trainer(&mut Burn::new(false)),
        ["lenet-batch-norm"] => serve_trainer(&mut Burn::new(true)),
        ["conv"] => serve_convolution::<BurnConvolution>(),
        _ => panic!("expected lenet, lenet-batch-norm or conv"),
    }
}

#[derive(Module, Debug)]
struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    /// One behind every layer but the last, or none.
    norms: Vec<BatchNorm>,
}

impl LeNet {
    fn new(with_norms: bool, device: &Device) -> LeNet {
        let norms: &[usize] = if with_norms { &[6, 16, 120, 84] } else { &[] };
        LeNet {
            conv1: Conv2dConfig::new([1, 6], [5, 5]).init(device),
            conv2: Conv2dConfig::new([6, 16], [5, 5]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            fc1: LinearConfig::new(256, 120).init(device),
            fc2: LinearConfig::new(120, 84).init(device),
            fc3: LinearConfig::new(84, 10).init(device),
            norms: norms.iter().map(|&count| BatchNormConfig::new(count).init(device)).collect(),
        }
    }

    fn activate<const D: usize>(&self, x: Tensor<D>, layer: usize) -> Tensor<D> {
        match self.norms.get(layer) {
            Some(norm) => sigmoid(norm.forward(x)),
            None => sigmoid(x),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(self.activate(self.conv1.forward(images), 0));
        let x = self.pool.forward(self.activate(self.conv2.forward(x), 1));
        let x = self.activate(self.fc1.forward(x.flatten::<2>(1, 3)), 2);
        let x = self.activate(self.fc2.forward(x), 3);
        self.fc3.forward(x)
    }
}

struct Burn {
    net: Option<LeNet>,
    optimizer: ModuleOptimizer,
    device: Device,
}

impl Burn {
    fn new(with_norms: bool) -> Burn {
        let device = Device::flex().autodiff();
        let net = Some(LeNet::new(with_norms, &device));
        // Its default is 1e-5; every peer here uses PyTorch's.
        let optimizer = AdamConfig::new().with_epsilon(1e-8).init();
        Burn { net, optimizer, device }
    }
}

fn batch(pixels: Vec<f32>, labels: &[u8], device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
    let images = Tensor::from_data(TensorData::new(pixels, [labels.len(), 1, 28, 28]), device);
    let labels: Vec<i64> = labels.iter().map(|&label| i64::from(label)).collect();
    let count = labels.len();
    (images, Tensor::from_data(TensorData::new(labels, [count]), device))
}

fn count_correct(logits: Tensor<2>, labels: Tensor<1, Int>) -> usize {
    let guesses = logits.argmax(1).flatten::<1>(0, 1);
    guesses.equal(labels).int().sum().into_scalar::<i64>() as usize
}

impl Trainer for Burn {
    fn step(&mut self, pixels: Vec<f32>, labels: &[u8]) -> (f64, usize) {
        let (images, labels) = batch(pixels, labels, &self.device);
        let net = self.net.take().expect("a net");
        let logits = net.forward(images);
        let loss = CrossEntropyLossConfig::new().init(&self.device).forward(logits.clone(), labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        self.net = Some(self.optimizer.step(LEARNING_RATE, net, gradients));
        (f64::from(loss.into_scalar::<f32>()), count_correct(logits, labels))
    }

    fn evaluate(&mut self, pixels: Vec<f32>, labels: &[u8]) -> usize {
        let net = self.net.as_ref().expect("a net").valid();
        let (images, labels) = batch(pixels, labels, &self.device.clone().inner());
        count_correct(net.forward(images), labels)
    }
}

struct BurnConvolution {
    /// For a forward pass, from which nothing is kept.
    plain: [Tensor<4>; 2],
    plain_bias: Tensor<1>,
    images: Tensor<4>,
    filters: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions<2>,
}

impl BurnConvolution {
    fn output(&self) -> Tensor<4> {
        let [images, filters] = self.plain.clone();
        conv2d(images, filters, Some(self.plain_bias.clone()), self.options.clone())
    }

    fn recorded_output(&self) -> Tensor<4> {
        conv2d(self.images.clone(), self.filters.clone(), Some(self.bias.clone()), self.options.clone())
    }
}

impl Convolution for BurnConvolution {
    fn new(shape: &Shape) -> BurnConvolution {
        let &Shape { n, c, size, oc, k, stride, padding, first } = shape;
        let plain = Device::flex();
        let device = Device::flex().autodiff();
        let images = TensorData::new(shape.images(), [n, c, size, size]);
        let filters = TensorData::new(shape.filters(), [oc, c, k, k]);
        BurnConvolution {
            plain: [Tensor::from_data(images.clone(), &plain), Tensor::from_data(filters.clone(), &plain)],
            plain_bias: Tensor::zeros([oc], &plain),
            images: Tensor::from_data(images, &device).set_require_grad(!first),
            filters: Tensor::from_data(filters, &device).require_grad(),
            bias: Tensor::zeros([oc], &device).require_grad(),
            options: ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1),
        }
    }

    fn forward(&self) -> Vec<f32> {
        self.output().into_data().try_to_vec().expect("numbers")
    }

    fn run_forward(&self) {
        black_box(self.output());
    }

    /// burn starts from a gradient of ones, which it makes itself; it takes no other.
    fn run_both(&self) {
        black_box(self.recorded_output().backward());
    }

    fn filter_gradient(&self) -> Vec<f32> {
        let gradients = self.recorded_output().backward();
        let gradient = self.filters.grad(&gradients).expect("the filters' gradient");
        gradient.into_data().try_to_vec().expect("numbers")
    }
}
