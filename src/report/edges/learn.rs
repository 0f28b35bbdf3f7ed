//! The notebook's cells 6 to 10: the picture, its edges, and a kernel that is learned from both.
//!
//! Each step is kept as it was: what it started with, what came out, and what backward said. The page is made of that.
//!
//! Next to read: `surface.rs`.

use crate::nn::{Conv2d, Init, Module};
use crate::ops::conv2d::Conv2dOptions;
use crate::{Tape, Tensor};

/// What is given, and the kernel that made it.
pub struct Task {
    /// The picture, `[6, 8]`.
    pub x: Tensor,
    /// The true kernel, `[1, 2]`.
    pub k: Tensor,
    /// Its response to the picture, `[6, 7]`.
    pub y: Tensor,
}

impl Task {
    /// The picture of the notebook: white at both ends and black between.
    pub fn notebook() -> Task {
        // Cell 6.
        let mut x = Tensor::ones([6, 8]);
        for row in x.data_mut().chunks_exact_mut(8) {
            row[2..6].fill(0.0);
        }
        // Cells 7 to 9: 1 where white turns black, -1 where black turns white.
        let k = Tensor::new([[1.0, -1.0]]);
        let y = corr2d(&x, &k);
        Task { x, k, y }
    }

    /// Cell 10: only `x` and `y` are given. Plain gradient descent on the summed square error, from the first values of
    /// `seed`.
    pub fn learn(&self, seed: u64, bias: bool, lr: f32, steps: usize) -> Run {
        let mut conv = first_kernel(seed, bias);
        let (x, y) = (self.x.reshape([1, 1, 6, 8]), self.y.reshape([1, 1, 6, 7]));
        let mut run =
            Run { lr, steps: Vec::new(), learned: Kernel::of(&conv), loss: 0.0, response: self.y.clone() };
        for _ in 0..steps {
            let tape = Tape::training();
            let y_hat = conv.forward(tape.input(&x));
            let loss = (y_hat - tape.input(&y)).square().sum();
            let mut step = Step {
                kernel: Kernel::of(&conv),
                response: y_hat.value().reshape([6, 7]),
                loss: loss.item(),
                gradient: Kernel::default(),
            };
            let grads = loss.backward();
            let dw = grads[&conv.weight].to_vec();
            step.gradient.weight = [dw[0], dw[1]];
            conv.weight.add_scaled(-lr, &grads[&conv.weight]);
            if bias {
                step.gradient.bias = grads[&conv.bias].item();
                conv.bias.add_scaled(-lr, &grads[&conv.bias]);
            }
            run.steps.push(step);
        }
        let tape = Tape::inference();
        let y_hat = conv.forward(tape.input(&x));
        run.learned = Kernel::of(&conv);
        run.loss = (y_hat - tape.input(&y)).square().sum().item();
        run.response = y_hat.value().reshape([6, 7]);
        run
    }
}

/// The layer as it is before the first step.
pub(super) fn first_kernel(seed: u64, bias: bool) -> Conv2d {
    let conv = Conv2d::new(1, 1, (1, 2), &mut Init::new(seed));
    if bias { conv } else { conv.without_bias() }
}

/// Two weights and a bias, or what backward says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kernel {
    /// Left and right.
    pub weight: [f32; 2],
    /// 0 where the layer has none.
    pub bias: f32,
}

impl Kernel {
    pub(super) fn of(conv: &Conv2d) -> Kernel {
        let w = conv.weight.value().to_vec();
        Kernel { weight: [w[0], w[1]], bias: conv.bias.value().to_vec().first().copied().unwrap_or(0.0) }
    }

    /// Left weight, right weight, bias.
    pub fn parts(&self) -> [f64; 3] {
        [self.weight[0], self.weight[1], self.bias].map(f64::from)
    }
}

/// One step of a run.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it started with.
    pub kernel: Kernel,
    /// What that kernel made of the picture, `[6, 7]`.
    pub response: Tensor,
    /// The summed square error of the response.
    pub loss: f32,
    /// The derivatives of the loss.
    pub gradient: Kernel,
}

/// A run of gradient descent.
pub struct Run {
    /// The learning rate.
    pub lr: f32,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What the last step left.
    pub learned: Kernel,
    /// The loss of that.
    pub loss: f32,
    /// Its response, `[6, 7]`.
    pub response: Tensor,
}

impl Run {
    /// The kernel before each step, and after the last.
    pub fn path(&self) -> Vec<[f64; 3]> {
        self.steps.iter().map(|step| step.kernel).chain([self.learned]).map(|kernel| kernel.parts()).collect()
    }

    /// The loss of each step, and of what the last one left, by how many steps went before.
    pub fn losses(&self) -> Vec<(f64, f64)> {
        let losses = self.steps.iter().map(|step| step.loss).chain([self.loss]);
        losses.enumerate().map(|(i, loss)| (i as f64, f64::from(loss))).collect()
    }
}

/// Cross-correlation of one picture with one kernel, the notebook's `corr2d`.
///
/// ```
/// use tapegrad::{Tensor, report::edges::corr2d};
/// let edges = corr2d(&Tensor::new([[1., 1., 0., 1.]]), &Tensor::new([[1., -1.]]));
/// assert_eq!(edges.to_vec(), [0., 1., -1.]);
/// ```
///
/// # Panics
/// Where the kernel is larger than the picture.
#[track_caller]
pub fn corr2d(x: &Tensor, k: &Tensor) -> Tensor {
    let tape = Tape::inference();
    let image = |t: &Tensor| tape.input(&t.unsqueeze(0).unsqueeze(0));
    image(x).conv2d(image(k), None, &Conv2dOptions::default()).value().squeeze(0).squeeze(0)
}
