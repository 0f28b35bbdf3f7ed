//! candle: `candle lenet|lenet-batch-norm|conv`.

use std::hint::black_box;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{
    AdamW, BatchNorm, Conv2d, Conv2dConfig, Linear, Module, ModuleT, Optimizer, ParamsAdamW, VarBuilder,
    VarMap, batch_norm, conv2d, linear, loss, ops,
};
use tapegrad_peers::conv::{Convolution, Shape, serve_convolution};
use tapegrad_peers::lenet::{LEARNING_RATE, Trainer, serve_trainer};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["lenet"] => serve_trainer(&mut Candle::new(false).expect("a net")),
        ["lenet-batch-norm"] => serve_trainer(&mut Candle::new(true).expect("a net")),
        ["conv"] => serve_convolution::<CandleConvolution>(),
        _ => panic!("expected lenet, lenet-batch-norm or conv"),
    }
}

struct LeNet {
    convs: [Conv2d; 2],
    linears: [Linear; 3],
    /// One behind every layer but the last, or none.
    norms: Option<[BatchNorm; 4]>,
}

impl LeNet {
    fn new(with_norms: bool, vars: VarBuilder) -> Result<LeNet> {
        let config = Conv2dConfig::default();
        let convs = [conv2d(1, 6, 5, config, vars.pp("conv1"))?, conv2d(6, 16, 5, config, vars.pp("conv2"))?];
        let linears = [
            linear(256, 120, vars.pp("fc1"))?,
            linear(120, 84, vars.pp("fc2"))?,
            linear(84, 10, vars.pp("fc3"))?,
        ];
        let norm = |count, name| batch_norm(count, 1e-5, vars.pp(name));
        let norms = match with_norms {
            true => Some([norm(6, "bn1")?, norm(16, "bn2")?, norm(120, "bn3")?, norm(84, "bn4")?]),
            false => None,
        };
        Ok(LeNet { convs, linears, norms })
    }

    fn forward(&self, images: &Tensor, train: bool) -> Result<Tensor> {
        let activate = |x: Tensor, layer: usize| match &self.norms {
            Some(norms) => ops::sigmoid(&norms[layer].forward_t(&x, train)?),
            None => ops::sigmoid(&x),
        };
        let x = activate(self.convs[0].forward(images)?, 0)?.max_pool2d(2)?;
        let x = activate(self.convs[1].forward(&x)?, 1)?.max_pool2d(2)?.flatten_from(1)?;
        let x = activate(self.linears[0].forward(&x)?, 2)?;
        let x = activate(self.linears[1].forward(&x)?, 3)?;
        self.linears[2].forward(&x)
    }
}

struct Candle {
    net: LeNet,
    optimizer: AdamW,
}

impl Candle {
    fn new(with_norms: bool) -> Result<Candle> {
        let map = VarMap::new();
        let net = LeNet::new(with_norms, VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu))?;
        // Adam is AdamW without the decay.
        let config = ParamsAdamW { lr: LEARNING_RATE, weight_decay: 0.0, ..ParamsAdamW::default() };
        Ok(Candle { net, optimizer: AdamW::new(map.all_vars(), config)? })
    }
}

fn batch(pixels: Vec<f32>, labels: &[u8]) -> Result<(Tensor, Tensor)> {
    let images = Tensor::from_vec(pixels, (labels.len(), 1, 28, 28), &Device::Cpu)?;
    let labels: Vec<u32> = labels.iter().map(|&label| u32::from(label)).collect();
    let count = labels.len();
    Ok((images, Tensor::from_vec(labels, count, &Device::Cpu)?))
}

fn count_correct(logits: &Tensor, labels: &Tensor) -> Result<usize> {
    let correct = logits.argmax(D::Minus1)?.eq(labels)?.to_dtype(DType::U32)?.sum_all()?;
    Ok(correct.to_scalar::<u32>()? as usize)
}

impl Trainer for Candle {
    fn step(&mut self, pixels: Vec<f32>, labels: &[u8]) -> (f64, usize) {
        let step = || -> Result<(f64, usize)> {
            let (images, labels) = batch(pixels, labels)?;
            let logits = self.net.forward(&images, true)?;
            let loss = loss::cross_entropy(&logits, &labels)?;
            self.optimizer.backward_step(&loss)?;
            Ok((f64::from(loss.to_scalar::<f32>()?), count_correct(&logits, &labels)?))
        };
        step().expect("a step of training")
    }

    fn evaluate(&mut self, pixels: Vec<f32>, labels: &[u8]) -> usize {
        let evaluate = || {
            let (images, labels) = batch(pixels, labels)?;
            count_correct(&self.net.forward(&images, false)?, &labels)
        };
        evaluate().expect("an evaluation")
    }
}

struct CandleConvolution {
    images: Tensor,
    filters: Var,
    bias: Var,
    config: Conv2dConfig,
}

impl CandleConvolution {
    fn output(&self, images: &Tensor, filters: &Tensor, bias: &Tensor) -> Tensor {
        let layer = Conv2d::new(filters.clone(), Some(bias.clone()), self.config);
        layer.forward(images).expect("a convolution")
    }
}

impl Convolution for CandleConvolution {
    fn new(shape: &Shape) -> CandleConvolution {
        let &Shape { n, c, size, oc, k, stride, padding, first } = shape;
        let cpu = &Device::Cpu;
        let images = Tensor::from_vec(shape.images(), (n, c, size, size), cpu).expect("images");
        CandleConvolution {
            images: if first { images } else { Var::from_tensor(&images).expect("a variable").into_inner() },
            filters: Var::from_vec(shape.filters(), (oc, c, k, k), cpu).expect("filters"),
            bias: Var::zeros(oc, DType::F32, cpu).expect("a bias"),
            config: Conv2dConfig { padding, stride, ..Conv2dConfig::default() },
        }
    }

    fn forward(&self) -> Vec<f32> {
        let output = self.output(&self.images.detach(), &self.filters.detach(), &self.bias.detach());
        output.flatten_all().and_then(|output| output.to_vec1()).expect("numbers")
    }

    fn run_forward(&self) {
        black_box(self.output(&self.images.detach(), &self.filters.detach(), &self.bias.detach()));
    }

    /// candle starts from a gradient of ones, which it makes itself; it takes no other.
    fn run_both(&self) {
        let output = self.output(&self.images, &self.filters, &self.bias);
        black_box(output.backward().expect("gradients"));
    }

    fn filter_gradient(&self) -> Vec<f32> {
        let output = self.output(&self.images, &self.filters, &self.bias);
        let gradients = output.backward().expect("gradients");
        let gradient = gradients.get(&self.filters).expect("the filters' gradient");
        gradient.flatten_all().and_then(|gradient| gradient.to_vec1()).expect("numbers")
    }
}
