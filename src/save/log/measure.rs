//! What a log says of each layer: how long its gradient is, and between which numbers its outputs lie.
//!
//! Both only look; a training that is measured gives the same bits as one that is not.
//!
//! Next to read: `onnx/mod.rs`.

use crate::data::{Batches, Images};
use crate::nn::{Kind, Module, leaves};
use crate::{Gradients, Tape, Tensor};

/// The length of the gradient of every layer, in the order of the net: the root of the sum of all squares of what belongs to
/// its parameters. A parameter without a gradient (a frozen one) adds nothing.
///
/// ```
/// use tapegrad::nn::{Init, Linear, Module, Sequential};
/// use tapegrad::save::log::gradient_norms;
/// use tapegrad::{Tape, Tensor};
/// let net = Sequential::new().then(Linear::new(2, 1, &mut Init::new(0)));
/// let tape = Tape::training();
/// let gradients = net.forward(tape.input(&Tensor::new([[2.0, 2.0]]))).sum().backward();
/// // By the weight [2, 2], by the bias [1].
/// assert_eq!(gradient_norms(&net, &gradients), [("0".to_string(), 3.0)]);
/// ```
pub fn gradient_norms(net: &dyn Module, gradients: &Gradients) -> Vec<(String, f64)> {
    let mut squares: Vec<(String, f64)> = Vec::new();
    for (name, param) in net.named_parameters() {
        let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
        if squares.last().is_none_or(|(last, _)| last != layer) {
            squares.push((layer.to_string(), 0.0));
        }
        if let (Some(gradient), Some((_, sum))) = (gradients.get(param), squares.last_mut()) {
            *sum += gradient.contiguous().data().iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>();
        }
    }
    squares.into_iter().map(|(layer, sum)| (layer, sum.sqrt())).collect()
}

/// A few images that are sent through the net from time to time, to see what its layers give.
pub struct Probe {
    images: Tensor,
}

impl Probe {
    /// So many images cost a fraction of a step's 256.
    const IMAGES: usize = 16;
    /// And only one step in so many is measured.
    const EVERY: usize = 10;

    /// Takes the first images: the same at every step, so that what changes is the net.
    pub fn new(images: &Images) -> Probe {
        Probe { images: Batches::in_order(images, Probe::IMAGES).batch(0).pixels() }
    }

    /// Whether a step, counted from 1 in its epoch, is one that is measured: the first, the eleventh, and so on.
    pub fn is_due(step: usize) -> bool {
        step % Probe::EVERY == 1
    }

    /// The least, the mean and the greatest output of every layer that computes something; what pools or reshapes does not.
    ///
    /// ```
    /// use tapegrad::data::Images;
    /// use tapegrad::nn::{Init, LeNet};
    /// use tapegrad::save::log::Probe;
    /// # fn main() -> tapegrad::Result<()> {
    /// let black = Images::new(vec![0; 28 * 28], vec![0])?;
    /// let ranges = Probe::new(&black).ranges(&LeNet::new(&mut Init::new(0)));
    /// let (name, [low, mean, high]) = &ranges[1]; // the first sigmoid
    /// assert!(name == "conv.1" && 0.0 < *low && low <= mean && mean <= high && *high < 1.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Where the net does not take `[n, 1, 28, 28]`.
    #[track_caller]
    pub fn ranges(&self, net: &dyn Module) -> Vec<(String, [f64; 3])> {
        let tape = Tape::inference();
        let mut x = tape.input(&self.images);
        let mut ranges = Vec::new();
        for (name, layer) in leaves(net) {
            x = layer.forward(x);
            if !matches!(layer.kind(), Kind::Flatten | Kind::MaxPool2d(_) | Kind::AvgPool2d(_)) {
                ranges.push((name, range(&x.value())));
            }
        }
        ranges
    }
}

fn range(values: &Tensor) -> [f64; 3] {
    // The order in which values lie does not matter for the ends, but for the last bits of the mean: that of the shape.
    let values = values.contiguous();
    let (mut low, mut sum, mut high) = (f32::INFINITY, 0.0, f32::NEG_INFINITY);
    for &value in values.data() {
        (low, high) = (low.min(value), high.max(value));
        sum += f64::from(value);
    }
    [f64::from(low), sum / values.numel() as f64, f64::from(high)]
}
