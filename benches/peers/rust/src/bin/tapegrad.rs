//! tapegrad itself, through its public API: `tapegrad lenet|lenet-batch-norm|inference WEIGHTS|conv`.

use std::cmp::Reverse;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tapegrad::nn::{Init, LeNet, Module, lenet_batch_norm};
use tapegrad::ops::conv2d::Conv2dOptions;
use tapegrad::optim::Adam;
use tapegrad::train::{Progress, Training, evaluate, train};
use tapegrad::{Gradients, Tape, Tensor};
use tapegrad_peers::conv::{Convolution, Shape, serve_convolution};
use tapegrad_peers::lenet::{BATCH, LEARNING_RATE, load};
use tapegrad_peers::numbers;
use tapegrad_peers::protocol::{seconds, serve};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["lenet"] => serve_training(&mut LeNet::new(&mut Init::new(0))),
        ["lenet-batch-norm"] => serve_training(&mut lenet_batch_norm(&mut Init::new(0))),
        ["inference", weights] => serve_inference(weights),
        ["conv"] => serve_convolution::<Tapegrad>(),
        _ => panic!("expected lenet, lenet-batch-norm, inference WEIGHTS or conv"),
    }
}

/// The library's own loop. A whole epoch is stopped before its evaluation, which is asked for by itself.
fn serve_training(net: &mut dyn Module) {
    let data = load();
    let mut optimizer = Adam::new(LEARNING_RATE);
    let mut seed = 0;
    serve(|request, numbers| {
        let start = Instant::now();
        match request {
            "train" => {
                seed += 1;
                let training = Training { epochs: 1, batch_size: BATCH, seed };
                let stop = AtomicBool::new(false);
                let mut loss = f64::NAN;
                train(net, &mut optimizer, &data, &training, &stop, |progress| {
                    if let Progress::Step(step) = progress {
                        loss = step.loss;
                        stop.store(step.step == numbers[0], Ordering::Relaxed);
                    }
                });
                vec![start.elapsed().as_secs_f64(), loss]
            }
            "evaluate" => {
                let score = evaluate(net, &data.test);
                vec![start.elapsed().as_secs_f64(), score.accuracy()]
            }
            other => panic!("{other}: not a request to a trainer"),
        }
    });
}

/// `check BATCH`: the logits of the first test images; `run REPEATS BATCH`: seconds of one run.
fn serve_inference(weights: &str) {
    let mut net = LeNet::new(&mut Init::new(0));
    let bytes = std::fs::read(weights).unwrap_or_else(|error| panic!("{weights}: {error}"));
    let mut values = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    for (_, param) in net.named_parameters_mut() {
        param.data_mut().fill_with(|| values.next().expect("a weight for every parameter"));
    }
    assert!(values.next().is_none(), "{weights}: more weights than parameters");
    let pixels: Vec<f32> = load().test.pixels().iter().map(|&byte| f32::from(byte) / 255.0).collect();
    serve(|request, numbers| {
        let batch = *numbers.last().expect("the size of a batch");
        let images = Tensor::from_slice(&pixels[..batch * 28 * 28], [batch, 1, 28, 28]);
        let logits = || net.forward(Tape::inference().input(&images)).value();
        match request {
            "check" => logits().to_vec().iter().map(|&logit| f64::from(logit)).collect(),
            "run" => vec![seconds(numbers[0], || drop(black_box(logits())))],
            other => panic!("{other}: not a request to a net"),
        }
    });
}

struct Tapegrad {
    first: bool,
    options: Conv2dOptions,
    images: Tensor,
    filters: Tensor,
    bias: Tensor,
    dy: Tensor,
}

impl Tapegrad {
    fn output(&self) -> Tensor {
        let tape = Tape::inference();
        tape.input(&self.images)
            .conv2d(tape.input(&self.filters), Some(tape.input(&self.bias)), &self.options)
            .value()
    }

    /// The gradients, and what `read` makes of them and the filters.
    fn gradients<R>(&self, dy: &Tensor, read: impl FnOnce(&Gradients, tapegrad::Var) -> R) -> R {
        let tape = Tape::training();
        let images = if self.first { tape.input(&self.images) } else { tape.variable(&self.images) };
        let filters = tape.variable(&self.filters);
        let y = images.conv2d(filters, Some(tape.variable(&self.bias)), &self.options);
        // An op whose gradient by y is dy, for nothing: a real loss would be measured along with the convolution.
        let (output, given) = (y.id(), dy.clone());
        let loss = tape.record("given_gradient", &[y], Tensor::scalar(0.0), given, move |given, _, adjoints| {
            adjoints.add(output, || given);
        });
        read(&loss.backward(), filters)
    }
}

impl Convolution for Tapegrad {
    fn new(shape: &Shape) -> Tapegrad {
        let &Shape { n, c, size, oc, k, stride, padding, first } = shape;
        let output = [n, oc, shape.out(), shape.out()];
        let mut case = Tapegrad {
            first,
            options: Conv2dOptions {
                stride: stride.into(),
                padding: padding.into(),
                ..Conv2dOptions::default()
            },
            images: Tensor::from_slice(&shape.images(), [n, c, size, size]),
            filters: Tensor::from_slice(&shape.filters(), [oc, c, k, k]),
            bias: Tensor::zeros([oc]),
            dy: Tensor::from_slice(&numbers(output.iter().product()), output),
        };
        // Images and dy lie as conv2d puts out its own, which is how they come to it in a net.
        let output = case.output();
        (case.images, case.dy) = (in_order_of(&case.images, &output), in_order_of(&case.dy, &output));
        case
    }

    fn forward(&self) -> Vec<f32> {
        self.output().to_vec()
    }

    fn run_forward(&self) {
        black_box(self.output());
    }

    fn run_both(&self) {
        self.gradients(&self.dy, |gradients, _| {
            black_box(gradients);
        });
    }

    fn filter_gradient(&self) -> Vec<f32> {
        self.gradients(&Tensor::ones(self.dy.shape()).in_order_of(&self.dy), |gradients, filters| gradients[filters].to_vec())
    }
}

/// The same numbers, their axes in memory in the same order as those of `other`.
fn in_order_of(x: &Tensor, other: &Tensor) -> Tensor {
    let mut axes = [0, 1, 2, 3];
    axes.sort_by_key(|&axis| Reverse(other.strides()[axis]));
    let mut inverse = [0; 4];
    for (i, axis) in axes.into_iter().enumerate() {
        inverse[axis] = i;
    }
    x.permute(&axes).contiguous().permute(&inverse)
}
