//! Which operator each layer is.
//!
//! ```text
//! Conv2d      Conv                  weight, bias
//! Linear      Gemm, transB          weight, bias
//! BatchNorm   BatchNormalization    gamma, beta, moving_mean, moving_var: y as on an inference tape
//! MaxPool2d   MaxPool               sometimes a Pad before it
//! AvgPool2d   AveragePool           sometimes a Pad before it
//! Sigmoid, ReLU, Tanh, Flatten      Sigmoid, Relu, Tanh, Flatten
//! ```
//!
//! (ONNX, "Operators", each in its version of operator set 17.) The parameters of a layer are in the order in which ONNX wants
//! them.
//!
//! A pooling that rounds up is written as one with more padding at the end, not with `ceil_mode`. Up to set 18 the standard
//! left open what a window is divided by that hangs over the padding, and whether one counts that starts in it (issues 5276
//! and 4958 of the ONNX repository), and runtimes differ. The size of the image is known here, and padding is read alike by all.
//!
//! Next to read: `graph.rs`.

use super::graph::{Attribute, Graph};
use crate::error::{Error, Result};
use crate::nn::{BatchNorm, Conv2d, Kind, Leaf, Module};
use crate::ops::avg_pool2d::AvgPool2dOptions;
use crate::ops::max_pool2d::MaxPool2dOptions;
use crate::ops::window::{Axis, Pair, Window};
use crate::{Shape, Var};

type Attributes = Vec<(&'static str, Attribute)>;

/// Adds what the module says that it is at the open end of the graph, and runs that: not the module's `forward`.
#[track_caller]
pub(super) fn add<'t>(graph: &mut Graph, module: &dyn Module, x: Var<'t>) -> Result<Var<'t>> {
    let (y, operator, inputs, attributes) = match module.kind() {
        Kind::Chain(modules) => {
            let mut y = x;
            for module in modules {
                y = add(graph, module, y)?;
            }
            return Ok(y);
        }
        Kind::Conv2d(layer) => {
            let y = layer.forward(x);
            (y, "Conv", parameters(graph, layer, |shape| shape)?, convolution(layer))
        }
        Kind::Linear(layer) => {
            let y = layer.forward(x);
            (y, "Gemm", parameters(graph, layer, |shape| shape)?, vec![("transB", Attribute::Int(1))])
        }
        Kind::BatchNorm(layer) => {
            let y = layer.forward(x);
            let inputs = parameters(graph, layer, |shape| Shape::from([shape.numel()]))?;
            (y, "BatchNormalization", inputs, vec![("epsilon", Attribute::Float(BatchNorm::EPS))])
        }
        Kind::MaxPool2d(layer) => {
            let y = layer.forward(x);
            (y, "MaxPool", vec![], max_pool(graph, layer.options(), x.shape(), y.shape()))
        }
        Kind::AvgPool2d(layer) => {
            let y = layer.forward(x);
            (y, "AveragePool", vec![], avg_pool(graph, layer.options(), x.shape(), y.shape()))
        }
        Kind::Sigmoid => (x.sigmoid(), "Sigmoid", vec![], vec![]),
        Kind::ReLU => (x.relu(), "Relu", vec![], vec![]),
        Kind::Tanh => (x.tanh(), "Tanh", vec![], vec![]),
        Kind::Flatten => (x.flatten(1), "Flatten", vec![], vec![("axis", Attribute::Int(1))]),
        Kind::Other => {
            let expected = "layers that ONNX has operators for, and chains of them (Module::kind)";
            return Err(Error::argument("net", expected, format!("{}, which is neither", module.name())));
        }
    };
    graph.push(operator, inputs, attributes, y.shape());
    Ok(y)
}

/// The names of a layer's parameters and buffers, put into the graph in the shape that ONNX wants.
fn parameters(graph: &mut Graph, layer: &dyn Module, wanted: fn(Shape) -> Shape) -> Result<Vec<String>> {
    let mut leaves = Vec::new();
    layer.visit("", &mut |name, leaf| leaves.push((name, leaf)));
    let mut names = Vec::new();
    for (part, leaf) in leaves {
        let Some(name) = graph.name_of(leaf) else {
            let expected = "layers that are among the net's parts (Module::parts)";
            let found = format!("a {} whose {part} is not", layer.name());
            return Err(Error::argument("net", expected, found));
        };
        let value = match leaf {
            Leaf::Param(param) => param.value().clone(),
            Leaf::Buffer(buffer) => buffer.value(),
        };
        graph.tensor(&name, &value.reshape(wanted(value.shape())));
        names.push(name);
    }
    Ok(names)
}

fn convolution(layer: &Conv2d) -> Attributes {
    let options = layer.options();
    let kernel = layer.weight.value().shape();
    vec![
        ("kernel_shape", Attribute::Ints(kernel[2..].to_vec())),
        ("strides", pair(options.stride)),
        ("pads", pads(options.padding, options.padding)),
        ("dilations", pair(options.dilation)),
        ("group", Attribute::Int(options.groups)),
    ]
}

fn max_pool(graph: &mut Graph, options: MaxPool2dOptions, x: Shape, y: Shape) -> Attributes {
    let Window { kernel, stride, padding, dilation } = options.window;
    let (mut start, mut end) = (padding, end_padding(options.window, x, y));
    // A dilated window may have padding as long as its kernel and longer, which ONNX Runtime refuses.
    if start.h.max(end.h) >= kernel.h || start.w.max(end.w) >= kernel.w {
        graph.pad(start, end, f32::NEG_INFINITY, x);
        (start, end) = (0.into(), 0.into());
    }
    vec![
        ("kernel_shape", pair(kernel)),
        ("strides", pair(stride)),
        ("pads", pads(start, end)),
        ("dilations", pair(dilation)),
    ]
}

fn avg_pool(graph: &mut Graph, options: AvgPool2dOptions, x: Shape, y: Shape) -> Attributes {
    let AvgPool2dOptions { kernel, stride, padding, count_include_pad, .. } = options;
    let (mut start, mut end) =
        (padding, end_padding(Window::new(kernel).stride(stride).padding(padding), x, y));
    let mut count = count_include_pad;
    // The padding counts in the divisor and what hangs over it does not: the one becomes a part of the image.
    if count && end != padding {
        graph.pad(padding, padding, 0.0, x);
        (start, end) = (0.into(), Pair { h: end.h - padding.h, w: end.w - padding.w });
        count = false;
    }
    vec![
        ("kernel_shape", pair(kernel)),
        ("strides", pair(stride)),
        ("pads", pads(start, end)),
        ("count_include_pad", Attribute::Int(count.into())),
    ]
}

/// The padding below and to the right of an image x with which the windows that fit are those of y: the layer's own,
/// or more where the last window hangs over it.
fn end_padding(window: Window, x: Shape, y: Shape) -> Pair {
    let end = |axis: Axis, size: usize, windows: usize| {
        let reach = (windows - 1) * axis.stride + axis.extent();
        axis.padding.max(reach.saturating_sub(axis.padding + size))
    };
    Pair { h: end(window.rows(), x[2], y[2]), w: end(window.columns(), x[3], y[3]) }
}

fn pair(pair: Pair) -> Attribute {
    Attribute::Ints(vec![pair.h, pair.w])
}

/// ONNX's order: the start of every axis, then the end of every axis.
fn pads(start: Pair, end: Pair) -> Attribute {
    Attribute::Ints(vec![start.h, start.w, end.h, end.w])
}
