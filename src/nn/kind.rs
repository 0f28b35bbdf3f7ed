//! `Kind`: what a module computes, for a reader that is not this crate.
//!
//! `forward` runs a module, `parts` names what it is made of; neither says to another program which formula stands
//! behind it. [`Module::kind`] does: a layer that other programs know says which one it is and hands itself over, so that
//! its parameters and options can be read, and a net says which layers it runs, in what order. With that an exporter
//! ([`crate::save::onnx`]) is written in one place, and no layer knows of it.
//!
//! What this is not: a graph. A module whose `forward` is more than a chain (a sum of two ways, an op of one's own) is
//! [`Kind::Other`], and an exporter refuses it.
//!
//! Next to read: `leaves.rs`.

use super::{AvgPool2d, BatchNorm, Conv2d, Linear, MaxPool2d, Module};

/// What a module computes; see [`Module::kind`].
///
/// A net of one's own that is a chain of layers says so in one method. Ops without parameters, like the `relu` in its
/// `forward`, are in the list as the layers of the same name:
///
/// ```
/// use std::borrow::Cow;
/// use tapegrad::Var;
/// use tapegrad::nn::{Flatten, Init, Kind, Linear, Module, Part, PartMut, ReLU};
///
/// struct Net {
///     hidden: Linear,
///     output: Linear,
/// }
///
/// impl Module for Net {
///     fn name(&self) -> &str {
///         "Net"
///     }
///     fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
///         self.output.call(self.hidden.call(x.flatten(1)).relu())
///     }
///     fn kind(&self) -> Kind<'_> {
///         Kind::Chain(vec![&Flatten, &self.hidden, &ReLU, &self.output])
///     }
///     fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
///         vec![("hidden".into(), Part::Module(&self.hidden)), ("output".into(), Part::Module(&self.output))]
///     }
///     fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
///         vec![
///             ("hidden".into(), PartMut::Module(&mut self.hidden)),
///             ("output".into(), PartMut::Module(&mut self.output)),
///         ]
///     }
/// }
///
/// let init = &mut Init::new(0);
/// let net = Net { hidden: Linear::new(784, 32, init), output: Linear::new(32, 10, init) };
/// assert!(tapegrad::save::onnx::encode(&net, &[1, 28, 28]).is_ok());
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Kind<'a> {
    /// A convolution.
    Conv2d(&'a Conv2d),
    /// A fully connected layer.
    Linear(&'a Linear),
    /// The largest of every window.
    MaxPool2d(&'a MaxPool2d),
    /// The mean of every window.
    AvgPool2d(&'a AvgPool2d),
    /// The notebook's batch normalisation.
    BatchNorm(&'a BatchNorm),
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// The larger of 0 and x.
    ReLU,
    /// The hyperbolic tangent.
    Tanh,
    /// All axes but the first joined into one.
    Flatten,
    /// These modules one after the other, each fed with what the one before it gave.
    Chain(Vec<&'a dyn Module>),
    /// Anything else.
    Other,
}
