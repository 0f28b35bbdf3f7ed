//! `BatchNorm`: the notebook's batch normalisation, cell 38.
//!
//! ```text
//! training     mean, var over the batch (and the places of a picture), var divided by n
//!              y = gamma (x - mean) / √(var + eps) + beta
//!              moving_mean = momentum · moving_mean + (1 - momentum) · mean,  moving_var likewise
//! inference    the same y with the moving statistics
//! ```
//!
//! It differs from `torch.nn.BatchNorm2d` in what the notebook differs in: the moving variance is that of n, not n - 1;
//! both moving statistics start at zero, so after t steps they are short by a factor 1 - momentum^t; and momentum is the
//! share of the old value. The op, and its adjoint, are in `ops/batch_norm/`.
//!
//! This is the one layer whose `forward` changes the layer: on a training tape it moves the statistics, each once per
//! call. See [`Buffer`] for how `&self` allows it. Two threads that train one net at the same time take turns, in an order
//! that is not fixed; that is the one way to get a result that depends on threads, and it takes threads of one's own.
//!
//! Next to read: `sequential.rs`.

use std::borrow::Cow;

use super::{Buffer, Kind, Module, Part, PartMut};
use crate::{Param, Shape, Tensor, Var};

/// Batch normalisation of `[n, c]` or `[n, c, h, w]`, per channel.
///
/// ```
/// use tapegrad::nn::{BatchNorm, Module};
/// use tapegrad::{Tape, Tensor};
/// let norm = BatchNorm::new(1, 2);
/// let x = Tensor::new([[1.0], [3.0]]); // mean 2, variance 1
/// norm.forward(Tape::training().input(&x));
/// assert!((norm.moving_mean.value().item() - 0.2).abs() < 1e-6);
/// ```
#[derive(Debug)]
pub struct BatchNorm {
    /// The scale, one per channel; starts at 1. Shape `[1, c]` or `[1, c, 1, 1]`.
    pub gamma: Param,
    /// The shift, one per channel; starts at 0.
    pub beta: Param,
    /// The mean as training has seen it; starts at 0.
    pub moving_mean: Buffer,
    /// The variance as training has seen it; starts at 0.
    pub moving_var: Buffer,
}

impl BatchNorm {
    /// How much of the old moving statistics is kept in a step.
    pub const MOMENTUM: f32 = 0.9;
    /// What is added to the variance, so that a channel that never changes is not divided by zero.
    pub const EPS: f32 = 1e-5;

    /// A layer for inputs with `num_features` channels and `num_dims` axes.
    ///
    /// # Panics
    /// Unless `num_dims` is 2 or 4, and without features.
    #[track_caller]
    pub fn new(num_features: usize, num_dims: usize) -> BatchNorm {
        assert!(num_features > 0, "BatchNorm: num_features must be at least 1, got 0");
        let shape = match num_dims {
            2 => Shape::from([1, num_features]),
            4 => Shape::from([1, num_features, 1, 1]),
            _ => panic!("BatchNorm: num_dims is 2 for [n, c] or 4 for [n, c, h, w], got {num_dims}"),
        };
        BatchNorm {
            gamma: Param::new(Tensor::ones(shape)),
            beta: Param::new(Tensor::zeros(shape)),
            moving_mean: Buffer::new(Tensor::zeros(shape)),
            moving_var: Buffer::new(Tensor::zeros(shape)),
        }
    }
}

impl Module for BatchNorm {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let (gamma, beta) = (x.tape().param(&self.gamma), x.tape().param(&self.beta));
        // Always locked in this order, so two threads cannot wait for each other.
        let (mut mean, mut var) = (self.moving_mean.lock(), self.moving_var.lock());
        x.batch_norm(gamma, beta, &mut mean, &mut var, Self::MOMENTUM, Self::EPS)
    }

    fn name(&self) -> &str {
        "BatchNorm"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::BatchNorm(self)
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        vec![
            ("gamma".into(), Part::Param(&self.gamma)),
            ("beta".into(), Part::Param(&self.beta)),
            ("moving_mean".into(), Part::Buffer(&self.moving_mean)),
            ("moving_var".into(), Part::Buffer(&self.moving_var)),
        ]
    }

    fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
        vec![
            ("gamma".into(), PartMut::Param(&mut self.gamma)),
            ("beta".into(), PartMut::Param(&mut self.beta)),
        ]
    }
}
