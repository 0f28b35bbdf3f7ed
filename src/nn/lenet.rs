//! The notebook's two nets: LeNet (cell 42), and LeNet with batch norm (cell 39).
//!
//! LeNet (LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", section II)
//! reads a picture in two steps of convolution, sigmoid and pooling, and decides in three of weighted sums:
//!
//! ```text
//! [n, 1, 28, 28] conv 5x5 [n, 6, 24, 24] pool [n, 6, 12, 12] conv 5x5 [n, 16, 8, 8] pool [n, 16, 4, 4]
//!                flatten  [n, 256] linear [n, 120] linear [n, 84] linear [n, 10]
//! ```
//!
//! What comes out are logits: softmax is part of the loss. This file holds no arithmetic and no training.
//!
//! Next to read: chapter 7, [`crate::optim`].

use std::borrow::Cow;

use super::{
    BatchNorm, Conv2d, Flatten, Init, Kind, Linear, MaxPool2d, Module, Part, PartMut, Sequential, Sigmoid,
};
use crate::Var;

/// LeNet as in the notebook's cell 42: 44,426 parameters in five layers.
///
/// ```
/// use tapegrad::nn::{Init, LeNet, Module};
/// let net = LeNet::new(&mut Init::new(0));
/// assert_eq!(net.parameter_count(), 44_426);
/// println!("{net}");
/// ```
pub struct LeNet {
    /// Two times convolution, sigmoid, pooling: `[n, 1, 28, 28]` to `[n, 16, 4, 4]`.
    pub conv: Sequential,
    /// Three linear layers with sigmoids between: `[n, 256]` to `[n, 10]`.
    pub fc: Sequential,
}

impl LeNet {
    /// A net with PyTorch's default first values.
    pub fn new(init: &mut Init) -> LeNet {
        LeNet {
            conv: Sequential::new()
                .then(Conv2d::new(1, 6, 5, init)) // in, out, kernel
                .then(Sigmoid)
                .then(MaxPool2d::new(2)) // kernel, and as stride the same
                .then(Conv2d::new(6, 16, 5, init))
                .then(Sigmoid)
                .then(MaxPool2d::new(2)),
            fc: Sequential::new()
                .then(Linear::new(16 * 4 * 4, 120, init))
                .then(Sigmoid)
                .then(Linear::new(120, 84, init))
                .then(Sigmoid)
                .then(Linear::new(84, 10, init)),
        }
    }
}

impl Module for LeNet {
    fn forward<'t>(&self, images: Var<'t>) -> Var<'t> {
        let feature = self.conv.call(images);
        self.fc.call(feature.flatten(1))
    }

    fn name(&self) -> &str {
        "LeNet"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Chain(vec![&self.conv, &Flatten, &self.fc])
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        vec![("conv".into(), Part::Module(&self.conv)), ("fc".into(), Part::Module(&self.fc))]
    }

    fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
        vec![("conv".into(), PartMut::Module(&mut self.conv)), ("fc".into(), PartMut::Module(&mut self.fc))]
    }
}

/// LeNet with batch norm after every layer but the last, as in the notebook's cell 39: 44,878 parameters.
///
/// The biases of the four layers before a batch norm do nothing, since the norm takes every mean out again. They are
/// kept because the notebook has them; their gradients are zero but for rounding.
pub fn lenet_batch_norm(init: &mut Init) -> Sequential {
    Sequential::new()
        .then(Conv2d::new(1, 6, 5, init))
        .then(BatchNorm::new(6, 4))
        .then(Sigmoid)
        .then(MaxPool2d::new(2))
        .then(Conv2d::new(6, 16, 5, init))
        .then(BatchNorm::new(16, 4))
        .then(Sigmoid)
        .then(MaxPool2d::new(2))
        .then(Flatten)
        .then(Linear::new(16 * 4 * 4, 120, init))
        .then(BatchNorm::new(120, 2))
        .then(Sigmoid)
        .then(Linear::new(120, 84, init))
        .then(BatchNorm::new(84, 2))
        .then(Sigmoid)
        .then(Linear::new(84, 10, init))
}
