//! `Sequential`: layers one after the other, named by their position.
//!
//! Next to read: `init.rs`, where the first values come from.

use std::borrow::Cow;

use super::{Kind, Module, Part, PartMut};
use crate::Var;

/// Layers that feed one another in order. It is a layer itself, so nets nest.
///
/// ```
/// use tapegrad::nn::{Init, Linear, Module, Sequential, Sigmoid};
/// let init = &mut Init::new(0);
/// let net = Sequential::new().then(Linear::new(84, 20, init)).then(Sigmoid).then(Linear::new(20, 10, init));
/// let names: Vec<String> = net.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Module>>,
}

impl Sequential {
    /// No layers yet: the output is the input.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// This net with one more layer at the end.
    pub fn then(self, layer: impl Module + 'static) -> Sequential {
        self.then_boxed(Box::new(layer))
    }

    /// The same for a layer whose type is known only when the program runs.
    pub fn then_boxed(mut self, layer: Box<dyn Module>) -> Sequential {
        self.layers.push(layer);
        self
    }

    /// The layers in order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = &dyn Module> {
        self.layers.iter().map(AsRef::as_ref)
    }
}

impl Module for Sequential {
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        // A loop and no closure, behind which the line of a caller whose shapes do not fit would be lost.
        let mut x = x;
        for layer in self.layers() {
            x = layer.call(x);
        }
        x
    }

    fn name(&self) -> &str {
        "Sequential"
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Chain(self.layers().collect())
    }

    fn parts(&self) -> Vec<(Cow<'static, str>, Part<'_>)> {
        let numbered = self.layers.iter().enumerate();
        numbered.map(|(i, layer)| (i.to_string().into(), Part::Module(layer.as_ref()))).collect()
    }

    fn parts_mut(&mut self) -> Vec<(Cow<'static, str>, PartMut<'_>)> {
        let numbered = self.layers.iter_mut().enumerate();
        numbered.map(|(i, layer)| (i.to_string().into(), PartMut::Module(layer.as_mut()))).collect()
    }
}
