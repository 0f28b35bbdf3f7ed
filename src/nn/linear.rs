//! `Linear`: y = x Wᵀ + b, every output a weighted sum of all inputs.
//!
//! The weight is `[out_features, in_features]`, as in PyTorch, so that a row of it belongs to one output. GEMM reads
//! it transposed through its strides, without a copy. The op, and its adjoint, are in `ops/matmul.rs`.
//!
//! Next to read: `conv2d.rs`.

use std::borrow::Cow;

use super::{Init, Kind, Module, Part, PartMut, weight_and_bias, weight_and_bias_mut};
use crate::{Param, Tensor, Var};

/// A fully connected layer: `[n, in_features]` to `[n, out_features]`.
///
/// ```
/// use tapegrad::nn::{Init, Linear};
/// let layer = Linear::new(256, 120, &mut Init::new(0));
/// assert_eq!(layer.weight.value().shape(), [120, 256]);
/// assert_eq!(layer.to_string(), "Linear(in_features=256, out_features=120, bias=True)");
/// ```
#[derive(Debug)]
pub struct Linear {
    /// `[out_features, in_features]`.
    pub weight: Param,
    /// `[out_features]`, or `[0]` in a layer [`without_bias`](Linear::without_bias).
    pub bias: Param,
}

impl Linear {
    /// A layer with PyTorch's default first values: weight and bias uniform in ±1/√in_features.
    ///
    /// # Panics
    /// When there are no inputs or no outputs.
    #[track_caller]
    pub fn new(in_features: usize, out_features: usize, init: &mut Init) -> Linear {
        assert!(
            in_features > 0 && out_features > 0,
            "Linear: in_features and out_features must be at least 1, got {in_features} and {out_features}"
        );
        let weight = init.kaiming_uniform([out_features, in_features], Init::PYTORCH_A);
        let bias = init.bias([out_features], in_features);
        Linear { weight: Param::new(weight), bias: Param::new(bias) }
    }

    /// This layer without the added bias: y = x Wᵀ.
    pub fn without_bias(mut self) -> Linear {
        self.bias = Param::new(Tensor::zeros([0]));
        self
    }

    fn has_bias(&self) -> bool {
        self.bias.value().numel() > 0
    }
}

impl Module for Linear {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let tape = x.tape();
        x.linear(tape.param(&self.weight), self.has_bias().then(|| tape.param(&self.bias)))
    }

    fn name(&self) -> &str {
        "Linear"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Linear(self)
    }

    fn extra_repr(&self) -> String {
        let shape = self.weight.value().shape();
        let bias = if self.has_bias() { "True" } else { "False" };
        format!("in_features={}, out_features={}, bias={bias}", shape[1], shape[0])
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        weight_and_bias(&self.weight, &self.bias)
    }

    fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
        weight_and_bias_mut(&mut self.weight, &mut self.bias)
    }
}
