//! Layers without parameters: `Sigmoid`, `ReLU`, `Tanh`, and `Flatten`.
//!
//! They exist so that a [`Sequential`](super::Sequential) can hold them; in a net of one's own, `x.sigmoid()` does. The ops
//! are in `ops/activation.rs` and `ops/layout.rs`.
//!
//! Next to read: `batch_norm.rs`.

use super::{Kind, Module};
use crate::Var;

/// 1 / (1 + e^-x) of every element.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sigmoid;

impl Module for Sigmoid {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x.sigmoid()
    }

    fn name(&self) -> &str {
        "Sigmoid"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Sigmoid
    }
}

/// The larger of 0 and x, for every element.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReLU;

impl Module for ReLU {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x.relu()
    }

    fn name(&self) -> &str {
        "ReLU"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::ReLU
    }
}

/// The hyperbolic tangent of every element.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tanh;

impl Module for Tanh {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x.tanh()
    }

    fn name(&self) -> &str {
        "Tanh"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Tanh
    }
}

/// All axes but the first joined into one: `[n, c, h, w]` to `[n, c · h · w]`. The notebook's `d2l.FlattenLayer`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

impl Module for Flatten {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x.flatten(1)
    }

    fn name(&self) -> &str {
        "Flatten"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Flatten
    }

    fn extra_repr(&self) -> String {
        "start_dim=1, end_dim=-1".to_string()
    }
}
